//! What one credential's fate hangs on: its gates, each with its history. It is good
//! while all are open.

use std::collections::HashMap;

use tessera_proto::v1::DenialReason;

use super::{
    history::{Act, Credential, History, Kind, Operation, Outcome, RoleNumber},
    timeline::Timeline,
};

/// One condition of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Nothing in its way.
    Open,
    /// Not made.
    Absent,
    /// Ended on purpose.
    Ended,
    /// A secret that a rotation replaced.
    Replaced,
    /// Its user or account is disabled.
    Disabled,
}

/// What a credential's answers are judged by.
pub(super) struct Case {
    /// Each with a name for reports.
    pub(super) gates: Vec<(&'static str, Timeline<Gate>)>,
    /// The role of the permanent token behind it.
    pub(super) token_role: Option<Timeline<RoleNumber>>,
    /// The role of its user.
    pub(super) user_role: Timeline<RoleNumber>,
}

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Token(i64),
    User(i64),
    Account(i64),
    Session(i64),
}

/// The operations by subject. Those that were refused did nothing.
pub(super) struct Index<'a>(HashMap<Subject, Vec<&'a Operation>>);

impl<'a> Index<'a> {
    pub(super) fn new(history: &'a History) -> Self {
        let mut index = HashMap::<_, Vec<_>>::new();
        for operation in history.operations.iter().filter(|o| o.outcome != Outcome::Refused) {
            index.entry(operation.act.subject()).or_default().push(operation);
        }
        Self(index)
    }

    fn of(&self, subject: Subject) -> impl Iterator<Item = &'a Operation> {
        self.0.get(&subject).into_iter().flatten().copied()
    }
}

impl Act {
    pub(super) fn subject(self) -> Subject {
        match self {
            Self::Revoke { token } | Self::Rotate { token, .. } | Self::TokenRole { token, .. } => {
                Subject::Token(token)
            }
            Self::UserRole { user, .. }
            | Self::UserState { user, .. }
            | Self::LogoutAll { user }
            | Self::EndSessions { user } => Subject::User(user),
            Self::AccountState { account, .. } => Subject::Account(account),
            Self::Logout { session } => Subject::Session(session),
        }
    }
}

impl Credential {
    /// What its operations are about.
    pub(super) fn subjects(&self) -> Vec<Subject> {
        let own = match self.kind {
            Kind::Permanent { token, .. } | Kind::Exchanged { token } => Subject::Token(token),
            Kind::Session { session } => Subject::Session(session),
            Kind::Bogus => return Vec::new(),
        };
        vec![own, Subject::User(self.user), Subject::Account(self.account)]
    }
}

impl Gate {
    /// Whether this is a ground for a denial with this reason.
    pub(super) fn explains(self, reason: DenialReason, kind: Kind) -> bool {
        let is_access_token = !matches!(kind, Kind::Permanent { .. });
        match self {
            Self::Open => false,
            Self::Absent => reason == DenialReason::Unknown,
            Self::Ended => reason == DenialReason::Revoked,
            // A record remembers a few of the secrets that it had.
            Self::Replaced => matches!(reason, DenialReason::Revoked | DenialReason::Unknown),
            Self::Disabled => {
                reason == DenialReason::PrincipalDisabled
                    || is_access_token && reason == DenialReason::Revoked
            }
        }
    }
}

impl Case {
    pub(super) fn new(history: &History, credential: &Credential, index: &Index<'_>) -> Self {
        let mut user_role =
            Timeline::new(history.users.get(&credential.user).copied().unwrap_or(0));
        for operation in index.of(Subject::User(credential.user)) {
            if let Act::UserRole { role, .. } = operation.act {
                user_role.step(operation.start, operation.done(), role);
            }
        }
        let (mut gates, token_role) = match credential.kind {
            Kind::Bogus => (vec![("the string", Timeline::new(Gate::Absent))], None),
            Kind::Permanent { token, version } => {
                let gates = permanent(credential, token, version, index);
                (gates, Some(token_role(history, token, index)))
            }
            Kind::Session { session } => (session_gates(credential, session, index), None),
            Kind::Exchanged { token } => {
                let gates = exchanged(credential, token, index);
                (gates, Some(token_role(history, token, index)))
            }
        };
        if credential.kind != Kind::Bogus {
            gates.extend(principal(credential, index));
        }
        Self { gates, token_role, user_role }
    }
}

