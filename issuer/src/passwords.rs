//! Passwords: whose is which, and how one is replaced.
//!
//! A new password is written first, and what follows from it after: the user's version
//! goes up, access tokens made before are denied, and sessions end. So the old password
//! opens nothing from the first write on, wherever a writer stops, and a retry does the
//! rest. A login that read the old one before that write looks again when it has opened
//! its session, and ends it: see `login`.

#[cfg(test)]
mod tests;

use tessera_shared::{
    id::{SessionId, UserId},
    password::LONGEST_PASSWORD,
    record::{Password, User},
    revocation::{ALL_VERSIONS, Subject},
    store::{Key, Swap, records},
};

use crate::{
    caller::Caller,
    core::Core,
    failure::Failure,
    fields::{self, Fields},
};

/// A user who has a password, and the password, as they were at one time.
pub(crate) struct Known {
    pub(crate) user: User,
    pub(crate) password: Password,
}

impl Core {
    /// The user and the user's password. `None` for one who has none: nobody can be
    /// that user.
    pub(crate) async fn known(&self, id: UserId) -> Result<Option<Known>, Failure> {
        let mut found = self.store.read(&[Key::User(id), Key::Password(id)]).await?.into_iter();
        let (user, password) = (found.next().flatten(), found.next().flatten());
        let (Some(user), Some(password)) = (user, password) else { return Ok(None) };
        let (user, password) = (records::decode(&user)?, records::decode(&password)?);
        Ok(Some(Known { user, password }))
    }

    /// The record of a new password.
    pub(crate) async fn new_password(&self, id: UserId, plain: &str) -> Result<Password, Failure> {
        let hash = self.passwords.hash(plain).await?;
        Ok(Password { user: id.get(), hash, provisional: false })
    }

    /// Sets the caller's password and ends the user's other sessions.
    pub(crate) async fn change_password(
        &self,
        caller: &Caller,
        current: &str,
        new: &str,
    ) -> Result<(), Failure> {
        let (id, own) = (caller.user(), caller.session()?);
        let min = self.policy.password_min_length;
        let mut fields = Fields::default();
        fields.require(
            (1..=LONGEST_PASSWORD).contains(&current.len()),
            "current_password",
            "1 to 1024 bytes",
        );
        let new = fields.take(fields::new_password("new_password", new, min)).unwrap_or_default();
        fields.check()?;
        let known = self.known(id).await?.ok_or(Failure::CredentialsInvalid)?;
        let old = known.password;
        // Who has a session only, and not the password, may guess no more than at a login.
        let guess = self.throttled(&known.user.username, caller.address, async {
            if self.passwords.check(current, Some(&old.hash)).await? {
                return Ok(true);
            }
            let is_set = self.passwords.check(&new, Some(&old.hash)).await?;
            if is_set { Ok(false) } else { Err(Failure::LoginFailed) }
        });
        let is_current = guess.await.map_err(|failure| match failure {
            Failure::LoginFailed => Failure::field("current_password", "not the user's password"),
            other => other,
        })?;
        if is_current {
            let password = self.new_password(id, &new).await?;
            // Of two who know the old password one wins; the other's has ceased to be it.
            if self.swap_password(id, &old, &password).await? == Swap::Conflict {
                return Err(Failure::Conflict);
            }
        }
        // Else the new one is there already: a try before this one ended half-way.
        self.end_what_was_before(id, Some(own)).await
    }

    /// Sets another user's password and ends that user's sessions. Who sets their own gives
    /// the present one: a session or a permanent token is not enough.
    pub(crate) async fn set_user_password(
        &self,
        caller: &Caller,
        id: UserId,
        password: &str,
    ) -> Result<(), Failure> {
        // Before the hash, which is costly; and after it, which may wait for its turn.
        self.may_change(caller, &self.user(caller, id).await?)?;
        if id == caller.user() {
            return Err(Failure::field(
                "id",
                "your own user; ChangePassword sets your own password",
            ));
        }
        let mut fields = Fields::default();
        let min = self.policy.password_min_length;
        let password = fields.take(fields::new_password("password", password, min));
        fields.check()?;
        let password = self.new_password(id, &password.unwrap_or_default()).await?;
        self.may_change(caller, &self.user(caller, id).await?)?;
        self.write_password(id, &password).await?;
        self.end_what_was_before(id, None).await
    }

    /// Replaces a password by another, if it is still `old`.
    pub(crate) async fn swap_password(
        &self,
        id: UserId,
        old: &Password,
        new: &Password,
    ) -> Result<Swap, Failure> {
        use prost::Message as _;
        let (old, new) = (old.encode_to_vec(), new.encode_to_vec());
        Ok(self.store.swap(&Key::Password(id), Some(&old), Some(&new), None).await?)
    }

    /// Replaces a password, whatever it was.
    pub(crate) async fn write_password(&self, id: UserId, new: &Password) -> Result<(), Failure> {
        let write = |old: &mut Password| {
            old.clone_from(new);
            Ok::<_, Failure>(())
        };
        let key = Key::Password(id);
        if records::update(&*self.store, key.clone(), write).await?.is_none()
            && records::create(&*self.store, key, new).await? == Swap::Conflict
        {
            return Err(Failure::Conflict);
        }
        Ok(())
    }

    /// Denies the access tokens of a user that are made already and ends all sessions
    /// but `except`, those included that a login opens at this moment.
    async fn end_what_was_before(
        &self,
        id: UserId,
        except: Option<SessionId>,
    ) -> Result<(), Failure> {
        let next = |user: &mut User| {
            user.version += 1;
            Ok::<_, Failure>(())
        };
        let user = records::update(&*self.store, id.into(), next).await?;
        self.deny_older_versions(&user.ok_or(Failure::CredentialsInvalid)?, id).await?;
        self.end_sessions_of(id, except).await
    }

    /// Denies the access tokens made before `user` became what it is.
    pub(crate) async fn deny_older_versions(&self, user: &User, id: UserId) -> Result<(), Failure> {
        let lowest = if user.disabled { ALL_VERSIONS } else { user.version };
        self.revoke(Subject::User(id), lowest, user.version).await
    }
}
