//! What the tests stand on: a store that a test sets, and a verifier on it, asked
//! through a real client.

mod access;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use prost::Message;
use ring::rand::SystemRandom;
use tessera_proto::v1::{VerifyRequest, verifier_service_client::VerifierServiceClient};
use tessera_serve::{Listeners, ServeError};
use tessera_shared::{
    clock::{ManualClock, Timestamp},
    config::VerifierConfig,
    id::{AccountId, TokenId, UserId},
    opaque::Opaque,
    record::{Account, PermanentToken, User},
    role::Catalogue,
    store::{Changes, Key, StoreError, StoreReader},
    usage::Usage,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Barrier, Notify, oneshot},
    task::JoinHandle,
};
use tonic::transport::Channel;

pub(crate) use self::access::Access;

/// 2026-11-24T10:00:00.250Z.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_514_400_250);
/// What the fake store says of itself, and no answer may.
pub(crate) const INTERNALS: &str = "10.0.0.7:6379 refused";

type Effect = Box<dyn Fn() + Send + Sync>;
type Which = fn(&Key) -> bool;

/// A store that holds what a test puts there.
#[derive(Default)]
pub(crate) struct FakeStore {
    records: Mutex<HashMap<Key, Vec<u8>>>,
    /// Keys at which a read fails.
    cut: Mutex<Option<Which>>,
    /// Reads of a token wait here.
    gate: Mutex<Option<Arc<Barrier>>>,
    /// Told of each read of a token.
    arrival: Notify,
    /// What happens while a token is read, after its record was looked up.
    meanwhile: Mutex<Option<Effect>>,
    /// Who is told of changes, if the store tells.
    follower: Mutex<Option<Arc<dyn Changes>>>,
    /// Whether it lets itself be followed.
    tells: bool,
    /// How many reads it has answered.
    reads: AtomicUsize,
    /// What was reported of the use of tokens.
    reported: Mutex<Vec<(TokenId, Usage)>>,
    /// Told of each report.
    report: Notify,
}

impl FakeStore {
    /// A store that tells of its changes. What it told is not proven yet.
    pub(crate) fn telling() -> Arc<Self> {
        Arc::new(Self { tells: true, ..Self::default() })
    }

    /// Puts a record there, and tells of it.
    pub(crate) fn put(&self, key: impl Into<Key>, record: Vec<u8>) {
        let key = key.into();
        self.put_silently(key.clone(), record);
        if let Some(follower) = self.follower() {
            follower.changed(&key);
        }
    }

    /// Puts a record there, as while the word of it is on its way.
    pub(crate) fn put_silently(&self, key: impl Into<Key>, record: Vec<u8>) {
        self.records.lock().unwrap().insert(key.into(), record);
    }

    /// Who follows the store.
    pub(crate) fn follower(&self) -> Option<Arc<dyn Changes>> {
        self.follower.lock().unwrap().clone()
    }

    /// How many reads were answered since the last call of this.
    pub(crate) fn reads(&self) -> usize {
        self.reads.swap(0, SeqCst)
    }

    pub(crate) fn cut(&self) {
        self.cut_at(|_| true);
    }

    pub(crate) fn cut_at(&self, keys: Which) {
        *self.cut.lock().unwrap() = Some(keys);
    }

    pub(crate) fn mend(&self) {
        *self.cut.lock().unwrap() = None;
    }

    /// Makes a read of a token wait until `count` of them are under way.
    pub(crate) fn gather(&self, count: usize) {
        *self.gate.lock().unwrap() = Some(Arc::new(Barrier::new(count)));
    }

    /// Waits until a token is read.
    pub(crate) async fn first_arrival(&self) {
        self.arrival.notified().await;
    }

    /// Lets a read go that waits for one more.
    pub(crate) async fn release(&self) {
        let gate = self.gate.lock().unwrap().take();
        gate.unwrap().wait().await;
    }

    pub(crate) fn meanwhile(&self, effect: impl Fn() + Send + Sync + 'static) {
        *self.meanwhile.lock().unwrap() = Some(Box::new(effect));
    }

    /// What was reported of the use of this token.
    pub(crate) fn usage(&self, token: i64) -> Usage {
        let reported = self.reported.lock().unwrap();
        let of_token = reported.iter().filter(|(id, _)| id.get() == token);
        of_token.fold(Usage::default(), |merged, (_, usage)| merged.merged(*usage))
    }

    /// Waits until something more is reported.
    pub(crate) async fn next_report(&self) {
        self.report.notified().await;
    }

