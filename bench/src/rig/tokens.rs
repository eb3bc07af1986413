//! Tokens by the million, written straight to the store in the form and the order in
//! which the issuer writes them.

use std::{ops::Range, sync::Arc, time::Duration};

use prost::Message as _;
use ring::rand::SystemRandom;
use tessera_shared::{
    clock::{Clock as _, SystemClock, Timestamp},
    id::{AccountId, NotAnId, SessionId, TokenId, UserId, new_id},
    jwt::{AccessClaims, AccessSigner},
    keys::{KeySet, open},
    opaque::Opaque,
    principal::Proof,
    record::{Account, PermanentToken, User},
    store::{Index, Key, StoreReader as _, StoreWriter as _, Swap, records, redis::RedisStore},
};
use tokio::task::JoinSet;

use crate::failure::{Failure, OrFail as _};

/// As many as an account may have, unless set otherwise.
const TOKENS_PER_ACCOUNT: usize = 50;
/// Accounts that are written at the same time.
const WRITERS: usize = 256;
/// Engineers.
const ROLE: i64 = 5;

/// Of a step that is named where it is called.
type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Makes accounts with a user each, enough for `tokens`; answers their numbers.
pub(crate) async fn accounts(store: &Arc<RedisStore>, tokens: usize) -> Result<Vec<i64>, Failure> {
    let now = SystemClock.now();
    let newest = newest_id(now)?;
    let count = tokens.div_ceil(TOKENS_PER_ACCOUNT) as i64;
    let ids: Vec<i64> = (0..count).map(|number| newest - number).collect();
    spread(ids.clone(), {
        let store = store.clone();
        move |id| {
            let store = store.clone();
            async move {
                let made = make_account(&store, id, now).await;
                made.or_fail(format_args!("make the account {id}")).map(|()| Vec::new())
            }
        }
    })
    .await?;
    Ok(ids)
}

/// An id as one made a second ago has it; those below it are as if made before.
fn newest_id(now: Timestamp) -> Result<i64, Failure> {
    let at = Timestamp::from_millis(now.millis() - 1000);
    Ok(new_id(at, &SystemRandom::new()).or_fail("make an id")? | 0xfff)
}

async fn make_account(store: &RedisStore, id: i64, now: Timestamp) -> Result<(), AnyError> {
    let (account, user) = (AccountId::try_from(id)?, UserId::try_from(id)?);
    let created_at = now.millis();
    let name = format!("account {id}");
    let record = Account { id, name, disabled: false, created_at, version: 1 };
    store.index_add(Index::Accounts, id).await?;
    records::create(store, account.into(), &record).await?;
    let record = User {
        id,
        account: id,
        username: format!("user-{id}"),
        role: ROLE,
        created_at,
        version: 1,
        ..User::default()
    };
    store.index_add(Index::UsersOf(account), id).await?;
    records::create(store, user.into(), &record).await?;
    Ok(())
}

/// Makes `count` permanent tokens that never expire, shared out among `accounts`, and
/// answers their plain strings.
pub(crate) async fn permanent(
    store: &Arc<RedisStore>,
    accounts: &[i64],
    count: usize,
) -> Result<Vec<String>, Failure> {
    let now = SystemClock.now();
    let newest = newest_id(now)?;
    let jobs = accounts.iter().enumerate().map(|(number, &account)| {
        let from = number * TOKENS_PER_ACCOUNT;
        (account, from..count.min(from + TOKENS_PER_ACCOUNT))
    });
    let store = store.clone();
    spread(jobs.collect(), move |(account, numbers)| {
        let store = store.clone();
        async move {
            let mut plains = Vec::with_capacity(numbers.len());
            for number in numbers {
                let made = make_token(&store, account, newest - number as i64, now).await;
                plains.push(made.or_fail(format_args!("make a token of the account {account}"))?);
            }
            Ok(plains)
        }
    })
    .await
}

