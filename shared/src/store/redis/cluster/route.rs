//! Sending commands to the nodes that have their keys, and after keys that move.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::redis::{Cmd, Value, pipe};
use futures_util::future::try_join_all;
use tokio::time::{sleep, timeout_at};

use super::{Cluster, map::Map, nobody, slots::slot_of};
use crate::store::redis::{
    failure::{Failure, unavailable},
    link::{Answer, Link},
    settings::Endpoint,
};

/// Between two tries after nodes have pointed at each other for a while.
const PATIENCE: Duration = Duration::from_millis(5);
/// Redirections that are followed at once.
const QUICK: u32 = 3;

impl Cluster {
    /// Sends one command to the node that has the key `name`.
    pub(in super::super) async fn call(
        &self,
        name: &str,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let slot = slot_of(name);
        let mut redirected = None;
        let mut hops = 0;
        loop {
            let (link, asking) = match redirected.take() {
                Some(there) => there,
                None => (owner(&*self.map(deadline).await?, slot)?, false),
            };
            let answer = if asking {
                ask(&link, command, deadline).await
            } else {
                link.query(command, deadline).await
            };
            let (to, asking) = match answer {
                Ok(value) => return Ok(Answer { value, link, asking }),
                Err(Failure::Moved(to)) => (to, false),
                Err(Failure::Ask(to)) => (to, true),
                Err(failure) => {
                    self.shared.ask_all();
                    return Err(failure);
                }
            };
            hops += 1;
            if hops > QUICK {
                sleep(PATIENCE).await;
            }
            redirected = self.follow_to(to, deadline).await?.map(|link| (link, asking));
        }
    }

    /// Reads several keys: one round trip for each node that has some.
    pub(in super::super) async fn read(
        &self,
        names: &[String],
        deadline: Instant,
    ) -> Result<Vec<Value>, Failure> {
        let map = self.map(deadline).await?;
        let mut places: Vec<Vec<usize>> = vec![Vec::new(); map.nodes.len()];
        for (place, name) in names.iter().enumerate() {
            let slot = slot_of(name);
            let owner = map.owner(slot).and_then(|owner| places.get_mut(owner));
            owner.ok_or_else(|| nobody(&map, slot))?.push(place);
        }
        let mut values = vec![Value::Nil; names.len()];
        let asked = map.nodes.iter().zip(places).filter(|(_, places)| !places.is_empty());
        let asked = asked.map(|(node, places)| self.read_at(&node.link, names, places, deadline));
        for (place, value) in try_join_all(asked).await?.into_iter().flatten() {
            if let Some(slot) = values.get_mut(place) {
                *slot = value;
            }
        }
        Ok(values)
    }

    async fn read_at(
        &self,
        link: &Arc<Link>,
        names: &[String],
        places: Vec<usize>,
        deadline: Instant,
    ) -> Result<Vec<(usize, Value)>, Failure> {
        let mut commands = pipe();
        let wanted = || places.iter().filter_map(|place| names.get(*place));
        wanted().for_each(|name| {
            commands.cmd("GET").arg(name);
        });
        let sent = Instant::now();
        let answers = link.query_all(&commands, deadline).await?;
        let mut values = Vec::with_capacity(answers.len());
        for (name, answer) in wanted().zip(answers) {
            values.push(match link.read(answer) {
                // It moves just now.
                Err(Failure::Moved(_) | Failure::Ask(_)) => self.get(name, deadline).await?,
                answer => answer?,
            });
        }
        self.believe(link, sent, deadline).await?;
        Ok(places.into_iter().zip(values).collect())
    }

    async fn get(&self, name: &str, deadline: Instant) -> Result<Value, Failure> {
        let sent = Instant::now();
        let answer = self.call(name, &Cmd::get(name), deadline).await?;
        self.believe(&answer.link, sent, deadline).await?;
        Ok(answer.value)
    }

    /// The link to where a node points; `None`: look at the map again, it has changed.
    async fn follow_to(
        &self,
        to: Option<Endpoint>,
        deadline: Instant,
    ) -> Result<Option<Arc<Link>>, Failure> {
        let mut maps = self.shared.map.subscribe();
        let link = maps.borrow_and_update().as_ref().and_then(|map| {
            let node = map.at(&to?)?;
            Some(node.link.clone())
        });
        self.shared.ask_all();
        if link.is_none() {
            let changed = timeout_at(deadline.into(), maps.changed()).await;
            changed
                .map_err(|_| unavailable("the key moved to a node that is not known"))?
                .map_err(|_| unavailable("shutting down"))?;
        }
        Ok(link)
    }
}

fn owner(map: &Map, slot: u16) -> Result<Arc<Link>, Failure> {
    let node = map.owner(slot).and_then(|owner| map.nodes.get(owner));
    node.map(|node| node.link.clone()).ok_or_else(|| nobody(map, slot))
}

/// Both in one go, since `ASKING` is for the next command of the connection.
async fn ask(link: &Link, command: &Cmd, deadline: Instant) -> Result<Value, Failure> {
    let mut commands = pipe();
    commands.cmd("ASKING").add_command(command.clone());
    let answer = link.query_all(&commands, deadline).await?.pop();
    link.read(answer.ok_or_else(|| unavailable("no answer"))?)
}
