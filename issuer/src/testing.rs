//! For tests: an issuer on a real store in a folder, with a clock that stands, and a
//! writer that can be made to stop between two writes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use ring::rand::SystemRandom;
use tessera_shared::{
    clock::{ManualClock, Timestamp},
    config::IssuerUrl,
    examine::{Examiner, Question, Reason, Verdict},
    id::{AccountId, TokenId},
    keys::{Algorithm, EncryptionKeys},
    opaque::Opaque,
    password::PasswordHasher,
    role::Catalogue,
    store::{Index, Key, StoreError, StoreReader, StoreWriter, Swap, embedded::EmbeddedStore},
    usage::{Usage, UsageNotes},
};
use tonic::{Extensions, metadata::MetadataMap, transport::server::TcpConnectInfo};
use zeroize::Zeroizing;

use crate::{
    bootstrap::FirstStart,
    caller::Caller,
    core::{Core, Policy},
    failure::Failure,
    keys::{KeyRules, Keys},
    metrics::Logins,
    sessions::{Client, Pair},
    throttle::{Limits, Throttle},
    tokens::NewToken,
};

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const PUBLICATION_DELAY: Duration = Duration::from_secs(40);
pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A caller's address.
pub(crate) const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

/// A store whose writer dies after so many writes, and in which ids can be taken.
pub(crate) struct Mortal {
    inner: EmbeddedStore,
    writes_left: AtomicI64,
    reads_fail: AtomicBool,
    ids_taken: AtomicI64,
}

impl Mortal {
    /// Whether reads fail, from now on.
    pub(crate) fn fail_reads(&self, fail: bool) {
        self.reads_fail.store(fail, Ordering::SeqCst);
    }

    /// From now on, `writes` more are done, and all after them fail.
    pub(crate) fn die_after(&self, writes: i64) {
        self.writes_left.store(writes, Ordering::SeqCst);
    }

    pub(crate) fn live(&self) {
        self.die_after(i64::MAX);
    }

    /// The next `ids` new sessions and tokens meet another that has their id.
    pub(crate) fn take_ids(&self, ids: i64) {
        self.ids_taken.store(ids, Ordering::SeqCst);
    }

    fn is_taken(&self, key: &Key, expected: Option<&[u8]>) -> bool {
        let is_drawn = matches!(key, Key::Session(_) | Key::Token(_)) && expected.is_none();
        is_drawn && self.ids_taken.fetch_sub(1, Ordering::SeqCst) > 0
    }

    fn write(&self) -> Result<(), StoreError> {
        if self.writes_left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Ok(());
        }
        self.writes_left.store(0, Ordering::SeqCst);
        Err(StoreError::Unavailable("the writer is dead".to_owned()))
    }
}

#[async_trait]
impl StoreReader for Mortal {
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if self.reads_fail.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the reader is cut off".to_owned()));
        }
        self.inner.read(keys).await
    }

    async fn report_usage(&self, notes: &[(TokenId, Usage)]) -> Result<(), StoreError> {
        self.write()?;
        self.inner.report_usage(notes).await
    }
}

#[async_trait]
impl StoreWriter for Mortal {
    async fn swap(
        &self,
        key: &Key,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
        garbage_at: Option<Timestamp>,
    ) -> Result<Swap, StoreError> {
        self.write()?;
        if self.is_taken(key, expected) {
            return Ok(Swap::Conflict);
        }
        self.inner.swap(key, expected, new, garbage_at).await
    }

    async fn index_add(&self, index: Index, id: i64) -> Result<(), StoreError> {
        self.write()?;
        self.inner.index_add(index, id).await
    }

    async fn index_remove(&self, index: Index, id: i64) -> Result<(), StoreError> {
        self.write()?;
        self.inner.index_remove(index, id).await
    }

    async fn index_page(
        &self,
        index: Index,
        after: i64,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        self.inner.index_page(index, after, limit).await
    }

    async fn reserve(
        &self,
        account: AccountId,
        token: TokenId,
        live_until: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<bool, StoreError> {
        self.write()?;
        self.inner.reserve(account, token, live_until, now, limit).await
    }

    async fn release(&self, account: AccountId, token: TokenId) -> Result<(), StoreError> {
        self.write()?;
        self.inner.release(account, token).await
    }

    async fn reserved(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        self.inner.reserved(account, now, limit).await
    }

    async fn usage(&self, tokens: &[TokenId]) -> Result<Vec<Usage>, StoreError> {
        self.inner.usage(tokens).await
    }

    async fn forget_usage(&self, tokens: &[TokenId]) -> Result<(), StoreError> {
        self.write()?;
        self.inner.forget_usage(tokens).await
    }

    async fn collect_garbage(&self, now: Timestamp) -> Result<(), StoreError> {
        self.inner.collect_garbage(now).await
    }
}

/// An issuer with its first administrator, `admin` with [`PASSWORD`].
pub(crate) struct Issuer {
    pub(crate) core: Arc<Core>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<Mortal>,
    _folder: tempfile::TempDir,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        Self::start_with(key_rules()).await
    }

    /// With these rules for signing keys.
    pub(crate) async fn start_with(rules: KeyRules) -> Self {
        let issuer = Self::new(rules);
        let first = first_start(Some(PASSWORD));
        assert!(issuer.core.bootstrap(&first).await.unwrap().is_some());
        let again = issuer.core.bootstrap(&first).await.unwrap();
        assert!(again.is_none(), "a second start makes nothing");
        issuer
    }

