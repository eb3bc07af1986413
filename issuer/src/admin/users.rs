//! Users: the people who log in.

use prost::Message as _;
use prost_types::FieldMask;
use tessera_shared::{
    id::{AccountId, UserId, made_at},
    record::{User, Username},
    revocation::{ALL_VERSIONS, Subject},
    role::Role,
    store::{Index, Key, Swap, records},
};

use crate::{
    caller::Caller,
    core::Core,
    failure::Failure,
    fields::{self, Fields, Page},
};

const NOT_FOUND: Failure = Failure::NotFound("user");
/// A name claimed by a call that ended half-way is free again after this.
const CLAIM_LASTS: std::time::Duration = std::time::Duration::from_mins(1);

/// Whom to make, as it came.
pub(crate) struct NewUser {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) role: String,
}

/// What a caller wants changed, as it came.
pub(crate) struct UserChange {
    pub(crate) role: String,
    pub(crate) disabled: Option<bool>,
    pub(crate) mask: Option<FieldMask>,
}

impl Core {
    /// Makes a user: the name is claimed, the user listed, and only then in being.
    pub(crate) async fn create_user(
        &self,
        caller: &Caller,
        account: AccountId,
        wanted: NewUser,
    ) -> Result<User, Failure> {
        self.account(caller, account).await?;
        let role = self.role_to_give(caller, &wanted.role)?;
        let mut fields = Fields::default();
        let min = self.policy.password_min_length;
        let username = fields.take(fields::username(&wanted.username)).unwrap_or_default();
        let password = fields.take(fields::new_password("password", &wanted.password, min));
        fields.check()?;
        let now = self.now();
        let id = UserId::new(now, &*self.rng)?;
        let user = User {
            id: id.get(),
            account: account.get(),
            username,
            role: role.id,
            disabled: false,
            created_at: now.millis(),
            password_hash: self.passwords.hash(&password.unwrap_or_default()).await?,
            version: 1,
        };
        self.claim_username(&user.username, id).await?;
        self.store.index_add(Index::UsersOf(account), id.get()).await?;
        match records::create(&*self.store, id.into(), &user).await? {
            Swap::Done => Ok(user),
            Swap::Conflict => Err(Failure::Conflict),
        }
    }

    /// A user of an account that the caller administers.
    pub(crate) async fn user(&self, caller: &Caller, id: UserId) -> Result<User, Failure> {
        if !caller.is_admin() {
            return Err(Failure::NotPermitted);
        }
        let user: Option<User> = records::load(&*self.store, id.into()).await?;
        user.filter(|user| is_within_reach(caller, user)).ok_or(NOT_FOUND)
    }

    /// A page of an account's users.
    pub(crate) async fn users(
        &self,
        caller: &Caller,
        account: AccountId,
        page: Page,
    ) -> Result<(Vec<User>, Option<i64>), Failure> {
        self.account(caller, account).await?;
        let ids = self.store.index_page(Index::UsersOf(account), page.after, page.size).await?;
        let next = ids.last().copied().filter(|_| ids.len() == page.size);
        let keys = ids.into_iter().filter_map(|id| UserId::try_from(id).ok()).map(Key::User);
        let keys: Vec<_> = keys.collect();
        let found: Vec<Option<User>> = records::load_all(&*self.store, &keys).await?;
        Ok((found.into_iter().flatten().collect(), next))
    }

    /// Gives a user another role, disables or enables them.
    pub(crate) async fn update_user(
        &self,
        caller: &Caller,
        id: UserId,
        change: &UserChange,
    ) -> Result<User, Failure> {
        let mask =
            fields::mask(change.mask.as_ref(), &["role", "disabled"], |field| match field {
                "role" => !change.role.is_empty(),
                _ => change.disabled.is_some(),
            })?;
        let role = if mask.contains(&"role") {
            Some(self.role_to_give(caller, &change.role)?.id)
        } else {
            None
        };
        let disabled = mask.contains(&"disabled").then(|| change.disabled.unwrap_or_default());
        if disabled == Some(true) && id == caller.user() {
            return Err(Failure::SelfDisable);
        }
        self.change_user(caller, id, |user| {
            let before = (user.role, user.disabled);
            user.role = role.unwrap_or(user.role);
            user.disabled = disabled.unwrap_or(user.disabled);
            user.version += u32::from((user.role, user.disabled) != before);
        })
        .await
    }

