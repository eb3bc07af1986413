//! Compiles the contract with protox, so that no system `protoc` is needed.

use std::{env, fs, path::PathBuf};

use prost::Message;

const OWN: [&str; 5] = [
    "tessera/v1/admin_service.proto",
    "tessera/v1/error_reason.proto",
    "tessera/v1/issuer_service.proto",
    "tessera/v1/principal.proto",
    "tessera/v1/verifier_service.proto",
];

const ENVOY: [&str; 1] = ["envoy/service/auth/v3/external_auth.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    compile(&OWN, &[".", "third_party"], "descriptors.bin")?;
    compile(&ENVOY, &["third_party"], "envoy_descriptors.bin")?;
    println!("cargo:rerun-if-changed=tessera");
    println!("cargo:rerun-if-changed=third_party");
    Ok(())
}

/// Each has descriptors of its own: a service reflects what it serves.
fn compile(files: &[&str], folders: &[&str], to: &str) -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(files, folders)?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join(to), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_transport(true)
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .compile_fds(descriptors)?;
    Ok(())
}
