//! The fields of a question where they lie in the buffer.
//!
//! What this reads, prost reads alike (`fuzz/src/fields.rs` holds one against the
//! other); what it does not read, it leaves to prost. That the text is UTF-8 it does
//! not look at: what is not equals no token, audience or scope.

use tessera_shared::examine::Terms;

/// `VerifyRequest`'s fields.
const TOKEN: u8 = 1;
const AUDIENCE: u8 = 2;
const REQUIRED_SCOPES: u8 = 3;
/// Scopes in one question.
pub(super) const MOST_SCOPES: usize = 64;
/// `BatchVerifyRequest`'s field.
const REQUESTS: u8 = 1;

/// Length-delimited fields with numbers below 16; `None` at anything else.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    #[inline]
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (key, rest) = self.0.split_first()?;
        let is_length_delimited = key & 0b1000_0111 == 2;
        let (low, rest) = rest.split_first()?;
        let (length, rest) = if low & 0x80 == 0 {
            (usize::from(*low), rest)
        } else {
            // A second byte covers 16 KiB; no token that is good is longer.
            let (high, rest) = rest.split_first().filter(|(high, _)| **high & 0x80 == 0)?;
            (usize::from(low & 0x7f) | usize::from(*high) << 7, rest)
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        is_length_delimited.then_some((key >> 3, value))
    }
}

/// A `VerifyRequest` with nothing in it but a token, an audience and scopes.
pub(super) struct Question<'a> {
    message: &'a [u8],
    pub(super) token: &'a [u8],
    pub(super) audience: &'a [u8],
}

impl<'a> Question<'a> {
    #[inline]
    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let mut question = Self { message, token: &[], audience: &[] };
        let (mut fields, mut scopes) = (Fields(message), 0);
        while !fields.0.is_empty() {
            match fields.next()? {
                (TOKEN, token) => question.token = token,
                (AUDIENCE, audience) => question.audience = audience,
                (REQUIRED_SCOPES, _) => scopes += 1,
                _ => return None,
            }
        }
        (scopes <= MOST_SCOPES).then_some(question)
    }

    #[inline]
    pub(super) fn is_met_by(&self, terms: &Terms<'_>) -> bool {
        let audience = self.audience;
        let is_audience = |one: &String| one.as_bytes() == audience;
        let is_held =
            |scope: &[u8]| std::str::from_utf8(scope).is_ok_and(|s| terms.scopes.contains(s));
        (audience.is_empty() || terms.audiences.iter().any(is_audience))
            && terms.networks.is_none()
            && self.required_scopes().all(is_held)
    }

    pub(super) fn required_scopes(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut fields = Fields(self.message);
        std::iter::from_fn(move || fields.next())
            .filter_map(|(field, scope)| (field == REQUIRED_SCOPES).then_some(scope))
    }
}

/// The questions in a `BatchVerifyRequest`, to its end or to a `None`: it holds something else.
pub(super) struct Entries<'a>(Fields<'a>);

impl<'a> Entries<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(Fields(message))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Option<&'a [u8]>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.0.is_empty() {
            return None;
        }
        let entry = self.0.next().filter(|(field, _)| *field == REQUESTS);
        Some(entry.map(|(_, entry)| entry))
    }
}
