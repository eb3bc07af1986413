//! Accounts: the customers.

use prost_types::FieldMask;
use tessera_shared::{
    id::AccountId,
    record::Account,
    revocation::{ALL_VERSIONS, Subject},
    store::{Index, Swap, records},
};

use crate::{
    caller::Caller,
    core::Core,
    failure::Failure,
    fields::{self, Fields, Page},
};

const NOT_FOUND: Failure = Failure::NotFound("account");

/// What a caller wants changed, as it came.
pub(crate) struct AccountChange {
    pub(crate) name: String,
    pub(crate) disabled: Option<bool>,
    pub(crate) mask: Option<FieldMask>,
}

impl Core {
    /// Makes an account. It is listed first: a crash leaves an entry that leads nowhere.
    pub(crate) async fn create_account(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Account, Failure> {
        require_administers_all(caller)?;
        let mut fields = Fields::default();
        let name = fields.take(fields::name("name", name));
        fields.check()?;
        let now = self.now();
        let id = AccountId::new(now, &*self.rng)?;
        let account = Account {
            id: id.get(),
            name: name.unwrap_or_default(),
            disabled: false,
            created_at: now.millis(),
            version: 1,
        };
        self.store.index_add(Index::Accounts, id.get()).await?;
        match records::create(&*self.store, id.into(), &account).await? {
            Swap::Done => Ok(account),
            Swap::Conflict => Err(Failure::Conflict),
        }
    }

    /// An account that the caller administers.
    pub(crate) async fn account(&self, caller: &Caller, id: AccountId) -> Result<Account, Failure> {
        if !caller.is_admin() {
            return Err(Failure::NotPermitted);
        }
        if !caller.administers(id) {
            return Err(NOT_FOUND);
        }
        records::load(&*self.store, id.into()).await?.ok_or(NOT_FOUND)
    }

    /// A page of the accounts that the caller administers.
    pub(crate) async fn accounts(
        &self,
        caller: &Caller,
        page: Page,
    ) -> Result<(Vec<Account>, Option<i64>), Failure> {
        if !caller.administers_all() {
            let own = self.account(caller, caller.account()).await?;
            return Ok((Vec::from_iter((own.id > page.after).then_some(own)), None));
        }
        let ids = self.store.index_page(Index::Accounts, page.after, page.size).await?;
        let next = ids.last().copied().filter(|_| ids.len() == page.size);
        let keys: Vec<_> = ids.into_iter().filter_map(|id| AccountId::try_from(id).ok()).collect();
        let keys: Vec<_> = keys.into_iter().map(Into::into).collect();
        let found: Vec<Option<Account>> = records::load_all(&*self.store, &keys).await?;
        Ok((found.into_iter().flatten().collect(), next))
    }

    /// Renames, disables or enables an account.
    pub(crate) async fn update_account(
        &self,
        caller: &Caller,
        id: AccountId,
        change: &AccountChange,
    ) -> Result<Account, Failure> {
        require_administers_all(caller)?;
        let mask =
            fields::mask(change.mask.as_ref(), &["name", "disabled"], |field| match field {
                "name" => !change.name.is_empty(),
                _ => change.disabled.is_some(),
            })?;
        let mut fields = Fields::default();
        let name = mask.contains(&"name").then(|| fields::name("name", &change.name));
        let name = name.and_then(|name| fields.take(name));
        fields.check()?;
        let disabled = mask.contains(&"disabled").then(|| change.disabled.unwrap_or_default());
        if disabled == Some(true) && id == caller.account() {
            return Err(Failure::SelfDisable);
        }
        let changed = records::update::<Account, Failure>(&*self.store, id.into(), |account| {
            if let Some(name) = &name {
                account.name.clone_from(name);
            }
            let before = account.disabled;
            account.disabled = disabled.unwrap_or(before);
            account.version += u32::from(account.disabled != before);
            Ok(())
        });
        let account = changed.await?.ok_or(NOT_FOUND)?;
        // Written again on a retry, and with a new name too: the call that disabled the
        // account may have ended before it.
        if disabled.is_some() || account.disabled {
            let lowest = if account.disabled { ALL_VERSIONS } else { 0 };
            self.revoke(Subject::Account(id), lowest, account.version).await?;
        }
        Ok(account)
    }
}

/// Refuses who does not administer every account.
pub(crate) fn require_administers_all(caller: &Caller) -> Result<(), Failure> {
    if caller.administers_all() { Ok(()) } else { Err(Failure::NotPermitted) }
}
