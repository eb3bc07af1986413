//! What a thing may have been during a span, given operations whose exact instant
//! nobody knows.

use super::history::{Instant, Span};

/// A value, and the operations that gave it others.
#[derive(Clone, Debug)]
pub struct Timeline<T> {
    initial: T,
    steps: Vec<Step<T>>,
}

/// An operation that took effect at some instant from `start` to `end`.
#[derive(Clone, Debug)]
struct Step<T> {
    start: Instant,
    /// `None`: it may yet take effect, or never.
    end: Option<Instant>,
    value: T,
}

impl<T: Copy + PartialEq> Timeline<T> {
    /// A thing that is `initial` until a step says otherwise.
    pub fn new(initial: T) -> Self {
        Self { initial, steps: Vec::new() }
    }

    /// Adds an operation that made it `value`, between `start` and `end`.
    pub fn step(&mut self, start: Instant, end: Option<Instant>, value: T) {
        self.steps.push(Step { start, end, value });
    }

    /// Everything that it may have been at some instant of `window`: lenient, so that
    /// what is not here was certainly not so.
    pub fn possible(&self, window: Span) -> impl Iterator<Item = T> {
        // What was over before a later step began, and that was over before the window.
        let settled = |step: &&Step<T>| step.end.is_some_and(|end| end <= window.start);
        let last = self.steps.iter().filter(settled).map(|step| step.start).max();
        let initial = last.is_none().then_some(self.initial);
        let past = move |step: &Step<T>| {
            last.is_some_and(|last| step.start < last && step.end.is_some_and(|end| end <= last))
        };
        let steps = self.steps.iter();
        let steps = steps.filter(move |step| step.start <= window.end && !past(step));
        initial.into_iter().chain(steps.map(|step| step.value))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Instant {
        Duration::from_millis(millis)
    }

    /// What `timeline` may have been from `start` to `end`.
    fn seen(timeline: &Timeline<char>, start: u64, end: u64) -> String {
        timeline.possible(Span { start: at(start), end: at(end) }).collect()
    }

    #[test]
    fn an_operation_under_way_leaves_both_possible() {
        let mut timeline = Timeline::new('a');
        timeline.step(at(10), Some(at(20)), 'b');
        assert_eq!(seen(&timeline, 0, 9), "a");
        assert_eq!(seen(&timeline, 0, 10), "ab");
        assert_eq!(seen(&timeline, 19, 30), "ab");
        assert_eq!(seen(&timeline, 20, 30), "b");
    }

    #[test]
    fn a_window_over_several_operations_sees_all_of_them() {
        let mut timeline = Timeline::new('a');
        timeline.step(at(10), Some(at(20)), 'b');
        timeline.step(at(30), Some(at(40)), 'c');
        assert_eq!(seen(&timeline, 15, 35), "abc");
        assert_eq!(seen(&timeline, 20, 35), "bc");
        assert_eq!(seen(&timeline, 40, 99), "c");
    }

    #[test]
    fn an_unknown_outcome_is_possible_ever_after() {
        let mut timeline = Timeline::new('a');
        timeline.step(at(10), None, 'b');
        assert_eq!(seen(&timeline, 90, 99), "ab");
        timeline.step(at(20), Some(at(30)), 'c');
        assert_eq!(seen(&timeline, 90, 99), "bc");
    }

    #[test]
    fn of_two_at_the_same_time_either_may_be_the_last() {
        let mut timeline = Timeline::new('a');
        timeline.step(at(10), Some(at(30)), 'b');
        timeline.step(at(15), Some(at(20)), 'c');
        assert_eq!(seen(&timeline, 40, 50), "bc");
        timeline.step(at(30), Some(at(35)), 'd');
        assert_eq!(seen(&timeline, 40, 50), "d");
    }
}
