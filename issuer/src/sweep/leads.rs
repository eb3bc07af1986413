//! What leads to an imported token, a record under its hash, goes after the token and no
//! sooner: while it is there the same import does not make the token anew. No list has it, so it is
//! told when to go while the token that names its hash can still be read.

use std::time::Duration;

use prost::Message as _;
use tessera_shared::{
    id::TokenId,
    record::{Foreign, PermanentToken},
    store::{Key, records, records::Record as _},
};

use crate::{core::Core, failure::Failure};

/// After the token's record; a token that is given a longer life meanwhile keeps it, for the
/// sweep comes by much oftener.
const LONGER: Duration = Duration::from_hours(24);

impl Core {
    /// Sets when to forget what leads to those of the tokens `ids` that were imported.
    pub(super) async fn date_leads(&self, ids: &[i64]) -> Result<(), Failure> {
        if self.store.read(&[Key::Imports]).await?.iter().all(Option::is_none) {
            return Ok(());
        }
        let keys: Vec<_> =
            ids.iter().filter_map(|id| TokenId::try_from(*id).ok()).map(Key::Token).collect();
        let (mut leads, mut tokens) = (Vec::new(), Vec::new());
        for bytes in self.store.read(&keys).await?.into_iter().flatten() {
            let token: PermanentToken = records::decode(&bytes)?;
            if let Ok(hash) = <[u8; 32]>::try_from(token.imported_hash.as_slice()) {
                leads.push(Key::Foreign(hash));
                tokens.push(token);
            }
        }
        if leads.is_empty() {
            return Ok(());
        }
        let found = self.store.read(&leads).await?;
        for ((key, token), old) in leads.iter().zip(&tokens).zip(found) {
            let Some(old) = old else { continue };
            let lead: Foreign = records::decode(&old)?;
            let forget_at = token.garbage_at().map_or(0, |at| at.after(LONGER).millis());
            if lead.token == token.id && lead.forget_at != forget_at {
                let dated = Foreign { forget_at, ..lead };
                let new = dated.encode_to_vec();
                // Changed meanwhile: then the next sweep looks again.
                self.store.swap(key, Some(&old), Some(&new), dated.garbage_at()).await?;
            }
        }
        Ok(())
    }
}
