//! One connection for all calls, kept up by a task of its own.
//!
//! The task connects, watches the connection end, and connects again, waiting
//! longer after each failure. So there is one attempt at a time however many
//! calls there are, and a call either has a connection, waits for the first
//! attempt, or fails at once with the reason why the last attempt failed.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use ::redis::{
    Cmd, ErrorKind, FromRedisValue, PushInfo, RedisError, ServerErrorKind,
    aio::MultiplexedConnection,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::{AbortHandle, JoinHandle},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{follow::Follower, names::Names, scripts::Call, settings::RedisSettings, transport};
use crate::store::StoreError;

const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The source of connections to one server.
pub(super) struct Links {
    server: Arc<Server>,
    status: watch::Sender<Status>,
    keeper: OnceLock<AbortHandle>,
}

/// What every new connection needs to know.
struct Server {
    settings: RedisSettings,
    names: Arc<Names>,
    follower: OnceLock<Follower>,
}

#[derive(Clone)]
enum Status {
    /// The first attempt is under way, at start or after a loss.
    Connecting,
    Up(Arc<Link>),
    /// The last attempt failed; others follow.
    Down(Arc<str>),
}

struct Link {
    connection: MultiplexedConnection,
    /// Told when a call finds the connection useless.
    broken: Notify,
    driver: AbortHandle,
}

/// Why a command has no answer.
enum Failure {
    UnknownScript,
    Store(StoreError),
}

impl Links {
    pub(super) fn new(settings: RedisSettings, names: Arc<Names>) -> Self {
        let links = Self {
            server: Arc::new(Server { settings, names, follower: OnceLock::new() }),
            status: watch::Sender::new(Status::Connecting),
            keeper: OnceLock::new(),
        };
        if Handle::try_current().is_ok() {
            links.start();
        }
        links
    }

    pub(super) fn settings(&self) -> &RedisSettings {
        &self.server.settings
    }

    /// From the next connection on, which is made now if there is one already.
    pub(super) fn follow(&self, follower: Follower) {
        if self.server.follower.set(follower).is_err() {
            tracing::error!("the store is followed already");
        } else if let Status::Up(link) = &*self.status.borrow() {
            link.broken.notify_one();
        }
    }