    /// Sets a user's password and ends the user's sessions.
    pub(crate) async fn set_user_password(
        &self,
        caller: &Caller,
        id: UserId,
        password: &str,
    ) -> Result<(), Failure> {
        self.user(caller, id).await?;
        let mut fields = Fields::default();
        let min = self.policy.password_min_length;
        let password = fields.take(fields::new_password("password", password, min));
        fields.check()?;
        let hash = self.passwords.hash(&password.unwrap_or_default()).await?;
        self.change_user(caller, id, |user| {
            user.password_hash.clone_from(&hash);
            user.version += 1;
        })
        .await?;
        self.end_sessions_of(id, None).await
    }

    /// Ends a user's sessions, those included that a login opens at this moment.
    pub(crate) async fn end_user_sessions(
        &self,
        caller: &Caller,
        id: UserId,
    ) -> Result<(), Failure> {
        self.change_user(caller, id, |user| user.version += 1).await?;
        self.end_sessions_of(id, None).await
    }

    /// Changes a user, and denies the access tokens made before. A caller can't
    /// touch a user whose role has a scope that the caller's has not.
    async fn change_user(
        &self,
        caller: &Caller,
        id: UserId,
        change: impl Fn(&mut User) + Send + Sync,
    ) -> Result<User, Failure> {
        let roles = &self.catalogue;
        let changed = records::update::<User, Failure>(&*self.store, id.into(), |user| {
            if !caller.is_admin() {
                return Err(Failure::NotPermitted);
            }
            if !is_within_reach(caller, user) {
                return Err(NOT_FOUND);
            }
            if roles.by_id(user.role).is_some_and(|role| caller.may_give(role).is_err()) {
                return Err(Failure::NotPermitted);
            }
            change(user);
            Ok(())
        });
        let user = changed.await?.ok_or(NOT_FOUND)?;
        // Written again on a retry too: the first try may have ended before it.
        let lowest = if user.disabled { ALL_VERSIONS } else { user.version };
        self.revoke(Subject::User(id), lowest, user.version).await?;
        if user.disabled {
            self.end_sessions_of(id, None).await?;
        }
        Ok(user)
    }

    fn role_to_give(&self, caller: &Caller, name: &str) -> Result<&Role, Failure> {
        if !caller.is_admin() {
            return Err(Failure::NotPermitted);
        }
        let role = self.role_named("role", name)?;
        caller.may_give(role)?;
        Ok(role)
    }

    /// Claims a name, or takes over a claim that led to no user.
    async fn claim_username(&self, name: &str, id: UserId) -> Result<(), Failure> {
        let key = Key::Username(name.to_owned());
        let claim = Username { user: id.get() };
        if records::create(&*self.store, key.clone(), &claim).await? == Swap::Done {
            return Ok(());
        }
        let Some(old) = self.store.read(std::slice::from_ref(&key)).await?.pop().flatten() else {
            return Err(Failure::Conflict);
        };
        let claimed: Username = records::decode(&old)?;
        let holder = UserId::try_from(claimed.user).map(Key::User);
        let exists = match holder {
            Ok(key) => records::load::<User>(&*self.store, key).await?.is_some(),
            Err(_) => false,
        };
        if exists || made_at(claimed.user).after(CLAIM_LASTS) > self.now() {
            return Err(Failure::UsernameTaken);
        }
        let taken = self.store.swap(&key, Some(&old), Some(&claim.encode_to_vec()), None).await?;
        if taken == Swap::Done { Ok(()) } else { Err(Failure::UsernameTaken) }
    }
}

fn is_within_reach(caller: &Caller, user: &User) -> bool {
    AccountId::try_from(user.account).is_ok_and(|account| caller.administers(account))
}
