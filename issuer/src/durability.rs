//! Whether the store keeps what it acknowledges: looked at before the first record is written, and
//! again while the issuer runs, for settings change and a failover brings another server.

use std::{sync::Arc, time::Duration};

use tessera_shared::{
    clock::Clock,
    config::IssuerConfig,
    store::{StoreOptions, StoreUrl},
    survey::{self, Finding, SurveyError, Weight},
};

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
}

impl Durability {
    pub(crate) fn of(config: &IssuerConfig, clock: Arc<dyn Clock>) -> Result<Self, IssuerError> {
        let url = StoreUrl::parse(&config.store).map_err(|error| refused(&error.to_string()))?;
        let options = config.store_options.clone();
        Ok(Self { url, options, dev: config.dev, clock })
    }

    /// Waits until the store can be asked, and says loudly what it finds.
    ///
    /// # Errors
    /// When the store breaks the promise, and this is no development mode.
    pub(crate) async fn check(&self) -> Result<(), IssuerError> {
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
        tell(&findings);
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

    /// Looks again and again, and tells what is new.
    pub(crate) async fn keep_looking(&self) {
        let mut told = self.findings().await.unwrap_or_default();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Ok(findings) = self.findings().await else { continue };
            if findings != told {
                tell(&findings);
                told = findings;
            }
        }
    }

    async fn findings(&self) -> Result<Vec<Finding>, SurveyError> {
        survey::durability(&self.url, self.options.clone(), &*self.clock).await
    }
}

fn refused(what: &str) -> IssuerError {
    IssuerError::Setting { setting: "--store", what: what.to_owned() }
}

fn tell(findings: &[Finding]) {
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
