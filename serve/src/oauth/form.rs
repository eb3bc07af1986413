//! The form that a caller sends.

use axum::{
    body::Bytes,
    extract::rejection::BytesRejection,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use zeroize::Zeroizing;

use super::answer;

/// The largest form that is read, in bytes: a token of the largest size, percent-encoded.
pub const LARGEST_FORM: usize = 32 * 1024;
const KIND: &str = "application/x-www-form-urlencoded";

/// A form, not looked into yet.
pub struct Form(Bytes);

/// Why a form can't be taken: 413 where it is too large, 415 where it is none, else 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongForm {
    status: StatusCode,
    description: &'static str,
}

impl Form {
    /// Takes the body of a request with these headers.
    ///
    /// # Errors
    /// It is of another content type, too large, or was cut off.
    pub fn read(
        headers: &HeaderMap,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<Self, WrongForm> {
        if !is_form(headers) {
            let description = "the body must be application/x-www-form-urlencoded";
            return Err(WrongForm { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, description });
        }
        body.map(Self).map_err(|rejection| match rejection.status() {
            status @ StatusCode::PAYLOAD_TOO_LARGE => {
                WrongForm { status, description: "the form is larger than 32768 bytes" }
            }
            _ => WrongForm::because("the form was cut off"),
        })
    }

    /// The values of these parameters; others are passed over. An empty one is as good as
    /// none (RFC 6749, section 3.2).
    ///
    /// # Errors
    /// One of them is there twice, which the same section forbids.
    pub fn values<const N: usize>(
        &self,
        names: [&str; N],
    ) -> Result<[Option<Zeroizing<String>>; N], WrongForm> {
        let mut values = names.map(|_| None);
        for (name, value) in url::form_urlencoded::parse(&self.0) {
            let slot = names.iter().zip(&mut values).find(|(known, _)| **known == name);
            let Some((_, slot)) = slot else { continue };
            if slot.replace(Zeroizing::new(value.into_owned())).is_some() {
                return Err(WrongForm::because("a parameter is there twice"));
            }
        }
        Ok(values.map(|value| value.filter(|value: &Zeroizing<String>| !value.is_empty())))
    }
}

impl WrongForm {
    /// What the form says can't be.
    pub const fn because(description: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, description }
    }
}

impl IntoResponse for WrongForm {
    fn into_response(self) -> Response {
        answer::error(self.status, "invalid_request", self.description)
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(KIND))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(kind: &str, body: &'static str) -> Result<Form, WrongForm> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
        Form::read(&headers, Ok(Bytes::from_static(body.as_bytes())))
    }

    #[test]
    fn a_form_is_told_by_its_content_type() {
        for kind in [KIND, "Application/X-WWW-Form-URLEncoded; charset=UTF-8"] {
            assert!(form(kind, "").is_ok(), "{kind}");
        }
        for kind in ["application/json", "", "application/x-www-form-urlencodedx"] {
            let wrong = form(kind, "").err().unwrap();
            assert_eq!(wrong.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
        }
        assert!(Form::read(&HeaderMap::new(), Ok(Bytes::new())).is_err());
    }

    #[test]
    fn a_parameter_that_is_read_may_be_there_once() {
        let values = |body| form(KIND, body).unwrap().values(["token", "hint"]);
        let [token, hint] = values("a=1&token=x%2Fy&a=2&hint=").unwrap();
        assert_eq!((token.unwrap().as_str(), hint), ("x/y", None));
        for body in ["token=x&token=x", "token=x&hint=&hint=", "tok%65n=x&token="] {
            let wrong = values(body).unwrap_err();
            assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{body}");
        }
    }
}
