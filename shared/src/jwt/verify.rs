//! Reading access tokens: the verifier's half, strict by design.

use std::{collections::HashMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use super::{AccessClaims, MAX_TOKEN_BYTES, json::unique_members};
use crate::{
    clock::Timestamp,
    id::{AccountId, SessionId, TokenId, UserId},
    keys::{KeySet, PublicKey},
    principal::Proof,
};

/// How far the clocks of an issuer and a verifier may be apart.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Header members that change what is signed, name a key by themselves, or ask for
/// an extension (RFC 7515 section 4.1, RFC 7797). We make none, and obey none.
const REFUSED_MEMBERS: [&str; 8] = ["crit", "b64", "zip", "cty", "jwk", "jku", "x5u", "x5c"];

/// Why an access token is not good. None shows any part of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejection {
    /// Not a JWT as we write them.
    #[error("the token is malformed")]
    Malformed,
    /// A JWT that is no access token (RFC 9068 section 4).
    #[error("the token is not an access token")]
    WrongType,
    /// It names a key that we don't hold. The key may be new: read the key set again,
    /// though not for each such token.
    #[error("the token names an unknown key")]
    UnknownKey,
    /// It was not signed by the key it names, or not with that key's algorithm.
    #[error("the signature of the token is not good")]
    BadSignature,
    /// It is another issuer's.
    #[error("the token has another issuer")]
    WrongIssuer,
    /// It was good until its `exp`.
    #[error("the token has expired")]
    Expired,
    /// Its `nbf` lies ahead, or its `iat` more than a minute.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// The keys of a [`KeySet`], ready to verify with, whatever their state: a retired
/// key still verifies what it signed. Share it in an [`std::sync::Arc`].
#[derive(Debug)]
pub struct VerifyingKeys {
    issuer: String,
    by_kid: HashMap<String, PublicKey>,
    /// By the whole header, encoded as our issuer writes it: nearly every token has one of
    /// these, and then there is nothing in it to read.
    by_header: HashMap<String, PublicKey>,
}

impl From<&KeySet> for VerifyingKeys {
    fn from(set: &KeySet) -> Self {
        let keys = || set.keys.iter().map(|entry| entry.public.clone());
        Self {
            issuer: set.issuer.clone(),
            by_kid: keys().map(|key| (key.kid().to_owned(), key)).collect(),
            by_header: keys().map(|key| (own_header(&key), key)).collect(),
        }
    }
}

/// The header of a token that [`super::AccessSigner`] signs with `key`. A `kid` is a
/// thumbprint, which has nothing in it to escape.
fn own_header(key: &PublicKey) -> String {
    let (alg, kid) = (key.algorithm().name(), key.kid());
    URL_SAFE_NO_PAD.encode(format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"{kid}"}}"#))
}

/// The claims of a token that [`verify`] found good: there is no other way to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedClaims(AccessClaims);

/// Reads `token`, at `now`. It says nothing of revocation, audience or address.
///
/// # Errors
/// [`Rejection`].
pub fn verify(
    token: &str,
    keys: &VerifyingKeys,
    now: Timestamp,
) -> Result<VerifiedClaims, Rejection> {
    let claims = verify_signature(token, keys)?;
    examine_time(&claims.0, now)?;
    Ok(claims)
}

/// As [`verify`], for whatever time: a verifier that keeps the claims has to look at
/// the clock at each use.
///
/// # Errors
/// [`Rejection`], but neither `Expired` nor `NotYetValid`.
pub fn verify_signature(token: &str, keys: &VerifyingKeys) -> Result<VerifiedClaims, Rejection> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Rejection::Malformed);
    }
    let signed = Signed::parse(token).ok_or(Rejection::Malformed)?;
    let payload = signed.verified_payload(keys)?;
    let claims = AccessClaims::from_json(&payload).ok_or(Rejection::Malformed)?;
    if claims.issuer != keys.issuer {
        return Err(Rejection::WrongIssuer);
    }
    Ok(VerifiedClaims(claims))
}

