//! The gRPC face: requests become domain calls here, and records become messages.

pub(crate) mod admin;
mod convert;
pub(crate) mod issuer;
