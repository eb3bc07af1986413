//! Waiting until what a primary has taken has reached others too.
//!
//! `WAIT` and `WAITAOF` speak of all that a connection wrote last, and hold up all that
//! is sent on it after. So they have a connection of their own, and write a mark before:
//! replication keeps the order, and who has the mark has all that was answered before it
//! was sent, over whichever connection to the same server. (A mark, since Redis 7.2 waits
//! for nothing where a connection wrote nothing, and a repeated write may change nothing.)
//! Who comes while others wait shares the next round.
//!
//! `WAIT` goes before `WAITAOF` on replicas. Both make the primary ask the replicas how far they
//! are, and a replica answers before it has flushed what came with the question; of its own accord
//! it tells once a second. So it takes a second question to hear of the flush at once: on
//! Valkey 8.0.1 20 to 650 ms without, 1 to 30 ms with it.

use std::time::Duration;

use ::redis::{Pipeline, RedisError, Value, aio::MultiplexedConnection, from_redis_value, pipe};
use tokio::{sync::Mutex, time::timeout};

use super::{failure::describe, settings::Guarantee};
use crate::store::StoreError;

/// Waits on one connection to one primary.
pub(super) struct Waiting {
    connection: MultiplexedConnection,
    guarantee: Guarantee,
    /// Of one round.
    deadline: Duration,
    begun: std::sync::atomic::AtomicU64,
    last: Mutex<Round>,
}

/// A round that is over.
struct Round {
    number: u64,
    outcome: Result<(), StoreError>,
}

impl Waiting {
    pub(super) fn new(
        connection: MultiplexedConnection,
        guarantee: Guarantee,
        deadline: Duration,
    ) -> Self {
        let last = Mutex::new(Round { number: 0, outcome: Ok(()) });
        Self { connection, guarantee, deadline, begun: 0.into(), last }
    }

    /// Waits until all that was answered before the call is confirmed. The slot of `mark`
    /// is on its way to this node where it is `asking`.
    ///
    /// # Errors
    /// [`StoreError::NotConfirmed`]: it is done here, and may be lost yet.
    pub(super) async fn confirm(&self, mark: &str, asking: bool) -> Result<(), StoreError> {
        use std::sync::atomic::Ordering::SeqCst;
        // A round that begins after this covers us.
        let covered_from = self.begun.load(SeqCst) + 1;
        let mut last = self.last.lock().await;
        if last.number < covered_from {
            last.number = self.begun.fetch_add(1, SeqCst) + 1;
            // Should this be cut short, nobody else takes it for done.
            last.outcome = Err(not_confirmed("the wait for it was cut short"));
            last.outcome = self.round(mark, asking).await;
        }
        last.outcome.clone()
    }

    async fn round(&self, mark: &str, asking: bool) -> Result<(), StoreError> {
        let commands = self.question(mark, asking);
        let mut connection = self.connection.clone();
        let answers = connection.send_packed_commands(&commands, 0, commands.len());
        match timeout(self.deadline, answers).await {
            Ok(Ok(mut answers)) => {
                self.judge(answers.split_off(usize::from(asking).min(answers.len())))
            }
            Ok(Err(error)) => Err(not_confirmed(&describe(&error))),
            Err(_) => Err(not_confirmed("no answer within the deadline")),
        }
    }

    fn question(&self, mark: &str, asking: bool) -> Pipeline {
        let Guarantee { replicas, disks } = self.guarantee;
        let asks_twice = disks && replicas > 0;
        // In time for the answers to come within the deadline.
        let share = self.deadline * 4 / if asks_twice { 10 } else { 5 };
        let millis = u64::try_from(share.as_millis()).unwrap_or(u64::MAX);
        let mut commands = pipe();
        if asking {
            commands.cmd("ASKING");
        }
        commands.cmd("INCR").arg(mark);
        if !disks || asks_twice {
            commands.cmd("WAIT").arg(replicas).arg(millis);
        }
        if disks {
            commands.cmd("WAITAOF").arg(1).arg(replicas).arg(millis);
        }
        commands
    }

    /// Of the mark the first answer tells, of all that was waited for the last.
    fn judge(&self, answers: Vec<Value>) -> Result<(), StoreError> {
        let refused = |error: RedisError| not_confirmed(&describe(&error));
        let mut answers = answers.into_iter().map(Value::extract_error);
        let (Some(marked), Some(waited)) = (answers.next(), answers.next_back()) else {
            return Err(not_confirmed("answers to other commands"));
        };
        marked.map_err(refused)?;
        let Guarantee { replicas, disks } = self.guarantee;
        if disks {
            let waited = waited.map_err(|error| match error.code() {
                Some("ERR") => not_confirmed(
                    "the server refused WAITAOF: it takes Redis 7.2 with appendonly yes",
                ),
                _ => refused(error),
            })?;
            let reached: Result<(u32, u32), _> = from_redis_value(waited);
            return match reached {
                Ok((1.., reached)) if reached >= replicas => Ok(()),
                Ok((local, reached)) => Err(not_confirmed(&format!(
                    "on the disks of {local} primary and {reached} of {replicas} replicas in time"
                ))),
                Err(_) => Err(not_confirmed("WAITAOF answered something else")),
            };
        }
        match from_redis_value::<u32>(waited.map_err(refused)?) {
            Ok(reached) if reached >= replicas => Ok(()),
            Ok(reached) => {
                Err(not_confirmed(&format!("{reached} of {replicas} replicas have it in time")))
            }
            Err(_) => Err(not_confirmed("WAIT answered something else")),
        }
    }
}

fn not_confirmed(reason: &str) -> StoreError {
    StoreError::NotConfirmed(reason.to_owned())
}
