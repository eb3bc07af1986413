//! Every backend under the conformance suite, and what a backend does when what
//! it stands on fails.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in what it calls as well"
)]

mod embedded;
mod follow;
mod full;
mod redis;
mod server;
mod usage;
mod watch;
