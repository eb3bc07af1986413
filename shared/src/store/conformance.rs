//! What every store does, as code: run it on each backend, and on each decorator.
//!
//! ```no_run
//! # async fn test(store: std::sync::Arc<dyn tessera_shared::store::StoreWriter>) {
//! tessera_shared::store::conformance::run(&store).await.unwrap();
//! # }
//! ```
//!
//! The store need not be empty, and is left with a few records more; it must have
//! no other user meanwhile. To add a rule: write a function, and name it in
//! [`CASES`].

mod garbage;
mod indexes;
mod places;
mod records;
mod usage;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
};

use ring::rand::SystemRandom;
use tokio::task::JoinSet;

use super::{StoreError, StoreWriter};
use crate::{
    clock::{Clock, SystemClock},
    id::new_id,
};

/// A store under test, shared with the tasks of the cases.
pub type Subject = Arc<dyn StoreWriter>;

/// How a case ends.
pub type Outcome = Result<(), Failure>;

/// A rule, and how it is tested.
#[derive(Clone, Copy)]
pub struct Case {
    /// The rule.
    pub name: &'static str,
    test: fn(Subject) -> Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

impl Case {
    /// Tests the rule on `store`.
    ///
    /// # Errors
    /// When the store breaks it, or can't answer.
    pub async fn run(&self, store: &Subject) -> Outcome {
        (self.test)(store.clone()).await
    }
}

/// Why a case failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store did something else.
    #[error("{0}")]
    Rule(String),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The suite itself could not go on.
    #[error("the suite could not go on: {0}")]
    Suite(String),
}

macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$(Case { name: stringify!($name), test: |store| Box::pin($module::$name(store)) }),*]
    };
}

/// All rules.
pub const CASES: &[Case] = cases![
    records::absent_records_read_as_none,
    records::many_keys_are_read_in_their_order,
    records::each_kind_of_key_has_a_place_of_its_own,
    records::swap_makes_replaces_and_removes_only_what_was_expected,
    records::one_of_many_concurrent_swaps_wins,
    records::chained_concurrent_swaps_lose_no_update,
    records::values_are_any_bytes_up_to_a_mebibyte,
    records::empty_values_are_refused,
    indexes::index_is_ascending_and_paged,
    indexes::index_changes_are_idempotent,
    indexes::indexes_are_apart,
    places::limit_holds_under_concurrency,
    places::counted_token_keeps_one_place,
    places::expired_token_frees_its_place,
    places::release_frees_a_place,
    places::lowered_limit_changes_nothing_that_is_counted,
    garbage::garbage_goes_and_nothing_else,
    garbage::new_value_has_its_own_time_of_garbage,
    usage::unused_tokens_have_no_usage,
    usage::usage_is_merged_by_maximum,
    usage::use_and_reuse_are_apart,
    usage::usage_is_in_the_order_that_was_asked_for,
    usage::concurrent_reports_and_merges_lose_nothing,
    usage::usage_of_tokens_that_are_not_there_is_not_kept,
    usage::usage_leaves_the_record_alone,
    usage::forgotten_usage_is_gone,
];

/// Tests all rules on `store`.
///
/// # Errors
/// The first that is broken, by name.
pub async fn run(store: &Subject) -> Outcome {
    for case in CASES {
        case.run(store)
            .await
            .map_err(|failure| Failure::Rule(format!("{}: {failure}", case.name)))?;
    }
    Ok(())
}

/// An id that no other case has, nor another run on the same store.
fn fresh<T: TryFrom<i64>>() -> Result<T, Failure> {
    static NEXT: LazyLock<AtomicI64> = LazyLock::new(|| {
        AtomicI64::new(new_id(SystemClock.now(), &SystemRandom::new()).unwrap_or(1))
    });
    T::try_from(NEXT.fetch_add(1, Ordering::Relaxed))
        .map_err(|_| Failure::Suite("out of ids".to_owned()))
}

/// Runs `count` of `task` at the same time.
async fn together<T, F>(count: i64, task: impl Fn(i64) -> F) -> Result<Vec<T>, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let mut tasks: JoinSet<_> = (0..count).map(task).collect();
    let mut answers = Vec::new();
    while let Some(answer) = tasks.join_next().await {
        answers.push(answer.map_err(|error| Failure::Suite(error.to_string()))??);
    }
    Ok(answers)
}

/// Fails the case unless `found` is `wanted`.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, wanted: T) -> Outcome {
    if found == wanted {
        Ok(())
    } else {
        Err(Failure::Rule(format!("{what}: found {found:.200?}, not {wanted:.200?}")))
    }
}
