//! The manifests of `deploy/kubernetes` fit Kubernetes's schemas and the programs' settings.

use tessera_tests::{
    process::{built, clean},
    tools::{repository, succeed, venv},
};

#[test]
fn the_manifests_fit_the_schemas_and_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let help = ["tessera-issuer", "tessera-verifier"].map(|name| {
        let file = folder.path().join(name);
        std::fs::write(&file, succeed(clean(&built(name)).arg("--help"))).unwrap();
        file
    });
    let output = succeed(
        venv("python")
            .arg(repository().join("tests/kubernetes/check.py"))
            .arg(repository().join("deploy/kubernetes"))
            .args(help),
    );
    assert!(output.trim().ends_with("resources"), "{output}");
}
