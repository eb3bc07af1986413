//! Sessions: refresh, list, end.
//!
//! A session is one refresh family. Its record holds the hash of the current
//! refresh token and of the one before it. A refresh replaces the record by
//! compare-and-swap, so one of many concurrent calls wins; the others find their
//! token to be the one before, and derive the same successor from it.

use std::{net::IpAddr, time::Duration};

use tessera_shared::{
    clock::Timestamp,
    id::{AccountId, SessionId, UserId},
    jwt::AccessClaims,
    opaque::{Form, PlainToken, PresentedRefresh},
    principal::Proof,
    record::{Account, Session, User},
    revocation::{ALL_VERSIONS, Subject},
    store::{Index, Key, Swap, records},
};

use crate::{
    audit,
    caller::Caller,
    core::{Core, damaged_id},
    failure::Failure,
    fields::Page,
};

const NONCE_BYTES: usize = 16;
/// How often another id is drawn, when one is taken.
pub(crate) const ID_ATTEMPTS: usize = 4;
/// However often it is tried again: a refresh token is reuse so long after its first use.
const LONGEST_RETRYING: Duration = Duration::from_mins(5);
/// A retry sooner than this after one that was noted is not: of many at once, one writes.
const RETRY_NOTED: Duration = Duration::from_millis(100);
/// Sessions ended at a time; a user has few.
const BATCH: usize = 256;

/// A session's present pair of tokens.
pub(crate) struct Pair {
    pub(crate) session: SessionId,
    pub(crate) user: UserId,
    pub(crate) account: AccountId,
    pub(crate) access: String,
    pub(crate) access_expires_at: Timestamp,
    pub(crate) refresh: PlainToken,
    pub(crate) refresh_expires_at: Timestamp,
}

/// What the issuer saw of a client that logs in.
pub(crate) struct Client {
    pub(crate) address: Option<IpAddr>,
    pub(crate) user_agent: String,
}

/// What a refresh found.
enum Refreshed {
    /// The token was current, and is now replaced; or it was just replaced.
    Next(Session, PlainToken),
    /// The token was used long ago: somebody has a copy.
    Reused(Session),
}

impl Core {
    /// Trades a refresh token for the next pair.
    pub(crate) async fn refresh(&self, plain: &str) -> Result<Pair, Failure> {
        let Some(Form::Refresh(presented)) = self.opaque.parse(plain) else {
            return Err(Failure::RefreshTokenInvalid);
        };
        // Nothing is read for an access token before its lifetime is noted in the key set:
        // a revocation in between would be kept for too short.
        self.check_prepared()?;
        match self.rotate_refresh(&presented).await? {
            Refreshed::Next(session, refresh) => {
                let user: Option<User> =
                    records::load(&*self.store, Key::User(user_of(&session)?)).await?;
                let user = user.ok_or(Failure::RefreshTokenInvalid)?;
                if !self.is_enabled(&user).await? {
                    return Err(Failure::RefreshTokenInvalid);
                }
                self.pair(&user, &session, refresh).await
            }
            Refreshed::Reused(session) => {
                tracing::warn!(session.id, "a refresh token was used twice; its session ends");
                self.end_session(user_of(&session)?, id_of(&session)?).await?;
                audit::reused(&session);
                Err(Failure::RefreshTokenReused)
            }
        }
    }

    async fn rotate_refresh(&self, presented: &PresentedRefresh) -> Result<Refreshed, Failure> {
        let now = self.now();
        let mut nonce = vec![0; NONCE_BYTES];
        self.rng.fill(&mut nonce).map_err(|_| Failure::Internal("no random bytes".to_owned()))?;
        let fresh = self.opaque.successor(presented, &nonce);
        let fresh_hash = fresh.hash();
        let mut reused = false;
        let session = records::update::<Session, Failure>(
            &*self.store,
            Key::Session(presented.session),
            |session| {
                reused = false;
                if now.millis() >= session.expires_at
                    || !presented.family_hash.matches(&session.family_hash)
                {
                    return Err(Failure::RefreshTokenInvalid);
                }
                if presented.hash.matches(&session.current_hash) {
                    session.previous_hash = std::mem::take(&mut session.current_hash);
                    session.current_hash = fresh_hash.as_bytes().to_vec();
                    session.nonce.clone_from(&nonce);
                    session.refreshed_at = now.millis();
                    session.retried_at = 0;
                    session.expires_at = now.after(self.policy.refresh_ttl).millis();
                    return Ok(());
                }
                reused = !presented.hash.matches(&session.previous_hash)
                    || !note_retry(session, self.policy.refresh_grace, now);
                Ok(())
            },
        )
        .await?
        .ok_or(Failure::RefreshTokenInvalid)?;
        if reused {
            return Ok(Refreshed::Reused(session));
        }
        // Derived from what the record says now: ours, or the one that won.
        let refresh = self.opaque.successor(presented, &session.nonce);
        Ok(Refreshed::Next(session, refresh))
    }

