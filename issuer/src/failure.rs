//! How a call fails, and the one place that turns that into a gRPC status.
//!
//! To add a reason: document it in `error_reason.proto`, add it here, and the
//! compiler names what is left to do.

use std::time::Duration;

use tessera_proto::v1::ErrorReason;
use tessera_shared::{
    id::NoRandomness,
    keys::{KeyError, SealError},
    password::PasswordError,
    sparing::Sparing,
    store::StoreError,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every `ErrorInfo`.
const DOMAIN: &str = "tessera.v1";

/// A field that is wrong, and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) field: &'static str,
    pub(crate) description: String,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("a field is wrong")]
    InvalidFields(Vec<Violation>),
    #[error("this call needs credentials: authorization: Bearer or APIKey")]
    CredentialsMissing,
    #[error("the credentials are not good")]
    CredentialsInvalid,
    #[error("no active account with this username and password")]
    LoginFailed,
    #[error("the refresh token is not good; log in again")]
    RefreshTokenInvalid,
    #[error("the refresh token was used before; its session is ended")]
    RefreshTokenReused,
    #[error("the caller's role does not allow this")]
    NotPermitted,
    #[error("the role has a scope that the caller's has not")]
    RoleAboveCaller,
    #[error("a permanent token makes and manages no token that outlives it")]
    OutlivesCaller,
    #[error(
        "a secret that a rotation replaced rotates and changes no token; \
         call with the new one, or have the owner do so with a session"
    )]
    SecretReplaced,
    #[error("an access token that was exchanged gets no secret; call with the permanent token")]
    Exchanged,
    /// Names the field.
    #[error("{0}: not within those of the permanent token that calls")]
    BeyondCaller(&'static str),
    #[error("this call needs a session, not a permanent token")]
    SessionRequired,
    #[error("no such {0}, or none that the caller may see")]
    NotFound(&'static str),
    #[error("the username is taken")]
    UsernameTaken,
    #[error("the account has {0} live permanent tokens, as many as it may")]
    TokenLimitReached(u32),
    #[error("the permanent token is revoked or expired")]
    TokenEnded,
    #[error("nobody disables themselves or their own account, or changes their own role")]
    SelfDisable,
    #[error("this key signs: rotate, and it retires when the next one signs; or retire it now")]
    KeySigns,
    #[error("a key of another algorithm is about to sign; wait for it, or retire it first")]
    RotationUnderWay,
    #[error("others kept changing the same record; retry")]
    Conflict,
    #[error("the store is out of reach or did not confirm in time; look, or retry")]
    StoreUnavailable(#[source] StoreError),
    #[error("done, but not confirmed by the store's replicas, so that it may be lost yet; retry")]
    NotConfirmed(#[source] StoreError),
    #[error("too many password checks under way; retry later")]
    TooManyLogins,
    #[error("too many failed logins with this username; retry in {} s", .0.as_secs() + 1)]
    LoginThrottled(Duration),
    #[error("the service is starting; retry")]
    NotReady,
    /// The signing key can't be opened by this issuer, which is told apart since its operator
    /// can mend that.
    #[error("an internal fault; it is in the log")]
    KeySealed(SealError),
    #[error("an internal fault; it is in the log")]
    Internal(String),
}

impl Failure {
    /// One wrong field.
    pub(crate) fn field(field: &'static str, description: impl Into<String>) -> Self {
        Self::InvalidFields(vec![Violation { field, description: description.into() }])
    }

    const fn kind(&self) -> (Code, ErrorReason) {
        match self {
            Self::InvalidFields(_) => (Code::InvalidArgument, ErrorReason::InvalidField),
            Self::CredentialsMissing => (Code::Unauthenticated, ErrorReason::CredentialsMissing),
            Self::CredentialsInvalid => (Code::Unauthenticated, ErrorReason::CredentialsInvalid),
            Self::LoginFailed => (Code::Unauthenticated, ErrorReason::LoginFailed),
            Self::RefreshTokenInvalid => (Code::Unauthenticated, ErrorReason::RefreshTokenInvalid),
            Self::RefreshTokenReused => (Code::Unauthenticated, ErrorReason::RefreshTokenReused),
            Self::NotPermitted | Self::SecretReplaced | Self::Exchanged | Self::BeyondCaller(_) => {
                (Code::PermissionDenied, ErrorReason::NotPermitted)
            }
            Self::RoleAboveCaller => (Code::PermissionDenied, ErrorReason::RoleAboveCaller),
            Self::OutlivesCaller => (Code::PermissionDenied, ErrorReason::OutlivesCaller),
            Self::SessionRequired => (Code::FailedPrecondition, ErrorReason::SessionRequired),
            Self::NotFound(_) => (Code::NotFound, ErrorReason::NotFound),
            Self::UsernameTaken => (Code::AlreadyExists, ErrorReason::UsernameTaken),
            Self::TokenLimitReached(_) => (Code::ResourceExhausted, ErrorReason::TokenLimitReached),
            Self::TokenEnded => (Code::FailedPrecondition, ErrorReason::TokenEnded),
            Self::SelfDisable => (Code::FailedPrecondition, ErrorReason::SelfDisable),
            Self::KeySigns => (Code::FailedPrecondition, ErrorReason::KeySigns),
            Self::RotationUnderWay => (Code::FailedPrecondition, ErrorReason::RotationUnderWay),
            Self::Conflict => (Code::Aborted, ErrorReason::Conflict),
            Self::StoreUnavailable(_) => (Code::Unavailable, ErrorReason::StoreUnavailable),
            Self::NotConfirmed(_) => (Code::Unavailable, ErrorReason::NotConfirmed),
            Self::TooManyLogins => (Code::ResourceExhausted, ErrorReason::TooManyLogins),
            Self::LoginThrottled(_) => (Code::ResourceExhausted, ErrorReason::LoginThrottled),
            Self::NotReady => (Code::Unavailable, ErrorReason::NotReady),
            Self::KeySealed(_) | Self::Internal(_) => (Code::Internal, ErrorReason::Internal),
        }
    }

    /// What went wrong, for who asked.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::InvalidFields(violations) => violations
                .iter()
                .map(|v| format!("{}: {}", v.field, v.description))
                .collect::<Vec<_>>()
                .join("; "),
            other => other.to_string(),
        }
    }

    /// What went wrong, for the log: with what an answer keeps to itself.
    pub(crate) fn in_full(&self) -> String {
        match self {
            Self::KeySealed(error) => error.to_string(),
            Self::Internal(error) => error.clone(),
            other => match std::error::Error::source(other) {
                Some(source) => format!("{other}: {source}"),
                None => other.to_string(),
            },
        }
    }

    /// What is in the log and not in the answer. An outage fails every call: sparingly.
    pub(crate) fn log(&self) {
        static OUTAGE: Sparing = Sparing::new();
        static UNCONFIRMED: Sparing = Sparing::new();
        static FAULT: Sparing = Sparing::new();
        match self {
            Self::StoreUnavailable(error) => {
                if let Some(left_out) = OUTAGE.turn() {
                    tracing::warn!(%error, left_out, "the store did not answer; calls fail until it does");
                }
            }
            Self::NotConfirmed(error) => {
                if let Some(left_out) = UNCONFIRMED.turn() {
                    tracing::warn!(%error, left_out, "a write is not confirmed");
                }
            }
            Self::KeySealed(_) | Self::Internal(_) => {
                if let Some(left_out) = FAULT.turn() {
                    tracing::error!(error = self.in_full(), left_out, "an internal fault");
                }
            }
            _ => {}
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        failure.log();
        let (code, reason) = failure.kind();
        let reason = reason.as_str_name().trim_start_matches("ERROR_REASON_");
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, []);
        if let Failure::InvalidFields(violations) = &failure {
            for violation in violations {
                details.add_bad_request_violation(violation.field, violation.description.as_str());
            }
        }
        if let Failure::LoginThrottled(wait) = &failure {
            details.set_retry_info(Some(*wait));
        }
        Self::with_error_details(code, failure.message(), details)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::StoreUnavailable(error),
            StoreError::NotConfirmed(_) => Self::NotConfirmed(error),
            StoreError::Contended => Self::Conflict,
            StoreError::Damaged(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<PasswordError> for Failure {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::TooManyLogins,
            PasswordError::Internal(what) => Self::Internal(what.to_owned()),
        }
    }
}

impl From<NoRandomness> for Failure {
    fn from(error: NoRandomness) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        match error {
            SealError::KeyMissing | SealError::WrongKey => Self::KeySealed(error),
            SealError::Damaged | SealError::NoRandomness => Self::Internal(error.to_string()),
        }
    }
}