    /// Adds the account and the user that tokens belong to.
    pub(crate) fn put_owner(&self) {
        self.put(AccountId::FIRST, Account { id: 1, ..Account::default() }.encode_to_vec());
        let user = User { id: 1, account: 1, role: 1, ..User::default() };
        self.put(UserId::FIRST, user.encode_to_vec());
        self.put(Key::Roles, Catalogue::standard().unwrap().to_bytes());
    }

    /// Adds a permanent token, as `change` makes it, and gives the string of its holder.
    pub(crate) fn put_token(&self, id: i64, change: impl FnOnce(&mut PermanentToken)) -> String {
        let id = TokenId::try_from(id).unwrap();
        let plain = Opaque::new("tessera").permanent(id, &SystemRandom::new()).unwrap();
        let mut record = PermanentToken {
            id: id.get(),
            account: 1,
            user: 1,
            role: 3022,
            hash: plain.hash().as_bytes().to_vec(),
            name: format!("token {id}"),
            audiences: vec!["cdn".to_owned()],
            created_at: NOW.millis() - 1_000,
            ..PermanentToken::default()
        };
        change(&mut record);
        self.put(id, record.encode_to_vec());
        plain.expose().to_owned()
    }
}

#[async_trait]
impl StoreReader for FakeStore {
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if let [Key::Token(_), ..] = keys {
            // Before it is told of: who hears of it may take the gate away.
            let gate = self.gate.lock().unwrap().clone();
            self.arrival.notify_one();
            if let Some(gate) = gate {
                gate.wait().await;
            }
        }
        self.reads.fetch_add(1, SeqCst);
        let answer = {
            let records = self.records.lock().unwrap();
            keys.iter().map(|key| records.get(key).cloned()).collect()
        };
        if let [Key::Token(_), ..] = keys
            && let Some(effect) = &*self.meanwhile.lock().unwrap()
        {
            effect();
        }
        if self.cut.lock().unwrap().is_some_and(|cut| keys.iter().any(cut)) {
            return Err(StoreError::Unavailable(INTERNALS.to_owned()));
        }
        Ok(answer)
    }

    fn follow(&self, changes: Arc<dyn Changes>, _: Duration) {
        if self.tells {
            *self.follower.lock().unwrap() = Some(changes);
        }
    }

    async fn report_usage(&self, notes: &[(TokenId, Usage)]) -> Result<(), StoreError> {
        if self.cut.lock().unwrap().is_some() {
            return Err(StoreError::Unavailable(INTERNALS.to_owned()));
        }
        self.reported.lock().unwrap().extend_from_slice(notes);
        self.report.notify_one();
        Ok(())
    }
}

/// A verifier under test.
pub(crate) struct Running {
    pub(crate) store: Arc<FakeStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) client: VerifierServiceClient<Channel>,
    pub(crate) channel: Channel,
    pub(crate) http: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    /// Starts one with these flags besides.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        Self::start_on(Arc::default(), flags).await
    }

    pub(crate) async fn start_on(store: Arc<FakeStore>, flags: &[&str]) -> Self {
        store.put_owner();
        let flags = ["tessera-verifier", "--store", "embedded:unused"].iter().chain(flags);
        let config = VerifierConfig::from_process_like(flags, |_: &str| None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = Listeners::bind(any, any, None).await.unwrap();
        let grpc = listeners.grpc.local_addr().unwrap();
        let http = listeners.http.local_addr().unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn({
            let (store, clock) = (store.clone(), clock.clone());
            async move {
                let shutdown = async { drop(stopped.await) };
                crate::serve(&config, store, clock, listeners, shutdown).await
            }
        });
        let channel = Channel::from_shared(format!("http://{grpc}")).unwrap();
        let channel = channel.connect().await.unwrap();
        let client = VerifierServiceClient::new(channel.clone());
        Self { store, clock, client, channel, http, stop, ended }
    }

    /// Asks it to stop, as SIGTERM does; the result is how it ends.
    pub(crate) fn stop(self) -> JoinHandle<Result<(), ServeError>> {
        let _ = self.stop.send(());
        self.ended
    }

    /// The status line, the headers and the body of `GET path`.
    pub(crate) async fn get(&self, path: &str) -> String {
        http_get(self.http, path).await.unwrap()
    }
}

pub(crate) async fn http_get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The head of the answer, in lower case, and its body.
pub(crate) async fn ask_http(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (String, String) {
    let length = body.len();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n"
    );
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (format!("{}\r\n", head.to_lowercase()), body.to_owned())
}

/// A question about `token` that asks for nothing besides.
pub(crate) fn asking(token: &str) -> VerifyRequest {
    VerifyRequest { token: token.to_owned(), ..VerifyRequest::default() }
}