    /// Ends the caller's session, or all of the user's.
    pub(crate) async fn logout(&self, caller: &Caller, all: bool) -> Result<(), Failure> {
        let session = caller.session()?;
        if all {
            self.end_sessions_of(caller.user(), None).await
        } else {
            self.end_session(caller.user(), session).await
        }
    }

    /// Ends all sessions of `user` but `except`; their access tokens are denied too.
    pub(crate) async fn end_sessions_of(
        &self,
        user: UserId,
        except: Option<SessionId>,
    ) -> Result<(), Failure> {
        let mut after = 0;
        loop {
            let ids = self.store.index_page(Index::SessionsOf(user), after, BATCH).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = *last;
            for (id, session) in self.listed_sessions(&ids).await? {
                // One that is gone already may have left access tokens.
                let is_another_users = session.is_some_and(|session| session.user != user.get());
                if Some(id) != except && !is_another_users {
                    self.end_session(user, id).await?;
                }
            }
        }
    }

    async fn listed_sessions(
        &self,
        ids: &[i64],
    ) -> Result<Vec<(SessionId, Option<Session>)>, Failure> {
        let ids: Result<Vec<_>, _> = ids.iter().map(|id| SessionId::try_from(*id)).collect();
        let ids = ids.map_err(|_| damaged_id())?;
        let keys: Vec<_> = ids.iter().map(|id| Key::Session(*id)).collect();
        let sessions = records::load_all(&*self.store, &keys).await?;
        Ok(ids.into_iter().zip(sessions).collect())
    }

    /// The record goes first, so that no further token is made; then those that were made.
    pub(crate) async fn end_session(
        &self,
        user: UserId,
        session: SessionId,
    ) -> Result<(), Failure> {
        records::remove(&*self.store, Key::Session(session)).await?;
        self.revoke(Subject::Session(session), ALL_VERSIONS, 0).await?;
        self.store.index_remove(Index::SessionsOf(user), session.get()).await?;
        Ok(())
    }

    /// The caller's live sessions, and the id to go on after, if there may be more.
    pub(crate) async fn sessions_of(
        &self,
        user: UserId,
        page: Page,
    ) -> Result<(Vec<Session>, Option<i64>), Failure> {
        let ids = self.store.index_page(Index::SessionsOf(user), page.after, page.size).await?;
        let next = ids.last().copied().filter(|_| ids.len() == page.size);
        let listed = self.listed_sessions(&ids).await?.into_iter();
        let now = self.now().millis();
        // An entry may lead to another user's session: to the one whose id it is after all.
        let is_shown = |session: &Session| session.user == user.get() && now < session.expires_at;
        Ok((listed.filter_map(|(_, session)| session).filter(is_shown).collect(), next))
    }

    /// Whether neither the user nor its account is disabled.
    pub(crate) async fn is_enabled(&self, user: &User) -> Result<bool, Failure> {
        let account = user.account.try_into().map(Key::Account);
        let account = account.map_err(|_| damaged_id())?;
        let account: Option<Account> = records::load(&*self.store, account).await?;
        Ok(account.is_some_and(|account| !account.disabled && !user.disabled))
    }

