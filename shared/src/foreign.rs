//! Tokens made elsewhere: their SHA-256 is imported, so that their holders need no new ones.
//!
//! Such a string has no id in it, so a record under its hash leads to its token's
//! ([`Key::Foreign`]). Nobody looks there unless something was ever imported ([`Key::Imports`],
//! which a verifier holds and is told of), nor for a string that has the form of our own.
//! From then on the token is one like the others. It speaks at verifiers; to call the issuer
//! its owner logs in. A rotation gives it a secret of our own form.
//!
//! What leads to a token is written before the token: cut short, it leads nowhere, and the
//! same import completes it.

use std::collections::HashMap;

use ring::rand::SecureRandom;

use crate::{
    clock::Timestamp,
    examine::permanent::catalogue,
    id::{AccountId, NoRandomness, TokenId},
    record::{Foreign, Imports, PermanentToken, User, Username},
    role::Catalogue,
    store::{Index, Key, StoreError, StoreWriter, Swap, records},
};

/// As of a token that is created: `CreatePermanentTokenRequest`.
const LONGEST_NAME: usize = 128;
const MOST_AUDIENCES: usize = 16;
/// How often another id is drawn when one is taken.
const ATTEMPTS: usize = 16;

/// A token to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignToken {
    /// SHA-256 of the string that its holder presents.
    pub hash: [u8; 32],
    /// What its owner calls it.
    pub name: String,
    /// The username of its owner.
    pub owner: String,
    /// The name of its role.
    pub role: String,
    /// Where it may be used; at least one.
    pub audiences: Vec<String>,
    /// When it expires; `None`: never.
    pub expires_at: Option<Timestamp>,
}

/// Why a token can't be imported.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// No user has this name.
    #[error("there is no user {0:?}")]
    NoSuchUser(String),
    /// The catalogue has no such role.
    #[error("there is no role {0:?}")]
    NoSuchRole(String),
    /// Not a name.
    #[error("a name has 1 to {LONGEST_NAME} characters, not all blank, and no control characters")]
    Name,
    /// Not audiences.
    #[error("1 to {MOST_AUDIENCES} audiences, each 1 to 255 visible ASCII characters")]
    Audiences,
    /// The store can't answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No id could be drawn.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// What became of a token to import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It is good from now on.
    New,
    /// It was imported before; whatever has become of it since, it is left as it is.
    Before,
    /// Its time is over: nothing is kept of it.
    Expired,
}

/// Imports into one store.
pub struct Importer<'a> {
    store: &'a dyn StoreWriter,
    rng: &'a dyn SecureRandom,
    catalogue: Catalogue,
    owners: HashMap<String, User>,
}

impl<'a> Importer<'a> {
    /// Into `store`, which an issuer has been at.
    ///
    /// # Errors
    /// Those of the store; it has no role catalogue before an issuer's first start.
    pub async fn new(
        store: &'a dyn StoreWriter,
        rng: &'a dyn SecureRandom,
    ) -> Result<Self, StoreError> {
        let roles = store.read(&[Key::Roles]).await?.pop().flatten();
        let catalogue = catalogue(roles.as_deref())?;
        Ok(Self { store, rng, catalogue, owners: HashMap::new() })
    }

    /// Whether `token` can be imported, with nothing written.
    ///
    /// # Errors
    /// Why it can't.
    pub async fn check(&mut self, token: &ForeignToken) -> Result<(), ForeignError> {
        self.record(token, Timestamp::from_millis(0)).await.map(drop)
    }

