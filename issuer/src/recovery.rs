//! The way back for an operator who is let into the store and knows no administrator's
//! password. It writes as the service does, and asks nobody.

use std::sync::Arc;

use tessera_shared::{
    id::UserId,
    record::User,
    role::Catalogue,
    store::{Key, StoreError, StoreWriter, records},
};

use crate::{
    core::Core,
    failure::Failure,
    fields::{self, Fields},
    setup,
    unconfirmed::{self, GoingOn},
};

const NO_SUCH_USER: Failure = Failure::NotFound("user");

/// Whose password to set, and what it will be.
pub struct Reset<'a> {
    /// The username, in any letter case.
    pub username: &'a str,
    /// 15 characters to 1024 bytes.
    pub password: &'a str,
    /// The name of the role that the user has from now on; `None`: the present one.
    pub role: Option<&'a str>,
}

/// The user as it is now.
#[derive(Debug)]
pub struct ResetUser {
    /// The user.
    pub id: i64,
    /// Its account.
    pub account: i64,
    /// In lower case.
    pub username: String,
    /// The name of the role; empty if it left the catalogue.
    pub role: String,
}

/// Why no password was set, or not all of it done: the same again does the rest.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// What is asked for can't be.
    #[error("{0}")]
    Refused(String),
    /// The store gives no answer, or did not confirm.
    #[error("{0}")]
    Store(String),
}

/// Sets a user's password, enables the user and ends its sessions, whose access tokens are
/// denied; and gives it a role, if one is named.
///
/// # Errors
/// See [`ResetError`].
pub async fn reset_password(
    store: Arc<dyn StoreWriter>,
    reset: &Reset<'_>,
) -> Result<ResetUser, ResetError> {
    tessera_shared::jwt::provider::install();
    let roles = store.read(&[Key::Roles]).await.map_err(Failure::from)?.pop().flatten();
    let roles = roles.ok_or_else(|| {
        ResetError::Refused(
            "no issuer has started over this store, so there is nobody in it".to_owned(),
        )
    })?;
    let catalogue = Catalogue::from_bytes(&roles)
        .map_err(|_| Failure::from(StoreError::Damaged("the role catalogue")))?;
    let store = Arc::new(GoingOn(store));
    let core =
        setup::at_rest(store, catalogue).map_err(|error| Failure::Internal(error.to_string()))?;
    let user = unconfirmed::go_on(core.reset_password(reset)).await?;
    let role = core.role_name(user.role);
    Ok(ResetUser { id: user.id, account: user.account, username: user.username, role })
}

impl Core {
    /// The password first, as in `passwords`.
    pub(crate) async fn reset_password(&self, reset: &Reset<'_>) -> Result<User, Failure> {
        let mut fields = Fields::default();
        let min = self.policy.password_min_length;
        let username = fields.take(fields::username(reset.username)).unwrap_or_default();
        let password = fields.take(fields::new_password("password", reset.password, min));
        fields.check()?;
        let role = reset.role.map(|name| self.role_named("role", name)).transpose()?;
        let role = role.map(|role| role.id);
        let id = self.claimed(&username).await?.ok_or(NO_SUCH_USER)?;
        let user: Option<User> = records::load(&*self.store, id.into()).await?;
        user.filter(|user| user.username == username).ok_or(NO_SUCH_USER)?;
        let password = self.new_password(id, &password.unwrap_or_default()).await?;
        self.write_password(id, &password).await?;
        let user = self.restore(id, role).await?;
        self.deny_older_versions(&user, id).await?;
        self.end_sessions_of(id, None).await?;
        Ok(user)
    }

    async fn restore(&self, id: UserId, role: Option<i64>) -> Result<User, Failure> {
        let restored = records::update::<User, Failure>(&*self.store, id.into(), |user| {
            user.disabled = false;
            user.role = role.unwrap_or(user.role);
            user.version += 1;
            Ok(())
        });
        restored.await?.ok_or(NO_SUCH_USER)
    }
}

impl From<Failure> for ResetError {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::InvalidFields(_) | Failure::NotFound(_) => Self::Refused(failure.message()),
            _ => Self::Store(failure.in_full()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tessera_shared::{examine::Reason, id::UserId};

    use super::*;
    use crate::testing::{Issuer, PASSWORD};

    const NEW_PASSWORD: &str = "battery staple correct";

    #[tokio::test]
    async fn a_reset_cut_short_is_completed_by_a_retry() {
        let issuer = Issuer::start().await;
        let reset = Reset { username: "Admin", password: NEW_PASSWORD, role: None };
        // Password, user, revocation of the user, and three for the session.
        for writes in 0..6 {
            issuer.core.reset_password(&Reset { password: PASSWORD, ..reset }).await.unwrap();
            let session = issuer.login("admin").await.unwrap();
            issuer.store.die_after(writes);
            let cut = issuer.core.reset_password(&reset).await;
            assert!(matches!(cut, Err(Failure::StoreUnavailable(_))), "after {writes} writes");
            issuer.store.live();
            let user = issuer.core.reset_password(&reset).await.unwrap();
            assert_eq!((user.id, user.disabled), (UserId::FIRST.get(), false));
            assert_eq!(issuer.refusal(&session.access).await, Some(Reason::Revoked));
            assert!(issuer.core.refresh(session.refresh.expose()).await.is_err());
            assert!(issuer.login("admin").await.is_err(), "after {writes} writes");
            issuer.login_with("admin", NEW_PASSWORD).await.unwrap();
        }
    }
}
