//! The requests, encoded before anything is measured.

use std::ops::Range;

use prost::Message;
use tessera_proto::v1::{BatchVerifyRequest, VerifyRequest};

/// Requests to one method, framed for gRPC.
pub(crate) struct Bodies {
    /// The method's path.
    pub(crate) path: &'static str,
    /// Tokens in each request.
    pub(crate) tokens_each: usize,
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Bodies {
    /// A `Verify` for each token, in an order that no cache line foresees.
    pub(crate) fn verify(tokens: &[String]) -> Self {
        Self::verify_with(tokens, |token| VerifyRequest { token, ..VerifyRequest::default() })
    }

    /// A `Verify` for each token that `question` makes.
    pub(crate) fn verify_with(
        tokens: &[String],
        question: impl Fn(String) -> VerifyRequest,
    ) -> Self {
        let mut bodies = Self::new("/tessera.v1.VerifierService/Verify", 1);
        for token in shuffled(tokens) {
            bodies.push(&question(token.clone()));
        }
        bodies
    }

    /// A `BatchVerify` for each `size` tokens.
    pub(crate) fn batch(tokens: &[String], size: usize) -> Self {
        let mut bodies = Self::new("/tessera.v1.VerifierService/BatchVerify", size);
        for some in tokens.chunks_exact(size) {
            let question =
                |token: &String| VerifyRequest { token: token.clone(), ..VerifyRequest::default() };
            bodies.push(&BatchVerifyRequest { requests: some.iter().map(question).collect() });
        }
        bodies
    }

    fn new(path: &'static str, tokens_each: usize) -> Self {
        Self { path, tokens_each, bytes: Vec::new(), places: Vec::new() }
    }

    fn push(&mut self, message: &impl Message) {
        let message = message.encode_to_vec();
        let [.., a, b, c, d] = message.len().to_be_bytes();
        let start = self.bytes.len();
        self.bytes.extend([0, a, b, c, d]);
        self.bytes.extend(message);
        self.places.push(start..self.bytes.len());
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The `number`th, going round and round; empty if there are none.
    pub(crate) fn at(&self, number: usize) -> &[u8] {
        let number = number.checked_rem(self.places.len()).unwrap_or_default();
        let place = self.places.get(number).cloned().unwrap_or_default();
        self.bytes.get(place).unwrap_or_default()
    }
}

/// The same in an order that is always the same and looks like none.
fn shuffled<T>(all: &[T]) -> Vec<&T> {
    let mut order: Vec<&T> = all.iter().collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for last in (1..order.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(last, (state % (last as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_sent_once_a_round_in_a_frame_of_its_own() {
        let tokens: Vec<String> = (0..100).map(|number| format!("token-{number}")).collect();
        let bodies = Bodies::verify(&tokens);
        let read = |number| {
            let body = bodies.at(number);
            let (head, message) = body.split_at(5);
            assert_eq!(head, [0, 0, 0, 0, u8::try_from(message.len()).unwrap()]);
            VerifyRequest::decode(message).unwrap().token
        };
        let mut round: Vec<String> = (0..bodies.len()).map(read).collect();
        assert_ne!(round, tokens);
        assert_eq!(read(100), round[0]);
        round.sort();
        let mut sorted = tokens;
        sorted.sort();
        assert_eq!(round, sorted);
    }

    #[test]
    fn a_batch_holds_its_share_of_the_tokens() {
        let tokens = vec!["t".to_owned(); 25];
        let bodies = Bodies::batch(&tokens, 10);
        assert_eq!(bodies.len(), 2);
        let batch = BatchVerifyRequest::decode(&bodies.at(1)[5..]).unwrap();
        assert_eq!(batch.requests.len(), 10);
    }
}
