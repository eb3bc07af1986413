//! What goes on beside the calls: the heartbeat, the first start, the sweep, the signing keys.

use std::{sync::Arc, time::Duration};

use tessera_serve::Health;
use tessera_shared::{keys::SealError, store::StoreWriter, told::Told};
use tokio::{sync::oneshot, time::MissedTickBehavior};

use crate::{
    IssuerError,
    bootstrap::{FirstAdministrator, FirstStart, StartFailure},
    core::Core,
    failure::Failure,
};

/// Between two tries of what must succeed at the start.
pub(crate) const RETRY: Duration = Duration::from_secs(1);
/// Enough that a few may be late.
const BEATS_PER_BOUND: u32 = 8;
const SWEEP_EVERY: Duration = Duration::from_mins(10);
/// Well below the age that a view of the keys may have, so that no call waits for one.
const TEND_EVERY: Duration = Duration::from_millis(500);

/// Shows the verifiers over and over that the store takes writes: what they hold is
/// good for a staleness bound after.
pub(crate) async fn beat(store: Arc<dyn StoreWriter>, bound: Duration) {
    let mut ticks = tokio::time::interval(bound / BEATS_PER_BOUND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = store.beat().await {
            tracing::debug!(%error, "a heartbeat was not written");
        }
    }
}

/// The first start, tried until it succeeds, or is refused for good; then the sweep, for ever.
pub(crate) async fn prepare(
    core: Arc<Core>,
    first: FirstStart,
    ready: impl FnOnce(Option<FirstAdministrator>) + Send,
    refuse: oneshot::Sender<IssuerError>,
    health: Health,
) {
    let mut told = Told::default();
    let made = loop {
        match core.bootstrap(&first).await {
            Ok(made) => break made,
            Err(StartFailure::OtherIssuer { held }) => {
                let _ = refuse.send(other_issuer(&held, &first.issuer_url.url));
                return;
            }
            Err(StartFailure::Passing(Failure::KeySealed(error))) => {
                let _ = refuse.send(sealed_otherwise(&error));
                return;
            }
            Err(StartFailure::Passing(error)) => {
                let error = error.in_full();
                if told.is_new(&error) {
                    tracing::warn!(error, "not ready yet; trying on");
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    };
    ready(made);
    health.ready().await;
    tracing::info!("the issuer is ready");
    tokio::join!(sweep(&core), tend(&core));
}

fn other_issuer(held: &str, given: &str) -> IssuerError {
    IssuerError::Setting {
        setting: "--issuer-url",
        what: format!(
            "the access tokens of this store are issued in the name of {held}, not of {given}; give \
             every issuer the same, or add --former-issuer-url {held} to replace it, which denies them"
        ),
    }
}

/// Trying again would not help: the key that signs lies in the store as another issuer's
/// settings sealed it.
fn sealed_otherwise(error: &SealError) -> IssuerError {
    IssuerError::Setting {
        setting: "TESSERA_KEY_ENCRYPTION_KEY",
        what: format!(
            "{error}: give every issuer over this store the same one; while it is being \
             replaced, the former belongs into TESSERA_OTHER_KEY_ENCRYPTION_KEYS"
        ),
    }
}

async fn sweep(core: &Core) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = core.sweep().await {
            tracing::warn!(%error, "the sweep stopped early; the next goes on");
        }
    }
}

async fn tend(core: &Core) {
    let mut ticks = tokio::time::interval(TEND_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut well = true;
    loop {
        ticks.tick().await;
        let tended = async { core.tend_keys().await.and(core.rotate_by_age().await) };
        match tended.await {
            Ok(()) => well = true,
            Err(error) if well => {
                let error = error.in_full();
                tracing::warn!(error, "the key set can't be read; trying on");
                well = false;
            }
            Err(_) => {}
        }
    }
}
