//! What a second core brings.

use std::sync::Arc;

use super::speed::permanent;
use crate::{
    Options,
    failure::Failure,
    load::Bodies,
    measure::{Push, Sample, median, saturate, touch_all},
    report::Row,
};

pub(super) async fn two_cores(options: Options) -> Result<Vec<Row>, Failure> {
    let (system, tokens) = permanent(&options, 1000).await?;
    let two = format!("{},{}", options.server_cores, options.load_cores);
    let mut rows = Vec::new();
    let one_core = system.verifier().await?;
    let both = system.verifier_on(&two).await?;
    system.pin()?;
    for connections in [2, 8, 64] {
        let bodies = Bodies::verify(&tokens);
        let streams = (800 / connections).min(256);
        let push = Push { bodies: Arc::new(bodies), connections, streams };
        touch_all(&one_core, &push).await?;
        touch_all(&both, &push).await?;
        let mut pairs = Vec::new();
        for _ in 0..options.pairs {
            let single = saturate(&options, &one_core, &push).await?;
            pairs.push((single, saturate(&options, &both, &push).await?));
        }
        rows.extend(scaling(connections, &pairs));
    }
    Ok(rows)
}

/// On a machine of two cores the load takes a part of one of them away from the verifier.
/// So what two cores would do is reckoned from the CPU of a request, and from how evenly
/// the threads shared the work: the busiest thread fills its core first.
fn scaling(connections: usize, pairs: &[(Sample, Sample)]) -> Vec<Row> {
    let name = format!("two-cores, {connections} connections");
    let reckoned: Vec<(f64, f64)> = pairs
        .iter()
        .map(|(one, two)| (1e6 / one.cpu_us, 1e6 / two.cpu_us / two.busiest_thread.max(0.5)))
        .collect();
    let seen: Vec<(f64, f64)> = pairs.iter().map(|(one, two)| (one.rate, two.rate)).collect();
    let shares: Vec<f64> = pairs.iter().map(|(_, two)| two.busiest_thread).collect();
    vec![
        Row::pairs(&name, "requests/s, reckoned from CPU (one core, two)", &reckoned),
        Row::pairs(&name, "requests/s, seen (the load shares the second core)", &seen),
        Row::plain(&name, "share of the busiest thread", median(&shares).0),
    ]
}
