//! How long a revoked token still works: from the issuer's answer to the last verifier's
//! first denial.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde_json::json;
use tessera_proto::v1::{
    RevokePermanentTokenRequest, VerifyRequest, verifier_service_client::VerifierServiceClient,
    verify_response::Verdict,
};
use tokio::{sync::Barrier, task::JoinSet, time::timeout};
use tonic::{Request, transport::Channel};

use crate::{
    Options,
    failure::{Failure, OrFail as _},
    load::{Bodies, Load, Pace},
    measure::{Push, touch_all},
    report::Row,
    system::{Server, System, channel},
    tokens,
};

const VERIFIERS: usize = 3;
/// Requests a second on each verifier under load: light, since three verifiers, Redis,
/// the issuer and the load share two cores.
const LOAD: f64 = 3000.0;
/// For one revocation, from the first question to the last denial.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn revocation_lag(options: Options) -> Result<Vec<Row>, Failure> {
    // With durable settings: the issuer answers when the revocation is on the disk.
    let system = System::start(&options, true).await?;
    let store = system.store();
    let count = options.tokens.unwrap_or(200);
    let accounts = tokens::accounts(&store, 2 * count + 1000).await?;
    let mut tokens = tokens::permanent(&store, &accounts, 2 * count + 1000).await?;
    let mut verifiers = Vec::new();
    for _ in 0..VERIFIERS {
        let cores = format!("{},{}", options.server_cores, options.load_cores);
        verifiers.push(system.verifier_on(&cores).await?);
    }
    let push = Push {
        connections: 2,
        ..Push::new(&options, Bodies::verify(&tokens.split_off(2 * count)))
    };
    for verifier in &verifiers {
        touch_all(verifier, &push).await?;
    }
    let (idle, loaded) = tokens.split_at(count);
    let mut rows = lags(&system, &verifiers, idle, "idle").await?;
    let loads: Vec<Load> = verifiers
        .iter()
        .map(|verifier| Load::start(push.plan(verifier, Pace::Coarse(LOAD))))
        .collect();
    let what = format!("{LOAD:.0} requests/s each");
    rows.extend(lags(&system, &verifiers, loaded, &what).await?);
    for load in loads {
        load.stop()?;
    }
    Ok(rows)
}

async fn lags(
    system: &System,
    verifiers: &[Server],
    tokens: &[String],
    what: &str,
) -> Result<Vec<Row>, Failure> {
    let mut clients = Vec::new();
    for verifier in verifiers {
        clients.push(VerifierServiceClient::new(channel(verifier.address)?));
    }
    let mut lags = Histogram::<u64>::new_with_max(60_000_000, 3).or_fail("make a histogram")?;
    let mut all = Vec::new();
    for token in tokens {
        let lag = timeout(PATIENCE, lag(system, &clients, token)).await;
        let lag = lag.or_fail(format_args!("see a revoked token denied within {PATIENCE:?}"))??;
        all.push(lag.as_secs_f64() * 1e3);
        lags.saturating_record(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX).max(1));
    }
    let name = format!("revocation-lag, {what}");
    let at = |quantile| lags.value_at_quantile(quantile) as f64 / 1e3;
    let note = format!("{} revocations, {VERIFIERS} verifiers, asked without pause", tokens.len());
    Ok(vec![
        Row::plain(&name, "p50, ms", at(0.5)).note(note).samples(json!(all)),
        Row::plain(&name, "p99, ms", at(0.99)),
        Row::plain(&name, "worst, ms", at(1.0)),
    ])
}

/// Asks every verifier without pause while the token is revoked.
async fn lag(
    system: &System,
    clients: &[VerifierServiceClient<Channel>],
    token: &str,
) -> Result<Duration, Failure> {
    let mut denials = JoinSet::new();
    let ready = Arc::new(Barrier::new(clients.len() + 1));
    for client in clients {
        denials.spawn(first_denial(client.clone(), token.to_owned(), ready.clone()));
    }
    tokio::select! {
        _ = ready.wait() => {}
        // Who fails before that is never ready.
        Some(early) = denials.join_next() => {
            early.or_fail("ask a verifier")??;
        }
    }
    revoke(system, token).await?;
    let answered = Instant::now();
    let mut last = Duration::ZERO;
    while let Some(at) = denials.join_next().await {
        last = last.max(at.or_fail("ask a verifier")??.saturating_duration_since(answered));
    }
    Ok(last)
}

async fn revoke(system: &System, token: &str) -> Result<(), Failure> {
    let id = token.split('_').nth(1).and_then(|id| id.parse().ok()).or_fail("id in a token")?;
    let mut request = Request::new(RevokePermanentTokenRequest { id });
    let bearer = format!("Bearer {}", system.session.access_token).parse();
    let bearer = bearer.or_fail("make a header of the access token")?;
    request.metadata_mut().insert("authorization", bearer);
    system.issuer()?.revoke_permanent_token(request).await.or_fail("revoke a token")?;
    Ok(())
}

/// When the first denial had come, after at least one grant.
async fn first_denial(
    mut client: VerifierServiceClient<Channel>,
    token: String,
    ready: Arc<Barrier>,
) -> Result<Instant, Failure> {
    let mut grants = 0_u64;
    loop {
        let request = VerifyRequest { token: token.clone(), ..VerifyRequest::default() };
        let answer = client.verify(request).await.or_fail("get a verdict")?.into_inner();
        let now = Instant::now();
        match answer.verdict {
            Some(Verdict::Principal(_)) => grants += 1,
            _ if grants > 0 => return Ok(now),
            _ => return Err(Failure::Unexpected(format!("a token was never granted: {answer:?}"))),
        }
        if grants == 1 {
            ready.wait().await;
        }
    }
}
