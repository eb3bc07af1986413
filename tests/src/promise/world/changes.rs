//! Those who make, change and end things.

mod ending;
mod making;

use std::{future::Future, sync::Arc, time::Duration};

use tessera_proto::v1::{
    admin_service_client::AdminServiceClient, issuer_service_client::IssuerServiceClient,
};
use tokio::{sync::watch, task::JoinSet, time::sleep};
use tonic::{Code, Response, Status, transport::Channel};

pub(super) use self::making::{exchange, login, make_token};
use super::{
    super::{dice::Dice, history::Act},
    World, faults,
};
use crate::client::{Admin, Credentials, Issuer};

/// Between two tries of one operation.
const AGAIN_AFTER: Duration = Duration::from_millis(30);

/// Tasks that change things.
const CHANGERS: u64 = 4;

impl World {
    /// Starts those who change things.
    pub(super) fn changes(self: &Arc<Self>, over: &watch::Receiver<bool>) -> JoinSet<()> {
        let changes = (0..CHANGERS).map(|number| self.clone().change_on(number, over.clone()));
        changes.collect()
    }

    /// Changes one thing after another until it is told to end.
    async fn change_on(self: Arc<Self>, number: u64, mut over: watch::Receiver<bool>) {
        let mut dice = Dice::new(self.plan.seed, 100 + number);
        while faults::pause(dice.millis(5..=60), &mut over).await {
            // Each leaves a key that lives as long as an access token: a few in a run.
            if dice.below(1_000) < 4 {
                self.rotate_key().await;
            }
            // In hundredths, and more made than ended.
            match dice.below(100) {
                0..30 => self.make(&mut dice).await,
                30..37 => self.log_in(&mut dice).await,
                37..54 => self.trade(&mut dice).await,
                54..57 => self.invent(),
                57..65 => self.revoke(&mut dice).await,
                65..75 => self.rotate(&mut dice).await,
                75..83 => self.change_token_role(&mut dice).await,
                83..87 => self.change_user_role(&mut dice).await,
                87..90 => self.disable_user_for_a_while(&mut dice).await,
                90..92 => self.disable_account_for_a_while(&mut dice).await,
                92..97 => self.log_out(&mut dice).await,
                _ => self.end_sessions(&mut dice).await,
            }
        }
    }

    fn issuer(&self, credentials: &Credentials) -> Issuer {
        issuer(&self.population.channel, credentials)
    }

    fn administration(&self) -> Admin {
        let Self { population, .. } = self;
        AdminServiceClient::with_interceptor(population.channel.clone(), population.admin.clone())
    }

    /// Repeats an operation until its outcome is known. `None`: it was refused.
    async fn persist<T, F>(&self, act: Act, mut call: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let operation = self.recorder.begin(act);
        loop {
            self.recorder.tried(operation);
            match call().await {
                Ok(answer) => {
                    self.recorder.acknowledge(operation);
                    return Some(answer.into_inner());
                }
                Err(status) if is_unknown(&status) => sleep(AGAIN_AFTER).await,
                Err(status) => {
                    self.recorder.complain_of(&format!("{act:?}"), &status);
                    self.recorder.refuse(operation);
                    return None;
                }
            }
        }
    }
}

fn issuer(channel: &Channel, credentials: &Credentials) -> Issuer {
    IssuerServiceClient::with_interceptor(channel.clone(), credentials.clone())
}

/// Whether an operation that failed so may have been done, or may succeed yet.
fn is_unknown(status: &Status) -> bool {
    let is_lost = std::error::Error::source(status).is_some();
    is_lost
        || matches!(
            status.code(),
            Code::Unavailable
                | Code::DeadlineExceeded
                | Code::Cancelled
                | Code::Aborted
                | Code::ResourceExhausted
        )
}
