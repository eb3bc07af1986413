//! A test of the promise, not of the mechanism: whatever fails, no verifier grants
//! what ended longer ago than the staleness bound, and no outage is a denial.
//!
//! | module | what lives there |
//! |---|---|
//! | `history` | what was done, asked and answered, with its times |
//! | `recorder` | writes that down while it happens |
//! | `timeline`, `case` | what a token may have been at an instant |
//! | `checker` | which answers are certainly wrong: a pure function |
//! | `report` | tells a violation |
//! | `world` | verifiers, an issuer, a store, clients, changes and faults, all by one seed |
//!
//! `tests/promise.rs` runs it, and `tests/README.md` says how to run it for long and how
//! to read what it found. To add a rule: a [`checker::Rule`], the check in `checker`, and
//! a test there with a history that breaks it. To add something that ends a token:
//! a [`history::Act`], its effect on the gates in `case`, and a change in `world`.

mod case;
pub mod checker;
pub mod dice;
pub mod history;
pub mod recorder;
pub mod report;
pub mod timeline;
pub mod world;
