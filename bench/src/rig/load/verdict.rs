//! As much of an answer as tells whether it grants, without decoding it.

/// Whether a `VerifyResponse` holds a principal: its field 1.
pub(super) fn grants(mut message: &[u8]) -> bool {
    loop {
        match message {
            [0x0a, ..] => return true,
            // `as_of` may stand before it.
            [0x1a, length, rest @ ..] => {
                message = rest.get(usize::from(*length)..).unwrap_or_default();
            }
            _ => return false,
        }
    }
}

/// Whether the first answer of a `BatchVerifyResponse` does.
pub(super) fn first_grants(message: &[u8]) -> bool {
    let Some(rest) = message.strip_prefix(&[0x0a]) else { return false };
    let length = rest.iter().position(|byte| byte & 0x80 == 0);
    length.and_then(|length| rest.get(length + 1..)).is_some_and(grants)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::Timestamp;
    use tessera_proto::v1::{
        BatchVerifyResponse, Denial, Principal, VerifyResponse, verify_response::Verdict,
    };

    use super::*;

    fn answer(verdict: Verdict) -> VerifyResponse {
        let as_of = Some(Timestamp { seconds: 1_800_000_000, nanos: 1 });
        VerifyResponse { verdict: Some(verdict), as_of }
    }

    fn granted() -> VerifyResponse {
        let scopes = vec!["cdn:purge".to_owned(); 20];
        answer(Verdict::Principal(Principal { scopes, ..Principal::default() }))
    }

    fn denied() -> VerifyResponse {
        answer(Verdict::Denial(Denial { reason: 3 }))
    }

    #[test]
    fn a_principal_grants_and_a_denial_does_not() {
        assert!(grants(&granted().encode_to_vec()));
        assert!(!grants(&denied().encode_to_vec()));
        assert!(!grants(&[]));
    }

    #[test]
    fn fields_may_stand_in_any_order() {
        let as_of = VerifyResponse { verdict: None, ..denied() }.encode_to_vec();
        let principal = VerifyResponse { as_of: None, ..granted() }.encode_to_vec();
        assert!(grants(&[as_of.clone(), principal].concat()));
        let denial = VerifyResponse { as_of: None, ..denied() }.encode_to_vec();
        assert!(!grants(&[as_of, denial].concat()));
    }

    #[test]
    fn of_a_batch_the_first_answer_counts() {
        let batch = |responses| BatchVerifyResponse { responses }.encode_to_vec();
        assert!(first_grants(&batch(vec![granted(), denied()])));
        assert!(!first_grants(&batch(vec![denied(), granted()])));
        assert!(!first_grants(&batch(vec![])));
    }
}