/// The JWS compact serialisation (RFC 7515 section 7.1), decoded and not believed.
struct Signed<'a> {
    header: &'a str,
    /// What the signature is over: the first two segments as they stand.
    message: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    #[serde(default)]
    typ: String,
}

impl<'a> Signed<'a> {
    fn parse(token: &'a str) -> Option<Self> {
        let (message, signature) = token.rsplit_once('.')?;
        // The alphabet has no dot, so that a fourth segment fails to decode.
        let (header, payload) = message.split_once('.')?;
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        Some(Self { header, message, payload, signature })
    }

    /// The payload, once the signature is shown to be that of the named key.
    fn verified_payload(self, keys: &VerifyingKeys) -> Result<Vec<u8>, Rejection> {
        let key = match keys.by_header.get(self.header) {
            Some(key) => key,
            None => Header::parse(self.header).ok_or(Rejection::Malformed)?.key(keys)?,
        };
        let is_good = key.verifies(self.message.as_bytes(), &self.signature);
        if is_good { Ok(self.payload) } else { Err(Rejection::BadSignature) }
    }
}

fn decode(segment: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(segment).ok()
}

impl Header {
    fn parse(segment: &str) -> Option<Self> {
        let members = unique_members(&decode(segment)?)?;
        if REFUSED_MEMBERS.iter().any(|name| members.contains_key(*name)) {
            return None;
        }
        serde_json::from_value(Value::Object(members)).ok()
    }

    /// The key that the header names, with that key's algorithm.
    fn key<'k>(&self, keys: &'k VerifyingKeys) -> Result<&'k PublicKey, Rejection> {
        if !self.is_of_access_token() {
            return Err(Rejection::WrongType);
        }
        let key = keys.by_kid.get(&self.kid).ok_or(Rejection::UnknownKey)?;
        let is_its_own = self.alg == key.algorithm().name();
        is_its_own.then_some(key).ok_or(Rejection::BadSignature)
    }

    /// RFC 9068 section 2.1; RFC 7515 section 4.1.9 makes a media type of it, in
    /// which case does not matter and `application/` may be left out.
    fn is_of_access_token(&self) -> bool {
        ["at+jwt", "application/at+jwt"].iter().any(|typ| self.typ.eq_ignore_ascii_case(typ))
    }
}

fn examine_time(claims: &AccessClaims, now: Timestamp) -> Result<(), Rejection> {
    if now >= claims.expires_at {
        return Err(Rejection::Expired);
    }
    let ahead = claims.not_before.is_some_and(|not_before| now < not_before)
        || claims.issued_at > now.after(CLOCK_SKEW);
    if ahead { Err(Rejection::NotYetValid) } else { Ok(()) }
}

impl VerifiedClaims {
    /// All that the token says.
    pub const fn claims(&self) -> &AccessClaims {
        &self.0
    }

    /// All that the token says, by value.
    pub fn into_claims(self) -> AccessClaims {
        self.0
    }

    /// The user it speaks for.
    pub const fn user(&self) -> UserId {
        self.0.user
    }

    /// The user's account.
    pub const fn account(&self) -> AccountId {
        self.0.account
    }

    /// The session it was made in; `None` if it was exchanged for a permanent token.
    pub const fn session(&self) -> Option<SessionId> {
        match self.0.proof {
            Proof::Session(session) => Some(session),
            Proof::PermanentToken(_) => None,
        }
    }

    /// The permanent token it was exchanged for; `None` if it is a session's.
    pub const fn token(&self) -> Option<TokenId> {
        match self.0.proof {
            Proof::Session(_) => None,
            Proof::PermanentToken(token) => Some(token),
        }
    }

    /// The first instant at which it is no longer good.
    pub const fn expires_at(&self) -> Timestamp {
        self.0.expires_at
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        jwt::{
            AccessSigner,
            tests::{claims, key, verifying},
        },
        keys::Algorithm,
    };

    #[test]
    fn the_header_that_is_written_is_known_whole() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
            let key = key(algorithm);
            let keys = verifying(&[&key]);
            let token = AccessSigner::new(key).sign(&claims()).unwrap();
            assert!(keys.by_header.contains_key(token.split('.').next().unwrap()));
        }
    }
}
