//! Those who break groups of servers, one fault at a time: a primary that is killed,
//! frozen or replaced in good order, a replica that is away, slots that move. After each
//! fault the group is whole again before the next: more it does not promise to stand.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, watch},
    time::timeout,
};

use super::{
    super::dice::Dice,
    World,
    faults::pause,
    stage::{Machines, Servers},
};
use crate::group::{Cluster, DOWN_AFTER_MILLIS, Member, SentinelGroup};

/// Slots that move at a time.
const SLOTS: usize = 40;

impl World {
    /// Breaks one thing after another until it is told to end; then nothing is broken.
    pub(super) async fn break_group(
        self: Arc<Self>,
        machines: Arc<Mutex<Machines>>,
        mut over: watch::Receiver<bool>,
    ) {
        let mut dice = Dice::new(self.plan.seed, 1);
        let mut machines = machines.lock().await;
        while pause(self.calm(&mut dice), &mut over).await {
            machines.services.iter_mut().for_each(|service| service.assert_running());
            if dice.chance(15) {
                machines.kill_a_service(&self, &mut dice, &mut over).await;
                continue;
            }
            match &mut machines.servers {
                Servers::Sentinels(group) => {
                    self.break_sentinels(group, &mut dice, &mut over).await
                }
                Servers::Cluster(cluster) => {
                    self.break_cluster(cluster, &mut dice, &mut over).await
                }
                Servers::None | Servers::One(_) => return,
            }
        }
        machines.services.iter_mut().for_each(|service| service.assert_running());
    }

    async fn break_sentinels(
        &self,
        group: &mut SentinelGroup,
        dice: &mut Dice,
        over: &mut watch::Receiver<bool>,
    ) {
        let primary = group.primary().await;
        match dice.below(100) {
            0..40 => {
                let fault = self.begin("the primary is killed");
                group.members[primary].kill9().await;
                group.wait_for_another_than(primary).await;
                group.members[primary].restart();
                self.recorder.fault_over(fault);
            }
            40..70 => {
                let fault = self.begin("the primary is frozen");
                self.freeze(&group.members[primary], dice, over).await;
                self.recorder.fault_over(fault);
            }
            // The old primary is not asked, and what it takes meanwhile is not acknowledged.
            70..85 if self.plan.confirmations() > 0 => {
                let fault = self.begin("the primary is replaced by hand");
                if group.fail_over().await {
                    group.wait_for_another_than(primary).await;
                }
                self.recorder.fault_over(fault);
            }
            _ => {
                let replica = (primary + 1) % group.members.len();
                let fault = self.begin("a replica is frozen");
                self.freeze(&group.members[replica], dice, over).await;
                self.recorder.fault_over(fault);
            }
        }
        group.wait_until_complete().await;
    }

    async fn break_cluster(
        &self,
        cluster: &mut Cluster,
        dice: &mut Dice,
        over: &mut watch::Receiver<bool>,
    ) {
        let primaries = cluster.primaries().await;
        let primary = primaries[dice.below(primaries.len())];
        match dice.below(100) {
            0..30 => {
                let fault = self.begin("a primary is killed");
                cluster.members[primary].kill9().await;
                cluster.wait_for_another_than(primary).await;
                cluster.members[primary].restart();
                self.recorder.fault_over(fault);
            }
            30..55 => {
                let fault = self.begin("a primary is frozen");
                self.freeze(&cluster.members[primary], dice, over).await;
                self.recorder.fault_over(fault);
            }
            55..70 => {
                let fault = self.begin("a primary is replaced in good order");
                // A replica gives up after 5 s, and says nothing of it.
                while cluster.fail_over(primary).await {
                    let replaced = cluster.wait_for_another_than(primary);
                    if timeout(Duration::from_secs(6), replaced).await.is_ok() {
                        break;
                    }
                }
                self.recorder.fault_over(fault);
            }
            _ => {
                let fault = self.begin("slots move");
                cluster.reshard(SLOTS).await.expect("a reshard of a whole cluster");
                self.recorder.fault_over(fault);
            }
        }
        cluster.wait_until_complete().await;
    }

    /// As often shorter than what the others wait for as longer: then it wakes up replaced.
    async fn freeze(&self, member: &Member, dice: &mut Dice, over: &mut watch::Receiver<bool>) {
        member.stop();
        pause(dice.millis(100..=3 * DOWN_AFTER_MILLIS), over).await;
        member.cont();
    }
}
