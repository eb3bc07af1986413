//! The primary that sentinels name.
//!
//! A server is believed to be the primary when it says so itself (`ROLE`) and a majority
//! of all sentinels names it and sees nothing wrong with it.
//!
//! A sentinel that names the new primary never names the old one again. So once a majority has
//! named the new one, at an instant T, none that was asked after it names the old one: the
//! last that anybody learned in favour of the old one, he asked for before T, and he believes it
//! until T + [`GOOD_FOR`]. Who counts heartbeats there, and who reads them, asks the sentinels each
//! [`INTERVAL`], and leaves then. Until all that is over, nobody who writes to the new primary
//! acknowledges anything ([`SETTLING`]). This holds whatever the failover was like: when
//! sentinels find a primary down that its clients reach, and when one is replaced by hand while it
//! lives (`SENTINEL FAILOVER`), which is not told to be anything but a primary for eight seconds.
//!
//! The sentinel that leads a failover goes through with it though the primary is back by then and
//! the others, who gave it their votes, see nothing wrong any more. What such a primary takes may
//! be confirmed by a replica that is not the chosen one. So one sentinel that is replacing the
//! primary outweighs a majority, and a confirmed write is acknowledged once the sentinels have been
//! asked after that (`until_safe` in `kept`). A leader that reaches the others and not us is not
//! seen: there only confirmation by all replicas is proof.

use std::{
    collections::HashMap,
    fmt,
    sync::PoisonError,
    time::{Duration, Instant},
};

use ::redis::{RedisError, aio::MultiplexedConnection, cmd};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::{
    sync::{Mutex, Notify},
    time::{sleep, timeout_at},
};

use super::{
    failure::describe,
    link::{GOOD_FOR, Link},
    role::{Role, role_of},
    settings::{Address, Endpoint, SentinelSettings},
    transport,
};

/// How often the sentinels are asked while all is well.
const INTERVAL: Duration = Duration::from_millis(250);
/// From when a majority names another primary until nobody believes the one before it.
const SETTLING: Duration = GOOD_FOR.saturating_add(INTERVAL);
/// What in the flags of a primary speaks against it.
const DOUBTS: [&str; 2] = ["s_down", "o_down"];
/// What there says that the sentinel is replacing it.
const AT_WORK: [&str; 2] = ["failover_in_progress", "force_failover"];
/// Once a majority agrees, how long the others get to object.
const OBJECTION: Duration = Duration::from_millis(100);

/// All sentinels of one primary.
pub(super) struct Sentinels {
    settings: SentinelSettings,
    connections: Vec<Mutex<Option<Open>>>,
    asked: Notify,
    /// The primary that a majority named last, and when we first heard of it.
    last: std::sync::Mutex<Option<(Endpoint, Instant)>>,
}

/// A connection to a sentinel, with the task that drives it.
struct Open(MultiplexedConnection, tokio::task::JoinHandle<()>);

/// What one sentinel says.
#[derive(Debug, PartialEq, Eq)]
struct Report {
    primary: Endpoint,
    health: Health,
    /// How many sentinels there are.
    sentinels: usize,
}

/// What a sentinel thinks of the primary that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    Down,
    /// This sentinel is putting another one in its place.
    BeingReplaced,
}

impl Sentinels {
    pub(super) fn new(settings: SentinelSettings) -> Self {
        let connections = settings.sentinels.iter().map(|_| Mutex::new(None)).collect();
        Self { settings, connections, asked: Notify::new(), last: Default::default() }
    }

    /// Has them asked at once.
    pub(super) fn ask_now(&self) {
        self.asked.notify_one();
    }

    /// Where the primary is.
    pub(super) async fn find(&self, deadline: Duration) -> Result<Address, String> {
        self.find_since(deadline).await.map(|(primary, _)| primary)
    }

    /// Where it is, and since when we know that a majority names it.
    async fn find_since(&self, deadline: Duration) -> Result<(Address, Instant), String> {
        let named = self.named(deadline).await?;
        let since = self.since(&named);
        let primary = self.settings.security.address(&named).map_err(|error| error.to_string())?;
        Ok((primary, since))
    }

