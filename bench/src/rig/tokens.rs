//! Tokens by the million, written straight to the store in the form and the order in
//! which the issuer writes them.

use std::{ops::Range, sync::Arc, time::Duration};

use prost::Message as _;
use ring::rand::SystemRandom;
use tessera_shared::{
    clock::{Clock as _, SystemClock, Timestamp},
    id::{AccountId, SessionId, TokenId, UserId, new_id},
    jwt::{AccessClaims, AccessSigner},
    keys::{KeySet, open},
    opaque::Opaque,
    principal::Proof,
    record::{Account, PermanentToken, User},
    store::{Index, Key, StoreReader as _, StoreWriter as _, Swap, records, redis::RedisStore},
};
use tokio::task::JoinSet;

/// As many as an account may have, unless set otherwise.
const TOKENS_PER_ACCOUNT: usize = 50;
/// Accounts that are written at the same time.
const WRITERS: usize = 256;
/// Engineers.
const ROLE: i64 = 5;

/// Makes accounts with a user each, enough for `tokens`; answers their numbers.
pub(crate) async fn accounts(store: &Arc<RedisStore>, tokens: usize) -> Vec<i64> {
    let now = SystemClock.now();
    let count = i64::try_from(tokens.div_ceil(TOKENS_PER_ACCOUNT)).expect("a count");
    let ids: Vec<i64> = (0..count).map(|number| newest_id(now) - number).collect();
    spread(ids.clone(), {
        let store = store.clone();
        move |id| make_account(store.clone(), id, now)
    })
    .await;
    ids
}

/// An id as one made a second ago has it; those below it are as if made before.
fn newest_id(now: Timestamp) -> i64 {
    new_id(Timestamp::from_millis(now.millis() - 1000), &SystemRandom::new()).expect("random bytes")
        | 0xfff
}

async fn make_account(store: Arc<RedisStore>, id: i64, now: Timestamp) -> Vec<String> {
    let (account, user) = (AccountId::try_from(id).expect("id"), UserId::try_from(id).expect("id"));
    let created_at = now.millis();
    let name = format!("account {id}");
    let record = Account { id, name, disabled: false, created_at, version: 1 };
    store.index_add(Index::Accounts, id).await.expect("an index");
    records::create(&*store, account.into(), &record).await.expect("an account");
    let record = User {
        id,
        account: id,
        username: format!("user-{id}"),
        role: ROLE,
        created_at,
        version: 1,
        ..User::default()
    };
    store.index_add(Index::UsersOf(account), id).await.expect("an index");
    records::create(&*store, user.into(), &record).await.expect("a user");
    Vec::new()
}

/// Makes `count` permanent tokens that never expire, shared out among `accounts`, and
/// answers their plain strings.
pub(crate) async fn permanent(
    store: &Arc<RedisStore>,
    accounts: &[i64],
    count: usize,
) -> Vec<String> {
    let now = SystemClock.now();
    let jobs = accounts.iter().enumerate().map(|(number, &account)| {
        let from = number * TOKENS_PER_ACCOUNT;
        (account, from..count.min(from + TOKENS_PER_ACCOUNT))
    });
    let store = store.clone();
    spread(jobs.collect(), move |(account, numbers)| {
        make_tokens(store.clone(), account, numbers, now)
    })
    .await
}

async fn make_tokens(
    store: Arc<RedisStore>,
    owner: i64,
    numbers: Range<usize>,
    now: Timestamp,
) -> Vec<String> {
    let account = AccountId::try_from(owner).expect("an id");
    let opaque = Opaque::new("tessera");
    let rng = SystemRandom::new();
    let mut plains = Vec::with_capacity(numbers.len());
    for number in numbers {
        let number = i64::try_from(number).expect("a count");
        let id = TokenId::try_from(newest_id(now) - number).expect("an id");
        let plain = opaque.permanent(id, &rng).expect("random bytes");
        let token = PermanentToken {
            id: id.get(),
            account: owner,
            user: owner,
            role: ROLE,
            hash: plain.hash().as_bytes().to_vec(),
            name: format!("deploy-{number}"),
            audiences: vec!["cdn".to_owned()],
            secret_version: 1,
            version: 1,
            created_at: now.millis(),
            ..PermanentToken::default()
        };
        let most = u32::try_from(TOKENS_PER_ACCOUNT).expect("a count");
        let reserved = store.reserve(account, id, Timestamp::NEVER, now, most).await;
        assert!(reserved.expect("a place"), "account {owner} is full");
        store.index_add(Index::TokensOf(account), id.get()).await.expect("an index");
        let swap = store.swap(&Key::Token(id), None, Some(&token.encode_to_vec()), None).await;
        assert_eq!(swap.expect("a token"), Swap::Done);
        plains.push(plain.expose().to_owned());
    }
    plains
}

/// Runs `work` on each job, [`WRITERS`] at a time, and gathers what they answer.
async fn spread<J, W, F>(jobs: Vec<J>, work: W) -> Vec<String>
where
    W: Fn(J) -> F,
    F: Future<Output = Vec<String>> + Send + 'static,
{
    let mut all = Vec::new();
    let mut under_way = JoinSet::new();
    for job in jobs {
        if under_way.len() == WRITERS
            && let Some(done) = under_way.join_next().await
        {
            all.extend(done.expect("a writer"));
        }
        under_way.spawn(work(job));
    }
    while let Some(done) = under_way.join_next().await {
        all.extend(done.expect("a writer"));
    }
    all
}

/// Makes `count` access tokens of the first administrator, each of a session of its own.
pub(crate) async fn access(store: &Arc<RedisStore>, count: usize) -> Vec<String> {
    let read = async |key| store.read(&[key]).await.expect("Redis").pop().flatten();
    let set = KeySet::from_bytes(&read(Key::KeySet).await.expect("a key set")).expect("a key set");
    let kid = set.signing().expect("a signing key").public.kid().to_owned();
    let sealed = read(Key::PrivateKey(kid.clone())).await.expect("a private key");
    let key = open(&sealed, &kid, None).expect("a key that is not sealed");
    let signer = Arc::new(AccessSigner::new(key));
    let now = SystemClock.now();
    let claims = AccessClaims {
        issuer: set.issuer,
        user: UserId::FIRST,
        account: AccountId::FIRST,
        proof: Proof::Session(SessionId::try_from(1).expect("an id")),
        user_version: 1,
        token_version: None,
        audiences: vec!["cdn".to_owned()],
        issued_at: now,
        expires_at: now.after(Duration::from_secs(24 * 3600)),
        not_before: None,
        jti: String::new(),
        role: "Engineers".to_owned(),
        scope: "cdn:purge cdn:prefetch cdn:read".to_owned(),
        name: "admin".to_owned(),
        allowed_cidrs: Vec::new(),
    };
    let jobs = (0..count).step_by(1000).map(|from| from..count.min(from + 1000)).collect();
    spread(jobs, move |range: Range<usize>| {
        let (signer, claims) = (signer.clone(), claims.clone());
        async move {
            let sign = |number: usize| {
                let session = i64::try_from(number).expect("a count") + (1 << 40);
                let proof = Proof::Session(SessionId::try_from(session).expect("an id"));
                let jti = format!("{session:x}-bench");
                signer.sign(&AccessClaims { proof, jti, ..claims.clone() }).expect("a signature")
            };
            range.map(sign).collect()
        }
    })
    .await
}
