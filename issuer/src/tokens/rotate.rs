//! Giving a permanent token a new secret.

use std::time::Duration;

use tessera_shared::{
    clock::Timestamp, id::TokenId, opaque::PlainToken, record::PermanentToken, revocation::Subject,
};

use super::State;
use crate::{
    caller::Caller,
    core::Core,
    failure::Failure,
    fields::{self, Fields},
};

const LONGEST_OVERLAP: Duration = Duration::from_hours(30 * 24);
/// How many retired secrets a record remembers.
const RETIRED: usize = 16;

/// A token and its new secret, for the only time.
pub(crate) struct Rotated {
    pub(crate) token: PermanentToken,
    pub(crate) plain: PlainToken,
}

impl Core {
    /// Gives a live token a new secret; the present one works until `overlap` is over.
    pub(crate) async fn rotate_token(
        &self,
        caller: &Caller,
        id: TokenId,
        overlap: Option<prost_types::Duration>,
    ) -> Result<Rotated, Failure> {
        let mut fields = Fields::default();
        let overlap =
            fields.take(fields::span("overlap", &overlap.unwrap_or_default(), LONGEST_OVERLAP));
        fields.check()?;
        let (now, overlap) = (self.now(), overlap.unwrap_or_default());
        let plain = self.opaque.permanent(id, &*self.rng)?;
        let hash = plain.hash();
        let token = self
            .update_record(id, |token| {
                self.may_rotate(caller, token)?;
                if !State::of(token, now).is_live() {
                    return Err(Failure::TokenEnded);
                }
                replace_secret(token, hash.as_bytes(), now.after(overlap));
                token.version += u32::from(overlap.is_zero());
                Ok(())
            })
            .await?;
        // With no overlap the old secret is taken for stolen, and so is what was exchanged for it.
        if overlap.is_zero() {
            self.revoke(Subject::Token(id), token.version, token.version).await?;
        }
        Ok(Rotated { token, plain })
    }
}

/// The present secret becomes the one before, until `works_until`.
fn replace_secret(token: &mut PermanentToken, hash: &[u8], works_until: Timestamp) {
    let oldest = std::mem::take(&mut token.previous_hash);
    if let Some(prefix) = oldest.get(..8) {
        token.retired.insert(0, prefix.to_vec());
        token.retired.truncate(RETIRED);
    }
    token.previous_hash = std::mem::replace(&mut token.hash, hash.to_vec());
    token.previous_expires_at = works_until.millis();
    token.secret_version += 1;
}