type Gates = Vec<(&'static str, Timeline<Gate>)>;

fn permanent(credential: &Credential, token: i64, version: i32, index: &Index<'_>) -> Gates {
    let mut made = Timeline::new(Gate::Absent);
    made.step(credential.made.start, Some(credential.made.end), Gate::Open);
    let mut record = Timeline::new(Gate::Open);
    let mut secret = Timeline::new(Gate::Open);
    for operation in index.of(Subject::Token(token)) {
        let (start, end) = (operation.start, operation.done());
        match operation.act {
            Act::Revoke { .. } => record.step(start, end, Gate::Ended),
            Act::Rotate { up_to, .. } if version <= up_to => {
                secret.step(start, end, Gate::Replaced)
            }
            _ => {}
        }
    }
    vec![("the secret's making", made), ("the token", record), ("the secret", secret)]
}

fn session_gates(credential: &Credential, session: i64, index: &Index<'_>) -> Gates {
    let mut login = Timeline::new(Gate::Open);
    for operation in index.of(Subject::Session(session)) {
        login.step(operation.start, operation.done(), Gate::Ended);
    }
    let mut changes = Timeline::new(Gate::Open);
    for operation in index.of(Subject::User(credential.user)) {
        step_if_made_before(&mut changes, credential, operation);
    }
    vec![("the session", login), ("what was made before a change of the user", changes)]
}

fn exchanged(credential: &Credential, token: i64, index: &Index<'_>) -> Gates {
    let mut record = Timeline::new(Gate::Open);
    for operation in index.of(Subject::Token(token)) {
        match operation.act {
            // It dies with the token, whenever it was made.
            Act::Revoke { .. } => record.step(operation.start, operation.done(), Gate::Ended),
            _ => step_if_made_before(&mut record, credential, operation),
        }
    }
    let mut changes = Timeline::new(Gate::Open);
    for operation in index.of(Subject::User(credential.user)) {
        match operation.act {
            Act::LogoutAll { .. } => {}
            // The contract does not say whether it ends with the sessions.
            Act::EndSessions { .. } => changes.step(operation.start, None, Gate::Ended),
            _ => step_if_made_before(&mut changes, credential, operation),
        }
    }
    vec![("the token", record), ("what was made before a change of the user", changes)]
}

/// Changes end the access tokens that were made before them. Whether that is so of
/// one made at the same time, nobody knows.
fn step_if_made_before(
    timeline: &mut Timeline<Gate>,
    credential: &Credential,
    operation: &Operation,
) {
    let made = credential.made;
    if operation.done().is_some_and(|done| done <= made.start) {
        return;
    }
    let is_before = made.end <= operation.start;
    timeline.step(operation.start, operation.done().filter(|_| is_before), Gate::Ended);
}

/// Whether its user and its account are disabled, which no other change takes back.
fn principal(credential: &Credential, index: &Index<'_>) -> Gates {
    let (mut user, mut account) = (Timeline::new(Gate::Open), Timeline::new(Gate::Open));
    for operation in index.of(Subject::User(credential.user)) {
        if let Act::UserState { disabled, .. } = operation.act {
            user.step(operation.start, operation.done(), state(disabled));
        }
    }
    for operation in index.of(Subject::Account(credential.account)) {
        if let Act::AccountState { disabled, .. } = operation.act {
            account.step(operation.start, operation.done(), state(disabled));
        }
    }
    vec![("the user", user), ("the account", account)]
}

fn token_role(history: &History, token: i64, index: &Index<'_>) -> Timeline<RoleNumber> {
    let mut timeline = Timeline::new(history.tokens.get(&token).copied().unwrap_or(0));
    for operation in index.of(Subject::Token(token)) {
        if let Act::TokenRole { role, .. } = operation.act {
            timeline.step(operation.start, operation.done(), role);
        }
    }
    timeline
}

const fn state(disabled: bool) -> Gate {
    if disabled { Gate::Disabled } else { Gate::Open }
}
