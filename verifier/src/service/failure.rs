//! How a call fails, and the one place that turns that into a gRPC status. A failure
//! says that the question could not be answered: it is never a verdict.

use std::fmt;

use prost::Message as _;
use tessera_proto::v1::ErrorReason;
use tessera_shared::{sparing::Sparing, store::StoreError};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The domain of every `ErrorInfo`.
pub(crate) const DOMAIN: &str = "tessera.v1";

/// A field that is wrong, and what would be right. Never what it held: a caller who
/// mixed up two fields may have put a token there.
#[derive(Debug)]
pub(crate) struct Violation {
    field: String,
    description: &'static str,
}

impl Violation {
    pub(super) fn new(field: impl Into<String>, description: &'static str) -> Self {
        Self { field: field.into(), description }
    }

    /// The same, where `outer` holds the message of the field.
    pub(super) fn within(self, outer: fmt::Arguments<'_>) -> Self {
        Self { field: format!("{outer}.{}", self.field), ..self }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.description)
    }
}

/// All that is wrong with a question.
#[derive(Debug)]
pub(crate) struct Violations(pub(super) Vec<Violation>);

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join("; "))
    }
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The question is wrong.
    InvalidFields(Violations),
    /// The store could not answer it.
    Store(StoreError),
}

impl Failure {
    /// As a message inside an answer.
    pub(super) fn into_rpc_status(self) -> tonic_types::Status {
        let status = Status::from(self);
        // A `google.rpc.Status` is also what tonic-types puts into the details.
        tonic_types::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::Status {
            code: status.code().into(),
            message: status.message().to_owned(),
            details: Vec::new(),
        })
    }

    fn message(&self) -> String {
        match self {
            Self::InvalidFields(violations) => violations.to_string(),
            Self::Store(
                StoreError::Unavailable(_) | StoreError::NotConfirmed(_) | StoreError::Contended,
            ) => "the store is out of reach; retry".to_owned(),
            Self::Store(StoreError::Damaged(_)) => "an internal fault; it is in the log".to_owned(),
        }
    }

    const fn kind(&self) -> (Code, ErrorReason) {
        match self {
            Self::InvalidFields(_) => (Code::InvalidArgument, ErrorReason::InvalidField),
            Self::Store(
                StoreError::Unavailable(_) | StoreError::NotConfirmed(_) | StoreError::Contended,
            ) => (Code::Unavailable, ErrorReason::StoreUnavailable),
            Self::Store(StoreError::Damaged(_)) => (Code::Internal, ErrorReason::Internal),
        }
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::InvalidFields(Violations(vec![violation]))
    }
}

impl From<Violations> for Failure {
    fn from(violations: Violations) -> Self {
        Self::InvalidFields(violations)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Puts a fault of ours, which many questions may meet, into the log.
pub(crate) fn tell_of_a_fault(error: &StoreError) {
    static FAULT: Sparing = Sparing::new();
    if let Some(left_out) = FAULT.turn() {
        tracing::error!(%error, left_out, "a question can't be answered");
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        // An outage is in the log already, once and not for each call: see `WatchedStore`.
        if let Failure::Store(error @ StoreError::Damaged(_)) = &failure {
            tell_of_a_fault(error);
        }
        let (code, reason) = failure.kind();
        let reason = reason.as_str_name().trim_start_matches("ERROR_REASON_");
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, []);
        if let Failure::InvalidFields(violations) = &failure {
            for violation in &violations.0 {
                details.add_bad_request_violation(violation.field.as_str(), violation.description);
            }
        }
        Self::with_error_details(code, failure.message(), details)
    }
}
