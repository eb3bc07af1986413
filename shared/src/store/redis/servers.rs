//! Which server a command goes to, whatever the topology, and whether its answer counts.

use std::{sync::Arc, time::Instant};

use ::redis::{Cmd, FromRedisValue, Value, cmd, from_redis_value};
use tokio::sync::watch;

use super::{
    cluster::Cluster,
    failure::Failure,
    follow::Follower,
    kept::{Kept, Place},
    link::Answer,
    names::Names,
    scripts::Call,
    sentinel::Sentinels,
    settings::{RedisSettings, Topology},
};
use crate::store::{Key, StoreError};

/// What the name of a record takes, about, in bytes.
const NAME: usize = 32;

/// The servers of one store.
pub(super) struct Servers {
    settings: Arc<RedisSettings>,
    names: Arc<Names>,
    topology: Kind,
    connected: watch::Sender<u64>,
}

enum Kind {
    /// One primary for all keys.
    One(Kept),
    Cluster(Cluster),
}

impl Servers {
    pub(super) fn new(settings: RedisSettings, names: Arc<Names>) -> Self {
        let settings = Arc::new(settings);
        let connected = watch::Sender::new(0);
        let one =
            |place| Kind::One(Kept::new(place, settings.clone(), names.clone(), connected.clone()));
        let topology = match settings.topology.clone() {
            Topology::One(address) => one(Place::Here(address)),
            Topology::Sentinel(sentinels) => one(Place::Named(Sentinels::new(sentinels))),
            Topology::Cluster(seeds, security) => {
                let (settings, names) = (settings.clone(), names.clone());
                Kind::Cluster(Cluster::new(seeds, security, settings, names, connected.clone()))
            }
        };
        Self { settings, names, topology, connected }
    }

    pub(super) fn settings(&self) -> &RedisSettings {
        &self.settings
    }

    /// Goes up with each connection to a primary.
    pub(super) fn connections(&self) -> watch::Receiver<u64> {
        self.connected.subscribe()
    }

    pub(super) fn follow(&self, follower: Follower) {
        match &self.topology {
            Kind::One(kept) => kept.follow(follower),
            Kind::Cluster(cluster) => cluster.follow(follower),
        }
    }

    /// The values of several keys, in their order.
    pub(super) async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if let [key] = keys {
            let name = self.names.record(key);
            return Ok(vec![self.query(&name, &Cmd::get(&name)).await?]);
        }
        match &self.topology {
            Kind::One(_) => self.query("", &self.mget(keys)).await,
            Kind::Cluster(cluster) => {
                let names: Vec<_> = keys.iter().map(|key| self.names.record(key)).collect();
                let values = cluster.read(&names, self.deadline()).await;
                values.map_err(Failure::into_store_error)?.into_iter().map(read).collect()
            }
        }
    }

    fn mget(&self, keys: &[Key]) -> Cmd {
        let mut command = Cmd::with_capacity(keys.len() + 1, (keys.len() + 1) * NAME);
        command.arg("MGET");
        let mut name = String::with_capacity(NAME);
        for key in keys {
            self.names.write_record(key, &mut name);
            command.arg(name.as_str());
        }
        command
    }

    /// Sends a command about the key `name`, and waits until its answer can be believed.
    pub(super) async fn query<T: FromRedisValue>(
        &self,
        name: &str,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        let (deadline, sent) = (self.deadline(), Instant::now());
        let answered = async {
            match &self.topology {
                Kind::One(kept) => {
                    let link = kept.link(deadline).await?;
                    let value = link.query(command, deadline).await?;
                    link.believe(sent, deadline, || kept.ask_witnesses()).await?;
                    Ok(value)
                }
                Kind::Cluster(cluster) => {
                    let answer = cluster.call(name, command, deadline).await?;
                    cluster.believe(&answer.link, sent, deadline).await?;
                    Ok(answer.value)
                }
            }
        };
        read(answered.await.map_err(Failure::into_store_error)?)
    }

    /// Writes with a command about the key `name`, and waits until that is confirmed.
    pub(super) async fn write<T: FromRedisValue>(
        &self,
        name: &str,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        let answer = self.send(name, command, self.deadline()).await;
        let answer = answer.map_err(Failure::into_store_error)?;
        self.confirm_answer(name, &answer).await?;
        read(answer.value)
    }

    /// Runs a script. What it did is not confirmed.
    pub(super) async fn run<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T, StoreError> {
        read(self.run_script(call).await?.value)
    }

    /// Runs a script that answers whether it wrote, and waits until that is confirmed.
    pub(super) async fn run_to_write(&self, call: &Call<'_>) -> Result<bool, StoreError> {
        let answer = self.run_script(call).await?;
        let done = read(answer.value.clone())?;
        if done {
            self.confirm_answer(call.key(), &answer).await?;
        }
        Ok(done)
    }

    /// Waits until all that was written under `name` before is confirmed.
    pub(super) async fn confirm(&self, name: &str) -> Result<(), StoreError> {
        if self.settings.guarantee.is_none() {
            if let Kind::One(kept) = &self.topology {
                let link = kept.link(self.deadline()).await.map_err(Failure::into_store_error)?;
                link.until_settled().await;
            }
            return Ok(());
        }
        let answer = self.send(name, &Cmd::get(name), self.deadline()).await;
        self.confirm_answer(name, &answer.map_err(Failure::into_store_error)?).await
    }

    /// Counts the heartbeat up, where the server still has its replicas.
    pub(super) async fn beat(&self) -> Result<(), StoreError> {
        let deadline = self.deadline();
        match &self.topology {
            Kind::Cluster(cluster) => cluster.beat(deadline).await,
            Kind::One(kept) => {
                let sent = Instant::now();
                let link = kept.link(deadline).await.map_err(Failure::into_store_error)?;
                link.confirm(&self.names.mark(None), false).await?;
                let beat = self.names.heartbeat(None);
                let counted = link.query::<i64>(cmd("INCR").arg(beat), self.deadline()).await;
                counted.map_err(Failure::into_store_error)?;
                link.vouch(sent);
                Ok(())
            }
        }
    }

    async fn run_script(&self, call: &Call<'_>) -> Result<Answer, StoreError> {
        let deadline = self.deadline();
        match self.send(call.key(), call.by_digest(), deadline).await {
            // Known to have done nothing, so it is safe to send again.
            Err(Failure::UnknownScript) => self.send(call.key(), &call.by_source(), deadline).await,
            answer => answer,
        }
        .map_err(Failure::into_store_error)
    }

    async fn send(&self, name: &str, command: &Cmd, deadline: Instant) -> Result<Answer, Failure> {
        match &self.topology {
            Kind::One(kept) => {
                let link = kept.link(deadline).await?;
                let value = link.query(command, deadline).await?;
                Ok(Answer { value, link, asking: false })
            }
            Kind::Cluster(cluster) => cluster.call(name, command, deadline).await,
        }
    }

    async fn confirm_answer(&self, name: &str, answer: &Answer) -> Result<(), StoreError> {
        match &self.topology {
            Kind::One(kept) => {
                answer.link.confirm(&self.names.mark(None), false).await?;
                kept.until_safe(&answer.link, self.deadline()).await?;
                answer.link.until_settled().await;
                Ok(())
            }
            Kind::Cluster(cluster) => cluster.confirm(name, answer).await,
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.deadline
    }
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, StoreError> {
    from_redis_value(value)
        .map_err(|_| StoreError::Damaged("an answer is of another type than its key has"))
}
