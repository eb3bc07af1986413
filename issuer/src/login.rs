//! Log in: a name and its password open a session.

#[cfg(test)]
mod tests;

use std::{future::Future, net::IpAddr};

use tessera_shared::{
    id::UserId,
    password::LONGEST_PASSWORD,
    record::{Session, Username},
    sparing::Sparing,
    store::{Key, records},
};

use crate::{
    core::{Core, damaged_id},
    failure::Failure,
    fields::{self, Fields},
    passwords::Known,
    sessions::{Client, Pair, id_of, user_of},
};

/// Without the name: people type their password there.
fn tell_of_a_failure(address: Option<IpAddr>) {
    static FAILED: Sparing = Sparing::new();
    if let Some(left_out) = FAILED.turn() {
        let address = address.map(tracing::field::display);
        tracing::info!(client.address = address, left_out, "a login failed");
    }
}

impl Core {
    /// Opens a session for the user with this name and password.
    pub(crate) async fn login(
        &self,
        username: &str,
        password: &str,
        client: Client,
    ) -> Result<Pair, Failure> {
        let mut fields = Fields::default();
        let name = fields.take(fields::username(username)).unwrap_or_default();
        let fits = (1..=LONGEST_PASSWORD).contains(&password.len());
        fields.require(fits, "password", "1 to 1024 bytes");
        fields.check()?;
        // Nobody is there yet: that says nothing of the name or the password.
        self.check_prepared()?;
        let address = client.address;
        let guess = async {
            let proven = self.prove(&name, password).await?;
            self.open(&proven, client).await
        };
        let ended = self.throttled(&name, address, guess).await;
        self.logins.count(&ended);
        if matches!(ended, Err(Failure::LoginFailed | Failure::LoginThrottled(_))) {
            tell_of_a_failure(address);
        }
        ended
    }

    /// Runs `guess`, which looks at a password for `name`, unless too many were wrong. It
    /// ends as a failed login with [`Failure::LoginFailed`] alone, or is cut off: who hangs
    /// up did not ask for nothing.
    pub(crate) async fn throttled<T>(
        &self,
        name: &str,
        address: Option<IpAddr>,
        guess: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let attempt = self.throttle.begin(name, address, self.now());
        let attempt = attempt.map_err(Failure::LoginThrottled)?;
        let ended = guess.await;
        match &ended {
            Ok(_) => self.throttle.succeeded(attempt),
            Err(Failure::LoginFailed) => {}
            Err(_) => self.throttle.unanswered(&attempt),
        }
        ended
    }

    /// The user of this name, if this is the password.
    async fn prove(&self, name: &str, password: &str) -> Result<Known, Failure> {
        let known = self.user_named(name).await?;
        let hash = known.as_ref().map(|known| known.password.hash.as_str());
        let right = self.passwords.check(password, hash).await?;
        known.filter(|_| right).ok_or(Failure::LoginFailed)
    }

    /// Opens a session for who gave the right password.
    async fn open(&self, proven: &Known, client: Client) -> Result<Pair, Failure> {
        if !self.is_enabled(&proven.user).await? {
            return Err(Failure::LoginFailed);
        }
        let (session, refresh) = self.open_session(&proven.user, &client).await?;
        self.recheck(proven, &session).await?;
        self.pair(&proven.user, &session, refresh).await
    }

    /// A password check takes long enough for the user to be disabled, or given another
    /// password, in the middle of it; the session that it opened goes again then. Who
    /// changes either looks for sessions after the write, so each session is seen by one
    /// of the two.
    async fn recheck(&self, seen: &Known, session: &Session) -> Result<(), Failure> {
        let id = user_of(session)?;
        let is_as_seen =
            |now: Known| now.user.version == seen.user.version && now.password == seen.password;
        if self.known(id).await?.is_some_and(is_as_seen) {
            return Ok(());
        }
        self.end_session(id, id_of(session)?).await?;
        Err(Failure::LoginFailed)
    }

    /// Who has this name. A claim may lead to somebody of another name, as one that was
    /// left behind does when its id is given again: that is nobody of this name.
    async fn user_named(&self, name: &str) -> Result<Option<Known>, Failure> {
        let Some(id) = self.claimed(name).await? else { return Ok(None) };
        Ok(self.known(id).await?.filter(|known| known.user.username == name))
    }

    /// Where the claim of a name leads.
    pub(crate) async fn claimed(&self, name: &str) -> Result<Option<UserId>, Failure> {
        let claim: Option<Username> =
            records::load(&*self.store, Key::Username(name.to_owned())).await?;
        claim.map(|claim| claim.user.try_into()).transpose().map_err(|_| damaged_id())
    }
}
