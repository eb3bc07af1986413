//! The domain of Tessera, with no gRPC in it: tokens, principals, roles, keys,
//! the store, configuration and telemetry. The issuer and the verifier share
//! this crate and the contract, and nothing else.
//!
//! Time and randomness are arguments everywhere: see [`clock::Clock`] and
//! [`ring::rand::SecureRandom`].

pub mod backup;
pub mod clock;
pub mod config;
pub mod examine;
pub mod foreign;
pub mod id;
pub mod jwt;
pub mod keys;
pub mod opaque;
pub mod password;
pub mod principal;
pub mod record;
pub mod revocation;
pub mod role;
pub mod sparing;
pub mod store;
pub mod survey;
pub mod telemetry;
pub mod usage;
