//! What an access token says, and how it is written.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{json::unique_members, written};
use crate::{
    clock::Timestamp,
    id::{AccountId, SessionId, TokenId, UserId},
    principal::Proof,
};

/// RFC 9068 section 2.2 asks for a `client_id`; sessions and tokens are all ours.
const CLIENT_ID: &str = "tessera";
/// The last second of the year 9999, beyond which RFC 3339 can't write a time.
const MAX_SECONDS: i64 = 253_402_300_799;

/// The names of the claims that we write.
const CLAIMS: [&str; 18] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "client_id",
    "sid",
    "tid",
    "account",
    "role",
    "scope",
    "name",
    "uv",
    "tv",
    "sv",
    "cidrs",
];

/// What an access token says. Times are written in whole seconds, rounded down, so
/// that a token never outlives what it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// `iss`: the issuer, as in the key set.
    pub issuer: String,
    /// `sub`: the user, in decimal.
    pub user: UserId,
    /// `account`.
    pub account: AccountId,
    /// `sid` (decimal text) or `tid` (a number): what the token was made from.
    pub proof: Proof,
    /// `uv`: the user's version it was made under; see [`crate::revocation`].
    pub user_version: u32,
    /// `tv`: the permanent token's version; there exactly if the proof is one.
    pub token_version: Option<u32>,
    /// `sv`: which of the permanent token's secrets it was exchanged for, counted from 1;
    /// absent: the first, or the proof is a session.
    pub secret_version: Option<u32>,
    /// `aud`: where it may be used.
    pub audiences: Vec<String>,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`: the first instant at which it is no longer good.
    pub expires_at: Timestamp,
    /// `nbf`: the first instant at which it is good.
    pub not_before: Option<Timestamp>,
    /// `jti`: names this token; no other has it.
    pub jti: String,
    /// `role`: the name of the role.
    pub role: String,
    /// `scope`: what it may do, separated by spaces (RFC 8693 section 4.2).
    pub scope: String,
    /// `name`: the user's name, or the permanent token's.
    pub name: String,
    /// `cidrs`: where it may be used from; empty: anywhere.
    pub allowed_cidrs: Vec<String>,
}

/// The claims on the wire, all of them and no other.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire<'a> {
    pub(super) iss: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) sub: Cow<'a, str>,
    pub(super) aud: Cow<'a, [String]>,
    pub(super) exp: i64,
    pub(super) iat: i64,
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<i64>,
    pub(super) jti: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) client_id: Cow<'a, str>,
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    pub(super) sid: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    pub(super) tid: Option<i64>,
    pub(super) account: i64,
    pub(super) role: Cow<'a, str>,
    pub(super) scope: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) uv: u32,
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    pub(super) tv: Option<u32>,
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    pub(super) sv: Option<u32>,
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub(super) cidrs: Cow<'a, [String]>,
}

/// A claim may be absent, and then is not there; `null` is no value of any claim.
fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl AccessClaims {
    /// The claims as they are written.
    pub(super) fn wire(&self) -> impl Serialize {
        let (sid, tid) = match self.proof {
            Proof::Session(session) => (Some(Cow::from(session.to_string())), None),
            Proof::PermanentToken(token) => (None, Some(token.get())),
        };
        Wire {
            iss: Cow::from(&self.issuer),
            sub: Cow::from(self.user.to_string()),
            aud: Cow::from(&self.audiences),
            exp: self.expires_at.seconds(),
            iat: self.issued_at.seconds(),
            nbf: self.not_before.map(Timestamp::seconds),
            jti: Cow::from(&self.jti),
            client_id: Cow::from(CLIENT_ID),
            sid,
            tid,
            account: self.account.get(),
            role: Cow::from(&self.role),
            scope: Cow::from(&self.scope),
            name: Cow::from(&self.name),
            uv: self.user_version,
            tv: self.token_version,
            sv: self.secret_version,
            cidrs: Cow::from(&self.allowed_cidrs),
        }
    }

    /// Whether a verifier would take these claims once they are signed.
    pub(super) fn are_readable(&self) -> bool {
        match serde_json::to_value(self.wire()) {
            Ok(Value::Object(members)) => Self::from_members(members).is_some(),
            _ => false,
        }
    }

    /// Reads the claims of a token whose signature is verified. `None`: a claim is
    /// missing, twice there, of another type, or out of its bounds.
    pub(super) fn from_json(json: &[u8]) -> Option<Self> {
        if let Some(wire) = written::read(json) {
            return Self::from_wire(wire);
        }
        let [b'{', .., b'}'] = json else { return None };
        // Each claim that we write is known, and a known one that is twice there is refused:
        // what can be read like that has one reading.
        if let Ok(wire) = serde_json::from_slice(json) {
            return Self::from_wire(wire);
        }
        Self::from_members(unique_members(json)?)
    }

    /// Passes over unknown members: a newer issuer may add some.
    pub(super) fn from_members(mut members: Map<String, Value>) -> Option<Self> {
        members.retain(|name, _| CLAIMS.contains(&name.as_str()));
        Self::from_wire(Wire::deserialize(Value::Object(members)).ok()?)
    }

    pub(super) fn from_wire(wire: Wire<'_>) -> Option<Self> {
        let proof = match (wire.sid, wire.tid, wire.tv) {
            (Some(sid), None, None) if wire.sv.is_none() => {
                Proof::Session(SessionId::try_from(canonical_decimal(&sid)?).ok()?)
            }
            (None, Some(tid), Some(_)) => Proof::PermanentToken(TokenId::try_from(tid).ok()?),
            _ => return None,
        };
        if wire.client_id != CLIENT_ID {
            return None;
        }
        Some(Self {
            issuer: wire.iss.into_owned(),
            user: UserId::try_from(canonical_decimal(&wire.sub)?).ok()?,
            account: AccountId::try_from(wire.account).ok()?,
            proof,
            user_version: wire.uv,
            token_version: wire.tv,
            secret_version: wire.sv,
            audiences: wire.aud.into_owned(),
            issued_at: instant(wire.iat)?,
            expires_at: instant(wire.exp)?,
            not_before: match wire.nbf {
                Some(seconds) => Some(instant(seconds)?),
                None => None,
            },
            jti: wire.jti.into_owned(),
            role: wire.role.into_owned(),
            scope: wire.scope.into_owned(),
            name: wire.name.into_owned(),
            allowed_cidrs: wire.cidrs.into_owned(),
        })
    }
}

/// A number in the one spelling it has: no sign, no zero in front.
fn canonical_decimal(text: &str) -> Option<i64> {
    let is_canonical = text == "0"
        || !text.starts_with('0') && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if is_canonical { text.parse().ok() } else { None }
}

/// RFC 7519 allows fractions of a second in a NumericDate; we never write them.
fn instant(seconds: i64) -> Option<Timestamp> {
    (0..=MAX_SECONDS).contains(&seconds).then(|| Timestamp::from_millis(seconds * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::tests::{claims, exchanged};

    #[test]
    fn every_claim_that_is_written_is_known_and_read_the_short_way() {
        let mut seen = std::collections::BTreeSet::new();
        for claims in [claims(), exchanged()] {
            let json = serde_json::to_vec(&claims.wire()).unwrap();
            seen.extend(unique_members(&json).unwrap().into_iter().map(|(name, _)| name));
            let wire = serde_json::from_slice::<Wire<'_>>(&json).unwrap();
            assert_eq!(AccessClaims::from_wire(wire), Some(claims));
        }
        assert_eq!(seen, CLAIMS.map(str::to_owned).into());
    }

    #[test]
    fn a_newer_issuer_may_add_claims_though_none_twice() {
        let mut members = unique_members(&serde_json::to_vec(&claims().wire()).unwrap()).unwrap();
        members.insert("new".to_owned(), Value::from(1));
        let json = serde_json::to_string(&members).unwrap();
        assert_eq!(AccessClaims::from_json(json.as_bytes()), Some(claims()));
        let twice = json.replacen("\"new\":1", "\"new\":1,\"new\":1", 1);
        assert_ne!(json, twice);
        assert_eq!(AccessClaims::from_json(twice.as_bytes()), None);
    }
}
