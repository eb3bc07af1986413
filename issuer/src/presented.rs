//! Ending the token that somebody presents, whatever kind it is of (RFC 7009).
//!
//! Who holds a token may end it, as with the calls of gRPC: it is its own proof. A string
//! that is no token, or no longer one, ends nothing.

use tessera_shared::{
    id::TokenId,
    jwt,
    opaque::{Form, LONGEST_TOKEN, Presented, PresentedRefresh},
    principal::Proof,
    record::{Foreign, PermanentToken, Session},
    revocation::{ALL_VERSIONS, Subject},
    store::{Key, records},
};

use crate::{core::Core, failure::Failure, sessions::user_of};

/// What was ended, now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A permanent token, and what was exchanged for it.
    PermanentToken(i64),
    /// A session, with all its tokens.
    Session(i64),
    /// The access tokens that were exchanged for a permanent token up to now.
    Exchanged(i64),
}

impl Core {
    /// Ends what `plain` is; `None`: it is no token that is of use to anyone.
    pub(crate) async fn end_presented(&self, plain: &str) -> Result<Option<Ended>, Failure> {
        if plain.len() > LONGEST_TOKEN {
            return Ok(None);
        }
        match self.opaque.parse(plain) {
            Some(Form::Permanent(presented)) => self.end_permanent(&presented).await,
            Some(Form::Refresh(presented)) => self.end_session_of(&presented).await,
            None => match self.end_imported(plain).await? {
                None if jwt::looks_like_jwt(plain) => self.end_access(plain).await,
                ended => Ok(ended),
            },
        }
    }

    /// A secret that a rotation replaced ends nothing: it is of no use either.
    async fn end_permanent(&self, presented: &Presented) -> Result<Option<Ended>, Failure> {
        let now = self.now();
        let is_held = |token: &PermanentToken| {
            let secret = token.secret(&presented.hash);
            if secret.is_some_and(|secret| now < secret.replaced_at) {
                Ok(())
            } else {
                Err(Failure::NotFound("permanent token"))
            }
        };
        match self.end_token(presented.id, is_held).await {
            Ok(_) => Ok(Some(Ended::PermanentToken(presented.id.get()))),
            Err(Failure::NotFound(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    async fn end_imported(&self, plain: &str) -> Result<Option<Ended>, Failure> {
        let Some(hash) = self.opaque.foreign(plain) else { return Ok(None) };
        let key = Key::Foreign(*hash.as_bytes());
        match records::load::<Foreign>(&*self.store, key).await? {
            Some(lead) => self.end_permanent(&Presented { id: lead.id()?, hash }).await,
            None => Ok(None),
        }
    }

    /// Any refresh token of the session ends it, as a used one does on a refresh.
    async fn end_session_of(&self, presented: &PresentedRefresh) -> Result<Option<Ended>, Failure> {
        let key = Key::Session(presented.session);
        let session: Option<Session> = records::load(&*self.store, key.clone()).await?;
        let Some(session) = session else {
            // A try before this one may have removed it, and not had that confirmed.
            self.store.confirm(&key).await?;
            return Ok(None);
        };
        let is_over = self.now().millis() >= session.expires_at;
        if is_over || !presented.family_hash.matches(&session.family_hash) {
            return Ok(None);
        }
        // Before the record goes, by which alone a retry knows its token again.
        self.revoke(Subject::Session(presented.session), ALL_VERSIONS, 0).await?;
        self.end_session(user_of(&session)?, presented.session).await?;
        Ok(Some(Ended::Session(presented.session.get())))
    }

    /// One that was revoked is ended again: the try before this one may have been cut short.
    async fn end_access(&self, plain: &str) -> Result<Option<Ended>, Failure> {
        let claims = self.examiner.verified(plain, self.now()).await?;
        let Ok(claims) = claims else { return Ok(None) };
        match claims.claims().proof {
            Proof::Session(id) => {
                self.end_session(claims.user(), id).await?;
                Ok(Some(Ended::Session(id.get())))
            }
            Proof::PermanentToken(id) => {
                self.end_exchanged(id).await?;
                Ok(Some(Ended::Exchanged(id.get())))
            }
        }
    }

    /// The permanent token itself stays: who was given something short-lived has not all of it.
    async fn end_exchanged(&self, id: TokenId) -> Result<(), Failure> {
        let changed =
            records::update::<PermanentToken, Failure>(&*self.store, id.into(), |token| {
                if token.revoked_at == 0 {
                    token.version += 1;
                }
                Ok(())
            });
        let Some(token) = changed.await? else { return Ok(()) };
        let lowest = if token.revoked_at == 0 { token.version } else { ALL_VERSIONS };
        self.revoke(Subject::Token(id), lowest, token.version).await
    }
}
