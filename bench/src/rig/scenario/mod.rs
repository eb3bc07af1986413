//! What can be measured.

mod cores;
mod h2load;
mod hostile;
mod lag;
mod memory;
mod speed;
mod time;

use std::{future::Future, pin::Pin};

use crate::{
    Options,
    failure::{Failure, OrFail as _},
    report::Row,
};

type Running = Pin<Box<dyn Future<Output = Result<Vec<Row>, Failure>>>>;

/// Something that can be measured.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    about: &'static str,
    pub(crate) run: fn(Options) -> Running,
}

macro_rules! scenarios {
    ($($name:literal $run:path, $about:literal;)*) => {
        &[$(Scenario { name: $name, about: $about, run: |options| Box::pin($run(options)) }),*]
    };
}

/// All of them.
pub(crate) static ALL: &[Scenario] = scenarios! {
    "permanent-cached" speed::permanent_cached, "permanent tokens seen before [--tokens 1000]";
    "permanent-cached-1m" speed::permanent_cached_1m, "the same with 1,000,000 live tokens";
    "jwt-cached" speed::jwt_cached, "access tokens seen before [--tokens 1000]";
    "jwt-first-seen" speed::jwt_first_seen, "access tokens, each sent once [--tokens 200000]";
    "permanent-miss" speed::permanent_miss, "permanent tokens, each sent once to a verifier just started [--tokens 1000000]";
    "permanent-strong" speed::permanent_strong, "permanent tokens with max_staleness 0 [--tokens 1000]";
    "batch-100" speed::batch_100, "BatchVerify of 100 tokens seen before [--tokens 10000]";
    "h2load" h2load::h2load, "one permanent token seen before, pushed by h2load";
    "two-cores" cores::two_cores, "one core and two, over 2, 8 and 64 connections [--tokens 1000]";
    "hostile-jwt" hostile::hostile_jwt, "what denying each hostile JWT of the tests costs, beside a good one; starts nothing";
    "latency" time::latency, "p50 and p99 at half the saturating load [--tokens 1000]";
    "start-to-first-answer" time::start_to_first_answer, "from the start of the process to a grant";
    "redis-memory" memory::redis_memory, "bytes of Redis for each token [--tokens 1000000]";
    "verifier-memory" memory::verifier_memory, "bytes of the verifier for each cached token [--tokens 1000000]";
    "revocation-lag" lag::revocation_lag, "three verifiers: from the answered revocation to the last one's denial [--tokens 200]";
};

/// The scenarios called `names`.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<&'static Scenario>, Failure> {
    if names.iter().any(|name| name == "all") {
        return Ok(ALL.iter().collect());
    }
    let find = |name: &String| {
        let found = ALL.iter().find(|scenario| scenario.name == name);
        found.ok_or_else(|| Failure::UnknownScenario(name.clone()))
    };
    names.iter().map(find).collect()
}

/// The token that a scenario looks at by itself.
fn first(tokens: &[String]) -> Result<&str, Failure> {
    tokens.first().map(String::as_str).or_fail("token to measure with: give --tokens 1 or more")
}

/// Their names, for the help.
pub(crate) fn list() -> String {
    let lines = ALL.iter().map(|scenario| format!("  {:<22} {}", scenario.name, scenario.about));
    format!("Scenarios:\n{}", lines.collect::<Vec<_>>().join("\n"))
}
