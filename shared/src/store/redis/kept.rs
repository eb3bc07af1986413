//! One primary for all calls: a server of its own, or the one that sentinels name.
//!
//! A task connects, watches the link end, and connects again, waiting longer after each
//! failure. So there is one attempt at a time however many calls there are, and a call
//! either has a link, waits for the first attempt, or fails at once with the reason why
//! the last attempt failed.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use ::redis::PushInfo;
use tokio::{
    runtime::Handle,
    sync::watch,
    task::AbortHandle,
    time::{sleep, timeout, timeout_at},
};

use super::{
    failure::{Failure, describe, unavailable},
    follow::Follower,
    link::Link,
    names::Names,
    role::{Role, role_of},
    sentinel::Sentinels,
    settings::{Address, RedisSettings},
};
use crate::{store::StoreError, told::Told};

/// How often a server without witnesses is asked whether it is a primary still.
const INTERVAL: Duration = Duration::from_millis(250);
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// Between two attempts to reach a server that is down.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Between two questions for the primary while there is none: a failover is short.
const LONGEST_PAUSE_OF_SENTINELS: Duration = Duration::from_millis(200);

/// The link to the one primary, kept up.
pub(super) struct Kept {
    server: Arc<Server>,
    status: watch::Sender<Status>,
    keeper: OnceLock<AbortHandle>,
}

/// What every new link needs to know.
struct Server {
    place: Place,
    settings: Arc<RedisSettings>,
    names: Arc<Names>,
    follower: OnceLock<Follower>,
    /// Goes up with each link.
    connected: watch::Sender<u64>,
}

/// Where the primary is.
pub(super) enum Place {
    Here(Address),
    Named(Sentinels),
}

#[derive(Clone)]
enum Status {
    /// The first attempt is under way, at start or after a loss.
    Connecting,
    Up(Arc<Link>),
    /// The last attempt failed; others follow.
    Down(Arc<str>),
}

impl Kept {
    pub(super) fn new(
        place: Place,
        settings: Arc<RedisSettings>,
        names: Arc<Names>,
        connected: watch::Sender<u64>,
    ) -> Self {
        let follower = OnceLock::new();
        let kept = Self {
            server: Arc::new(Server { place, settings, names, follower, connected }),
            status: watch::Sender::new(Status::Connecting),
            keeper: OnceLock::new(),
        };
        if Handle::try_current().is_ok() {
            kept.start();
        }
        kept
    }

    /// From the next link on, which is made now if there is one already.
    pub(super) fn follow(&self, follower: Follower) {
        if self.server.follower.set(follower).is_err() {
            tracing::error!("the store is followed already");
        } else if let Status::Up(link) = &*self.status.borrow() {
            link.give_up();
        }
    }

    /// The link, once there is one or none can be had.
    pub(super) async fn link(&self, deadline: Instant) -> Result<Arc<Link>, Failure> {
        self.start();
        // Nearly always; there is no need to wait for a change then.
        if let Status::Up(link) = &*self.status.borrow() {
            return Ok(link.clone());
        }
        let mut changes = self.status.subscribe();
        let known = changes.wait_for(|status| !matches!(status, Status::Connecting));
        let status = timeout_at(deadline.into(), known)
            .await
            .map_err(|_| unavailable("no connection within the deadline"))?
            .map_err(|_| unavailable("shutting down"))?;
        match &*status {
            Status::Up(link) => Ok(link.clone()),
            Status::Down(reason) => Err(unavailable(&**reason)),
            Status::Connecting => Err(unavailable("connecting")),
        }
    }

    /// Makes the sentinels say again who is the primary.
    pub(super) fn ask_witnesses(&self) {
        if let Place::Named(sentinels) = &self.server.place {
            sentinels.ask_now();
        }
    }

    /// Waits until what `link` has confirmed by now is safe from a failover: see `sentinel`.
    pub(super) async fn until_safe(
        &self,
        link: &Link,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        match &self.server.place {
            Place::Here(_) => Ok(()),
            Place::Named(sentinels) => {
                link.until_witnessed(Instant::now(), deadline, || sentinels.ask_now()).await
            }
        }
    }

    fn start(&self) {
        self.keeper.get_or_init(|| {
            let keep = keep_connected(self.server.clone(), self.status.clone());
            tokio::spawn(keep).abort_handle()
        });
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.abort();
        }
    }
}

