//! What it costs to deny each hostile JWT of the tests, beside a good one.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tessera_shared::{
    clock::{Clock as _, SystemClock, Timestamp},
    examine::{Question, Reason, access},
    jwt::{self, VerifyingKeys},
    opaque::{Form, LONGEST_TOKEN, Opaque},
};
use tessera_tests::hostile::{
    forge::{ALGORITHMS, Forge},
    table,
};

use crate::{Options, failure::Failure, measure::median, report::Row};

/// Runs of each; the median of so many does not see a neighbour.
const RUNS: usize = 301;
const NAME: &str = "hostile-jwt";

/// What the verifier does to a token before it looks into the store.
struct Door {
    opaque: Opaque,
    keys: VerifyingKeys,
}

impl Door {
    fn examine(&self, token: &str, question: &Question, now: Timestamp) -> Result<(), Reason> {
        if token.len() > LONGEST_TOKEN {
            return Err(Reason::Malformed);
        }
        match self.opaque.parse(token) {
            Some(Form::Permanent(_)) => return Ok(()),
            Some(Form::Refresh(_)) => return Err(Reason::WrongType),
            None if jwt::looks_like_jwt(token) => {}
            None => return Err(Reason::Malformed),
        }
        let claims = jwt::verify(token, &self.keys, now)?;
        access::good(claims).refusal_of(question).map_or(Ok(()), Err)
    }

    /// Microseconds of this thread's CPU that an examination takes, and whether it granted.
    fn cost(&self, token: &str, audience: &str) -> (f64, bool) {
        let question = Question { audience: Some(audience.to_owned()), ..Question::default() };
        let now = SystemClock.now();
        let mut granted = false;
        let runs: Vec<f64> = (0..RUNS)
            .map(|_| {
                let before = cpu();
                granted |= std::hint::black_box(self.examine(token, &question, now)).is_ok();
                (cpu() - before).as_secs_f64() * 1e6
            })
            .collect();
        (median(&runs).0, granted)
    }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

pub(super) async fn hostile_jwt(_: Options) -> Result<Vec<Row>, Failure> {
    let forge = Forge::new(SystemClock.now());
    let door = Door { opaque: Opaque::new("tessera"), keys: VerifyingKeys::from(&forge.key_set()) };
    let mut rows = Vec::new();
    let mut good = Vec::new();
    for algorithm in ALGORITHMS {
        let (cost, granted) = door.cost(&forge.good(algorithm), "cdn");
        if !granted {
            return Err(Failure::Unexpected(format!("a good {algorithm} token is denied")));
        }
        rows.push(Row::plain(NAME, &format!("a good {algorithm} token, CPU µs"), cost));
        good.push((algorithm, cost));
    }
    let mut ratios: Vec<(f64, String)> = Vec::new();
    for case in table(&forge) {
        let (cost, granted) = door.cost(&case.token, case.audience);
        if granted {
            return Err(Failure::Unexpected(format!("granted: {}", case.name)));
        }
        let beside = good.iter().find(|(algorithm, _)| *algorithm == case.algorithm);
        let beside = beside.map_or(f64::NAN, |(_, cost)| *cost);
        ratios.push((cost / beside, case.name));
    }
    ratios.sort_by(|one, other| other.0.total_cmp(&one.0));
    let (worst, name) = ratios.first().cloned().unwrap_or((f64::NAN, String::new()));
    let above = ratios.iter().filter(|(ratio, _)| *ratio > 1.0).count();
    let all: Vec<f64> = ratios.iter().map(|(ratio, _)| *ratio).collect();
    let note = format!("{name}; {above} of {} above 1, median {:.2}", all.len(), median(&all).0);
    let samples: Vec<_> = ratios.iter().map(|(ratio, name)| json!([name, ratio])).collect();
    rows.push(
        Row::plain(NAME, "the dearest hostile one, × a good one of its key's algorithm", worst)
            .note(note)
            .samples(json!(samples)),
    );
    Ok(rows)
}
