//! The contract of Tessera: the messages and services of package `tessera.v1`,
//! generated at build time from `proto/tessera/v1/*.proto`, where each of them
//! is documented. Beside them what Envoy asks an authorization service, from
//! `proto/third_party/envoy`.

/// Package `tessera.v1`.
#[allow(missing_docs, clippy::all, rustdoc::all)]
pub mod v1 {
    tonic::include_proto!("tessera.v1");
}

/// Packages `envoy.*`: `service::auth::v3` and what it refers to.
#[allow(missing_docs, clippy::all, rustdoc::all, deprecated)]
pub mod envoy {
    pub mod config {
        pub mod core {
            pub mod v3 {
                tonic::include_proto!("envoy.config.core.v3");
            }
        }
    }
    pub mod service {
        pub mod auth {
            pub mod v3 {
                tonic::include_proto!("envoy.service.auth.v3");
            }
        }
    }
    pub mod r#type {
        pub mod v3 {
            tonic::include_proto!("envoy.r#type.v3");
        }
    }
}

/// Packages `xds.*`, as far as those of Envoy refer to them.
#[allow(missing_docs, clippy::all, rustdoc::all)]
pub mod xds {
    pub mod core {
        pub mod v3 {
            tonic::include_proto!("xds.core.v3");
        }
    }
}

/// The encoded `FileDescriptorSet` of the contract, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The same of `envoy.service.auth.v3`.
pub const ENVOY_DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/envoy_descriptors.bin"));