async fn keep_connected(server: Arc<Server>, status: watch::Sender<Status>) {
    loop {
        let link = connect_at_last(&server, &status).await;
        let connected_at = Instant::now();
        tracing::info!(store.address = %link.address(), "connected to the store");
        status.send_replace(Status::Up(link.clone()));
        server.connected.send_modify(|count| *count += 1);
        // A link given up on lives as long as calls that were sent over it.
        tokio::select! {
            () = link.until_broken() => {}
            () = server.watch(&link) => {}
            () = server.place.attend(&link, server.settings.deadline) => {}
        }
        link.give_up();
        status.send_replace(Status::Connecting);
        tracing::warn!(store.address = %link.address(), "lost the connection to the store");
        if connected_at.elapsed() < LONGEST_PAUSE {
            // A server that lets us in and throws us out must not be run down.
            sleep(FIRST_PAUSE).await;
        }
    }
}

async fn connect_at_last(server: &Arc<Server>, status: &watch::Sender<Status>) -> Arc<Link> {
    let (mut pause, mut told) = (FIRST_PAUSE, Told::default());
    loop {
        let reason = match timeout(server.settings.deadline, server.connect()).await {
            Ok(Ok(link)) => return Arc::new(link),
            Ok(Err(reason)) => reason,
            Err(_) => "no connection within the deadline".to_owned(),
        };
        if told.is_new(&reason) {
            tracing::warn!(store = %server.place, reason, "can't connect to the store; trying on");
        }
        status.send_replace(Status::Down(reason.into()));
        sleep(pause).await;
        pause = server.place.longest_pause().min(pause * 2);
    }
}

impl Server {
    async fn connect(self: &Arc<Self>) -> Result<Link, String> {
        let address = self.place.find(&self.settings).await?;
        let server = self.clone();
        let take = move |push: PushInfo| {
            if let Some(follower) = server.follower.get() {
                follower.take(&server.names, &push);
            }
            Ok::<_, std::convert::Infallible>(())
        };
        let has_witnesses = matches!(self.place, Place::Named(_));
        let link = Link::open(&address, &self.settings, has_witnesses, take).await;
        let link = link.map_err(|error| describe(&error))?;
        if let Some(follower) = self.follower.get() {
            let begun = follower.begin(&self.names, &mut link.connection()).await;
            begun.map_err(|error| describe(&error))?;
        }
        // After all that: an old primary that wakes up now is not let in.
        self.place.admit(&link, self.settings.deadline).await?;
        Ok(link)
    }

    /// Until the link is of no more use to one who follows.
    async fn watch(&self, link: &Link) {
        match self.follower.get() {
            Some(follower) => follower.watch(&self.names, link, self.settings.deadline).await,
            None => std::future::pending().await,
        }
    }
}

impl Place {
    async fn find(&self, settings: &RedisSettings) -> Result<Address, String> {
        match self {
            Self::Here(address) => Ok(address.clone()),
            Self::Named(sentinels) => sentinels.find(settings.deadline).await,
        }
    }

    async fn admit(&self, link: &Link, deadline: Duration) -> Result<(), String> {
        match self {
            // What lags behind another server proves nothing, and may lag for ever.
            Self::Here(_) => match role_of(link, deadline).await? {
                Role::Primary | Role::Untold => Ok(()),
                Role::Replica => Err("the server is a replica: name the primary".to_owned()),
            },
            Self::Named(sentinels) => sentinels.admit(link, deadline).await,
        }
    }

    /// Until the link leads to a primary no more.
    async fn attend(&self, link: &Link, deadline: Duration) {
        match self {
            // One that does not answer is another's matter.
            Self::Here(_) => loop {
                sleep(INTERVAL).await;
                if role_of(link, deadline).await == Ok(Role::Replica) {
                    tracing::warn!(store.address = %link.address(), "the server is a replica now");
                    return;
                }
            },
            Self::Named(sentinels) => sentinels.attend(link, deadline).await,
        }
    }

    const fn longest_pause(&self) -> Duration {
        match self {
            Self::Here(_) => LONGEST_PAUSE,
            Self::Named(_) => LONGEST_PAUSE_OF_SENTINELS,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Here(address) => address.fmt(f),
            Self::Named(sentinels) => sentinels.fmt(f),
        }
    }
}
