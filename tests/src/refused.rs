//! What every refused call must say.

use std::fmt::Debug;

use tessera_proto::v1::ErrorReason;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Asserts that a call failed with this code and this reason.
pub fn assert_refused<T: Debug>(result: Result<T, Status>, code: Code, reason: ErrorReason) {
    let status = result.expect_err("a refusal");
    assert_eq!((status.code(), reason_of(&status)), (code, reason), "{status:?}");
}

/// Asserts that a call failed because of this field alone, and says what is right.
pub fn assert_wrong_field<T: Debug>(result: Result<T, Status>, field: &str) {
    let status = result.expect_err("a refusal");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(reason_of(&status), ErrorReason::InvalidField);
    let request = status.get_details_bad_request().expect("a BadRequest");
    let fields: Vec<_> =
        request.field_violations.iter().map(|wrong| wrong.field.as_str()).collect();
    assert_eq!(fields, [field], "{status:?}");
    assert!(!request.field_violations[0].description.is_empty());
}

/// The reason in the `ErrorInfo` that every error carries.
pub fn reason_of(status: &Status) -> ErrorReason {
    let info =
        status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "tessera.v1");
    let name = format!("ERROR_REASON_{}", info.reason);
    ErrorReason::from_str_name(&name).unwrap_or_else(|| panic!("{name} is not in the contract"))
}