    /// Opens a session, whose secret nobody has until it is answered.
    pub(crate) async fn open_session(
        &self,
        user: &User,
        client: &Client,
    ) -> Result<(Session, PlainToken), Failure> {
        for _ in 0..ID_ATTEMPTS {
            let (session, refresh) = self.new_session(user, client)?;
            let id = id_of(&session)?;
            self.store.index_add(Index::SessionsOf(user_of(&session)?), session.id).await?;
            if records::create(&*self.store, id.into(), &session).await? == Swap::Done {
                return Ok((session, refresh));
            }
            self.leave_session_to_its_owner(user_of(&session)?, id).await?;
        }
        Err(Failure::Conflict)
    }

    /// Takes a session from this user's list, if it is another's: the rare id that two drew.
    pub(crate) async fn leave_session_to_its_owner(
        &self,
        user: UserId,
        id: SessionId,
    ) -> Result<(), Failure> {
        let owner: Option<Session> = records::load(&*self.store, id.into()).await?;
        if owner.is_some_and(|session| session.user != user.get()) {
            self.store.index_remove(Index::SessionsOf(user), id.get()).await?;
        }
        Ok(())
    }

    fn new_session(&self, user: &User, client: &Client) -> Result<(Session, PlainToken), Failure> {
        let now = self.now();
        let id = SessionId::new(now, &*self.rng)?;
        let (refresh, family) = self.opaque.first_refresh(id, &*self.rng)?;
        let session = Session {
            id: id.get(),
            user: user.id,
            created_at: now.millis(),
            refreshed_at: now.millis(),
            expires_at: now.after(self.policy.refresh_ttl).millis(),
            family_hash: family.as_bytes().to_vec(),
            current_hash: refresh.hash().as_bytes().to_vec(),
            client_address: client.address.map(|a| a.to_string()).unwrap_or_default(),
            user_agent: client.user_agent.chars().take(256).collect(),
            ..Session::default()
        };
        Ok((session, refresh))
    }

    /// What the client gets of a session.
    pub(crate) async fn pair(
        &self,
        user: &User,
        session: &Session,
        refresh: PlainToken,
    ) -> Result<Pair, Failure> {
        let signing = self.signing().await?;
        let now = self.now();
        let role = self.catalogue.by_id(user.role);
        let expires_at = now.after(self.policy.access_ttl);
        let access = signing.sign(&AccessClaims {
            issuer: signing.issuer().to_owned(),
            user: user_of(session)?,
            account: user.account.try_into().map_err(|_| damaged_id())?,
            proof: Proof::Session(id_of(session)?),
            user_version: user.version,
            token_version: None,
            secret_version: None,
            audiences: self.policy.default_audiences.clone(),
            issued_at: now,
            expires_at,
            not_before: None,
            jti: self.jti(now)?,
            role: role.map(|role| role.name.clone()).unwrap_or_default(),
            scope: role.map(|role| role.scopes.to_claim()).unwrap_or_default(),
            name: user.username.clone(),
            allowed_cidrs: Vec::new(),
        })?;
        Ok(Pair {
            session: id_of(session)?,
            user: user_of(session)?,
            account: user.account.try_into().map_err(|_| damaged_id())?,
            access,
            access_expires_at: Timestamp::from_millis(expires_at.seconds() * 1000),
            refresh,
            refresh_expires_at: Timestamp::from_millis(session.expires_at),
        })
    }
}

/// Whether the token before the current one may be presented again at `now`, which is noted.
/// Each retry gives the next one as long as the first had: an outage during which the writes
/// are not confirmed, and every answer is to retry, logs out nobody who does.
fn note_retry(session: &mut Session, grace: Duration, now: Timestamp) -> bool {
    let first = Timestamp::from_millis(session.refreshed_at);
    let last = first.max(Timestamp::from_millis(session.retried_at));
    if now >= last.after(grace).min(first.after(LONGEST_RETRYING.max(grace))) {
        return false;
    }
    if now >= last.after(RETRY_NOTED.min(grace / 4)) {
        session.retried_at = now.millis();
    }
    true
}

pub(crate) fn user_of(session: &Session) -> Result<UserId, Failure> {
    session.user.try_into().map_err(|_| damaged_id())
}

pub(crate) fn id_of(session: &Session) -> Result<SessionId, Failure> {
    session.id.try_into().map_err(|_| damaged_id())
}
