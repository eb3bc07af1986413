//! A Redis Cluster: a link to every primary, and each command to the one that has its key.
//!
//! | module | what lives there |
//! |---|---|
//! | `slots` | which slot a key falls into |
//! | `view` | what one node says of the cluster |
//! | `attend` | the link to one node, kept up, and its reports |
//! | `survey` | which nodes there are |
//! | `trust` | what their reports are worth: who is believed, what is proven |
//! | `map` | the outcome: who has what |
//! | `route` | sending commands, and after keys that move |
//!
//! All primaries are followed, those without slots as well, so that a slot may move
//! between them unnoticed: whoever has it tells its changes.

mod attend;
mod map;
mod route;
mod slots;
mod survey;
mod trust;
mod view;

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use futures_util::future::join_all;
use tokio::{runtime::Handle, sync::watch, task::AbortHandle, time::timeout_at};

use self::{
    map::Map,
    slots::{slot_of, tag_of},
    view::{NodeLine, View},
};
use super::{
    failure::{Failure, unavailable},
    follow::Follower,
    link::{Answer, Link},
    names::Names,
    settings::{Address, Endpoint, RedisSettings},
    tls::Security,
};
use crate::store::StoreError;

/// A cluster.
pub(super) struct Cluster {
    shared: Arc<Shared>,
    surveyor: OnceLock<AbortHandle>,
}

/// Where the primaries are that own slots, as the first seed says that answers.
pub(super) async fn primaries(
    settings: &RedisSettings,
    seeds: &[Endpoint],
    security: &Security,
) -> Result<Vec<Address>, String> {
    let view = attend::ask_seeds(settings, security, seeds).await?;
    let owners = view.nodes.iter().filter(|node| node.is_primary && node.owns_slots());
    let mut addresses = Vec::new();
    for endpoints in owners.map(NodeLine::endpoints) {
        let place = survey::preferred(&endpoints, security);
        let address = place.map(|place| security.address(place)).transpose();
        addresses.extend(address.map_err(|error| error.to_string())?);
    }
    Ok(addresses)
}

/// By what the node at `place` is reached, as `CLUSTER NODES` in `text` says.
pub(super) fn announced(text: &str, place: &Endpoint, security: &Security) -> Option<Endpoint> {
    let view = View::parse(text)?;
    let node = view.nodes.iter().find(|node| node.address.as_ref() == Some(place))?;
    survey::preferred(&node.endpoints(), security).cloned()
}

/// What the tasks share.
struct Shared {
    seeds: Vec<Endpoint>,
    security: Security,
    settings: Arc<RedisSettings>,
    names: Arc<Names>,
    follower: OnceLock<Follower>,
    /// Goes up with each link.
    connected: watch::Sender<u64>,
    /// `None` until a first look has found something, or nothing.
    map: watch::Sender<Option<Arc<Map>>>,
    /// Goes up when all nodes are to report at once.
    asked: watch::Sender<u64>,
}

impl Cluster {
    pub(super) fn new(
        seeds: Vec<Endpoint>,
        security: Security,
        settings: Arc<RedisSettings>,
        names: Arc<Names>,
        connected: watch::Sender<u64>,
    ) -> Self {
        let shared = Shared {
            seeds,
            security,
            settings,
            names,
            follower: OnceLock::new(),
            connected,
            map: watch::Sender::new(None),
            asked: watch::Sender::new(0),
        };
        let cluster = Self { shared: Arc::new(shared), surveyor: OnceLock::new() };
        if Handle::try_current().is_ok() {
            cluster.start();
        }
        cluster
    }

    /// From the next links on, which are made now if there are some already.
    pub(super) fn follow(&self, follower: Follower) {
        if self.shared.follower.set(follower).is_err() {
            tracing::error!("the store is followed already");
        } else if let Some(map) = &*self.shared.map.borrow() {
            map.nodes.iter().for_each(|node| node.link.give_up());
        }
    }

    /// Waits until what `link` said can be believed.
    pub(super) async fn believe(
        &self,
        link: &Link,
        sent: Instant,
        deadline: Instant,
    ) -> Result<(), Failure> {
        link.believe(sent, deadline, || self.shared.ask_all()).await
    }

    /// Waits until a write of the key `name` is confirmed.
    pub(super) async fn confirm(&self, name: &str, answer: &Answer) -> Result<(), StoreError> {
        let own_slot = self.shared.map.borrow().as_ref().and_then(|map| {
            let node = map.nodes.iter().find(|node| Arc::ptr_eq(&node.link, &answer.link))?;
            node.own_slot
        });
        // A slot on its way to this node is the one that it surely takes a mark in.
        let slot = own_slot.filter(|_| !answer.asking).unwrap_or_else(|| slot_of(name));
        let mark = self.shared.names.mark(Some(&tag_of(slot)));
        answer.link.confirm(&mark, answer.asking).await?;
        let now = Instant::now();
        let deadline = now + self.shared.settings.deadline;
        answer.link.until_witnessed(now, deadline, || self.shared.ask_all()).await
    }

    /// Counts the heartbeat of every primary up.
    pub(super) async fn beat(&self, deadline: Instant) -> Result<(), StoreError> {
        let map = self.map(deadline).await.map_err(Failure::into_store_error)?;
        let beats = map.nodes.iter().filter_map(|node| Some((node, node.own_slot?)));
        let beats = beats.map(|(node, slot)| async move {
            let tag = tag_of(slot);
            node.link.confirm(&self.shared.names.mark(Some(&tag)), false).await?;
            let mut beat = ::redis::cmd("INCR");
            beat.arg(self.shared.names.heartbeat(Some(&tag)));
            let counted = node.link.query::<i64>(&beat, deadline).await;
            counted.map(drop).map_err(Failure::into_store_error)
        });
        let beats = join_all(beats).await.into_iter().collect::<Result<(), _>>();
        if map.is_whole() { beats } else { Err(nobody(&map, 0).into_store_error()) }
    }

    /// The map, once there is one.
    async fn map(&self, deadline: Instant) -> Result<Arc<Map>, Failure> {
        self.start();
        if let Some(map) = &*self.shared.map.borrow() {
            return Ok(map.clone());
        }
        let mut maps = self.shared.map.subscribe();
        let map = timeout_at(deadline.into(), maps.wait_for(Option::is_some)).await;
        let map = map.map_err(|_| unavailable("no connection within the deadline"))?;
        let map = map.map_err(|_| unavailable("shutting down"))?;
        map.clone().ok_or_else(|| unavailable("connecting"))
    }

    fn start(&self) {
        self.surveyor
            .get_or_init(|| tokio::spawn(survey::survey(self.shared.clone())).abort_handle());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(surveyor) = self.surveyor.get() {
            surveyor.abort();
        }
    }
}

impl Shared {
    /// Has all nodes report at once.
    fn ask_all(&self) {
        self.asked.send_modify(|times| *times = times.wrapping_add(1));
    }
}

fn nobody(map: &Map, slot: u16) -> Failure {
    unavailable(format!("no primary that can be believed has slot {slot}: {}", map.trouble))
}