    pub(crate) fn before_its_first_start() -> Self {
        Self::new(key_rules())
    }

    fn new(rules: KeyRules) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Mortal {
            inner: EmbeddedStore::open(folder.path()).unwrap(),
            writes_left: AtomicI64::new(i64::MAX),
            reads_fail: AtomicBool::new(false),
            ids_taken: AtomicI64::new(0),
        });
        let clock = Arc::new(ManualClock::at(START));
        let core = core(&store, &clock, rules);
        Self { core, clock, store, _folder: folder }
    }

    /// Another issuer over the same store, with its own view of it.
    pub(crate) async fn another(&self, rules: KeyRules) -> Arc<Core> {
        let core = core(&self.store, &self.clock, rules);
        assert!(core.bootstrap(&first_start(None)).await.unwrap().is_none());
        core
    }

    pub(crate) fn advance(&self, span: Duration) {
        self.clock.set(self.core.now().after(span));
    }

    pub(crate) async fn login(&self, username: &str) -> Result<Pair, Failure> {
        self.login_with(username, PASSWORD).await
    }

    pub(crate) async fn login_with(&self, username: &str, password: &str) -> Result<Pair, Failure> {
        self.core.login(username, password, client()).await
    }

    /// Who presents `token`, from no address.
    pub(crate) async fn caller(&self, token: &str) -> Caller {
        self.caller_with(token, &Extensions::new()).await
    }

    /// Who presents `token`, from [`HERE`].
    pub(crate) async fn caller_here(&self, token: &str) -> Caller {
        let mut extensions = Extensions::new();
        let remote_addr = Some(SocketAddr::from((HERE, 40_000)));
        extensions.insert(TcpConnectInfo { local_addr: None, remote_addr });
        self.caller_with(token, &extensions).await
    }

    async fn caller_with(&self, token: &str, extensions: &Extensions) -> Caller {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
        self.core.caller(&metadata, extensions).await.unwrap()
    }

    /// An access token that `plain` was exchanged for, from [`HERE`].
    pub(crate) async fn exchanged(&self, plain: &str) -> String {
        let question = Question { client_address: Some(HERE.into()), ..Question::default() };
        self.core.exchange(plain, &question).await.unwrap().0
    }

    pub(crate) async fn admin(&self) -> Caller {
        self.caller(&self.login("admin").await.unwrap().access).await
    }

    /// Why `token` is refused; `None`: it is good.
    pub(crate) async fn refusal(&self, token: &str) -> Option<Reason> {
        let now = self.core.now();
        match self.core.examiner.examine(token, &Question::default(), now).await.unwrap() {
            Verdict::Granted(_) => None,
            Verdict::Denied(reason) => Some(reason),
        }
    }
}

/// ES256, published for 40 s, replaced by hand alone, and not sealed.
pub(crate) fn key_rules() -> KeyRules {
    KeyRules {
        algorithm: Algorithm::Es256,
        encryption: EncryptionKeys::default(),
        publication_delay: PUBLICATION_DELAY,
        rotation_period: None,
    }
}

/// What a first start asks for; without a password one is made.
pub(crate) fn first_start(password: Option<&str>) -> FirstStart {
    FirstStart {
        issuer_url: IssuerUrl {
            url: "https://issuer.example".to_owned(),
            is_given: true,
            former: None,
        },
        import: None,
        admin_username: "admin".to_owned(),
        admin_password: password.map(|password| Zeroizing::new(password.to_owned())),
    }
}

/// What is asked for to get a token of the role Users that never expires.
pub(crate) fn new_token(name: &str) -> NewToken {
    NewToken {
        name: name.to_owned(),
        description: String::new(),
        role: "Users".to_owned(),
        audiences: Vec::new(),
        allowed_cidrs: Vec::new(),
        expires_at: None,
        not_before: None,
    }
}

/// A client of no address.
pub(crate) fn client() -> Client {
    Client { address: None, user_agent: "test".to_owned() }
}

fn core(store: &Arc<Mortal>, clock: &Arc<ManualClock>, rules: KeyRules) -> Arc<Core> {
    let rng = Arc::new(SystemRandom::new());
    let opaque = Opaque::new("tessera");
    Arc::new(Core {
        examiner: Examiner::new(opaque.clone(), store.clone()),
        store: store.clone(),
        clock: clock.clone(),
        passwords: PasswordHasher::new(2, rng.clone()).unwrap(),
        throttle: Throttle::new(Limits {
            failures: 20,
            failures_per_user: 100,
            window: Duration::from_mins(10),
        }),
        rng,
        opaque,
        catalogue: Catalogue::standard().unwrap(),
        policy: Policy {
            tokens_per_account: 3,
            access_ttl: Duration::from_hours(1),
            refresh_ttl: Duration::from_hours(24),
            refresh_grace: Duration::from_secs(10),
            default_audiences: vec!["cdn".to_owned()],
            password_min_length: 15,
        },
        keys: Keys::new(rules),
        usage: UsageNotes::default(),
        logins: Logins::default(),
        prepared: AtomicBool::new(false),
    })
}