    fn since(&self, primary: &Endpoint) -> Instant {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, since)) if known == primary => *since,
            _ => last.insert((primary.clone(), Instant::now())).1,
        }
    }

    /// Whether the server at the end of a new link is the primary.
    pub(super) async fn admit(&self, link: &Link, deadline: Duration) -> Result<(), String> {
        let at = Instant::now();
        is_primary(link, deadline).await?;
        let (primary, since) = self.find_since(deadline).await?;
        if !is_at(link, &primary) {
            return Err(format!("the sentinels name {primary}"));
        }
        link.settle(since + SETTLING);
        link.witness(at);
        Ok(())
    }

    /// Vouches for the link, over and over, until it leads to a primary no more.
    pub(super) async fn attend(&self, link: &Link, deadline: Duration) {
        loop {
            tokio::select! {
                () = sleep(INTERVAL) => {}
                () = self.asked.notified() => {}
            }
            let at = Instant::now();
            // First, since a server that is slow to answer must not keep us.
            let named = self.find(deadline).await;
            if let Some(primary) = named.as_ref().ok().filter(|primary| !is_at(link, primary)) {
                tracing::warn!(store.address = %link.address(), %primary, "the sentinels name another primary");
                return;
            }
            if let Err(reason) = is_primary(link, deadline).await {
                tracing::warn!(store.address = %link.address(), reason, "leaving the server");
                return;
            }
            match named {
                Ok(_) => link.witness(at),
                Err(reason) => tracing::debug!(reason, "the sentinels do not confirm the primary"),
            }
        }
    }

    async fn named(&self, deadline: Duration) -> Result<Endpoint, String> {
        let silent = || Err("no answer within the deadline".to_owned());
        let sentinels = self.settings.sentinels.iter().zip(&self.connections);
        let mut reports: Vec<_> = sentinels.clone().map(|_| silent()).collect();
        let asked = sentinels.enumerate().map(|(place, (at, connection))| async move {
            (place, self.ask(at, connection).await)
        });
        let mut asked: FuturesUnordered<_> = asked.collect();
        let mut until = Instant::now() + deadline / 2;
        while let Ok(Some((place, report))) = timeout_at(until.into(), asked.next()).await {
            if let Some(known) = reports.get_mut(place) {
                *known = report;
            }
            // One that is away must not hold up each write.
            if judge(&reports).is_ok() {
                until = until.min(Instant::now() + OBJECTION);
            }
        }
        judge(&reports)
    }

    async fn ask(&self, at: &Endpoint, connection: &Mutex<Option<Open>>) -> Result<Report, String> {
        let mut connection = connection.lock().await;
        // Taken out, so that it is gone when this is cut short or fails.
        let mut open = match connection.take() {
            Some(open) if !open.1.is_finished() => open,
            _ => self.open(at).await?,
        };
        let mut question = cmd("SENTINEL");
        question.arg("MASTER").arg(&self.settings.master);
        let answer: Result<HashMap<String, String>, RedisError> =
            question.query_async(&mut open.0).await;
        let answer = answer.map_err(|error| match error.code() {
            Some("ERR") => format!("{at} knows no primary of this name"),
            _ => describe(&error),
        })?;
        *connection = Some(open);
        Report::of(&answer).ok_or_else(|| format!("{at} answered something else"))
    }

    async fn open(&self, at: &Endpoint) -> Result<Open, String> {
        let SentinelSettings { login, security, .. } = &self.settings;
        let address = security.address(at).map_err(|error| error.to_string())?;
        let ignore = |_| Ok::<_, std::convert::Infallible>(());
        let opened = transport::connect(&address, login, 0, ignore).await;
        let (connection, driver) = opened.map_err(|error| format!("{at}: {}", describe(&error)))?;
        Ok(Open(connection, tokio::spawn(driver)))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.1.abort();
    }
}

impl Report {
    fn of(answer: &HashMap<String, String>) -> Option<Self> {
        let others: usize = answer.get("num-other-sentinels")?.parse().ok()?;
        let host = answer.get("ip")?.clone();
        let port = answer.get("port")?.parse().ok()?;
        let flags = answer.get("flags")?;
        let has = |some: &[&str]| flags.split(',').any(|flag| some.contains(&flag));
        let health = if has(&AT_WORK) {
            Health::BeingReplaced
        } else if has(&DOUBTS) {
            Health::Down
        } else {
            Health::Well
        };
        Some(Self { primary: Endpoint { host, port }, health, sentinels: others + 1 })
    }
}

