//! What many findings rest on, held whole or nearly: owners, the catalogue, the keys and
//! the revocations.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use quick_cache::sync::Cache;
use tessera_shared::{
    examine::{
        Reason,
        access::{Revocable, key_set},
        permanent::{Owner, catalogue},
    },
    id::{AccountId, UserId},
    jwt::VerifyingKeys,
    keys::KeySet,
    record::{Account, User},
    revocation::Bucket,
    role::Catalogue,
    store::{Key, REVOCATION_BUCKETS, StoreError, StoreReader},
};

use super::{
    following::{Following, IMPORTS, KEY_SET, ROLES, stripe},
    view::{Birth, Stripe},
};

/// Users held, and accounts: a few hundred bytes each.
const OWNERS: usize = 100_000;

/// Whether what is held may serve, or the store must be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Memory,
    Store,
}

/// A store that answers with another number of values than it was asked for.
const SHORT: &str = "an answer of the store";

/// A record as it was read.
pub(super) struct Held<T> {
    birth: Birth,
    pub(super) value: T,
}

/// The records that findings rest on.
pub(super) struct Facts {
    store: Arc<dyn StoreReader>,
    following: Arc<Following>,
    catalogue: ArcSwapOption<Held<Catalogue>>,
    keys: ArcSwapOption<Held<Arc<VerifyingKeys>>>,
    imports: ArcSwapOption<Held<bool>>,
    buckets: Box<[ArcSwapOption<Held<Bucket>>]>,
    users: Cache<UserId, Arc<Held<Option<Arc<User>>>>>,
    accounts: Cache<AccountId, Arc<Held<Option<Arc<Account>>>>>,
}

impl Facts {
    pub(super) fn new(store: Arc<dyn StoreReader>, following: Arc<Following>) -> Self {
        Self {
            store,
            following,
            catalogue: ArcSwapOption::empty(),
            keys: ArcSwapOption::empty(),
            imports: ArcSwapOption::empty(),
            buckets: (0..REVOCATION_BUCKETS).map(|_| ArcSwapOption::empty()).collect(),
            users: Cache::new(OWNERS),
            accounts: Cache::new(OWNERS),
        }
    }

    /// Reads the whole small part of the store, in one round trip.
    pub(super) async fn warm(&self) -> Result<(), StoreError> {
        let birth = self.following.birth();
        let buckets = (0..REVOCATION_BUCKETS).map(Key::Revocations);
        let first = [Key::Roles, Key::KeySet, Key::Imports];
        let keys: Vec<Key> = first.into_iter().chain(buckets).collect();
        let mut values = self.store.read(&keys).await?.into_iter();
        // Before the issuer's first start there are none; a question then says so.
        if let Some(bytes) = values.next().flatten() {
            self.hold_catalogue(Some(&bytes), birth)?;
        }
        if let Some(bytes) = values.next().flatten() {
            self.hold_keys(&bytes, birth)?;
        }
        let value = values.next().flatten().is_some();
        self.imports.store(Some(Arc::new(Held { birth, value })));
        for (place, value) in self.buckets.iter().zip(values) {
            let value = Bucket::decode(value.as_deref())?;
            place.store(Some(Arc::new(Held { birth, value })));
        }
        Ok(())
    }

    /// The owners, in their order, and the catalogue. All that is not held is read in one
    /// round trip.
    pub(super) async fn owners(
        &self,
        source: Source,
        wanted: &[(AccountId, UserId)],
    ) -> Result<(Vec<Owner>, Arc<Held<Catalogue>>), StoreError> {
        let held = |(account, user): &(AccountId, UserId)| {
            let user = self.held(source, stripe(&(*user).into())?, self.users.get(user))?;
            let account =
                self.held(source, stripe(&(*account).into())?, self.accounts.get(account))?;
            Some(Owner { user: user.value.clone(), account: account.value.clone() })
        };
        let found: Vec<_> = wanted.iter().map(held).collect();
        let catalogue = self.held(source, ROLES, self.catalogue.load_full());
        if let (true, Some(catalogue)) = (found.iter().all(Option::is_some), &catalogue) {
            return Ok((found.into_iter().flatten().collect(), catalogue.clone()));
        }
        let missing = wanted.iter().zip(&found).filter(|(_, found)| found.is_none());
        let missing: Vec<_> = missing.map(|(owner, _)| *owner).collect();
        let (read, catalogue) = self.read_owners(&missing, catalogue).await?;
        let mut read = read.into_iter();
        let all = found.into_iter().map(|found| found.or_else(|| read.next()));
        Ok((all.flatten().collect(), catalogue))
    }

