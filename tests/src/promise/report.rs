//! A violation, told so that a person can follow it: the answer, what was done to
//! its token, what else was answered about it, and the faults around it.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    time::Duration,
};

use super::{
    checker::Violation,
    history::{Act, Answer, Credential, Fault, History, Instant, Operation, Outcome, Said, Span},
};

/// How many violations are told in full.
const TOLD: usize = 3;
/// How many other answers about the same string are shown.
const NEIGHBOURS: usize = 12;
/// How many operations are shown: the last ones.
const OPERATIONS: usize = 30;
/// From how long before an answer faults are shown.
const BEFORE: Duration = Duration::from_secs(10);

/// All of them in numbers, and the first few in full.
pub fn tell(history: &History, violations: &[Violation]) -> String {
    let mut text = String::new();
    let mut counts = BTreeMap::<_, usize>::new();
    for violation in violations {
        *counts.entry(format!("{:?}", violation.rule)).or_default() += 1;
    }
    for (rule, count) in counts {
        let _ = writeln!(text, "{count} × {rule}");
    }
    for violation in violations.iter().take(TOLD) {
        let _ = one(&mut text, history, violation);
    }
    text
}

fn one(text: &mut String, history: &History, violation: &Violation) -> fmt::Result {
    let answer = &history.answers[violation.answer];
    let credential = &history.credentials[answer.credential];
    writeln!(text, "\n=== {:?}: {}", violation.rule, violation.what)?;
    writeln!(text, "    {}", line_of_answer(answer))?;
    writeln!(text, "    {}", line_of_credential(answer.credential, credential))?;

    let around = Span { start: answer.start.at.saturating_sub(BEFORE), end: answer.end.at };
    let subjects = credential.subjects();
    let concerned = history.operations.iter().filter(|o| subjects.contains(&o.act.subject()));
    let concerned: Vec<_> = concerned.filter(|o| o.start <= around.end).collect();
    let earlier = concerned.len().saturating_sub(OPERATIONS);
    writeln!(
        text,
        "  what was done to it, its user and its account ({earlier} earlier are left out):"
    )?;
    for operation in concerned.iter().skip(earlier) {
        writeln!(text, "    {}", line_of_operation(history, operation))?;
    }
    writeln!(text, "  faults around it:")?;
    for fault in history.faults.iter().filter(|fault| overlaps(fault, around)) {
        writeln!(text, "    {}", line_of_fault(fault))?;
    }
    writeln!(text, "  answers about it, before and after:")?;
    let same = history.answers.iter().filter(|other| other.credential == answer.credential);
    let mut same: Vec<_> = same.collect();
    same.sort_by_key(|other| other.start.at);
    let place = same.iter().position(|other| std::ptr::eq(*other, answer)).unwrap_or(0);
    let first = place.saturating_sub(NEIGHBOURS);
    for other in same.iter().skip(first).take(2 * NEIGHBOURS) {
        let mark = if std::ptr::eq(*other, answer) { "→" } else { " " };
        writeln!(text, "  {mark} {}", line_of_answer(other))?;
    }
    Ok(())
}

fn overlaps(fault: &Fault, span: Span) -> bool {
    fault.start <= span.end && fault.end.is_none_or(|end| span.start <= end)
}

fn line_of_answer(answer: &Answer) -> String {
    let mut line =
        format!("{} verifier {}: ", span(answer.start.at, answer.end.at), answer.verifier);
    match &answer.said {
        Said::Granted { principal, .. } => {
            let _ = write!(line, "granted as {} {:?}", principal.role, principal.scopes);
        }
        Said::Denied { reason, .. } => line += reason.as_str_name(),
        Said::Failed(failure) => {
            let _ = write!(line, "{:?}: {}", failure.code, failure.message);
        }
    }
    if let Some(as_of) = answer.said.as_of() {
        let _ = match answer.start.wall - as_of {
            before @ 0.. => write!(line, "; as_of {before} ms before the question"),
            after => write!(line, "; as_of {} ms after the question", -after),
        };
    }
    if let Some(staleness) = answer.max_staleness {
        let _ = write!(line, "; max_staleness {staleness:?}");
    }
    if let Some(scope) = &answer.required_scope {
        let _ = write!(line, "; required {scope}");
    }
    line
}

fn line_of_credential(number: usize, credential: &Credential) -> String {
    let Credential { kind, user, account, made, expires_at } = credential;
    let mut line = format!(
        "credential {number}: {kind:?}, user {user}, account {account}, made {}",
        span(made.start, made.end)
    );
    if let Some(expires_at) = expires_at {
        let _ = write!(line, ", expires at {expires_at} ms");
    }
    line
}

fn line_of_operation(history: &History, operation: &Operation) -> String {
    let Operation { act, start, outcome, tries } = operation;
    let role = |number: usize| &history.roles[number].name;
    let act = match *act {
        Act::TokenRole { token, role: to } => {
            format!("token {token} becomes {}", role(to))
        }
        Act::UserRole { user, role: to } => {
            format!("user {user} becomes {}", role(to))
        }
        other => format!("{other:?}"),
    };
    match outcome {
        Outcome::Acknowledged(end) => format!("{} {act}, in {tries} tries", span(*start, *end)),
        Outcome::Unknown => format!("[{} – ?] {act}, {tries} tries", seconds(*start)),
        Outcome::Refused => format!("[{} refused] {act}", seconds(*start)),
    }
}

fn line_of_fault(fault: &Fault) -> String {
    match fault.end {
        Some(end) => format!("{} {}", span(fault.start, end), fault.what),
        None => format!("[{} – now] {}", seconds(fault.start), fault.what),
    }
}

fn span(start: Instant, end: Instant) -> String {
    format!("[{} – {}]", seconds(start), seconds(end))
}

fn seconds(instant: Instant) -> String {
    format!("{:.6}", instant.as_secs_f64())
}