    /// Sends one command and reads its answer, within the deadline.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.server.settings.deadline;
        self.attempt(command, deadline).await.map_err(Failure::into_store_error)
    }

    /// Runs a script, within the deadline.
    pub(super) async fn run<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.server.settings.deadline;
        match self.attempt(call.by_digest(), deadline).await {
            // Known to have done nothing, so it is safe to send again.
            Err(Failure::UnknownScript) => self.attempt(&call.by_source(), deadline).await,
            answer => answer,
        }
        .map_err(Failure::into_store_error)
    }

    async fn attempt<T: FromRedisValue>(
        &self,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<T, Failure> {
        let link = timeout_at(deadline, self.link())
            .await
            .unwrap_or_else(|_| Err(unavailable("no connection within the deadline")))?;
        let mut connection = link.connection.clone();
        match timeout_at(deadline, command.query_async(&mut connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if is_fatal(&error) {
                    link.broken.notify_one();
                }
                Err(failure(&error))
            }
            Err(_) => {
                link.broken.notify_one();
                Err(unavailable("no answer within the deadline"))
            }
        }
    }

    async fn link(&self) -> Result<Arc<Link>, Failure> {
        self.start();
        // Nearly always; there is no need to wait for a change then.
        if let Status::Up(link) = &*self.status.borrow() {
            return Ok(link.clone());
        }
        let mut changes = self.status.subscribe();
        let status = changes
            .wait_for(|status| !matches!(status, Status::Connecting))
            .await
            .map_err(|_| unavailable("shutting down"))?;
        match &*status {
            Status::Up(link) => Ok(link.clone()),
            Status::Down(reason) => Err(unavailable(reason)),
            Status::Connecting => Err(unavailable("connecting")),
        }
    }

    fn start(&self) {
        self.keeper.get_or_init(|| {
            let keep = keep_connected(self.server.clone(), self.status.clone());
            tokio::spawn(keep).abort_handle()
        });
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.abort();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn keep_connected(server: Arc<Server>, status: watch::Sender<Status>) {
    let address = &server.settings.address;
    loop {
        let (link, mut driver) = connect_at_last(&server, &status).await;
        let connected_at = Instant::now();
        tracing::info!(store.address = %address, "connected to the store");
        status.send_replace(Status::Up(link.clone()));
        // A link given up on lives as long as calls that were sent over it.
        tokio::select! {
            _ = &mut driver => {}
            () = link.broken.notified() => {}
            () = server.watch(&link) => {}
        }
        status.send_replace(Status::Connecting);
        tracing::warn!(store.address = %address, "lost the connection to the store");
        if connected_at.elapsed() < LONGEST_PAUSE {
            // A server that lets us in and throws us out must not be run down.
            sleep(FIRST_PAUSE).await;
        }
    }
}

async fn connect_at_last(
    server: &Arc<Server>,
    status: &watch::Sender<Status>,
) -> (Arc<Link>, JoinHandle<()>) {
    let address = &server.settings.address;
    let mut pause = FIRST_PAUSE;
    loop {
        let reason = match timeout(server.settings.deadline, server.connect()).await {
            Ok(Ok((link, driver))) => return (Arc::new(link), driver),
            Ok(Err(error)) => describe(&error),
            Err(_) => "no connection within the deadline".to_owned(),
        };
        if reason_is_new(&status.borrow(), &reason) {
            tracing::warn!(store.address = %address, reason, "can't connect to the store; trying on");
        }
        status.send_replace(Status::Down(reason.into()));
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

impl Server {
    async fn connect(self: &Arc<Self>) -> Result<(Link, JoinHandle<()>), RedisError> {
        let server = self.clone();
        let take = move |push: PushInfo| {
            if let Some(follower) = server.follower.get() {
                follower.take(&server.names, &push);
            }
            Ok::<_, std::convert::Infallible>(())
        };
        let (mut connection, driver) = transport::connect(&self.settings, take).await?;
        if let Some(follower) = self.follower.get() {
            follower.begin(&self.names, &mut connection).await?;
        }
        let broken = Notify::new();
        Ok((Link { connection, broken, driver: driver.abort_handle() }, driver))
    }

    /// Until the link is of no more use to one who follows.
    async fn watch(&self, link: &Link) {
        match self.follower.get() {
            Some(follower) => {
                let (connection, deadline) = (link.connection.clone(), self.settings.deadline);
                follower.watch(&self.names, connection, deadline).await;
            }
            None => std::future::pending().await,
        }
    }
}

fn reason_is_new(status: &Status, reason: &str) -> bool {
    !matches!(status, Status::Down(last) if **last == *reason)
}

/// Whether the connection is of no more use. A server that has become read-only
/// is a demoted primary: its name may lead to another one by now.
fn is_fatal(error: &RedisError) -> bool {
    error.is_unrecoverable_error() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

fn failure(error: &RedisError) -> Failure {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoScript) => Failure::UnknownScript,
        ErrorKind::UnexpectedReturnType => {
            Failure::Store(StoreError::Damaged("an answer is of another type than its key has"))
        }
        _ => unavailable(&describe(error)),
    }
}

/// What went wrong, without the server's words where they may repeat what was
/// sent: an old server answers HELLO with the password in its error.
pub(super) fn describe(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::Io => error.to_string(),
        ErrorKind::AuthenticationFailed => {
            "the server refused the user name or the password".to_owned()
        }
        ErrorKind::RESP3NotSupported => {
            "the server does not speak RESP3: Redis 6 or later is needed".to_owned()
        }
        ErrorKind::Server(ServerErrorKind::ResponseError) => {
            "the server refused the command (ERR)".to_owned()
        }
        _ => match (error.code(), error.detail()) {
            (Some("WRONGPASS"), _) => {
                "the server refused the user name or the password (WRONGPASS)".to_owned()
            }
            (Some("NOAUTH"), _) => "the server wants a password (NOAUTH)".to_owned(),
            (Some(code), Some(detail)) => format!("{code} {detail}"),
            (Some(code), None) => code.to_owned(),
            (None, _) => error.category().to_owned(),
        },
    }
}

fn unavailable(reason: &str) -> Failure {
    Failure::Store(StoreError::Unavailable(reason.to_owned()))
}

impl Failure {
    fn into_store_error(self) -> StoreError {
        match self {
            Self::UnknownScript => {
                StoreError::Unavailable("the server forgot a script it was just sent".to_owned())
            }
            Self::Store(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use ::redis::{Value, parse_redis_value};

    use super::*;

    fn server_error(line: &str) -> RedisError {
        let answer = parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        match answer {
            Value::ServerError(error) => error.into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn server_words_that_may_repeat_what_was_sent_are_not_passed_on() {
        let old =
            "ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `a`, `hunter2`";
        assert!(!describe(&server_error(old)).contains("hunter2"));
    }

    #[test]
    fn server_words_that_help_are_passed_on() {
        for line in ["OOM command not allowed when used memory > 'maxmemory'.", "MISCONF no disk"] {
            assert_eq!(describe(&server_error(line)), line);
        }
    }

    #[test]
    fn demoted_primary_is_left() {
        assert!(is_fatal(&server_error("READONLY You can't write against a read only replica.")));
        assert!(!is_fatal(&server_error("OOM command not allowed")));
    }
}
