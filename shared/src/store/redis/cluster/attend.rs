//! The link to one node, kept up, and what the node reports.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use ::redis::{PushInfo, Value, cmd, pipe};
use tokio::{
    sync::mpsc::Sender,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{Shared, slots::tag_of, view::View};
use crate::store::redis::{
    failure::describe,
    follow::is_beat,
    link::Link,
    settings::{Address, Endpoint, RedisSettings},
    tls::Security,
    transport,
};

const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// At least as often a node reports.
const INTERVAL: Duration = Duration::from_millis(250);
/// Reports that are asked for come no closer.
const SHORTEST: Duration = Duration::from_millis(2);

/// Something about a node.
pub(super) enum Event {
    Linked(Arc<Link>),
    Reported(Report),
    /// The link is lost, or there was none to be had.
    Lost(Arc<str>),
}

/// What a node said.
pub(super) struct Report {
    /// When it was asked.
    pub(super) sent: Instant,
    pub(super) view: View,
    /// Its heartbeat went up since it was asked before, or it has nothing to answer for.
    pub(super) proves: bool,
}

/// Keeps a link to the node up, and has it report.
pub(super) async fn attend(
    shared: Arc<Shared>,
    id: String,
    address: Address,
    events: Sender<(String, Event)>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let reason = match timeout(shared.settings.deadline, shared.connect(&address)).await {
            Ok(Ok(link)) => {
                pause = FIRST_PAUSE;
                let link = Arc::new(link);
                let _ = events.send((id.clone(), Event::Linked(link.clone()))).await;
                shared.report(&link, &id, &events).await;
                link.give_up();
                format!("lost the connection to {address}")
            }
            Ok(Err(reason)) => format!("{address}: {reason}"),
            Err(_) => format!("{address}: no connection within the deadline"),
        };
        if events.send((id.clone(), Event::Lost(reason.into()))).await.is_err() {
            return;
        }
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

impl Shared {
    async fn connect(self: &Arc<Self>, address: &Address) -> Result<Link, String> {
        let shared = self.clone();
        let take = move |push: PushInfo| {
            if let Some(follower) = shared.follower.get() {
                follower.take(&shared.names, &push);
            }
            Ok::<_, Infallible>(())
        };
        let link = Link::open(address, &self.settings, true, take).await;
        let link = link.map_err(|error| describe(&error))?;
        if let Some(follower) = self.follower.get() {
            let begun = follower.begin(&self.names, &mut link.connection()).await;
            begun.map_err(|error| describe(&error))?;
        }
        Ok(link)
    }

    /// Asks the node over and over, until the link is lost.
    async fn report(&self, link: &Link, id: &str, events: &Sender<(String, Event)>) {
        let period = self.follower.get().map_or(INTERVAL, |follower| follower.interval * 2);
        let mut ticks = interval(period.clamp(SHORTEST, INTERVAL));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked = self.asked.subscribe();
        let mut heartbeat = Heartbeat::default();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = asked.changed() => {}
                () = link.until_broken() => return,
            }
            asked.mark_unchanged();
            let sent = Instant::now();
            let Some((view, beat)) = self.ask(link, &heartbeat, sent).await else { return };
            let proves = heartbeat.proves(self, &view, beat);
            let report = Event::Reported(Report { sent, view, proves });
            if events.send((id.to_owned(), report)).await.is_err() {
                return;
            }
            sleep(SHORTEST).await;
        }
    }

    async fn ask(
        &self,
        link: &Link,
        heartbeat: &Heartbeat,
        sent: Instant,
    ) -> Option<(View, Option<Value>)> {
        let mut commands = pipe();
        commands.cmd("CLUSTER").arg("NODES");
        if let (Some(_), Some(name)) = (self.follower.get(), &heartbeat.name) {
            commands.cmd("GET").arg(name);
        }
        let answers = link.query_all(&commands, sent + self.settings.deadline).await;
        let mut answers = answers.map_err(|failure| tell(link, &failure)).ok()?.into_iter();
        let text: String = link.read(answers.next()?).map_err(|f| tell(link, &f)).ok()?;
        let view = View::parse(&text)?;
        Some((view, answers.next()))
    }

    /// Asks nodes whose place is known from the start, for want of a better.
    pub(super) async fn ask_seeds(&self) -> Result<View, String> {
        ask_seeds(&self.settings, &self.security, &self.seeds).await
    }
}

/// What the first of these nodes says that answers.
pub(super) async fn ask_seeds(
    settings: &RedisSettings,
    security: &Security,
    seeds: &[Endpoint],
) -> Result<View, String> {
    let mut reason = "no node is named".to_owned();
    for seed in seeds {
        match timeout(settings.deadline, ask_seed(settings, security, seed)).await {
            Ok(Ok(view)) => return Ok(view),
            Ok(Err(why)) => reason = format!("{seed}: {why}"),
            Err(_) => reason = format!("{seed}: no answer within the deadline"),
        }
    }
    Err(reason)
}

/// What the node at `seed` says, over a connection for this alone.
async fn ask_seed(
    settings: &RedisSettings,
    security: &Security,
    seed: &Endpoint,
) -> Result<View, String> {
    let address = security.address(seed).map_err(|error| error.to_string())?;
    let ignore = |_| Ok::<_, Infallible>(());
    let opened = transport::connect(&address, &settings.login, 0, ignore).await;
    let (mut connection, driver) = opened.map_err(|error| describe(&error))?;
    let mut question = cmd("CLUSTER");
    question.arg("NODES");
    let answer = async {
        let text = question.query_async::<String>(&mut connection).await;
        text.map_err(|error| match error.code() {
            Some("ERR") => "the server is not in a cluster".to_owned(),
            _ => describe(&error),
        })
    };
    let text = tokio::select! {
        text = answer => text?,
        () = driver => return Err("the connection was lost".to_owned()),
    };
    let mut view = View::parse(&text).ok_or("CLUSTER NODES answered something else")?;
    // A node that nobody met does not know its own address.
    let myself = view.nodes.iter_mut().find(|node| node.is_myself);
    if let Some(myself) = myself {
        myself.address.get_or_insert_with(|| seed.clone());
    }
    Ok(view)
}

fn tell(link: &Link, failure: &crate::store::redis::failure::Failure) {
    tracing::debug!(store.address = %link.address(), ?failure, "a node does not report");
}

/// The heartbeat of one node: a key in a slot that it has.
#[derive(Default)]
struct Heartbeat {
    slot: Option<u16>,
    name: Option<String>,
    last: Option<Value>,
}

impl Heartbeat {
    /// Takes what was read, and looks for which key to read next.
    fn proves(&mut self, shared: &Shared, view: &View, beat: Option<Value>) -> bool {
        let beat = beat.filter(is_beat);
        let went_up = beat.is_some() && self.last.is_some() && beat != self.last;
        self.last = beat;
        let Some(myself) = view.myself() else { return false };
        let slot = myself.highest_slot();
        if slot != self.slot {
            let name = slot.map(|slot| shared.names.heartbeat(Some(&tag_of(slot))));
            *self = Self { slot, name, last: None };
        }
        went_up || (slot.is_none() && !myself.imports)
    }
}
