//! A cluster of three primaries with a replica each.

use std::{collections::BTreeMap, sync::Arc};

use redis::{RedisResult, Value, cmd};

use super::{Access, DOWN_AFTER_MILLIS, Member};
use crate::{port, users::OBSERVER, watch::eventually};

const PRIMARIES: usize = 3;
const SLOTS: u16 = 16_384;

/// Six nodes. All are killed when dropped.
pub struct Cluster {
    /// The first three begin as primaries.
    pub members: Vec<Member>,
    access: Arc<Access>,
}

/// What the cluster says of itself.
struct Line {
    id: String,
    port: u16,
    is_primary: bool,
    is_well: bool,
    slots: Vec<(u16, u16)>,
}

impl Cluster {
    /// Starts all nodes and waits until each has its part.
    pub async fn start() -> Self {
        Self::begin(Access::plain()).await
    }

    /// As [`Self::start`], over TLS alone, with certificates on both sides; those of the nodes
    /// are for a host name, or else for an address.
    pub async fn start_tls(by_name: bool) -> Self {
        Self::begin(Access::tls(by_name)).await
    }

    async fn begin(access: Access) -> Self {
        let access = Arc::new(access);
        let buses: Vec<u16> = (0..2 * PRIMARIES).map(|_| port::free().port()).collect();
        let mut common = format!(
            "cluster-enabled yes\ncluster-node-timeout {DOWN_AFTER_MILLIS}\n\
             cluster-require-full-coverage no\ncluster-allow-reads-when-down no\n"
        );
        if access.is_tls() {
            common += "tls-cluster yes\n";
        }
        if let Some(name) = access.name() {
            common += &format!(
                "cluster-announce-hostname {name}\ncluster-preferred-endpoint-type hostname\n"
            );
        }
        let members = buses.iter().map(|bus| {
            Member::start(port::free(), &access, &format!("{common}cluster-port {bus}\n"))
        });
        let cluster = Self { members: members.collect(), access };
        cluster.join(&buses).await;
        cluster
    }

    async fn join(&self, buses: &[u16]) {
        for (number, member) in self.members.iter().enumerate() {
            eventually("a node", || async { member.ask::<String>(&cmd("PING")).await.ok() }).await;
            let epoch = cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(number + 1).to_owned();
            member.ask::<String>(&epoch).await.unwrap();
        }
        let first = &self.members[0];
        for (member, bus) in self.members.iter().zip(buses).skip(1) {
            let at = member.address();
            let mut meet = cmd("CLUSTER");
            meet.arg("MEET").arg(at.ip().to_string()).arg(at.port()).arg(bus);
            first.ask::<String>(&meet).await.unwrap();
        }
        let share = SLOTS / u16::try_from(PRIMARIES).unwrap() + 1;
        for (number, member) in self.members.iter().take(PRIMARIES).enumerate() {
            let begin = share * u16::try_from(number).unwrap();
            let end = (begin + share).min(SLOTS) - 1;
            let mut add = cmd("CLUSTER");
            add.arg("ADDSLOTSRANGE").arg(begin).arg(end);
            member.ask::<String>(&add).await.unwrap();
        }
        for (number, member) in self.members.iter().enumerate().skip(PRIMARIES) {
            let id: String =
                self.members[number - PRIMARIES].ask(cmd("CLUSTER").arg("MYID")).await.unwrap();
            let mut replicate = cmd("CLUSTER");
            replicate.arg("REPLICATE").arg(id);
            eventually("a replica", || async { member.ask::<String>(&replicate).await.ok() }).await;
        }
        self.wait_until_complete().await;
    }

    /// Waits until every node sees three primaries with all slots, and each of these has
    /// its replica.
    pub async fn wait_until_complete(&self) {
        for member in &self.members {
            eventually("a node that knows all", || async {
                let lines = lines(member).await.ok()?;
                let owners = lines.iter().filter(|line| line.is_primary && !line.slots.is_empty());
                let slots: u16 = owners
                    .clone()
                    .flat_map(|line| &line.slots)
                    .map(|(first, last)| last - first + 1)
                    .sum();
                let all_well = lines.len() == 2 * PRIMARIES && lines.iter().all(|it| it.is_well);
                let complete = all_well && owners.count() == PRIMARIES && slots == SLOTS;
                let info: String = member.ask(cmd("CLUSTER").arg("INFO")).await.ok()?;
                let replication: String = member.ask(cmd("INFO").arg("replication")).await.ok()?;
                let replicated = replication.contains("state=online")
                    || replication.contains("master_link_status:up");
                (complete && replicated && info.contains("cluster_state:ok")).then_some(())
            })
            .await;
        }
        self.wait_until_agreed().await;
    }

    /// Waits until every node says the same of who has which slots: one that slept, or has
    /// not heard of the last move, tells an old story.
    async fn wait_until_agreed(&self) {
        eventually("one view of all nodes", || async {
            let mut views = Vec::new();
            for member in &self.members {
                views.push(owners(lines(member).await.ok()?));
            }
            let (first, others) = views.split_first()?;
            others.iter().all(|view| view == first).then_some(())
        })
        .await;
    }

