//! Writes the history down while it happens.

use std::{
    sync::{Mutex, MutexGuard},
    time,
};

use tessera_shared::clock::{Clock as _, SystemClock};
use tonic::{Code, Status};

use super::dice::Dice;
use super::history::{
    Act, Answer, Credential, CredentialNumber, Failure, Fault, History, Instant, Moment, Operation,
    Outcome, RoleNumber,
};

/// The history so far, and the clocks that it is told in.
pub struct Recorder {
    begun: time::Instant,
    history: Mutex<History>,
}

impl Recorder {
    /// Begins with a history that knows the roles alone, perhaps.
    pub fn new(history: History) -> Self {
        Self { begun: time::Instant::now(), history: Mutex::new(history) }
    }

    /// The present instant on the monotonic clock.
    pub fn now(&self) -> Instant {
        self.begun.elapsed()
    }

    /// The present instant on both clocks. The machine's is read second: if something
    /// comes between, then what an answer says of its age counts as older.
    pub fn moment(&self) -> Moment {
        let at = self.now();
        Moment { at, wall: SystemClock.now().millis() }
    }

    /// A role's place in the catalogue.
    pub fn role(&self, name: &str) -> RoleNumber {
        let history = self.history();
        history.roles.iter().position(|role| role.name == name).expect("a role of the catalogue")
    }

    /// The name of a role.
    pub fn role_name(&self, role: RoleNumber) -> String {
        self.history().roles[role].name.clone()
    }

    /// How many roles there are.
    pub fn roles(&self) -> usize {
        self.history().roles.len()
    }

    /// A scope of some role.
    pub fn any_scope(&self, dice: &mut Dice) -> String {
        let history = self.history();
        let role = dice.below(history.roles.len());
        dice.pick(&history.roles[role].scopes).clone()
    }

    /// Notes a user.
    pub fn user(&self, id: i64, role: RoleNumber) {
        self.history().users.insert(id, role);
    }

    /// Notes a permanent token.
    pub fn token(&self, id: i64, role: RoleNumber) {
        self.history().tokens.insert(id, role);
    }

    /// Notes a string that verifiers may be asked about from now on.
    pub fn credential(&self, credential: Credential) -> CredentialNumber {
        let mut history = self.history();
        history.credentials.push(credential);
        history.credentials.len() - 1
    }

    /// Notes an operation, before its first try.
    pub fn begin(&self, act: Act) -> usize {
        let start = self.now();
        let mut history = self.history();
        history.operations.push(Operation { act, start, outcome: Outcome::Unknown, tries: 0 });
        history.operations.len() - 1
    }

    /// Notes one more try of an operation.
    pub fn tried(&self, operation: usize) {
        self.history().operations[operation].tries += 1;
    }

    /// Notes that an operation was acknowledged.
    pub fn acknowledge(&self, operation: usize) {
        let now = self.now();
        self.history().operations[operation].outcome = Outcome::Acknowledged(now);
    }

    /// Notes that an operation was refused. After a try of unknown outcome, that says
    /// nothing about what that try did.
    pub fn refuse(&self, operation: usize) {
        let operation = &mut self.history().operations[operation];
        if operation.tries <= 1 {
            operation.outcome = Outcome::Refused;
        }
    }

    /// Notes that a fault begins.
    pub fn fault(&self, what: String) -> usize {
        let start = self.now();
        let mut history = self.history();
        history.faults.push(Fault { what, start, end: None });
        history.faults.len() - 1
    }

    /// Notes that a fault is over.
    pub fn fault_over(&self, fault: usize) {
        let now = self.now();
        self.history().faults[fault].end = Some(now);
    }

    /// Notes what a verifier said.
    pub fn answers(&self, answers: impl IntoIterator<Item = Answer>) {
        self.history().answers.extend(answers);
    }

    /// Notes an error of the issuer that is neither an outage nor a refusal.
    pub fn complain_of(&self, act: &str, status: &Status) {
        let failure = Failure::from(status);
        let is_fault = matches!(failure.code, Code::Internal | Code::Unknown | Code::DataLoss);
        if is_fault && !failure.is_lost {
            let complaint =
                format!("{:.3} s: the issuer, {act}: {status:?}", self.now().as_secs_f64());
            self.history().complaints.push(complaint);
        }
    }

    /// The history up to now. The answers are in it for the only time: each is judged
    /// by what was known when it came, since an operation that has not ended by then
    /// can't make it worse.
    pub fn take(&self) -> History {
        let mut history = self.history();
        let answers = std::mem::take(&mut history.answers);
        History { answers, ..history.clone() }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }
}

impl From<&Status> for Failure {
    fn from(status: &Status) -> Self {
        Self {
            code: status.code(),
            // A status that came over the wire has no cause on this side.
            is_lost: std::error::Error::source(status).is_some(),
            message: status.message().to_owned(),
        }
    }
}