    /// Imports `token`.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub async fn import(
        &mut self,
        token: &ForeignToken,
        now: Timestamp,
    ) -> Result<Imported, ForeignError> {
        let mut record = self.record(token, now).await?;
        if token.expires_at.is_some_and(|expires_at| now >= expires_at) {
            return Ok(Imported::Expired);
        }
        records::create(self.store, Key::Imports, &Imports { since: now.millis() }).await?;
        let key = Key::Foreign(token.hash);
        for _ in 0..ATTEMPTS {
            let lead: Option<Foreign> = records::load(self.store, key.clone()).await?;
            let id = match &lead {
                Some(lead) => lead.id()?,
                None => TokenId::new(now, self.rng)?,
            };
            let there: Option<PermanentToken> = records::load(self.store, id.into()).await?;
            if there.as_ref().is_some_and(|there| there.imported_hash == token.hash) {
                return Ok(Imported::Before);
            }
            if there.is_some() {
                // The id was drawn by another meanwhile.
                let other = Foreign::to(TokenId::new(now, self.rng)?);
                self.lead(&key, lead.as_ref(), &other).await?;
                continue;
            }
            // One that is there may be about to be forgotten, after the token that it led to.
            let stays = lead.as_ref().is_some_and(|lead| lead.forget_at == 0);
            if !stays && !self.lead(&key, lead.as_ref(), &Foreign::to(id)).await? {
                continue;
            }
            record.id = id.get();
            if self.write(id, &record, now).await? == Swap::Done {
                return Ok(Imported::New);
            }
        }
        Err(StoreError::Contended.into())
    }

    async fn lead(
        &self,
        key: &Key,
        old: Option<&Foreign>,
        new: &Foreign,
    ) -> Result<bool, StoreError> {
        use prost::Message as _;
        let old = old.map(prost::Message::encode_to_vec);
        let new = new.encode_to_vec();
        Ok(self.store.swap(key, old.as_deref(), Some(&new), None).await? == Swap::Done)
    }

    /// As an issuer makes one, but for the limit of tokens an account, which an import may pass.
    async fn write(
        &self,
        id: TokenId,
        record: &PermanentToken,
        now: Timestamp,
    ) -> Result<Swap, StoreError> {
        let account = AccountId::try_from(record.account);
        let account = account.map_err(|_| StoreError::Damaged("a user"))?;
        let until = match record.expires_at {
            0 => Timestamp::NEVER,
            at => Timestamp::from_millis(at),
        };
        if until > now {
            self.store.reserve(account, id, until, now, u32::MAX).await?;
        }
        self.store.index_add(Index::TokensOf(account), id.get()).await?;
        records::create(self.store, id.into(), record).await
    }

    async fn record(
        &mut self,
        token: &ForeignToken,
        now: Timestamp,
    ) -> Result<PermanentToken, ForeignError> {
        let name = &token.name;
        let length = (1..=LONGEST_NAME).contains(&name.chars().count());
        if !length || name.trim().is_empty() || name.chars().any(char::is_control) {
            return Err(ForeignError::Name);
        }
        let fits = |it: &String| {
            (1..=255).contains(&it.len()) && it.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !(1..=MOST_AUDIENCES).contains(&token.audiences.len())
            || !token.audiences.iter().all(fits)
        {
            return Err(ForeignError::Audiences);
        }
        let role = self.catalogue.by_name(&token.role).map(|role| role.id);
        let role = role.ok_or_else(|| ForeignError::NoSuchRole(token.role.clone()))?;
        let owner = self.owner(&token.owner).await?;
        Ok(PermanentToken {
            account: owner.account,
            user: owner.id,
            role,
            hash: token.hash.to_vec(),
            imported_hash: token.hash.to_vec(),
            name: name.clone(),
            description: String::new(),
            audiences: token.audiences.clone(),
            expires_at: token.expires_at.map_or(0, Timestamp::millis),
            secret_version: 1,
            version: 1,
            created_at: now.millis(),
            ..PermanentToken::default()
        })
    }

    async fn owner(&mut self, name: &str) -> Result<User, ForeignError> {
        let name = name.to_ascii_lowercase();
        if let Some(owner) = self.owners.get(&name) {
            return Ok(owner.clone());
        }
        let nobody = || ForeignError::NoSuchUser(name.clone());
        let claim = records::load::<Username>(self.store, Key::Username(name.clone())).await?;
        let id = claim.ok_or_else(nobody)?.user.try_into();
        let id = id.map_err(|_| StoreError::Damaged("a username"))?;
        let owner: User = records::load(self.store, Key::User(id)).await?.ok_or_else(nobody)?;
        self.owners.insert(name, owner.clone());
        Ok(owner)
    }
}

impl Foreign {
    const fn to(token: TokenId) -> Self {
        Self { token: token.get(), forget_at: 0 }
    }

    /// The token that it leads to.
    ///
    /// # Errors
    /// When it holds no id.
    pub fn id(&self) -> Result<TokenId, StoreError> {
        self.token.try_into().map_err(|_| StoreError::Damaged("the way to an imported token"))
    }
}