    /// The store URL of `issuer` or `verifier`: two nodes are named, and the others found.
    pub fn url_as(&self, user: &str) -> String {
        let places = [&self.members[0], &self.members[4]];
        let places = places.map(|member| self.access.place(member.address()));
        self.access.url("cluster", user, &places, "")
    }

    /// The members that are primaries with slots, as one that answers sees it.
    pub async fn primaries(&self) -> Vec<usize> {
        let lines = self.view().await;
        let owners = lines.iter().filter(|line| line.is_primary && !line.slots.is_empty());
        owners.filter_map(|line| self.at(line.port)).collect()
    }

    /// Waits until this member is a primary no more, and another has its slots.
    pub async fn wait_for_another_than(&self, old: usize) {
        let is_over = || async {
            let primaries = self.primaries().await;
            (primaries.len() == PRIMARIES && !primaries.contains(&old)).then_some(())
        };
        eventually("another primary", is_over).await;
    }

    /// Has the replica of this primary take its place in good order.
    pub async fn fail_over(&self, primary: usize) -> bool {
        let Ok(id) = self.members[primary].ask::<String>(cmd("CLUSTER").arg("MYID")).await else {
            return false;
        };
        for member in &self.members {
            let nodes: String = member.ask(cmd("CLUSTER").arg("NODES")).await.unwrap_or_default();
            let mut myself = nodes.lines().filter(|line| line.contains("myself,slave"));
            if myself.any(|line| line.contains(&id)) {
                return member.ask::<String>(cmd("CLUSTER").arg("FAILOVER")).await.is_ok();
            }
        }
        false
    }

    /// Moves so many slots from one primary to another, the lowest first, as the usual
    /// tools do.
    ///
    /// # Errors
    /// When a node fails meanwhile.
    pub async fn reshard(&self, count: usize) -> RedisResult<()> {
        self.wait_until_agreed().await;
        let lines = self.view().await;
        let mut owners: Vec<&Line> = lines.iter().filter(|it| !it.slots.is_empty()).collect();
        owners.sort_by_key(|line| line.slots.iter().map(|(a, b)| b - a + 1).sum::<u16>());
        let (Some(to), Some(from)) = (owners.first(), owners.last()) else { return Ok(()) };
        let slots = from.slots.iter().flat_map(|(first, last)| *first..=*last).take(count);
        for slot in slots {
            self.migrate(slot, from, to).await?;
        }
        Ok(())
    }

    async fn migrate(&self, slot: u16, from: &Line, to: &Line) -> RedisResult<()> {
        let member = |line: &Line| &self.members[self.at(line.port).unwrap()];
        let mut source = member(from).connect().await?;
        let mut target = member(to).connect().await?;
        let set = |state: &str, id: &str| {
            cmd("CLUSTER").arg("SETSLOT").arg(slot).arg(state).arg(id).to_owned()
        };
        let () = set("IMPORTING", &from.id).query_async(&mut target).await?;
        let () = set("MIGRATING", &to.id).query_async(&mut source).await?;
        loop {
            let mut list = cmd("CLUSTER");
            list.arg("GETKEYSINSLOT").arg(slot).arg(100);
            let keys: Vec<Vec<u8>> = list.query_async(&mut source).await?;
            if keys.is_empty() {
                break;
            }
            let at = member(to).address();
            let mut migrate = cmd("MIGRATE");
            migrate.arg(at.ip().to_string()).arg(at.port()).arg("").arg(0).arg(5_000);
            let password = self.access.password(OBSERVER);
            migrate.arg("AUTH2").arg(OBSERVER).arg(password).arg("KEYS").arg(keys);
            let _: Value = migrate.query_async(&mut source).await?;
        }
        let () = set("NODE", &to.id).query_async(&mut target).await?;
        let () = set("NODE", &to.id).query_async(&mut source).await?;
        Ok(())
    }

    async fn view(&self) -> Vec<Line> {
        eventually("a node that answers", || async {
            for member in &self.members {
                let asked =
                    tokio::time::timeout(std::time::Duration::from_millis(300), lines(member));
                if let Ok(Ok(lines)) = asked.await {
                    return Some(lines);
                }
            }
            None
        })
        .await
    }

    fn at(&self, port: u16) -> Option<usize> {
        self.members.iter().position(|member| member.address().port() == port)
    }
}

/// The slots of each node that has some.
fn owners(lines: Vec<Line>) -> BTreeMap<String, Vec<(u16, u16)>> {
    let owners = lines.into_iter().filter(|line| !line.slots.is_empty());
    owners.map(|line| (line.id, line.slots)).collect()
}

async fn lines(member: &Member) -> RedisResult<Vec<Line>> {
    let text: String = member.ask(cmd("CLUSTER").arg("NODES")).await?;
    let read = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let port = words[1].split('@').next()?.rsplit_once(':')?.1.parse().ok()?;
        let slots = words.iter().skip(8).filter(|word| !word.starts_with('['));
        let slots = slots.map(|word| word.split_once('-').unwrap_or((word, word)));
        Some(Line {
            id: words[0].to_owned(),
            port,
            is_primary: words[2].contains("master") && !words[2].split(',').any(|it| it == "fail"),
            is_well: !words[2].contains("fail") && !words[2].contains("handshake"),
            slots: slots.map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap())).collect(),
        })
    };
    Ok(text.lines().filter_map(read).collect())
}
