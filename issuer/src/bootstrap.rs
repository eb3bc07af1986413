//! The first start of an installation: roles, signing key, first account and
//! administrator. Every start goes through it, and several issuers may at once.

#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering::Relaxed;

use tessera_shared::{
    config::IssuerUrl,
    id::{AccountId, UserId},
    keys::PrivateKey,
    opaque,
    record::{Account, Password, User, Username},
    store::{Index, Key, StoreError, Swap, records},
};
use zeroize::Zeroizing;

use crate::{core::Core, failure::Failure};

/// What the first start needs to know.
pub(crate) struct FirstStart {
    pub(crate) issuer_url: IssuerUrl,
    /// A signing key that the operator brings.
    pub(crate) import: Option<PrivateKey>,
    pub(crate) admin_username: String,
    /// `None`: one is made, and answered.
    pub(crate) admin_password: Option<Zeroizing<String>>,
}

/// Why a start did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartFailure {
    /// The next try may succeed.
    #[error(transparent)]
    Passing(#[from] Failure),
    /// The tokens of this installation are issued in another name than the given one.
    #[error("the issuer URL of this store is {held}")]
    OtherIssuer {
        /// The name in the store.
        held: String,
    },
}

/// The first administrator, made just now.
pub struct FirstAdministrator {
    /// The name to log in with.
    pub username: String,
    /// The password, if it was made here: show it once.
    pub made_password: Option<Zeroizing<String>>,
}

impl FirstAdministrator {
    /// Shows a made password on standard output, which is not the log.
    pub fn show(&self) {
        use std::io::Write as _;
        let Some(password) = &self.made_password else { return };
        let text = format!(
            "The first administrator is made: username {}, password {}\nThe password is shown this once.\n",
            self.username, **password
        );
        if let Err(error) = std::io::stdout().lock().write_all(text.as_bytes()) {
            tracing::error!(%error, "the first administrator's password could not be shown");
        }
    }
}

impl std::fmt::Debug for FirstAdministrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FirstAdministrator")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// Makes what is missing; answers the first administrator if it was made now.
    pub(crate) async fn bootstrap(
        &self,
        first: &FirstStart,
    ) -> Result<Option<FirstAdministrator>, StartFailure> {
        self.prepare_key_set(&first.issuer_url).await?;
        self.publish_roles().await?;
        if let Some(key) = &first.import {
            self.import_signing_key(key).await?;
        }
        self.tend_keys().await?;
        self.make_first_account().await?;
        let made = self.make_first_administrator(first).await?;
        self.prepared.store(true, Relaxed);
        Ok(made)
    }

    /// Whether there is somebody who could log in.
    ///
    /// # Errors
    /// When it is not known yet.
    pub(crate) fn check_prepared(&self) -> Result<(), Failure> {
        if self.prepared.load(Relaxed) { Ok(()) } else { Err(Failure::NotReady) }
    }

    async fn publish_roles(&self) -> Result<(), Failure> {
        let new = self.catalogue.to_bytes();
        let old = self.store.read(&[Key::Roles]).await?.pop().flatten();
        if old.as_ref() == Some(&new) {
            return Ok(());
        }
        match self.store.swap(&Key::Roles, old.as_deref(), Some(&new), None).await? {
            Swap::Done if old.is_none() => {
                tracing::info!(roles = self.catalogue.roles().len(), "published the role catalogue")
            }
            Swap::Done => tracing::warn!(
                roles = self.catalogue.roles().len(),
                "replaced the role catalogue by another one; issuers with other roles undo that at their next start"
            ),
            Swap::Conflict => return Err(StoreError::Contended.into()),
        }
        Ok(())
    }

    async fn make_first_account(&self) -> Result<(), Failure> {
        self.store.index_add(Index::Accounts, AccountId::FIRST.get()).await?;
        let account = Account {
            id: AccountId::FIRST.get(),
            name: "First account".to_owned(),
            disabled: false,
            created_at: self.now().millis(),
            version: 1,
        };
        records::create(&*self.store, AccountId::FIRST.into(), &account).await?;
        Ok(())
    }

    /// The password decides whose work stands, since several issuers may each have made
    /// one: it is provisional until the user is there, and then whoever finds it to be
    /// its own makes it final, and may tell it. A start that was cut short before that
    /// told nobody, so the next one writes over it.
    async fn make_first_administrator(
        &self,
        first: &FirstStart,
    ) -> Result<Option<FirstAdministrator>, Failure> {
        let (id, key) = (UserId::FIRST, Key::Password(UserId::FIRST));
        let old: Option<Password> = records::load(&*self.store, key.clone()).await?;
        if old.as_ref().is_some_and(|password| !password.provisional) {
            return Ok(None);
        }
        let made = match first.admin_password {
            Some(_) => None,
            None => Some(opaque::random_password(&*self.rng)?),
        };
        let plain = first.admin_password.as_ref().or(made.as_ref());
        let plain = plain.map(|p| p.as_str()).unwrap_or_default();
        let password = Password { provisional: true, ..self.new_password(id, plain).await? };
        let written = match old {
            Some(old) => self.swap_password(id, &old, &password).await?,
            None => records::create(&*self.store, key, &password).await?,
        };
        if written == Swap::Conflict {
            return Err(Failure::Conflict);
        }
        let user = self.first_user(first).await?;
        let known = Password { provisional: false, ..password.clone() };
        let stands = self.swap_password(id, &password, &known).await? == Swap::Done;
        Ok(stands.then(|| FirstAdministrator { username: user.username, made_password: made }))
    }

    /// Makes the first user, unless it is there.
    async fn first_user(&self, first: &FirstStart) -> Result<User, Failure> {
        let role = self.catalogue.administrators();
        let role = role.ok_or_else(|| Failure::Internal("no role administers".to_owned()))?;
        let user = User {
            id: UserId::FIRST.get(),
            account: AccountId::FIRST.get(),
            username: first.admin_username.clone(),
            role: role.id,
            disabled: false,
            created_at: self.now().millis(),
            version: 1,
        };
        let claim = Username { user: user.id };
        records::create(&*self.store, Key::Username(user.username.clone()), &claim).await?;
        self.store.index_add(Index::UsersOf(AccountId::FIRST), user.id).await?;
        if records::create(&*self.store, UserId::FIRST.into(), &user).await? == Swap::Done {
            return Ok(user);
        }
        Ok(records::load(&*self.store, UserId::FIRST.into()).await?.unwrap_or(user))
    }
}
