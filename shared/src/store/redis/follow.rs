//! Being told of changes by the server: `CLIENT TRACKING` in broadcast mode.
//!
//! On one RESP3 connection the server sends invalidations and answers in the order
//! of the commands behind them. So once the answer to a read has come, every change
//! made before that read has been told. A changed heartbeat in that answer shows, besides,
//! that the server took writes from an issuer a moment ago, which one that is cut off
//! from its replicas and left behind by a failover soon does not. The instant at which
//! the read was *sent*, on our own clock, is then proven; no two clocks are compared.
//!
//! Broadcast mode: the server keeps nothing for each key that a verifier holds, where
//! the default mode forgets, and so invalidates, what is beyond its
//! `tracking-table-max-keys` (1 million by default).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::redis::{
    Cmd, PushInfo, PushKind, RedisError, Value, aio::MultiplexedConnection, cmd, from_redis_value,
};

use super::{failure::describe, link::Link, names::Names};
use crate::store::Changes;

/// Who follows the store.
pub(super) struct Follower {
    pub(super) changes: Arc<dyn Changes>,
    /// How often the heartbeat is read.
    pub(super) interval: Duration,
}

impl Follower {
    /// Takes what the server sends unasked. Called in the order of its sending, by the
    /// task that reads the connection.
    pub(super) fn take(&self, names: &Names, push: &PushInfo) {
        if push.kind != PushKind::Invalidate {
            return;
        }
        match push.data.first() {
            Some(Value::Array(changed)) => {
                for name in changed {
                    match name {
                        Value::BulkString(name) => self.changed(names, name),
                        // Not a name: then it may be anything.
                        _ => self.changes.all_changed(),
                    }
                }
            }
            // A null stands for all of them: the database was flushed.
            _ => self.changes.all_changed(),
        }
    }

    fn changed(&self, names: &Names, name: &[u8]) {
        if let Some(key) = names.key(name) {
            self.changes.changed(&key);
        }
    }

    /// Asks the server for invalidations. From then on none is missed, so what was
    /// held before is let go of after.
    pub(super) async fn begin(
        &self,
        names: &Names,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), RedisError> {
        let mut tracking = cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON").arg("BCAST");
        for prefix in names.followed() {
            tracking.arg("PREFIX").arg(prefix);
        }
        let () = tracking.query_async(connection).await?;
        self.changes.all_changed();
        Ok(())
    }

    /// Reads the heartbeat over and over, until the connection is of no more use.
    pub(super) async fn watch(&self, names: &Names, link: &Link, deadline: Duration) {
        let mut connection = link.connection();
        let read = Cmd::get(names.heartbeat(None));
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last: Option<Value> = None;
        loop {
            ticks.tick().await;
            let sent = Instant::now();
            let answer = read.query_async::<Value>(&mut connection);
            let beat = match tokio::time::timeout(deadline, answer).await {
                Ok(Ok(beat)) => beat,
                Ok(Err(error)) => return tell(&describe(&error)),
                Err(_) => return tell("no answer within the deadline"),
            };
            if last.as_ref().is_some_and(|last| *last != beat) && is_beat(&beat) {
                link.vouch(sent);
                self.changes.proven(sent);
            }
            last = Some(beat);
        }
    }
}

/// Whether the value under a heartbeat's name is one.
pub(super) fn is_beat(value: &Value) -> bool {
    from_redis_value::<Option<i64>>(value.clone()).is_ok_and(|beat| beat.is_some())
}

fn tell(reason: &str) {
    tracing::debug!(reason, "the heartbeat can't be read");
}
