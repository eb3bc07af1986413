//! Users: the people who log in.

use prost::Message as _;
use prost_types::FieldMask;
use tessera_shared::{
    id::{AccountId, UserId, made_at},
    record::{Password, User, Username},
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
/// A name claimed by a call that ended half-way is free again after this: twice as long
/// as a call may take, so that none still under way loses its claim.
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
        let mut fields = Fields::default();
        let min = self.policy.password_min_length;
        let username = fields.take(fields::username(&wanted.username)).unwrap_or_default();
        let password = fields.take(fields::new_password("password", &wanted.password, min));
        let role = self.role_to_give(caller, &wanted.role, &mut fields)?;
        fields.check()?;
        let hash = self.passwords.hash(&password.unwrap_or_default()).await?;
        // After the hash, which may wait for its turn: the id dates the claim of the name.
        let now = self.now();
        let id = UserId::new(now, &*self.rng)?;
        let password = Password { user: id.get(), hash, provisional: false };
        let user = User {
            id: id.get(),
            account: account.get(),
            username,
            role: role.map_or(0, |role| role.id),
            disabled: false,
            created_at: now.millis(),
            version: 1,
        };
        let claim = self.claim_username(&user.username, id).await?;
        self.store.index_add(Index::UsersOf(account), id.get()).await?;
        if self.bring_into_being(&user, &password, id).await? == Swap::Done {
            return Ok(user);
        }
        // The rare id that somebody has already: the name must not lead to them.
        let name = Key::Username(user.username);
        self.store.swap(&name, Some(&claim.encode_to_vec()), None, None).await?;
        Err(Failure::Conflict)
    }

    /// The password first: without its user it grants nothing.
    async fn bring_into_being(
        &self,
        user: &User,
        password: &Password,
        id: UserId,
    ) -> Result<Swap, Failure> {
        let key = Key::Password(id);
        if records::create(&*self.store, key.clone(), password).await? == Swap::Conflict {
            return Ok(Swap::Conflict);
        }
        let made = records::create(&*self.store, id.into(), user).await?;
        if made == Swap::Conflict {
            self.store.swap(&key, Some(&password.encode_to_vec()), None, None).await?;
        }
        Ok(made)
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
        // An entry may lead to somebody of another account: to one whose id it is after all.
        let is_own = |user: &User| user.account == account.get();
        Ok((found.into_iter().flatten().filter(is_own).collect(), next))
    }

    /// Gives a user another role, disables or enables them. Nobody takes the administrator's
    /// role away from themselves, so that there always is one.
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
        let mut fields = Fields::default();
        let role = if mask.contains(&"role") {
            self.role_to_give(caller, &change.role, &mut fields)?.map(|role| role.id)
        } else {
            None
        };
        fields.check()?;
        let disabled = mask.contains(&"disabled").then(|| change.disabled.unwrap_or_default());
        let is_own = id == caller.user();
        if disabled == Some(true) && is_own {
            return Err(Failure::SelfDisable);
        }
        self.change_user(caller, id, |user| {
            let before = (user.role, user.disabled);
            if is_own && role.is_some_and(|role| role != user.role) {
                return Err(Failure::SelfDisable);
            }
            user.role = role.unwrap_or(user.role);
            user.disabled = disabled.unwrap_or(user.disabled);
            user.version += u32::from((user.role, user.disabled) != before);
            Ok(())
        })
        .await
    }

    /// Ends a user's sessions, those included that a login opens at this moment.
    pub(crate) async fn end_user_sessions(
        &self,
        caller: &Caller,
        id: UserId,
    ) -> Result<(), Failure> {
        let next = |user: &mut User| {
            user.version += 1;
            Ok(())
        };
        self.change_user(caller, id, next).await?;
        self.end_sessions_of(id, None).await
    }

    /// Changes a user, and denies the access tokens made before.
    async fn change_user(
        &self,
        caller: &Caller,
        id: UserId,
        change: impl Fn(&mut User) -> Result<(), Failure> + Send + Sync,
    ) -> Result<User, Failure> {
        let changed = records::update::<User, Failure>(&*self.store, id.into(), |user| {
            self.may_change(caller, user)?;
            change(user)
        });
        let user = changed.await?.ok_or(NOT_FOUND)?;
        // Written again on a retry too: the first try may have ended before it.
        self.deny_older_versions(&user, id).await?;
        if user.disabled {
            self.end_sessions_of(id, None).await?;
        }
        Ok(user)
    }

    /// Refuses a user out of the caller's reach, and one whose role has a scope that the
    /// caller's has not: whoever sets a user's password can be that user.
    pub(crate) fn may_change(&self, caller: &Caller, user: &User) -> Result<(), Failure> {
        if !caller.is_admin() {
            return Err(Failure::NotPermitted);
        }
        if !is_within_reach(caller, user) {
            return Err(NOT_FOUND);
        }
        let above = |role| caller.may_give(role).is_err();
        let is_above = self.catalogue.by_id(user.role).is_some_and(above);
        if is_above { Err(Failure::NotPermitted) } else { Ok(()) }
    }

    /// The role of this name; `None` when there is none, which is noted in `fields`.
    fn role_to_give(
        &self,
        caller: &Caller,
        name: &str,
        fields: &mut Fields,
    ) -> Result<Option<&Role>, Failure> {
        if !caller.is_admin() {
            return Err(Failure::NotPermitted);
        }
        match self.role_named("role", name) {
            Ok(role) => caller.may_give(role).map(|()| Some(role)),
            Err(Failure::InvalidFields(wrong)) => {
                for violation in wrong {
                    fields.take::<()>(Err(violation));
                }
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// Claims a name, or takes over a claim that led to no user of that name.
    async fn claim_username(&self, name: &str, id: UserId) -> Result<Username, Failure> {
        let key = Key::Username(name.to_owned());
        let claim = Username { user: id.get() };
        if records::create(&*self.store, key.clone(), &claim).await? == Swap::Done {
            return Ok(claim);
        }
        let Some(old) = self.store.read(std::slice::from_ref(&key)).await?.pop().flatten() else {
            return Err(Failure::Conflict);
        };
        let claimed: Username = records::decode(&old)?;
        let holder: Option<User> = match UserId::try_from(claimed.user) {
            Ok(id) => records::load(&*self.store, id.into()).await?,
            Err(_) => None,
        };
        let is_held = holder.is_some_and(|user| user.username == name);
        if is_held || made_at(claimed.user).after(CLAIM_LASTS) > self.now() {
            return Err(Failure::UsernameTaken);
        }
        let taken = self.store.swap(&key, Some(&old), Some(&claim.encode_to_vec()), None).await?;
        if taken == Swap::Done { Ok(claim) } else { Err(Failure::UsernameTaken) }
    }
}

fn is_within_reach(caller: &Caller, user: &User) -> bool {
    AccountId::try_from(user.account).is_ok_and(|account| caller.administers(account))
}
