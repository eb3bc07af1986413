//! One open link to one server: a connection that carries all commands, and, where
//! writes are to be confirmed by others, one more on which to wait for that.
//!
//! A link is *vouched for* at an instant: then the server was the primary, as its
//! witnesses or the heartbeat showed. What a server says that nobody has vouched for of
//! late is not believed, for a primary that a failover left behind goes on answering.
//! A single server has no witnesses, and is always believed.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use ::redis::{
    Cmd, FromRedisValue, Pipeline, RedisError, Value,
    aio::{AsyncPushSender, MultiplexedConnection},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep_until, timeout_at},
};

use super::{
    confirm::Waiting,
    failure::{Failure, is_fatal, unavailable},
    settings::{Address, RedisSettings},
    transport::{self, Driver},
};
use crate::store::StoreError;

/// How long a vouching is good for. No failover of a cluster is as quick: from the moment at
/// which the old primary was last seen well, to the new one's first write, it takes as long
/// as the old one must be away to be given up (`cluster-node-timeout`). Under sentinels who
/// writes waits for as long (`sentinel`). Longer than it takes to ask all witnesses, one that
/// keeps silent among them.
pub(super) const GOOD_FOR: Duration = Duration::from_millis(800);

/// An open link. It is left, never mended.
pub(super) struct Link {
    address: Address,
    connection: MultiplexedConnection,
    waiting: Option<Waiting>,
    broken: watch::Sender<bool>,
    /// `None`: not yet, or there is nobody who could.
    vouched: watch::Sender<Option<Instant>>,
    /// The same, by sentinels or other primaries alone.
    witnessed: watch::Sender<Option<Instant>>,
    has_witnesses: bool,
    /// Before this instant no write is acknowledged.
    settled: OnceLock<Instant>,
    drivers: Vec<JoinHandle<()>>,
}

/// An answer, and who gave it.
pub(super) struct Answer {
    pub(super) value: Value,
    pub(super) link: Arc<Link>,
    /// The slot of the key was on its way there.
    pub(super) asking: bool,
}

impl Link {
    /// Connects and logs in; `pushes` gets what the server sends unasked.
    pub(super) async fn open(
        address: &Address,
        settings: &RedisSettings,
        has_witnesses: bool,
        pushes: impl AsyncPushSender,
    ) -> Result<Self, RedisError> {
        let broken = watch::Sender::new(false);
        let (connection, driver) =
            transport::connect(address, &settings.login, settings.database, pushes).await?;
        let mut drivers = vec![drive(driver, broken.clone())];
        let mut waiting = None;
        if !settings.guarantee.is_none() {
            let ignore = |_| Ok::<_, std::convert::Infallible>(());
            let line =
                transport::connect(address, &settings.login, settings.database, ignore).await?;
            drivers.push(drive(line.1, broken.clone()));
            waiting = Some(Waiting::new(line.0, settings.guarantee, settings.deadline));
        }
        Ok(Self {
            address: address.clone(),
            connection,
            waiting,
            broken,
            vouched: watch::Sender::new(None),
            witnessed: watch::Sender::new(None),
            has_witnesses,
            settled: OnceLock::new(),
            drivers,
        })
    }

    /// Where the server is.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The connection itself, for what goes on for as long as it does.
    pub(super) fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    /// Gives the link up: whoever keeps it opens another one.
    pub(super) fn give_up(&self) {
        self.broken.send_replace(true);
    }

    /// Until it is of no more use.
    pub(super) async fn until_broken(&self) {
        // Fails only when the sender is gone, and `self` has it.
        let _ = self.broken.subscribe().wait_for(|broken| *broken).await;
    }