/// The primary that a majority names and sees nothing wrong with, and none is replacing.
fn judge(reports: &[Result<Report, String>]) -> Result<Endpoint, String> {
    let known = reports.iter().flatten().map(|report| report.sentinels).max().unwrap_or(0);
    let needed = known.max(reports.len()) / 2 + 1;
    let mut votes: HashMap<&Endpoint, usize> = HashMap::new();
    let (mut doubts, mut failure) = (0, None);
    for report in reports {
        match report {
            Ok(Report { primary, health: Health::Well, .. }) => {
                *votes.entry(primary).or_default() += 1;
            }
            Ok(_) => doubts += 1,
            Err(reason) => failure = Some(reason),
        }
    }
    let most = votes.values().copied().max().unwrap_or(0);
    if let Some((primary, _)) = votes.into_iter().find(|(_, count)| *count >= needed) {
        let replaces =
            |report: &Report| report.health == Health::BeingReplaced && report.primary == *primary;
        if reports.iter().flatten().any(replaces) {
            return Err(format!("a sentinel is replacing the primary {primary}"));
        }
        return Ok(primary.clone());
    }
    if reports.len() < needed {
        return Err(format!(
            "the store URL names {} sentinels of {known}, and {needed} have to agree: name them all",
            reports.len()
        ));
    }
    let more = failure.map(|reason| format!("; {reason}")).unwrap_or_default();
    Err(format!(
        "{needed} sentinels have to agree on a primary; {most} do, {doubts} see it down{more}"
    ))
}

fn is_at(link: &Link, primary: &Address) -> bool {
    link.address().to_string() == primary.to_string()
}

/// Whether the server says itself that it is a primary.
async fn is_primary(link: &Link, deadline: Duration) -> Result<(), String> {
    match role_of(link, deadline).await? {
        Role::Primary => Ok(()),
        Role::Replica => Err("the server is a replica".to_owned()),
        Role::Untold => Err("the server refused ROLE".to_owned()),
    }
}

impl fmt::Display for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} sentinels", self.settings.master, self.settings.sentinels.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(host: &str, is_well: bool, sentinels: usize) -> Result<Report, String> {
        let primary = Endpoint { host: host.to_owned(), port: 6379 };
        let health = if is_well { Health::Well } else { Health::Down };
        Ok(Report { primary, health, sentinels })
    }

    fn replaces(host: &str) -> Result<Report, String> {
        says(host, true, 3).map(|report| Report { health: Health::BeingReplaced, ..report })
    }

    fn silent() -> Result<Report, String> {
        Err("out of reach".to_owned())
    }

    #[test]
    fn a_majority_of_all_sentinels_decides_and_none_less() {
        let named = |reports: Vec<_>| judge(&reports).map(|primary| primary.host);
        assert_eq!(named(vec![says("a", true, 3), says("a", true, 3), silent()]), Ok("a".into()));
        assert_eq!(named(vec![says("a", true, 1)]), Ok("a".into()));
        for undecided in [
            vec![says("a", true, 3), silent(), silent()],
            vec![says("a", true, 3), says("b", true, 3), silent()],
            vec![says("a", true, 3), says("a", false, 3), silent()],
            vec![says("a", true, 3), says("a", true, 5), silent()],
            vec![silent()],
            vec![],
        ] {
            assert!(named(undecided).is_err());
        }
    }

    #[test]
    fn one_sentinel_that_replaces_the_primary_outweighs_a_majority() {
        let mut reports = [says("a", true, 3), says("a", true, 3), replaces("a")];
        assert!(judge(&reports).unwrap_err().contains("replacing"));
        // What it replaces is not what the others name by now.
        reports[2] = replaces("b");
        assert_eq!(judge(&reports).map(|primary| primary.host), Ok("a".into()));
    }

    #[test]
    fn a_url_that_names_too_few_sentinels_is_told_so() {
        let error = judge(&[says("a", true, 3)]).unwrap_err();
        assert!(error.contains("name them all"), "{error}");
    }

    #[test]
    fn flags_that_speak_of_a_failover_are_doubts() {
        let answer = |flags: &str| {
            let fields =
                [("ip", "10.0.0.1"), ("port", "1"), ("flags", flags), ("num-other-sentinels", "2")];
            fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
        };
        for (flags, health) in [
            ("master", Health::Well),
            ("master,disconnected", Health::Well),
            ("s_down,master", Health::Down),
            ("master,s_down,o_down", Health::Down),
            ("master,s_down,failover_in_progress", Health::BeingReplaced),
            ("master,failover_in_progress,force_failover", Health::BeingReplaced),
        ] {
            assert_eq!(Report::of(&answer(flags)).unwrap().health, health, "{flags}");
        }
    }
}
