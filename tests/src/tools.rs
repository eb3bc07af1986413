//! Foreign programs: those of the Python environment and the Node modules that
//! `./test` installs in `.tools`, and files as bytes.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::process::clean;

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A program of the Python environment, such as `python` or `grpcurl`.
pub fn venv(program: &str) -> Command {
    let path = repository().join(".tools/venv/bin").join(program);
    assert!(path.exists(), "{} is missing: run ./test", path.display());
    let mut command = clean(&path);
    command.current_dir(clients());
    command
}

/// Node, with the script `name` of `tests/clients`, in the folder of its modules.
pub fn node(name: &str) -> Command {
    let modules = repository().join(".tools/node");
    assert!(modules.join("node_modules/jose").exists(), "the Node modules are missing: run ./test");
    let script = std::fs::read_to_string(clients().join(name)).unwrap();
    let mut command = clean(Path::new("node"));
    // A module looks for others beside itself, and text given by hand in the
    // present folder: that is how a script outside `.tools` finds them.
    command.current_dir(modules).args(["--input-type=module", "--eval", &script, "--"]);
    command
}

/// The folder of the foreign clients.
pub fn clients() -> PathBuf {
    repository().join("tests/clients")
}

/// Runs a command to its end and answers its standard output.
///
/// # Panics
/// When it fails; the message shows what it wrote.
pub fn succeed(command: &mut Command) -> String {
    let output = run(command);
    assert!(
        output.status.success(),
        "{:?}: {}\n{}{}",
        command.get_program(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("{:?}: {e}", command.get_program()))
}

/// The bytes of all files under `dir`, one after the other.
pub fn all_bytes_under(dir: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes.extend(all_bytes_under(&path));
        } else {
            bytes.extend(std::fs::read(&path).unwrap());
        }
    }
    bytes
}
