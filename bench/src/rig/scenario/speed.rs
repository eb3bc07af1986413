//! Requests a second and CPU of each, beside the no-op server.

use prost_types::Duration as Span;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::json;
use tessera_proto::v1::{VerifyRequest, VerifyResponse, verify_response::Verdict};

use super::first;
use crate::{
    Options,
    failure::{Failure, OrFail as _},
    load::Bodies,
    machine,
    measure::{Push, Sample, median, saturate, touch_all},
    report::{Row, rows_of},
    system::{self, System, ask},
    tokens,
};

/// Whether each pair gets a verifier that has seen no token yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verifier {
    Warm,
    Fresh,
}

pub(super) async fn permanent_cached(options: Options) -> Result<Vec<Row>, Failure> {
    cached("permanent-cached", options, 1000).await
}

pub(super) async fn permanent_cached_1m(options: Options) -> Result<Vec<Row>, Failure> {
    cached("permanent-cached-1m", options, 1_000_000).await
}

async fn cached(name: &str, options: Options, usual: usize) -> Result<Vec<Row>, Failure> {
    let options = options.clone().with_room_for(options.tokens.unwrap_or(usual));
    let (system, tokens) = permanent(&options, usual).await?;
    let push = Push::new(&options, Bodies::verify(&tokens));
    let pairs = pairs(&options, &system, &push, first(&tokens)?, Verifier::Warm).await?;
    Ok(rows_of(name, &pairs))
}

pub(super) async fn jwt_cached(options: Options) -> Result<Vec<Row>, Failure> {
    let (system, tokens) = access(&options, 1000).await?;
    let push = Push::new(&options, Bodies::verify(&tokens));
    let pairs = pairs(&options, &system, &push, first(&tokens)?, Verifier::Warm).await?;
    Ok(rows_of("jwt-cached", &pairs))
}

pub(super) async fn jwt_first_seen(options: Options) -> Result<Vec<Row>, Failure> {
    let (system, tokens) = access(&options, 200_000).await?;
    let push = Push::new(&options, Bodies::verify(&tokens));
    let one = Options { pairs: 1, ..options.clone() };
    let (mut all, mut bare, mut above) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.pairs {
        let pair = pairs(&one, &system, &push, first(&tokens)?, Verifier::Fresh).await?;
        // In each round, so that what drifts hits it as well.
        let check = bare_check(&options)?;
        above.extend(pair.iter().map(|(_, tessera)| tessera.cpu_us - check));
        bare.push(check);
        all.extend(pair);
    }
    let note = repeats(&all, &push);
    let mut rows = rows_of("jwt-first-seen", &all);
    rows.push(Row::plain("jwt-first-seen", "bare ES256 check, CPU µs", median(&bare).0));
    let row = Row::plain("jwt-first-seen", "CPU µs above the bare check", median(&above).0);
    rows.push(row.samples(json!(above)).note(note));
    Ok(rows)
}

pub(super) async fn permanent_miss(options: Options) -> Result<Vec<Row>, Failure> {
    let (system, tokens) = permanent(&options, 1_000_000).await?;
    let push = Push::of_few(&options, Bodies::verify(&tokens));
    let pairs = pairs(&options, &system, &push, first(&tokens)?, Verifier::Fresh).await?;
    let note = repeats(&pairs, &push);
    let mut rows = rows_of("permanent-miss", &pairs);
    // With few in flight all wait for the store at the same time, and the server idles.
    let reckoned: Vec<(f64, f64)> =
        pairs.iter().map(|(noop, tessera)| (1e6 / noop.cpu_us, 1e6 / tessera.cpu_us)).collect();
    let what = "requests/s of a busy core, reckoned from CPU";
    rows.push(Row::pairs("permanent-miss", what, &reckoned));
    rows.extend(
        (!note.is_empty()).then(|| Row::plain("permanent-miss", "repeats", 1.0).note(note)),
    );
    Ok(rows)
}

pub(super) async fn permanent_strong(options: Options) -> Result<Vec<Row>, Failure> {
    let (system, tokens) = permanent(&options, 1000).await?;
    let now = |token| VerifyRequest {
        token,
        max_staleness: Some(Span::default()),
        ..VerifyRequest::default()
    };
    let bodies = Bodies::verify_with(&tokens, now);
    let push = Push::of_few(&options, bodies);
    let pairs = pairs(&options, &system, &push, first(&tokens)?, Verifier::Warm).await?;
    Ok(rows_of("permanent-strong", &pairs))
}

