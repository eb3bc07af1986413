//! Compiles the contract with protox, so that no system `protoc` is needed.

use std::{env, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 5] = [
    "tessera/v1/admin_service.proto",
    "tessera/v1/error_reason.proto",
    "tessera/v1/issuer_service.proto",
    "tessera/v1/principal.proto",
    "tessera/v1/verifier_service.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let descriptors = protox::compile(FILES, [".", "third_party"])?;
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_transport(true)
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=tessera");
    Ok(())
}
