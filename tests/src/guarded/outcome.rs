//! What must come of a request to a guarded service.

use tonic::Code;

use crate::wire::Answer;

/// The names of all identity headers.
pub const NAMES: [&str; 6] = [
    "x-tessera-account",
    "x-tessera-user",
    "x-tessera-role",
    "x-tessera-scopes",
    "x-tessera-token-id",
    "x-tessera-kind",
];

/// What must come of a request.
pub enum Outcome {
    /// It reaches the service with this identity; an empty value: none of that name.
    Granted([String; NAMES.len()]),
    /// It reaches the service, as nobody's.
    Public,
    /// It does not reach the service.
    Refused {
        /// The status of HTTP.
        status: u16,
        /// `WWW-Authenticate`.
        challenge: Option<&'static str>,
        /// What gRPC says.
        code: Code,
        /// The reason in its `ErrorInfo`.
        reason: &'static str,
    },
}

/// No token is presented.
pub const NO_TOKEN: Outcome = Outcome::Refused {
    status: 401,
    challenge: Some("Bearer realm=\"tessera\""),
    code: Code::Unauthenticated,
    reason: "CREDENTIALS_MISSING",
};
/// Not one token in one header.
pub const INVALID_REQUEST: Outcome = Outcome::Refused {
    status: 401,
    challenge: Some("Bearer error=\"invalid_request\""),
    code: Code::Unauthenticated,
    reason: "CREDENTIALS_INVALID",
};
/// All bad tokens look the same.
pub const INVALID_TOKEN: Outcome = Outcome::Refused {
    status: 401,
    challenge: Some("Bearer error=\"invalid_token\""),
    code: Code::Unauthenticated,
    reason: "CREDENTIALS_INVALID",
};
/// What `/content/` needs is not held.
pub const SCOPE: Outcome = Outcome::Refused {
    status: 403,
    challenge: Some("Bearer error=\"insufficient_scope\", scope=\"cdn:read cdn:write\""),
    code: Code::PermissionDenied,
    reason: "NOT_PERMITTED",
};
/// The question could not be answered.
pub const OUTAGE: Outcome = Outcome::Refused {
    status: 503,
    challenge: None,
    code: Code::Unavailable,
    reason: "STORE_UNAVAILABLE",
};

impl Outcome {
    /// Asserts that the answer is this.
    ///
    /// # Panics
    /// When it is not; the message names `what`.
    pub fn assert(&self, answer: &Answer, what: &str) {
        match self {
            Self::Granted(identity) => assert_reached(answer, identity, what),
            Self::Public => assert_reached(answer, &Default::default(), what),
            Self::Refused { status, challenge, code, reason } => {
                assert!(!answer.reached(), "{what} reached the service: {answer:?}");
                match &answer.grpc {
                    Some(grpc) => {
                        assert_eq!(grpc, &(*code, (*reason).to_owned()), "{what}: {answer:?}");
                    }
                    None => {
                        assert_eq!(answer.status, *status, "{what}: {answer:?}");
                        assert_eq!(answer.header("www-authenticate"), *challenge, "{what}");
                    }
                }
                if *status == 503 {
                    assert_eq!(answer.header("retry-after"), Some("1"), "{what}: {answer:?}");
                }
            }
        }
    }
}

fn assert_reached(answer: &Answer, identity: &[String; NAMES.len()], what: &str) {
    assert!(answer.reached(), "{what} did not reach the service: {answer:?}");
    for (name, value) in NAMES.iter().zip(identity) {
        assert_eq!(answer.seen(name), *value, "{what}: {name}");
    }
    let others = answer.names_seen().into_iter().filter(|name| !NAMES.contains(name));
    for name in others {
        let like_ours = name.contains("tessera");
        assert!(!like_ours && name != "authorization", "{what}: the service got {name}");
    }
}
