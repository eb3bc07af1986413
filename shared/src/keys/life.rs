//! The life of a signing key: published, signing, retired, gone. Pure functions from
//! one key set to the next; who writes it does so by compare-and-swap.
//!
//! A key is published for a while before it signs, so that whoever verifies has seen
//! it; and it verifies after it signed, until its last token has expired. At every
//! instant the set holds each key that a good token may be signed with.

use std::time::Duration;

use super::{KeyEntry, KeySet, KeyState};
use crate::clock::Timestamp;

/// How long a retired key verifies beyond its last token: an issuer that has not yet
/// noticed signs with it for a second, calls take time, and clocks differ.
const SLACK: Duration = Duration::from_mins(5);

impl KeyEntry {
    /// When a retired key leaves the set; `None` as long as it is in use.
    pub fn verifies_until(&self) -> Option<Timestamp> {
        self.retired_at.map(|at| at.after(self.token_lifetime).after(SLACK))
    }
}

impl KeySet {
    /// The key that is to sign next, if any waits.
    pub fn waiting(&self) -> Option<&KeyEntry> {
        let waiting = self.keys.iter().filter(|entry| entry.state == KeyState::Published);
        waiting.min_by_key(|entry| entry.signs_at)
    }

    /// The waiting key whose time to sign has come.
    pub fn due(&self, now: Timestamp) -> Option<&KeyEntry> {
        self.waiting().filter(|entry| entry.signs_at <= now)
    }

    /// The key named `kid` signs from `now` on, and the one that did retires.
    #[must_use]
    pub fn signing_with(mut self, kid: &str, now: Timestamp) -> Self {
        for entry in &mut self.keys {
            if entry.public.kid() == kid {
                entry.state = KeyState::Signing;
                entry.signs_at = now;
            } else if entry.state == KeyState::Signing {
                entry.state = KeyState::Retired;
                entry.retired_at = Some(now);
            }
        }
        self
    }

    /// The key named `kid` is gone: no token of it verifies any more.
    #[must_use]
    pub fn without(mut self, kid: &str) -> Self {
        self.keys.retain(|entry| entry.public.kid() != kid);
        self
    }

    /// The retired keys whose last token has expired at `now`.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = &KeyEntry> {
        let over = move |entry: &&KeyEntry| entry.verifies_until().is_some_and(|end| end <= now);
        self.keys.iter().filter(over)
    }

    /// The longest that a token signed with any of these keys lives.
    pub fn longest_lifetime(&self) -> Duration {
        self.keys.iter().map(|entry| entry.token_lifetime).max().unwrap_or_default()
    }

    /// Notes that tokens of up to `lifetime` are signed from here on. It never falls
    /// for a key: a setting may, while longer tokens are still about.
    #[must_use]
    pub fn for_tokens_of(mut self, lifetime: Duration) -> Self {
        for entry in self.keys.iter_mut().filter(|entry| entry.state != KeyState::Retired) {
            entry.token_lifetime = entry.token_lifetime.max(lifetime);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;
    use crate::keys::{Algorithm, PrivateKey};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn entry(state: KeyState, signs_at: Timestamp) -> KeyEntry {
        let key = PrivateKey::generate(Algorithm::EdDsa, &SystemRandom::new()).unwrap();
        KeyEntry {
            signs_at,
            token_lifetime: Duration::from_hours(1),
            ..KeyEntry::new(key.public().clone(), state, NOW)
        }
    }

    fn set(keys: Vec<KeyEntry>) -> KeySet {
        KeySet { issuer: "https://tessera.example".to_owned(), keys }
    }

    fn states(set: &KeySet) -> Vec<KeyState> {
        set.keys.iter().map(|entry| entry.state).collect()
    }

    #[test]
    fn a_published_key_is_due_at_its_instant_and_not_before() {
        let signs_at = NOW.after(Duration::from_secs(40));
        let set = set(vec![entry(KeyState::Signing, NOW), entry(KeyState::Published, signs_at)]);
        assert_eq!(set.due(Timestamp::from_millis(signs_at.millis() - 1)), None);
        assert_eq!(set.due(signs_at), Some(&set.keys[1]));
    }

    #[test]
    fn of_several_waiting_keys_the_first_to_sign_comes_first() {
        let times = [3, 1, 2].map(|seconds| NOW.after(Duration::from_secs(seconds)));
        let set = set(times.map(|at| entry(KeyState::Published, at)).to_vec());
        assert_eq!(set.waiting(), Some(&set.keys[1]));
        assert_eq!(set.due(NOW.after(Duration::from_mins(1))), Some(&set.keys[1]));
    }

    #[test]
    fn the_next_key_signs_when_the_former_retires_and_never_two() {
        let set = set(vec![entry(KeyState::Signing, NOW), entry(KeyState::Published, NOW)]);
        let kid = set.keys[1].public.kid().to_owned();
        let later = NOW.after(Duration::from_secs(1));
        let next = set.signing_with(&kid, later);
        assert_eq!(states(&next), [KeyState::Retired, KeyState::Signing]);
        assert_eq!((next.keys[0].retired_at, next.keys[1].signs_at), (Some(later), later));
        assert_eq!(KeySet::from_bytes(&next.to_bytes()), Ok(next));
    }

    #[test]
    fn a_retired_key_stays_until_its_last_token_and_the_slack_are_over() {
        let mut retired = entry(KeyState::Retired, NOW);
        retired.retired_at = Some(NOW);
        let set = set(vec![retired, entry(KeyState::Signing, NOW)]);
        let end = NOW.after(Duration::from_hours(1)).after(SLACK);
        assert_eq!(set.keys[0].verifies_until(), Some(end));
        assert_eq!(set.expired(Timestamp::from_millis(end.millis() - 1)).count(), 0);
        assert_eq!(set.expired(end).collect::<Vec<_>>(), [&set.keys[0]]);
        assert_eq!(set.expired(Timestamp::NEVER).count(), 1, "a key in use never expires");
    }

    #[test]
    fn a_lifetime_rises_and_never_falls() {
        let set = set(vec![entry(KeyState::Signing, NOW)]);
        let hours = |set: &KeySet| set.keys[0].token_lifetime.as_secs() / 3600;
        let longer = set.for_tokens_of(Duration::from_hours(5));
        assert_eq!(hours(&longer), 5);
        assert_eq!(hours(&longer.for_tokens_of(Duration::from_hours(2))), 5);
    }
}
