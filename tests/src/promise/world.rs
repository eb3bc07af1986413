//! A whole installation under load, changes and faults, all chosen by one seed.
//!
//! The choices repeat with the seed; how they fall in time does not, so a repeated
//! run is the same weather and not the same second.

mod changes;
mod clients;
mod failovers;
mod faults;
mod people;
mod setup;
mod stage;
mod tally;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

pub use self::tally::Tally;
use self::{people::Population, stage::Stage};
use super::{checker, recorder::Recorder, report};
use crate::{
    ask,
    client::{self, Verifier},
    watch::{PATIENCE, eventually},
};

/// How often the answers so far are judged.
const JUDGED_EVERY: Duration = Duration::from_millis(500);

/// What keeps the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// `tessera up`: files in a folder.
    Embedded,
    /// One Redis.
    Redis,
    /// A Redis with two replicas under three sentinels.
    Sentinel,
    /// A cluster of six nodes.
    Cluster,
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What keeps the records.
    pub store: Store,
    /// What all choices follow from.
    pub seed: u64,
    /// For how long there are faults.
    pub lasting: Duration,
    /// The staleness bound of the installation, and of the checker.
    pub bound: Duration,
}

impl Plan {
    /// How many replicas confirm each write of the issuer, where there are some: under
    /// sentinels now one of the two, and now both.
    fn confirmations(&self) -> u32 {
        match self.store {
            Store::Embedded | Store::Redis => 0,
            Store::Sentinel => 1 + u32::from(self.seed.is_multiple_of(2)),
            Store::Cluster => 1,
        }
    }
}

/// What all tasks share.
struct World {
    plan: Plan,
    recorder: Recorder,
    population: Population,
}

/// Runs a plan to its end.
///
/// # Panics
/// When an answer broke the promise, the issuer had an internal fault, a program
/// ended by itself, or something did not recover after the faults.
pub async fn run(plan: Plan) -> Tally {
    let mut stage = Stage::set(&plan).await;
    let _told = stage.tell_on_failure(plan.clone());
    let outcome = play(plan, &stage).await;
    // Before the panic, which would print all logs above the report.
    drop(stage);
    outcome.unwrap_or_else(|report| panic!("{report}"))
}

/// Answers the report when the promise is broken.
async fn play(plan: Plan, stage: &Stage) -> Result<Tally, String> {
    let (recorder, population) = setup::people(stage.issuer.grpc).await;
    let world = Arc::new(World { plan, recorder, population });
    let verifiers: Vec<_> = stage.verifiers.iter().map(|at| client::verifier(at.grpc)).collect();
    let mut tally = Tally::new(verifiers.len());

    let (end_faults, faults_over) = watch::channel(false);
    let (end_changes, changes_over) = watch::channel(false);
    let (end_questions, questions_over) = watch::channel(false);
    let faults = world.faults(stage, faults_over);
    let changes = world.changes(&changes_over);
    let questions = world.questions(&verifiers, &questions_over);
    let begun = Instant::now();
    let is_over = |tally: &Tally| {
        let lasted = begun.elapsed();
        lasted >= world.plan.lasting && tally.lack().is_none()
            || lasted >= world.plan.lasting + PATIENCE
    };
    while !is_over(&tally) {
        sleep(JUDGED_EVERY).await;
        judge(&world, &mut tally)?;
    }
    end_faults.send_replace(true);
    all("the faults", faults).await;
    end_changes.send_replace(true);
    all("the changes", changes).await;
    sleep(world.plan.bound * 2).await;
    end_questions.send_replace(true);
    all("the questions", questions).await;
    recovery(&world, &verifiers).await;
    judge(&world, &mut tally)?;
    match tally.lack() {
        None => Ok(tally),
        Some(lack) => Err(format!("nothing was proved, without {lack}\n{tally}")),
    }
}

/// Judges what was answered since the last time.
fn judge(world: &World, tally: &mut Tally) -> Result<(), String> {
    let history = world.recorder.take();
    tally.add(&history);
    let found = checker::violations(&history, world.plan.bound);
    if found.is_empty() && history.complaints.is_empty() {
        return Ok(());
    }
    let told = report::tell(&history, &found);
    let complaints = history.complaints.join("\n");
    Err(format!("{tally}\nthe promise is broken:\n{told}{complaints}"))
}

/// Waits for tasks to end, and fails as they did.
async fn all(what: &str, tasks: JoinSet<()>) {
    let joined = timeout(PATIENCE * 2, tasks.join_all()).await;
    joined.unwrap_or_else(|_| panic!("{what} did not come to an end"));
}

/// With no fault left, every verifier answers again, from any view.
async fn recovery(world: &World, verifiers: &[Verifier]) {
    for verifier in verifiers {
        for held in world.population.steady() {
            for question in [ask::ask(&held.plain), ask::ask_cached(&held.plain)] {
                let granted = || async {
                    let answer = verifier.clone().verify(question.clone()).await.ok()?;
                    Some(ask::verdict(answer.into_inner()).expect("a steady token is good"))
                };
                eventually("an answer after the faults", granted).await;
            }
        }
    }
}
