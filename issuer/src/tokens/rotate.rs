//! Giving a permanent token a new secret.

use std::time::Duration;

use tessera_shared::{
    clock::Timestamp,
    id::TokenId,
    opaque::PlainToken,
    record::{OlderSecret, PermanentToken},
    revocation::Subject,
};

use super::State;
use crate::{
    caller::Caller,
    core::Core,
    failure::Failure,
    fields::{self, Fields},
};

const LONGEST_OVERLAP: Duration = Duration::from_hours(30 * 24);
/// How many replaced secrets a record has in full. A rotation whose answer was lost is made
/// again: the secret that is deployed is then the second before the last, and has its overlap.
const KEPT: usize = 4;
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
                replace_secret(token, hash.as_bytes(), now.after(overlap), now);
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

/// The present secret becomes the one before, until `works_until`. Those before it keep
/// their own time, unless that is `now`.
fn replace_secret(token: &mut PermanentToken, hash: &[u8], works_until: Timestamp, now: Timestamp) {
    if !token.previous_hash.is_empty() {
        let previous = OlderSecret {
            version: token.secret_version.saturating_sub(1),
            hash: std::mem::take(&mut token.previous_hash),
            expires_at: token.previous_expires_at,
        };
        token.older.insert(0, previous);
    }
    let mut gone = Vec::new();
    for secret in std::mem::take(&mut token.older) {
        let lasts = now < works_until && now.millis() < secret.expires_at;
        if lasts && token.older.len() + 1 < KEPT {
            token.older.push(secret);
        } else {
            gone.extend(secret.hash.get(..8).map(<[u8]>::to_vec));
        }
    }
    token.retired.splice(0..0, gone);
    token.retired.truncate(RETIRED);
    token.previous_hash = std::mem::replace(&mut token.hash, hash.to_vec());
    token.previous_expires_at = works_until.millis();
    token.secret_version += 1;
}
