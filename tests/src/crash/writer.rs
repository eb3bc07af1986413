//! One who creates, rotates and revokes, one call after the other, whatever becomes of them.

use std::net::SocketAddr;

use tessera_proto::v1::{RevokePermanentTokenRequest, RotatePermanentTokenRequest};
use tokio::{sync::watch, task::JoinHandle};
use tonic::{Code, Status};

use super::ledger::Ledger;
use crate::{
    client::{self, Credentials, Issuer},
    promise::dice::Dice,
    system::named,
};

/// A writer at work.
pub(super) struct Writer {
    stop: watch::Sender<bool>,
    task: JoinHandle<Ledger>,
}

pub(super) fn start(
    issuer: SocketAddr,
    credentials: Credentials,
    mut ledger: Ledger,
    mut dice: Dice,
) -> Writer {
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        let mut issuer = client::issuer(issuer, &credentials);
        while !*stopped.borrow() {
            if let Err(status) = act(&mut issuer, &mut ledger, &mut dice).await {
                assert!(is_outage(&status), "a crash shows as {status:?}");
                ledger.doubtful += 1;
                tokio::task::yield_now().await;
            }
        }
        ledger
    });
    Writer { stop, task }
}

impl Writer {
    /// Ends the work after the present call.
    pub(super) async fn end(self) -> Ledger {
        let _ = self.stop.send(true);
        self.task.await.unwrap()
    }
}

async fn act(issuer: &mut Issuer, ledger: &mut Ledger, dice: &mut Dice) -> Result<(), Status> {
    let chosen = match dice.below(10) {
        0..6 => None,
        _ => {
            let ids: Vec<i64> = ledger.good.keys().copied().collect();
            (!ids.is_empty()).then(|| *dice.pick(&ids))
        }
    };
    let Some(id) = chosen else {
        let made = issuer.create_permanent_token(named("under load")).await?.into_inner();
        ledger.good.insert(made.permanent_token.unwrap().id, made.token);
        ledger.created += 1;
        return Ok(());
    };
    // Until it is acknowledged nobody knows: the token is in neither list.
    let old = ledger.good.remove(&id).unwrap();
    if dice.chance(50) {
        let request = RevokePermanentTokenRequest { id };
        issuer.revoke_permanent_token(request).await?;
    } else {
        let request = RotatePermanentTokenRequest { id, overlap: None };
        let rotated = issuer.rotate_permanent_token(request).await?.into_inner();
        ledger.good.insert(id, rotated.token);
    }
    ledger.ended.push(old);
    Ok(())
}

/// What a caller is told when a process ends under its call.
fn is_outage(status: &Status) -> bool {
    use std::error::Error as _;
    let outage = [Code::Unavailable, Code::DeadlineExceeded, Code::Cancelled];
    // What the client makes of a connection that broke has a cause; what a server says has none.
    outage.contains(&status.code()) || status.source().is_some()
}
