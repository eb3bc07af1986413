//! What is held of one plain string: a finding, small, with its answer encoded.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use ipnet::IpNet;
use tessera_shared::{
    clock::Timestamp,
    examine::{Finding, Good, Question, Reason, Terms, access::Revocable},
    id::TokenId,
    opaque::TokenHash,
    role::ScopeSet,
    usage::{GRAIN, UsageNotes},
};

use super::view::{Birth, Stripe};
use crate::service::answer;

const GRAIN_SECONDS: i64 = GRAIN.as_secs().cast_signed();

/// A finding, and what it rests on.
pub(crate) struct Known {
    birth: Birth,
    /// What it rests on besides revocations, which are looked up each time.
    stripes: [Stripe; 4],
    replaced_at: Timestamp,
    outcome: Result<Granted, Reason>,
    /// The permanent token behind it; 0: none. An `Option` would take twice the room.
    token: i64,
    /// The last span of [`GRAIN`] in which a use was noted, counted from the epoch.
    noted: AtomicU32,
    /// In bytes, what this one brought that others may share.
    shared: u32,
}

/// A token that is good at its time, for some questions.
pub(crate) struct Granted {
    not_before: Timestamp,
    expires_at: Timestamp,
    networks: Option<Box<[IpNet]>>,
    /// Of an access token.
    revocable: Option<Box<Revocable>>,
    grant: Arc<Grant>,
    /// The fields of the principal that are the token's own.
    encoded: Box<[u8]>,
}

/// What many tokens have in common; one copy serves them all.
pub(crate) struct Grant {
    audiences: Vec<String>,
    scopes: ScopeSet,
    /// The fields of the principal that say so.
    pub(crate) encoded: Box<[u8]>,
}

/// SHA-256 of a plain string, as the key of a map.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest([u8; 32]);

impl From<&TokenHash> for Digest {
    fn from(hash: &TokenHash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl std::hash::Hash for Digest {
    /// Eight bytes are random enough; the map's own random key keeps an attacker, who
    /// can choose them, from aiming at one place.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.first_chunk().copied().map_or(0, u64::from_le_bytes));
    }
}

impl Known {
    pub(super) fn refused(reason: Reason, birth: Birth, stripes: [Stripe; 4]) -> Self {
        Self {
            birth,
            stripes,
            replaced_at: Timestamp::NEVER,
            outcome: Err(reason),
            token: 0,
            noted: AtomicU32::new(0),
            shared: 0,
        }
    }

    /// `share` answers the grant that stands for all like it, and whether that is this one.
    pub(super) fn found(
        finding: Finding,
        revocable: Option<Revocable>,
        birth: Birth,
        stripes: [Stripe; 4],
        share: impl FnOnce(Grant) -> (Arc<Grant>, bool),
    ) -> Self {
        let mut shared = 0;
        let outcome = finding.outcome.map(|good| {
            Granted::from_parts(good, revocable, |grant| {
                let (grant, is_new) = share(grant);
                if is_new {
                    shared = u32::try_from(grant.size()).unwrap_or(u32::MAX);
                }
                grant
            })
        });
        Self {
            birth,
            stripes,
            replaced_at: finding.replaced_at,
            outcome,
            token: finding.token.map_or(0, TokenId::get),
            noted: AtomicU32::new(0),
            shared,
        }
    }

    pub(super) const fn birth(&self) -> Birth {
        self.birth
    }

    pub(super) const fn stripes(&self) -> &[Stripe; 4] {
        &self.stripes
    }

    pub(super) const fn is_granted(&self) -> bool {
        self.outcome.is_ok()
    }

    /// In bytes, what holding it costs beyond the map's own.
    pub(super) fn size(&self) -> usize {
        let own = self.outcome.as_ref().map_or(0, |granted| {
            let networks = granted.networks.as_ref().map_or(0, |nets| size_of_val(&**nets));
            let revocable = granted.revocable.as_ref().map_or(0, |it| size_of_val(&**it));
            granted.encoded.len() + networks + revocable
        });
        size_of::<Self>() + 2 * size_of::<usize>() + own + self.shared as usize
    }

    /// What is granted at `now`, or why the token is refused, whatever is asked.
    /// Revocations are not looked at.
    #[inline]
    pub(crate) fn at(&self, now: Timestamp) -> Result<&Granted, Reason> {
        if now >= self.replaced_at {
            return Err(self.token().map_or(Reason::Revoked, Reason::Replaced));
        }
        let granted = self.outcome.as_ref().map_err(|reason| *reason)?;
        if now >= granted.expires_at {
            return Err(Reason::Expired);
        }
        if now < granted.not_before {
            return Err(Reason::NotYetValid);
        }
        Ok(granted)
    }

    /// Notes that it was granted at `now`. Nearly always that is noted already.
    #[inline]
    pub(crate) fn note_use(&self, notes: &UsageNotes, now: Timestamp) {
        let span = u32::try_from(now.seconds() / GRAIN_SECONDS).unwrap_or_default();
        // A load alone leaves the cache line shared between the cores.
        if self.noted.load(Relaxed) != span
            && self.noted.swap(span, Relaxed) != span
            && let Some(token) = self.token()
        {
            notes.note_use(token, now);
        }
    }

    fn token(&self) -> Option<TokenId> {
        TokenId::try_from(self.token).ok()
    }
}

impl Grant {
    /// In bytes, what holding it costs.
    pub(super) fn size(&self) -> usize {
        let audience = |audience: &String| size_of::<String>() + audience.len();
        let audiences: usize = self.audiences.iter().map(audience).sum();
        let own = size_of::<Self>() + 2 * size_of::<usize>() + self.encoded.len();
        own + audiences + self.scopes.size()
    }
}

impl Granted {
    fn from_parts(
        good: Good,
        revocable: Option<Revocable>,
        share: impl FnOnce(Grant) -> Arc<Grant>,
    ) -> Self {
        let (not_before, networks) = (good.not_before, good.networks());
        let mut principal = good.principal;
        let expires_at = principal.expires_at.unwrap_or(Timestamp::NEVER);
        let encoded = answer::own_fields(&mut principal).into();
        let grant = Grant {
            encoded: answer::shared_fields(&principal).into(),
            audiences: principal.audiences,
            scopes: principal.scopes,
        };
        Self {
            not_before,
            expires_at,
            networks,
            revocable: revocable.map(Box::new),
            grant: share(grant),
            encoded,
        }
    }

    pub(crate) const fn revocable(&self) -> Option<&Revocable> {
        match &self.revocable {
            Some(revocable) => Some(revocable),
            None => None,
        }
    }

    /// For which questions it is good.
    pub(crate) fn terms(&self) -> Terms<'_> {
        let Grant { audiences, scopes, .. } = &*self.grant;
        Terms { audiences, scopes, networks: self.networks.as_deref() }
    }

    /// Why the token is refused to who asks this.
    pub(crate) fn refusal_of(&self, question: &Question) -> Option<Reason> {
        self.terms().refusal_of(question)
    }

    /// The two halves of the principal's message, in any order.
    #[inline]
    pub(crate) fn principal(&self) -> [&[u8]; 2] {
        [&self.encoded, &self.grant.encoded]
    }
}
