//! Making a permanent token.

use prost_types::Timestamp as ProtoTimestamp;
use tessera_shared::{
    clock::Timestamp,
    id::{AccountId, TokenId},
    opaque::PlainToken,
    record::PermanentToken,
    role::Role,
    store::{Index, Swap, records},
};

use crate::{
    caller::{Caller, Limits},
    core::Core,
    failure::Failure,
    fields::{self, Fields},
    sessions::ID_ATTEMPTS,
};

/// What a caller asks for, as it came.
pub(crate) struct NewToken {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) role: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) allowed_cidrs: Vec<String>,
    pub(crate) expires_at: Option<ProtoTimestamp>,
    pub(crate) not_before: Option<ProtoTimestamp>,
}

/// A token and its secret, for the only time.
pub(crate) struct Created {
    pub(crate) token: PermanentToken,
    pub(crate) plain: PlainToken,
}

impl Core {
    /// Makes a permanent token for the caller's user.
    pub(crate) async fn create_token(
        &self,
        caller: &Caller,
        wanted: NewToken,
    ) -> Result<Created, Failure> {
        let now = self.now();
        let role = self.role_for_new(caller, &wanted.role)?;
        let limits = caller.limits.as_ref();
        let mut token = self.parse_new(wanted, limits, now)?;
        caller.may_give(role)?;
        limits.map_or(Ok(()), |limits| limits.allow_new(&token))?;
        token.account = caller.account().get();
        token.user = caller.user().get();
        token.role = role.id;
        token.created_at = now.millis();
        (token.secret_version, token.version) = (1, 1);
        for _ in 0..ID_ATTEMPTS {
            let id = TokenId::new(self.now(), &*self.rng)?;
            let plain = self.opaque.permanent(id, &*self.rng)?;
            token.id = id.get();
            token.hash = plain.hash().as_bytes().to_vec();
            if self.store_new(caller, id, &token, now).await? == Swap::Done {
                return Ok(Created { token, plain });
            }
        }
        Err(Failure::Conflict)
    }

    /// Reserved, listed, and only then in being: a crash in between leaves a place
    /// that the sweep frees, and no token.
    async fn store_new(
        &self,
        caller: &Caller,
        id: TokenId,
        token: &PermanentToken,
        now: Timestamp,
    ) -> Result<Swap, Failure> {
        let account = caller.account();
        let limit = self.policy.tokens_per_account;
        if !self.store.reserve(account, id, token.ends_at(), now, limit).await? {
            return Err(Failure::TokenLimitReached(limit));
        }
        self.store.index_add(Index::TokensOf(account), id.get()).await?;
        let made = records::create(&*self.store, id.into(), token).await?;
        if made == Swap::Conflict {
            self.leave_to_its_owner(account, id).await?;
        }
        Ok(made)
    }

    /// Gives back the place of an id that another token has, unless it is that one's.
    async fn leave_to_its_owner(&self, account: AccountId, id: TokenId) -> Result<(), Failure> {
        let owner: Option<PermanentToken> = records::load(&*self.store, id.into()).await?;
        if owner.is_none_or(|token| token.account != account.get()) {
            self.store.release(account, id).await?;
            self.store.index_remove(Index::TokensOf(account), id.get()).await?;
        }
        Ok(())
    }

    fn role_for_new(&self, caller: &Caller, name: &str) -> Result<&Role, Failure> {
        let name = if name.is_empty() { caller.principal.role.as_str() } else { name };
        self.role_named("role", name)
    }

    /// Where it may be used is the calling token's own, if there is one and nothing is said.
    fn parse_new(
        &self,
        wanted: NewToken,
        limits: Option<&Limits>,
        now: Timestamp,
    ) -> Result<PermanentToken, Failure> {
        let mut fields = Fields::default();
        let name = fields.take(fields::name("name", &wanted.name));
        let description = fields.take(fields::description(&wanted.description));
        let audiences = fields.take(fields::audiences(&wanted.audiences)).unwrap_or_default();
        let cidrs = fields.take(fields::cidrs(&wanted.allowed_cidrs)).unwrap_or_default();
        let future = |at: &ProtoTimestamp| fields::future("expires_at", at, now);
        let expires_at = wanted.expires_at.as_ref().map(future);
        let expires_at = expires_at.and_then(|at| fields.take(at));
        let begin = wanted.not_before.as_ref().map(|at| fields::instant("not_before", at));
        let begin = begin.and_then(|at| fields.take(at));
        let ordered = begin.zip(expires_at).is_none_or(|(begin, end)| begin < end);
        fields.require(ordered, "not_before", "before expires_at");
        fields.check()?;
        Ok(PermanentToken {
            name: name.unwrap_or_default(),
            description: description.unwrap_or_default(),
            audiences: match limits {
                _ if !audiences.is_empty() => audiences,
                Some(limits) => limits.audiences.clone(),
                None => self.policy.default_audiences.clone(),
            },
            allowed_cidrs: match limits {
                Some(limits) if cidrs.is_empty() => limits.allowed_cidrs.clone(),
                _ => cidrs,
            },
            not_before: begin.map_or(0, Timestamp::millis),
            expires_at: expires_at.map_or(0, Timestamp::millis),
            ..PermanentToken::default()
        })
    }
}
