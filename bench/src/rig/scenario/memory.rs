//! Bytes for each token.

use redis::aio::MultiplexedConnection;
use serde_json::json;

use super::first;
use crate::{
    Options,
    failure::{Failure, OrFail as _},
    load::Bodies,
    machine,
    measure::{Push, touch_all},
    report::Row,
    system::{System, ask},
    tokens,
};

const USUAL: usize = 1_000_000;

pub(super) async fn redis_memory(options: Options) -> Result<Vec<Row>, Failure> {
    let system = System::start(&options, false).await?;
    let store = system.store();
    let count = options.tokens.unwrap_or(USUAL);
    // Accounts and users are there before any token is, and are not part of it.
    let accounts = tokens::accounts(&store, count).await?;
    let mut redis = system.redis().await?;
    let before = used_memory(&mut redis).await?;
    let begun = std::time::Instant::now();
    tokens::permanent(&store, &accounts, count).await?;
    let took = begun.elapsed().as_secs_f64();
    let after = used_memory(&mut redis).await?;
    let each = (after - before) / count as f64;
    let account = *accounts.first().or_fail("account: give --tokens 1 or more")?;
    let mut parts = serde_json::Map::new();
    for (kind, members) in [("t", 1.0), ("it", 50.0), ("il", 50.0)] {
        let bytes = average(&mut redis, kind, account).await? / members;
        parts.insert(kind.to_owned(), json!(bytes));
    }
    let note =
        format!("{count} tokens, 50 an account, loaded in {took:.0} s; MEMORY USAGE: {parts:?}");
    Ok(vec![
        Row::plain("redis-memory", "bytes of used_memory a token", each)
            .note(note)
            .samples(json!({ "before": before, "after": after, "tokens": count })),
    ])
}

async fn used_memory(redis: &mut MultiplexedConnection) -> Result<f64, Failure> {
    let info: redis::RedisResult<String> =
        redis::cmd("INFO").arg("memory").query_async(redis).await;
    let info = info.or_fail("read INFO of Redis")?;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    line.and_then(|text| text.trim().parse().ok()).or_fail("used_memory in INFO of Redis")
}

/// `MEMORY USAGE` of a key of this kind; of an account's, that of `account`.
async fn average(
    redis: &mut MultiplexedConnection,
    kind: &str,
    account: i64,
) -> Result<f64, Failure> {
    let key = if kind == "t" {
        let index = format!("tessera:it:{account}");
        let ids: redis::RedisResult<Vec<i64>> =
            redis::cmd("ZRANGE").arg(index).arg(0).arg(0).query_async(redis).await;
        let ids = ids.or_fail("read an account's tokens from Redis")?;
        format!("tessera:t:{}", ids.first().or_fail("token of an account")?)
    } else {
        format!("tessera:{kind}:{account}")
    };
    let bytes = redis::cmd("MEMORY").arg("USAGE").arg(&key).query_async(redis).await;
    bytes.or_fail(format_args!("read MEMORY USAGE of {key}"))
}

pub(super) async fn verifier_memory(options: Options) -> Result<Vec<Row>, Failure> {
    let options = options.clone().with_room_for(options.tokens.unwrap_or(USUAL));
    let system = System::start(&options, false).await?;
    let store = system.store();
    let count = options.tokens.unwrap_or(USUAL);
    let accounts = tokens::accounts(&store, count + 1000).await?;
    let mut tokens = tokens::permanent(&store, &accounts, count + 1000).await?;
    let verifier = system.verifier().await?;
    system.pin()?;
    // What the first requests make grow, buffers and threads, is not of the tokens.
    let others = tokens.split_off(count);
    touch_all(&verifier, &Push::new(&options, Bodies::verify(&others))).await?;
    let before = machine::resident(verifier.process.id())?;
    touch_all(&verifier, &Push::new(&options, Bodies::verify(&tokens))).await?;
    ask(&verifier, first(&tokens)?).await?;
    let after = machine::resident(verifier.process.id())?;
    let each = after.saturating_sub(before) as f64 / count as f64;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let note = format!("RSS {:.0} MB, then {:.0} MB", megabytes(before), megabytes(after));
    Ok(vec![
        Row::plain("verifier-memory", "bytes of RSS a cached token", each)
            .note(note)
            .samples(json!({ "before": before, "after": after, "tokens": count })),
    ])
}
