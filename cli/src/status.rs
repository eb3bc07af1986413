//! A gRPC error as one line for people.

use std::error::Error as _;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::record::printable;

/// `CODE: message (field: what is wrong) [REASON]`; where no service answered, the
/// server and the cause. The detail of the error is in it, the request never.
pub(crate) fn line(status: &Status, server: &str) -> String {
    let details = status.get_error_details();
    let mut line = format!("{}: {}", name(status.code()), status.message());
    if let Some(cause) = cause(status) {
        line += &format!(": {cause} ({server})");
    }
    let fields: Vec<String> = details
        .bad_request()
        .into_iter()
        .flat_map(|bad| &bad.field_violations)
        .map(|wrong| format!("{}: {}", wrong.field, wrong.description))
        .collect();
    if !fields.is_empty() {
        line += &format!(" ({})", fields.join("; "));
    }
    if let Some(info) = details.error_info() {
        line += &format!(" [{}]", info.reason);
    }
    printable(&line)
}

/// The innermost cause, if the error arose on this side.
fn cause(status: &Status) -> Option<String> {
    let mut innermost = status.source()?;
    while let Some(deeper) = innermost.source() {
        innermost = deeper;
    }
    Some(innermost.to_string())
}

/// The reason of the error's `ErrorInfo`: a name of `tessera.v1.ErrorReason`.
pub(crate) fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// The code's name in gRPC's documents.
pub(crate) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn fields_and_reason_are_on_the_line() {
        let mut details = ErrorDetails::with_error_info(
            "INVALID_FIELD",
            "tessera.v1",
            std::collections::HashMap::new(),
        );
        details
            .add_bad_request_violation("name", "1 to 128 characters")
            .add_bad_request_violation("role", "no such role");
        let status = Status::with_error_details(Code::InvalidArgument, "fields are wrong", details);
        assert_eq!(
            line(&status, "http://here"),
            "INVALID_ARGUMENT: fields are wrong (name: 1 to 128 characters; role: no such role) [INVALID_FIELD]"
        );
        assert_eq!(reason(&status).as_deref(), Some("INVALID_FIELD"));
    }

    #[test]
    fn an_error_without_details_is_code_and_message() {
        let status = Status::not_found("no such token");
        assert_eq!(line(&status, "http://here"), "NOT_FOUND: no such token");
    }

    #[test]
    fn an_error_cannot_steer_the_terminal() {
        let status = Status::internal("a\u{1b}[2Jb\nc");
        assert_eq!(line(&status, "x"), "INTERNAL: a\\u{1b}[2Jb\\nc");
    }
}