pub(super) async fn batch_100(options: Options) -> Result<Vec<Row>, Failure> {
    let (system, tokens) = permanent(&options, 10_000).await?;
    if tokens.len() < 100 {
        return Err(Failure::Absent("batch of 100: give --tokens 100 or more".to_owned()));
    }
    let push = Push::of_few(&options, Bodies::batch(&tokens, 100));
    let pairs = pairs(&options, &system, &push, first(&tokens)?, Verifier::Warm).await?;
    let tokens: Vec<f64> = pairs.iter().map(|(_, tessera)| tessera.rate * 100.0).collect();
    let mut rows = rows_of("batch-100", &pairs);
    rows.push(Row::plain("batch-100", "tokens/s", median(&tokens).0).samples(json!(tokens)));
    Ok(rows)
}

/// The load on the no-op server and on a verifier, in turn, each begun once by turns so
/// that what drifts hits both.
async fn pairs(
    options: &Options,
    system: &System,
    push: &Push,
    token: &str,
    kind: Verifier,
) -> Result<Vec<(Sample, Sample)>, Failure> {
    let mut verifier = system.verifier().await?;
    let answer = ask(&verifier, token).await?;
    granted(&answer)?;
    let reference = system.noop(&answer).await?;
    system.pin()?;
    if kind == Verifier::Warm {
        touch_all(&verifier, push).await?;
    }
    let mut pairs = Vec::new();
    for round in 0..options.pairs {
        if kind == Verifier::Fresh {
            drop(verifier);
            verifier = system.verifier().await?;
        }
        let (noop, tessera);
        if round % 2 == 0 {
            noop = saturate(options, &reference, push).await?;
            tessera = saturate(options, &verifier, push).await?;
        } else {
            tessera = saturate(options, &verifier, push).await?;
            noop = saturate(options, &reference, push).await?;
        }
        granted(&ask(&verifier, token).await?)?;
        eprintln!(
            "  {:.0} and {:.0} requests/s, {:.2} and {:.2} µs: {:.3} ×",
            noop.rate,
            tessera.rate,
            noop.cpu_us,
            tessera.cpu_us,
            tessera.rate / noop.rate
        );
        pairs.push((noop, tessera));
    }
    Ok(pairs)
}

/// Fails unless the answer grants.
pub(super) fn granted(answer: &VerifyResponse) -> Result<(), Failure> {
    match answer.verdict {
        Some(Verdict::Principal(_)) => Ok(()),
        _ => Err(Failure::Unexpected(format!("a token is not granted: {answer:?}"))),
    }
}

fn repeats(pairs: &[(Sample, Sample)], push: &Push) -> String {
    let most = pairs.iter().map(|(_, tessera)| tessera.begun).max().unwrap_or_default();
    let sent = push.bodies.len();
    if most <= sent {
        return String::new();
    }
    format!("**{} of {most} requests were repeats: give more --tokens**", most - sent)
}

/// A system with permanent tokens, as many as the command line says or as usual.
pub(super) async fn permanent(
    options: &Options,
    usual: usize,
) -> Result<(System, Vec<String>), Failure> {
    let system = System::start(options, false).await?;
    let store = system.store();
    let count = options.tokens.unwrap_or(usual);
    let accounts = tokens::accounts(&store, count).await?;
    let tokens = tokens::permanent(&store, &accounts, count).await?;
    Ok((system, tokens))
}

async fn access(options: &Options, usual: usize) -> Result<(System, Vec<String>), Failure> {
    let system = System::start(options, false).await?;
    let tokens = tokens::access(&system.store(), options.tokens.unwrap_or(usual)).await?;
    Ok((system, tokens))
}

/// What checking one ES256 signature costs by itself, in microseconds of CPU.
fn bare_check(options: &Options) -> Result<f64, Failure> {
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    let rng = ring::rand::SystemRandom::new();
    let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let key = EcdsaKeyPair::generate_pkcs8(kind, &rng).or_fail("make a key")?;
    let key = EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &rng).or_fail("make a key")?;
    let message = [b'x'; 500];
    let signature = key.sign(&rng, &message).or_fail("sign")?;
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref());
    let check = |count: u32| -> Result<f64, Failure> {
        let before = machine::cpu(std::process::id())?;
        for _ in 0..count {
            public.verify(&message, signature.as_ref()).or_fail("check a signature of ours")?;
        }
        let spent = machine::cpu(std::process::id())?.saturating_sub(before);
        Ok(spent.as_secs_f64() * 1e6 / f64::from(count))
    };
    // Where the verifier checks them.
    machine::pin(std::process::id(), &options.server_cores)?;
    let checked = check(40_000);
    system::unpin(options)?;
    checked
}