    async fn read_owners(
        &self,
        owners: &[(AccountId, UserId)],
        catalogue: Option<Arc<Held<Catalogue>>>,
    ) -> Result<(Vec<Owner>, Arc<Held<Catalogue>>), StoreError> {
        let birth = self.following.birth();
        let each = owners.iter().flat_map(|(account, user)| [(*user).into(), (*account).into()]);
        let keys: Vec<Key> = std::iter::once(Key::Roles).chain(each).collect();
        let values = self.store.read(&keys).await?;
        let (roles, values) = values.split_first().ok_or(StoreError::Damaged(SHORT))?;
        let catalogue = match catalogue {
            Some(catalogue) => catalogue,
            None => self.hold_catalogue(roles.as_deref(), birth)?,
        };
        let mut read = Vec::with_capacity(owners.len());
        for ((account_id, user_id), values) in owners.iter().zip(values.chunks_exact(2)) {
            let [user, account] = values else { return Err(StoreError::Damaged(SHORT)) };
            let owner = Owner::decode(user.as_deref(), account.as_deref())?;
            self.users.insert(*user_id, Arc::new(Held { birth, value: owner.user.clone() }));
            let account = Held { birth, value: owner.account.clone() };
            self.accounts.insert(*account_id, Arc::new(account));
            read.push(owner);
        }
        Ok((read, catalogue))
    }

    /// The keys that verify access tokens.
    pub(super) async fn keys(&self, source: Source) -> Result<Arc<VerifyingKeys>, StoreError> {
        if let Some(keys) = self.held_keys(source) {
            return Ok(keys);
        }
        let birth = self.following.birth();
        let bytes = self.store.read(&[Key::KeySet]).await?.pop().flatten();
        self.hold_keys(&key_set(bytes)?, birth)
    }

    /// The same, if they are held.
    pub(super) fn held_keys(&self, source: Source) -> Option<Arc<VerifyingKeys>> {
        self.held(source, KEY_SET, self.keys.load_full()).map(|held| held.value.clone())
    }

    /// Whether there are tokens of other systems.
    pub(super) async fn has_imports(&self, source: Source) -> Result<bool, StoreError> {
        if let Some(held) = self.held(source, IMPORTS, self.imports.load_full()) {
            return Ok(held.value);
        }
        let birth = self.following.birth();
        let value = self.store.read(&[Key::Imports]).await?.pop().flatten().is_some();
        self.imports.store(Some(Arc::new(Held { birth, value })));
        Ok(value)
    }

    /// Why a revocation ends the token early, if one does. `None`: that is not known
    /// without a look at the store.
    #[inline]
    pub(super) fn known_end(&self, revocable: &Revocable) -> Option<Option<Reason>> {
        let keys = revocable.keys();
        let guards = keys.each_ref().map(|key| self.place(key).map(ArcSwapOption::load));
        let mut buckets = keys.iter().zip(&guards).map(|(key, guard)| {
            let held = guard.as_ref()?.as_ref()?;
            self.following.is_unchanged(stripe(key)?, held.birth).then_some(&held.value)
        });
        let known = [buckets.next()??, buckets.next()??, buckets.next()??];
        Some(revocable.end(known.into_iter()))
    }

    /// Why a revocation ends the token early, if one does, as the store has it.
    pub(super) async fn end(&self, revocable: &Revocable) -> Result<Option<Reason>, StoreError> {
        let birth = self.following.birth();
        let keys = revocable.keys();
        let values = self.store.read(&keys).await?;
        let mut buckets = Vec::with_capacity(keys.len());
        for (key, value) in keys.iter().zip(values) {
            let held = Arc::new(Held { birth, value: Bucket::decode(value.as_deref())? });
            if let Some(place) = self.place(key) {
                place.store(Some(held.clone()));
            }
            buckets.push(held);
        }
        Ok(revocable.end(buckets.iter().map(|held| &held.value)))
    }

    fn place(&self, key: &Key) -> Option<&ArcSwapOption<Held<Bucket>>> {
        match key {
            Key::Revocations(bucket) => self.buckets.get(usize::from(*bucket)),
            _ => None,
        }
    }

    fn held<T>(
        &self,
        source: Source,
        stripe: Stripe,
        held: Option<Arc<Held<T>>>,
    ) -> Option<Arc<Held<T>>> {
        let may_serve = |held: &Arc<Held<T>>| self.following.is_unchanged(stripe, held.birth);
        held.filter(|held| source == Source::Memory && may_serve(held))
    }

    fn hold_catalogue(
        &self,
        bytes: Option<&[u8]>,
        birth: Birth,
    ) -> Result<Arc<Held<Catalogue>>, StoreError> {
        let held = Arc::new(Held { birth, value: catalogue(bytes)? });
        self.catalogue.store(Some(held.clone()));
        Ok(held)
    }

    fn hold_keys(&self, bytes: &[u8], birth: Birth) -> Result<Arc<VerifyingKeys>, StoreError> {
        let keys = Arc::new(VerifyingKeys::from(&KeySet::from_bytes(bytes)?));
        self.keys.store(Some(Arc::new(Held { birth, value: keys.clone() })));
        Ok(keys)
    }
}