    /// Sends one command and reads its answer.
    pub(super) async fn query<T: FromRedisValue>(
        &self,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<T, Failure> {
        let mut connection = self.connection.clone();
        match timeout_at(deadline.into(), command.query_async(&mut connection)).await {
            Ok(answer) => answer.map_err(|error| self.failed(error)),
            Err(_) => Err(self.silent()),
        }
    }

    /// Sends several commands in one go and reads their answers, an error of the server
    /// in the place of an answer.
    pub(super) async fn query_all(
        &self,
        commands: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Value>, Failure> {
        let mut connection = self.connection.clone();
        let count = commands.len();
        let answers = connection.send_packed_commands(commands, 0, count);
        let answers = match timeout_at(deadline.into(), answers).await {
            Ok(answers) => answers.map_err(|error| self.failed(error))?,
            Err(_) => return Err(self.silent()),
        };
        if answers.len() != count {
            return Err(Failure::Store(StoreError::Damaged("answers to other commands")));
        }
        Ok(answers)
    }

    /// What an answer says, when it came among others.
    pub(super) fn read<T: FromRedisValue>(&self, answer: Value) -> Result<T, Failure> {
        let answer = answer.extract_error().map_err(|error| self.failed(error))?;
        ::redis::from_redis_value(answer).map_err(|error| RedisError::from(error).into())
    }

    /// Waits until all that this server has answered so far is confirmed as the settings
    /// ask; `mark` is a key there that nobody reads.
    pub(super) async fn confirm(&self, mark: &str, asking: bool) -> Result<(), StoreError> {
        match &self.waiting {
            None => Ok(()),
            Some(waiting) => waiting.confirm(mark, asking).await,
        }
    }

    /// No write is acknowledged before this instant.
    pub(super) fn settle(&self, at: Instant) {
        // A link is admitted once.
        let _ = self.settled.set(at);
    }

    /// Until a write may be acknowledged.
    pub(super) async fn until_settled(&self) {
        if let Some(at) = self.settled.get() {
            sleep_until((*at).into()).await;
        }
    }

    /// At this instant the server was the primary.
    pub(super) fn vouch(&self, at: Instant) {
        raise(&self.vouched, at);
    }

    /// At this instant its witnesses saw it to be the primary, and nobody at work to replace it.
    pub(super) fn witness(&self, at: Instant) {
        raise(&self.witnessed, at);
        self.vouch(at);
    }

    /// Waits until they have said so at this instant or later; `ask` makes them speak. Where
    /// writes are not confirmed, there is nothing to wait for.
    ///
    /// # Errors
    /// [`StoreError::NotConfirmed`]: what was written before it may be lost yet.
    pub(super) async fn until_witnessed(
        &self,
        since: Instant,
        deadline: Instant,
        ask: impl Fn(),
    ) -> Result<(), StoreError> {
        if self.waiting.is_none() {
            return Ok(());
        }
        let mut witnessed = self.witnessed.subscribe();
        ask();
        let since = |at: &Option<Instant>| at.is_some_and(|at| at >= since);
        let reason = tokio::select! {
            found = witnessed.wait_for(since) => match found {
                Ok(_) => return Ok(()),
                Err(_) => "shutting down",
            },
            () = self.until_broken() => "the connection was lost",
            () = sleep_until(deadline.into()) => {
                "nobody confirms within the deadline that the primary is not being replaced"
            }
        };
        Err(StoreError::NotConfirmed(reason.to_owned()))
    }

    /// Since when it is vouched for, if it ever was.
    pub(super) fn vouched(&self) -> Option<Instant> {
        *self.vouched.borrow()
    }

    /// Waits until an answer to what was sent at this instant can be believed; `ask`
    /// makes the witnesses speak.
    pub(super) async fn believe(
        &self,
        sent: Instant,
        deadline: Instant,
        ask: impl Fn(),
    ) -> Result<(), Failure> {
        if !self.has_witnesses {
            return Ok(());
        }
        let is_vouched = |vouched: &Option<Instant>| {
            vouched.is_some_and(|at| at >= sent || at.elapsed() <= GOOD_FOR)
        };
        if is_vouched(&self.vouched.borrow()) {
            return Ok(());
        }
        ask();
        let mut vouched = self.vouched.subscribe();
        tokio::select! {
            found = vouched.wait_for(is_vouched) => match found {
                Ok(_) => Ok(()),
                Err(_) => Err(unavailable("shutting down")),
            },
            () = self.until_broken() => Err(unavailable("the connection was lost")),
            () = sleep_until(deadline.into()) => Err(unavailable(
                "nobody confirms within the deadline that the server is still the primary",
            )),
        }
    }

    fn failed(&self, error: RedisError) -> Failure {
        if is_fatal(&error) {
            self.give_up();
        }
        error.into()
    }

    fn silent(&self) -> Failure {
        self.give_up();
        unavailable("no answer within the deadline")
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.drivers.iter().for_each(JoinHandle::abort);
    }
}

fn raise(instant: &watch::Sender<Option<Instant>>, at: Instant) {
    instant.send_if_modified(|known| {
        let later = known.is_none_or(|before| before < at);
        if later {
            *known = Some(at);
        }
        later
    });
}

fn drive(driver: Driver, broken: watch::Sender<bool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        driver.await;
        broken.send_replace(true);
    })
}
