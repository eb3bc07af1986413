//! The requests, encoded before anything is measured.

use prost::Message;
use tessera_proto::v1::{BatchVerifyRequest, VerifyRequest};

/// Requests to one method, framed for gRPC.
pub(crate) struct Bodies {
    /// The method's path.
    pub(crate) path: &'static str,
    /// Tokens in each request.
    pub(crate) tokens_each: usize,
    bytes: Vec<u8>,
    ends: Vec<usize>,
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
        for at in shuffled(tokens.len()) {
            bodies.push(&question(tokens[at].clone()));
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
        Self { path, tokens_each, bytes: Vec::new(), ends: Vec::new() }
    }

    fn push(&mut self, message: &impl Message) {
        let length = u32::try_from(message.encoded_len()).expect("a short message");
        self.bytes.push(0);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        message.encode(&mut self.bytes).expect("a vector grows");
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The `number`th, going round and round.
    pub(crate) fn at(&self, number: usize) -> &[u8] {
        let number = number % self.ends.len();
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start..self.ends[number]]
    }
}

/// The numbers below `count` in an order that is always the same and looks like none.
fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for last in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bound = u64::try_from(last + 1).expect("a count");
        order.swap(last, usize::try_from(state % bound).expect("a place"));
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
