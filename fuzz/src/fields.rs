//! The verifier's reader of fields, held against prost.

// The reader itself, which no other crate can name.
#[expect(dead_code, reason = "whether terms meet a question is tested elsewhere")]
#[path = "../../verifier/src/service/fields.rs"]
mod reader;

use prost::Message as _;
use reader::{Entries, Question};
use tessera_proto::v1::{BatchVerifyRequest, VerifyRequest};

/// Reads `data` as a question, and as a batch of them.
pub fn check(data: &[u8]) {
    question(data);
    let Some(entries) = Entries::of(data).collect::<Option<Vec<_>>>() else { return };
    match BatchVerifyRequest::decode(data) {
        Ok(batch) => {
            assert_eq!(batch.requests.len(), entries.len());
            entries.into_iter().for_each(question);
        }
        // Then it is one of the questions that prost can't read, as `question` finds.
        Err(_) => assert!(entries.iter().any(|entry| VerifyRequest::decode(*entry).is_err())),
    }
}

fn question(data: &[u8]) {
    let Some(question) = Question::parse(data) else { return };
    let scopes: Vec<&[u8]> = question.required_scopes().collect();
    let Ok(request) = VerifyRequest::decode(data) else {
        // Text that is not UTF-8 is all that may be read here and not there.
        assert!(!every_text_is_utf_8(data));
        return;
    };
    assert_eq!(request.token.as_bytes(), question.token);
    assert_eq!(request.audience.as_bytes(), question.audience);
    assert!(scopes.into_iter().eq(request.required_scopes.iter().map(String::as_bytes)));
    assert_eq!(request.client_address, "");
    assert_eq!(request.max_staleness, None);
}

/// Whether each field of this message, all of them short texts, is UTF-8: also those that
/// a later one of the same number replaces.
fn every_text_is_utf_8(mut data: &[u8]) -> bool {
    while let [_, low, rest @ ..] = data {
        let (length, rest) = match (low, rest) {
            (0..0x80, rest) => (usize::from(*low), rest),
            (_, [high, rest @ ..]) => (usize::from(low & 0x7f) | usize::from(*high) << 7, rest),
            _ => panic!("a length that is cut off"),
        };
        let (text, rest) = rest.split_at(length);
        if std::str::from_utf8(text).is_err() {
            return false;
        }
        data = rest;
    }
    true
}
