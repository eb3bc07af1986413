//! Whether the store keeps what it acknowledges: looked at before the first record is written, and
//! again while the issuer runs: after each new connection, since a failover brings another server
//! and a restart other settings, and at times, since settings change.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tessera_serve::metrics::{Collector, DescriptorEncoder, gauge};
use tessera_shared::{
    clock::Clock,
    config::IssuerConfig,
    store::{StoreOptions, StoreUrl},
    survey::{self, Finding, SurveyError, Weight},
};

use tokio::sync::watch;

use crate::{IssuerError, background::RETRY};

/// How often it is looked again.
const LOOK_EVERY: Duration = Duration::from_mins(10);

/// The store's settings, and what is made of them.
pub(crate) struct Durability {
    url: StoreUrl,
    options: StoreOptions,
    /// Whether what loses data is let pass.
    dev: bool,
    clock: Arc<dyn Clock>,
    found: Found,
}

/// What was found when it was last looked; `None` before that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found(Arc<Mutex<Option<Vec<Finding>>>>);

impl Durability {
    pub(crate) fn of(config: &IssuerConfig, clock: Arc<dyn Clock>) -> Result<Self, IssuerError> {
        let url = StoreUrl::parse(&config.store).map_err(|error| refused(&error.to_string()))?;
        let options = config.store_options.clone();
        Ok(Self { url, options, dev: config.dev, clock, found: Found::default() })
    }

    /// What is found, for the metrics.
    pub(crate) fn found(&self) -> Found {
        self.found.clone()
    }

    /// Waits until the store can be asked, and says loudly what it finds.
    ///
    /// # Errors
    /// When the store breaks the promise, and this is no development mode.
    pub(crate) async fn check(&self) -> Result<(), IssuerError> {
        let findings = self.look().await?;
        let breaks = findings.iter().filter(|finding| finding.weight == Weight::Breaks);
        let breaks: Vec<_> = breaks.map(ToString::to_string).collect();
        if breaks.is_empty() || self.dev {
            return Ok(());
        }
        Err(refused(&format!(
            "this store would lose what was acknowledged: {}. `tessera doctor` shows the same; \
             --dev lets it pass, for development",
            breaks.join(". ")
        )))
    }

    /// Looks again and again, at once after each of `connections`, and tells what is new.
    pub(crate) async fn keep_looking(&self, mut connections: Option<watch::Receiver<u64>>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = next(&mut connections) => {}
            }
            if let Err(error) = self.look().await {
                tracing::error!(%error, "the store's settings can't be asked for");
            }
        }
    }

    /// Waits until the store can be asked, and tells what it finds if that is new.
    async fn look(&self) -> Result<Vec<Finding>, IssuerError> {
        let findings = loop {
            match self.findings().await {
                Ok(findings) => break findings,
                Err(SurveyError::Setting(error)) => return Err(refused(&error.to_string())),
                // The store itself tells why it is out of reach.
                Err(SurveyError::Store(error)) => {
                    tracing::debug!(%error, "the store's settings can't be asked for yet");
                }
            }
            tokio::time::sleep(RETRY).await;
        };
        if self.found.replace(&findings) {
            tell(&findings);
        }
        Ok(findings)
    }

    async fn findings(&self) -> Result<Vec<Finding>, SurveyError> {
        survey::durability(&self.url, self.options.clone(), &*self.clock).await
    }
}

/// Until there is a new connection: for ever where there are none.
async fn next(connections: &mut Option<watch::Receiver<u64>>) {
    if let Some(connections) = connections
        && connections.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

impl Found {
    /// Answers whether that is another finding than before.
    fn replace(&self, findings: &[Finding]) -> bool {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = found.as_deref().unwrap_or_default() != findings;
        *found = Some(findings.to_vec());
        is_new
    }
}

impl Collector for Found {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(found) = found else { return Ok(()) };
        let weights =
            [("breaks", Weight::Breaks), ("unknown", Weight::Unknown), ("risk", Weight::Risk)];
        let counts = weights.map(|(name, weight)| {
            let count = found.iter().filter(|finding| finding.weight == weight).count();
            ([("weight", name)], count as f64)
        });
        let help =
            "What about the store may lose acknowledged writes, as `tessera doctor` weighs it";
        gauge(&mut encoder, "tessera_issuer_durability_findings", help, counts)
    }
}

fn refused(what: &str) -> IssuerError {
    IssuerError::Setting { setting: "--store", what: what.to_owned() }
}

fn tell(findings: &[Finding]) {
    if findings.is_empty() {
        tracing::info!("the store keeps what it acknowledges again");
    }
    for Finding { weight, what, remedy, .. } in findings {
        match weight {
            Weight::Breaks => {
                tracing::error!(what, remedy, "the store breaks the promise of durability")
            }
            Weight::Unknown => tracing::warn!(what, remedy, "the store's durability is not known"),
            Weight::Risk => tracing::warn!(what, remedy, "the store may lose writes"),
        }
    }
}
