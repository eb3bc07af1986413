//! The verifier's answer about one token.

use prost_types::Timestamp;
use tessera_proto::v1::{Denial, Principal, VerifyResponse, verify_response::Verdict as Wire};
use tonic::Code;

use super::{Field, Fields, Record, fields, short};
use crate::{failure::Failure, status};

/// The verifier's answer about one token.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The line of input that the token stood on, from 1.
    line: usize,
    outcome: Outcome,
    as_of: Option<Timestamp>,
}

#[derive(Debug)]
enum Outcome {
    Granted(Box<Principal>),
    Denied(Denial),
    /// The question was wrong.
    Unanswered(Code, String),
}

impl Verdict {
    /// The answer `response` about the token on `line`.
    ///
    /// # Errors
    /// The response holds no verdict.
    pub(crate) fn new(line: usize, response: VerifyResponse) -> Result<Self, Failure> {
        let outcome = match response.verdict.ok_or(Failure::Incomplete("verdict"))? {
            Wire::Principal(principal) => Outcome::Granted(Box::new(principal)),
            Wire::Denial(denial) => Outcome::Denied(denial),
            Wire::Error(error) => Outcome::Unanswered(Code::from_i32(error.code), error.message),
        };
        let as_of = response.as_of;
        Ok(Self { line, outcome, as_of })
    }

    /// Whether the token is good.
    pub(crate) fn is_granted(&self) -> bool {
        matches!(self.outcome, Outcome::Granted(_))
    }

    /// The answer in a sentence.
    pub(crate) fn sentence(&self) -> String {
        match &self.outcome {
            Outcome::Granted(it) => format!(
                "granted to {} (user {}, account {}, role {})",
                it.name, it.user_id, it.account_id, it.role
            ),
            Outcome::Denied(denial) => format!("denied, {}", reason(denial).for_people()),
            Outcome::Unanswered(code, message) => format!("{}: {message}", status::name(*code)),
        }
    }

    /// The code of the error, if the question was wrong.
    pub(crate) fn error(&self) -> Option<Code> {
        match self.outcome {
            Outcome::Unanswered(code, _) => Some(code),
            Outcome::Granted(_) | Outcome::Denied(_) => None,
        }
    }
}

impl Record for Verdict {
    const COLUMNS: &'static [&'static str] =
        &["line", "verdict", "reason", "kind", "name", "account_id", "user_id", "role"];

    fn fields(&self) -> Fields {
        let verdict = match &self.outcome {
            Outcome::Granted(principal) => ("principal", Field::Record(principal.fields())),
            Outcome::Denied(denial) => {
                ("denial", Field::Record(fields([("reason", reason(denial))])))
            }
            Outcome::Unanswered(code, message) => {
                let error = [
                    ("code", Field::Name(status::name(*code))),
                    ("message", Field::Text(message.clone())),
                ];
                ("error", Field::Record(fields(error)))
            }
        };
        fields([
            ("line", Field::Number(i64::try_from(self.line).unwrap_or(i64::MAX))),
            ("granted", Field::Flag(self.is_granted())),
            verdict,
            ("as_of", Field::time(self.as_of)),
        ])
    }

    fn row(&self) -> Fields {
        let (verdict, why, principal) = match &self.outcome {
            Outcome::Granted(principal) => ("granted", Field::Text(String::new()), Some(principal)),
            Outcome::Denied(denial) => ("denied", reason(denial), None),
            Outcome::Unanswered(_, message) => ("error", Field::Text(message.clone()), None),
        };
        let mut row = vec![
            ("line", Field::Number(i64::try_from(self.line).unwrap_or(i64::MAX))),
            ("verdict", Field::Name(verdict)),
            ("reason", why),
        ];
        row.extend(principal.map(|it| it.fields().0).unwrap_or_default());
        fields(row)
    }
}

fn reason(denial: &Denial) -> Field {
    short(denial.reason().as_str_name(), "DENIAL_REASON_")
}

#[cfg(test)]
mod tests {
    use tessera_proto::v1::DenialReason;

    use super::*;

    fn verdict(wire: Wire) -> Verdict {
        let as_of = Some(Timestamp { seconds: 1_801_310_400, nanos: 0 });
        Verdict::new(3, VerifyResponse { verdict: Some(wire), as_of }).unwrap()
    }

    #[test]
    fn a_denial_gives_its_reason_and_when_it_was_true() {
        let denied = verdict(Wire::Denial(Denial { reason: DenialReason::WrongAudience.into() }));
        assert!(!denied.is_granted());
        assert_eq!(
            serde_json::to_string(&denied.fields()).unwrap(),
            r#"{"line":3,"granted":false,"denial":{"reason":"WRONG_AUDIENCE"},"as_of":"2027-01-30T12:00:00Z"}"#
        );
    }

    #[test]
    fn a_grant_gives_the_principal() {
        let granted = verdict(Wire::Principal(Principal { user_id: 4, ..Principal::default() }));
        assert!(granted.is_granted());
        let json = serde_json::to_value(granted.fields()).unwrap();
        assert_eq!(json["principal"]["user_id"], 4);
        assert!(json.get("denial").is_none());
    }

    #[test]
    fn a_wrong_question_is_neither_grant_nor_denial() {
        let status = tonic_types::Status { code: 3, message: "empty".into(), details: vec![] };
        let wrong = verdict(Wire::Error(status));
        assert!(!wrong.is_granted());
        assert_eq!(wrong.error(), Some(Code::InvalidArgument));
        let json = serde_json::to_value(wrong.fields()).unwrap();
        assert_eq!(json["error"]["code"], "INVALID_ARGUMENT");
    }

    #[test]
    fn an_answer_without_verdict_is_a_failure() {
        let empty = VerifyResponse::default();
        assert!(matches!(Verdict::new(1, empty), Err(Failure::Incomplete("verdict"))));
    }
}
