//! The replicas of a primary, which are primaries after a failover: with their own settings.

use futures_util::future::join_all;

use super::{Finding, Weight, judgment, server::Server};
use crate::{
    clock::Clock,
    store::{
        StoreError,
        redis::{Endpoint, Look},
    },
};

/// What about the replicas that `primary` tells of, at which `look` looks, would lose writes after
/// a failover; and which of them do not answer the same user from here.
///
/// # Errors
/// When the primary gives no answer.
pub(super) async fn findings(
    look: &mut Look,
    primary: &Server,
    clock: &dyn Clock,
) -> Result<Vec<Finding>, StoreError> {
    let replicas = look.announced(primary.replicas()).await?;
    let look = &*look;
    let seen =
        join_all(replicas.iter().map(async |replica| match seen(look, replica, clock).await {
            Ok(server) => judgment::of_replica(&server),
            Err(error) => vec![not_looked_at(replica, &error)],
        }));
    Ok(seen.await.into_iter().flatten().collect())
}

async fn seen(look: &Look, replica: &Endpoint, clock: &dyn Clock) -> Result<Server, StoreError> {
    Server::seen(&mut look.beside(replica).await?, clock).await
}

fn not_looked_at(replica: &Endpoint, error: &StoreError) -> Finding {
    Finding {
        weight: Weight::Unknown,
        is_durability: false,
        what: format!("the replica {replica} was not looked at: {error}"),
        remedy: "look from where it is reached as the same user, or compare its settings with \
                 deploy/redis/redis.conf by hand: after a failover it takes the writes"
            .to_owned(),
    }
}
