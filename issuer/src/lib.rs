//! The issuer.
#![allow(dead_code)]
mod caller;
mod core;
mod failure;
mod fields;
