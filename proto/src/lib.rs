//! The contract of Tessera: the messages and services of package `tessera.v1`,
//! generated at build time from `proto/tessera/v1/*.proto`, where each of them
//! is documented.

/// Package `tessera.v1`.
#[allow(missing_docs, clippy::all, rustdoc::all)]
pub mod v1 {
    tonic::include_proto!("tessera.v1");
}

/// The encoded `FileDescriptorSet` of the contract, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
