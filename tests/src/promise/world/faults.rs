//! Those who break things: one task breaks machines and one the network, so that both
//! happen at once now and then. After each fault comes a calm.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    super::dice::Dice,
    World,
    stage::{Machines, Servers, Stage},
};
use crate::proxy::{Proxy, Towards, Which};

/// Waits, and answers whether to go on.
pub(super) async fn pause(span: Duration, over: &mut watch::Receiver<bool>) -> bool {
    timeout(span, over.wait_for(|over| *over)).await.is_err()
}

impl World {
    /// Breaks one thing after another until it is told to end; then nothing is broken.
    pub(super) fn faults(
        self: &Arc<Self>,
        stage: &Stage,
        over: watch::Receiver<bool>,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        if stage.is_group {
            tasks.spawn(self.clone().break_group(stage.machines.clone(), over.clone()));
        } else {
            tasks.spawn(self.clone().break_machines(stage.machines.clone(), over.clone()));
        }
        if !stage.proxies.is_empty() {
            tasks.spawn(self.clone().break_network(stage.proxies.clone(), over));
        }
        tasks
    }

    async fn break_machines(
        self: Arc<Self>,
        machines: Arc<Mutex<Machines>>,
        mut over: watch::Receiver<bool>,
    ) {
        let mut dice = Dice::new(self.plan.seed, 1);
        let mut machines = machines.lock().await;
        while pause(self.calm(&mut dice), &mut over).await {
            machines.services.iter_mut().for_each(|service| service.assert_running());
            match (&mut machines.servers, dice.below(100)) {
                (Servers::One(redis), 0..30) => {
                    let fault = self.begin("Redis is stopped (SIGSTOP)");
                    redis.stop();
                    pause(self.a_fault(&mut dice, 4), &mut over).await;
                    redis.cont();
                    self.recorder.fault_over(fault);
                }
                (Servers::One(redis), 30..60) => {
                    let fault = self.begin("Redis is killed");
                    redis.kill9().await;
                    pause(self.a_fault(&mut dice, 3), &mut over).await;
                    redis.restart().await;
                    self.recorder.fault_over(fault);
                }
                _ => machines.kill_a_service(&self, &mut dice, &mut over).await,
            }
        }
        machines.services.iter_mut().for_each(|service| service.assert_running());
    }

    async fn break_network(
        self: Arc<Self>,
        proxies: Arc<[Proxy]>,
        mut over: watch::Receiver<bool>,
    ) {
        let mut dice = Dice::new(self.plan.seed, 2);
        while pause(self.calm(&mut dice), &mut over).await {
            let one = dice.below(proxies.len());
            // The whole network or one service's part of it.
            let hit = if dice.chance(25) { &proxies[..] } else { &proxies[one..=one] };
            let whose = match (hit.len(), one) {
                (1, 0) => "the issuer's network".to_owned(),
                (1, one) => format!("the network of verifier {}", one - 1),
                _ => "the whole network".to_owned(),
            };
            // Not every service has a connection that tracks, at every moment.
            let tracks = hit.iter().any(|proxy| proxy.count(Which::Tracking) > 0);
            let weather = Weather::any(&mut dice, tracks);
            let fault = self.begin(format_args!("{whose}: {weather}"));
            hit.iter().for_each(|proxy| weather.begin(proxy));
            pause(self.a_fault(&mut dice, weather.longest()), &mut over).await;
            hit.iter().for_each(Proxy::pass);
            self.recorder.fault_over(fault);
        }
    }

    pub(super) fn begin(&self, what: impl fmt::Display) -> usize {
        self.recorder.fault(what.to_string())
    }

    /// Long enough, mostly, for what was lost to come back.
    pub(super) fn calm(&self, dice: &mut Dice) -> Duration {
        dice.millis(300..=3_500)
    }

    /// Up to so many times the bound.
    pub(super) fn a_fault(&self, dice: &mut Dice, bounds: u32) -> Duration {
        let longest = u64::try_from((self.plan.bound * bounds).as_millis()).unwrap();
        dice.millis(20..=longest)
    }
}

impl Machines {
    /// Kills one of the services for a while.
    pub(super) async fn kill_a_service(
        &mut self,
        world: &World,
        dice: &mut Dice,
        over: &mut watch::Receiver<bool>,
    ) {
        let number = dice.below(self.services.len());
        let service = &mut self.services[number];
        let fault = world.begin(format_args!("{} is killed", service.name));
        service.kill9().await;
        pause(world.a_fault(dice, 1), over).await;
        service.restart();
        world.recorder.fault_over(fault);
    }
}

/// What can be wrong with a network.
#[derive(Clone, Copy, Debug)]
enum Weather {
    Delay(Towards, Duration),
    Frozen(Which),
    Cut(Which),
    Refusing,
    HalfOpen(Which),
}

impl Weather {
    fn any(dice: &mut Dice, tracks: bool) -> Self {
        let which = if dice.chance(60) && tracks { Which::Tracking } else { Which::All };
        match dice.below(100) {
            0..20 => Self::Delay(Towards::Client, dice.millis(50..=3_000)),
            20..25 => Self::Delay(Towards::Server, dice.millis(50..=3_000)),
            25..55 => Self::Frozen(which),
            55..75 => Self::Cut(which),
            75..85 => Self::Refusing,
            _ => Self::HalfOpen(which),
        }
    }

    fn begin(self, proxy: &Proxy) {
        match self {
            Self::Delay(towards, by) => proxy.delay(towards, by),
            Self::Frozen(which) => proxy.freeze(which),
            Self::Cut(which) => drop(proxy.cut(which)),
            Self::Refusing => {
                proxy.refuse();
                proxy.cut(Which::All);
            }
            Self::HalfOpen(which) => drop(proxy.half_open(which)),
        }
    }

    /// In staleness bounds.
    const fn longest(self) -> u32 {
        match self {
            Self::Delay(..) => 6,
            Self::Frozen(_) => 2,
            Self::Cut(_) | Self::Refusing | Self::HalfOpen(_) => 1,
        }
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(Towards::Client, by) => write!(f, "replies {} ms late", by.as_millis()),
            Self::Delay(Towards::Server, by) => write!(f, "requests {} ms late", by.as_millis()),
            Self::Frozen(which) => write!(f, "frozen, {which}"),
            Self::Cut(which) => write!(f, "cut, {which}"),
            Self::Refusing => write!(f, "cut, and refusing new connections"),
            Self::HalfOpen(which) => write!(f, "half open, {which}"),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all connections",
            Self::Tracking => "the tracking connection alone",
            Self::Servers => "connections of servers alone",
        })
    }
}
