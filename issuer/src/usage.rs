//! The use of permanent tokens: what this issuer sees of it, what all others report,
//! and what is known of a token.

use std::{sync::Arc, time::Duration};

use tessera_shared::{
    examine::{Question, Verdict},
    id::TokenId,
    record::PermanentToken,
    store::StoreError,
    usage::Usage,
};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    core::{Core, damaged_id},
    failure::Failure,
};

impl Core {
    /// Examines what a caller presents, and notes the use of it.
    pub(crate) async fn examine(
        &self,
        token: &str,
        question: &Question,
    ) -> Result<Verdict, StoreError> {
        let now = self.now();
        let verdict = self.examiner.examine(token, question, now).await?;
        self.usage.note(&verdict, now);
        Ok(verdict)
    }

    /// When each of `tokens` was used, in their order.
    pub(crate) async fn usage_of(&self, tokens: &[PermanentToken]) -> Result<Vec<Usage>, Failure> {
        let ids: Result<Vec<TokenId>, _> = tokens.iter().map(|t| TokenId::try_from(t.id)).collect();
        Ok(self.store.usage(&ids.map_err(|_| damaged_id())?).await?)
    }

    /// When `token` was used.
    pub(crate) async fn usage_of_one(&self, token: TokenId) -> Result<Usage, Failure> {
        Ok(self.store.usage(&[token]).await?.pop().unwrap_or_default())
    }

    /// Merges all that was reported up to now.
    pub(crate) async fn gather_usage(&self) -> Result<(), StoreError> {
        while self.store.merge_reported(self.now()).await? {}
        Ok(())
    }
}

/// Merges what is reported each `every`, for ever.
pub(crate) async fn keep_gathering(core: Arc<Core>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        let gathered = core.gather_usage().await;
        match &gathered {
            Err(error) if !failing => {
                tracing::warn!(%error, "the use of tokens can't be gathered; trying on");
            }
            Ok(()) if failing => tracing::info!("the use of tokens is gathered again"),
            _ => {}
        }
        failing = gathered.is_err();
    }
}