async fn make_token(
    store: &RedisStore,
    owner: i64,
    id: i64,
    now: Timestamp,
) -> Result<String, AnyError> {
    let (account, id) = (AccountId::try_from(owner)?, TokenId::try_from(id)?);
    let plain = Opaque::new("tessera").permanent(id, &SystemRandom::new())?;
    let token = PermanentToken {
        id: id.get(),
        account: owner,
        user: owner,
        role: ROLE,
        hash: plain.hash().as_bytes().to_vec(),
        name: format!("deploy-{id}"),
        audiences: vec!["cdn".to_owned()],
        secret_version: 1,
        version: 1,
        created_at: now.millis(),
        ..PermanentToken::default()
    };
    let most = u32::try_from(TOKENS_PER_ACCOUNT)?;
    if !store.reserve(account, id, Timestamp::NEVER, now, most).await? {
        return Err("the account is full".into());
    }
    store.index_add(Index::TokensOf(account), id.get()).await?;
    match store.swap(&Key::Token(id), None, Some(&token.encode_to_vec()), None).await? {
        Swap::Done => Ok(plain.expose().to_owned()),
        Swap::Conflict => Err("its id is taken".into()),
    }
}

/// Runs `work` on each job, [`WRITERS`] at a time, and gathers what they answer.
async fn spread<J, W, F>(jobs: Vec<J>, work: W) -> Result<Vec<String>, Failure>
where
    W: Fn(J) -> F,
    F: Future<Output = Result<Vec<String>, Failure>> + Send + 'static,
{
    let mut all = Vec::new();
    let mut under_way = JoinSet::new();
    for job in jobs {
        if under_way.len() == WRITERS
            && let Some(done) = under_way.join_next().await
        {
            all.extend(done.or_fail("make tokens")??);
        }
        under_way.spawn(work(job));
    }
    while let Some(done) = under_way.join_next().await {
        all.extend(done.or_fail("make tokens")??);
    }
    Ok(all)
}

/// Makes `count` access tokens of the first administrator, each of a session of its own.
pub(crate) async fn access(store: &Arc<RedisStore>, count: usize) -> Result<Vec<String>, Failure> {
    let set = read(store, Key::KeySet).await?;
    let set = KeySet::from_bytes(&set).or_fail("read the key set")?;
    let signing = set.signing().or_fail("signing key")?;
    let kid = signing.public.kid().to_owned();
    let sealed = read(store, Key::PrivateKey(kid.clone())).await?;
    let key = open(&sealed, &kid, None).or_fail("open the private key without a password")?;
    let signer = Arc::new(AccessSigner::new(key));
    let claims = first_session(set.issuer).or_fail("make an access token")?;
    let jobs = (0..count).step_by(1000).map(|from| from..count.min(from + 1000)).collect();
    spread(jobs, move |range: Range<usize>| {
        let (signer, claims) = (signer.clone(), claims.clone());
        let sign = move |number: usize| -> Result<String, AnyError> {
            let session = number as i64 + (1 << 40);
            let proof = Proof::Session(SessionId::try_from(session)?);
            let jti = format!("{session:x}-bench");
            Ok(signer.sign(&AccessClaims { proof, jti, ..claims.clone() })?)
        };
        async move { range.map(sign).collect::<Result<_, _>>().or_fail("make an access token") }
    })
    .await
}

async fn read(store: &RedisStore, key: Key) -> Result<Vec<u8>, Failure> {
    let name = format!("record under {key:?}");
    let read = store.read(&[key]).await.or_fail("read from Redis")?;
    read.into_iter().next().flatten().or_fail(name)
}

/// What an access token of the first administrator says.
fn first_session(issuer: String) -> Result<AccessClaims, NotAnId> {
    let now = SystemClock.now();
    Ok(AccessClaims {
        issuer,
        user: UserId::FIRST,
        account: AccountId::FIRST,
        proof: Proof::Session(SessionId::try_from(1)?),
        user_version: 1,
        token_version: None,
        secret_version: None,
        audiences: vec!["cdn".to_owned()],
        issued_at: now,
        expires_at: now.after(Duration::from_secs(24 * 3600)),
        not_before: None,
        jti: String::new(),
        role: "Engineers".to_owned(),
        scope: "cdn:prefetch cdn:purge cdn:read".to_owned(),
        name: "admin".to_owned(),
        allowed_cidrs: Vec::new(),
    })
}
