//! What was done and what was answered, each with its start and its end.
//!
//! A start is taken before the request is sent and an end after the answer has
//! arrived, both on one clock. So a slow machine makes the spans longer, which only
//! makes the checker more lenient.

use std::{collections::HashMap, time::Duration};

use prost_types::Timestamp as ProtoTimestamp;
use tessera_proto::v1::{DenialReason, Principal};
use tonic::Code;

/// Since the start of the test, on its monotonic clock.
pub type Instant = Duration;
/// A place in [`History::credentials`].
pub type CredentialNumber = usize;
/// A place in [`History::roles`].
pub type RoleNumber = usize;

/// An instant on both clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// On the monotonic clock.
    pub at: Instant,
    /// On the machine's clock, in milliseconds since the epoch: what expiry and `as_of` are in.
    pub wall: i64,
}

/// From before a request to after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Before the request was sent.
    pub start: Instant,
    /// After the answer had arrived.
    pub end: Instant,
}

/// All that happened.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The role catalogue.
    pub roles: Vec<Role>,
    /// The role that each user was made with.
    pub users: HashMap<i64, RoleNumber>,
    /// The role that each permanent token was made with.
    pub tokens: HashMap<i64, RoleNumber>,
    /// The strings that verifiers are asked about.
    pub credentials: Vec<Credential>,
    /// What the issuer was told to do.
    pub operations: Vec<Operation>,
    /// What was done to the machines and the network.
    pub faults: Vec<Fault>,
    /// What the verifiers said.
    pub answers: Vec<Answer>,
    /// What the issuer must never say.
    pub complaints: Vec<String>,
}

/// A role of the catalogue.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What it allows, sorted.
    pub scopes: Vec<String>,
}

/// One string that can be presented, without the string.
#[derive(Clone, Debug)]
pub struct Credential {
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub user: i64,
    /// The user's account.
    pub account: i64,
    /// From before the request for it to after its arrival.
    pub made: Span,
    /// When it expires, in milliseconds since the epoch.
    pub expires_at: Option<i64>,
}

/// What a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One secret of a permanent token; rotations count the version up.
    Permanent {
        /// The token's id.
        token: i64,
        /// Which secret: the record's `secret_version`.
        version: i32,
    },
    /// An access token that a login made.
    Session {
        /// The session's id.
        session: i64,
    },
    /// An access token that a permanent token was exchanged for.
    Exchanged {
        /// The permanent token's id.
        token: i64,
    },
    /// A string of the right form that was never issued.
    Bogus,
}

/// Something that the issuer was told to do, repeated until the outcome was known.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// What.
    pub act: Act,
    /// Before the first try.
    pub start: Instant,
    /// What is known of it.
    pub outcome: Outcome,
    /// How often it was tried.
    pub tries: u32,
}

/// What is known of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It may or may not be done, now or later.
    Unknown,
    /// It was done by then.
    Acknowledged(Instant),
    /// It was refused at the first try, so nothing was done.
    Refused,
}

/// What the issuer can be told. Each is a change: a user is not disabled twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A permanent token ends.
    Revoke {
        /// Its id.
        token: i64,
    },
    /// A permanent token gets a new secret, with no overlap.
    Rotate {
        /// Its id.
        token: i64,
        /// The secrets up to this version end.
        up_to: i32,
    },
    /// A permanent token gets another role.
    TokenRole {
        /// Its id.
        token: i64,
        /// The new role.
        role: RoleNumber,
    },
    /// A user gets another role.
    UserRole {
        /// The user's id.
        user: i64,
        /// The new role.
        role: RoleNumber,
    },
    /// A user is disabled or enabled.
    UserState {
        /// The user's id.
        user: i64,
        /// The new state.
        disabled: bool,
    },
    /// An account is disabled or enabled.
    AccountState {
        /// Its id.
        account: i64,
        /// The new state.
        disabled: bool,
    },
    /// A session logs out.
    Logout {
        /// Its id.
        session: i64,
    },
    /// A user logs all their sessions out.
    LogoutAll {
        /// The user's id.
        user: i64,
    },
    /// An administrator ends a user's sessions.
    EndSessions {
        /// The user's id.
        user: i64,
    },
}

/// One thing that was done to a machine or the network.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What, and to whom.
    pub what: String,
    /// When it began.
    pub start: Instant,
    /// When it was over; `None`: not yet.
    pub end: Option<Instant>,
}

/// One question to a verifier, and what it said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Which verifier.
    pub verifier: usize,
    /// What was asked about.
    pub credential: CredentialNumber,
    /// How old a view the question allows; `None`: the bound.
    pub max_staleness: Option<Duration>,
    /// A scope that the question needs.
    pub required_scope: Option<String>,
    /// Before the question was sent.
    pub start: Moment,
    /// After the answer had arrived.
    pub end: Moment,
    /// What was said.
    pub said: Said,
}

/// What a verifier said.
#[derive(Clone, Debug)]
pub enum Said {
    /// The token is good.
    Granted {
        /// For this principal.
        principal: Box<Principal>,
        /// As of then, in milliseconds since the epoch.
        as_of: i64,
    },
    /// The token is refused.
    Denied {
        /// Why.
        reason: DenialReason,
        /// As of then, in milliseconds since the epoch.
        as_of: i64,
    },
    /// There was no verdict.
    Failed(Failure),
}

/// A call without a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub code: Code,
    /// Whether the connection broke: no server said this.
    pub is_lost: bool,
    /// The text.
    pub message: String,
}

impl Said {
    /// As of when the verifier claims this to be true.
    pub fn as_of(&self) -> Option<i64> {
        match self {
            Self::Granted { as_of, .. } | Self::Denied { as_of, .. } => Some(*as_of),
            Self::Failed(_) => None,
        }
    }
}

impl Operation {
    /// When it was done at the latest, if that is known.
    pub fn done(&self) -> Option<Instant> {
        match self.outcome {
            Outcome::Acknowledged(at) => Some(at),
            Outcome::Unknown | Outcome::Refused => None,
        }
    }
}

/// Milliseconds since the epoch, rounded down.
pub fn millis(instant: &ProtoTimestamp) -> i64 {
    instant.seconds * 1000 + i64::from(instant.nanos) / 1_000_000
}
