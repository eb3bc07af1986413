//! Verdicts in Envoy's words.

use tessera_proto::envoy::{
    config::core::v3::{HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction},
    service::auth::v3::{
        CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse,
    },
    r#type::v3::HttpStatus,
};
use tonic_types::Status;

use super::request::Described;
use crate::guard::{
    QUERY_TOKEN,
    identity::{Identity, NAMES},
    refusal::Refusal,
};

/// Lets the request through, with who it speaks for and without what proved it.
pub(super) fn granted(identity: &Identity, described: &Described<'_>) -> CheckResponse {
    let set: Vec<_> = identity.headers().filter(|(_, value)| !value.is_empty()).collect();
    // A header both set and removed is removed.
    let is_set = |name: &str| set.iter().any(|(one, _)| name.eq_ignore_ascii_case(one));
    let remove = removed(described).filter(|name| !is_set(name)).map(str::to_owned).collect();
    let headers = set.iter().map(|(name, value)| header(name, value)).collect();
    ok(headers, remove)
}

/// Lets the request through as nobody's.
pub(super) fn public(described: &Described<'_>) -> CheckResponse {
    ok(Vec::new(), removed(described).map(str::to_owned).collect())
}

/// All that may not reach the service as the client sent it: also what the client did
/// not send as far as is seen here, since Envoy can be told to send only some headers.
fn removed<'a>(described: &Described<'a>) -> impl Iterator<Item = &'a str> {
    std::iter::once("authorization").chain(NAMES).chain(described.forged())
}

fn ok(headers: Vec<HeaderValueOption>, headers_to_remove: Vec<String>) -> CheckResponse {
    let response = OkHttpResponse {
        headers,
        headers_to_remove,
        query_parameters_to_remove: vec![QUERY_TOKEN.to_owned()],
        ..OkHttpResponse::default()
    };
    answer(tonic::Code::Ok, "", HttpResponse::OkResponse(response))
}

/// Turns the request away.
pub(super) fn refused(refusal: &Refusal, is_grpc: bool) -> CheckResponse {
    let mut headers: Vec<_> =
        refusal.headers().iter().map(|(name, value)| header(name, value)).collect();
    if is_grpc {
        // Envoy makes `grpc-status` of the status, and `grpc-message` of the body.
        headers.push(header("grpc-status-details-bin", &refusal.grpc_details()));
    }
    let status = match refusal.http_status() {
        // Envoy makes UNKNOWN of 500, and INTERNAL of 400 (gRPC, "HTTP to gRPC Status Code
        // Mapping").
        500 if is_grpc => 400,
        other => other.into(),
    };
    let response = DeniedHttpResponse {
        status: Some(HttpStatus { code: status }),
        headers,
        body: refusal.message().to_owned(),
    };
    let response = match refusal {
        // To Envoy an error and no verdict: `failure_mode_allow` decides.
        Refusal::Outage | Refusal::Fault => HttpResponse::ErrorResponse(response),
        Refusal::NoCredential
        | Refusal::InvalidRequest
        | Refusal::InvalidToken
        | Refusal::InsufficientScope(_)
        | Refusal::Misconfigured => HttpResponse::DeniedResponse(response),
    };
    answer(refusal.grpc().0, refusal.message(), response)
}

fn answer(code: tonic::Code, message: &str, response: HttpResponse) -> CheckResponse {
    let status = Status { code: code.into(), message: message.to_owned(), details: Vec::new() };
    CheckResponse {
        status: Some(status),
        http_response: Some(response),
        ..CheckResponse::default()
    }
}

/// In the place of what there may be under that name.
fn header(name: &str, value: &str) -> HeaderValueOption {
    let value =
        HeaderValue { key: name.to_owned(), value: value.to_owned(), ..HeaderValue::default() };
    HeaderValueOption {
        header: Some(value),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}
