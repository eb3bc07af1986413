//! The inputs that the fuzzer kept, through the same checks. See `fuzz/README.md`.

use std::{fs, path::PathBuf};

use tessera_fuzz::{fields, jwt, opaque, records};
use tessera_tests::tools::repository;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = repository().join("fuzz/corpus").join(target);
    let files: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        let input = fs::read(&file).unwrap();
        // Tells which one it was, if it panics.
        println!("{}", file.display());
        check(&input);
    }
}

#[test]
fn permanent_and_refresh_tokens() {
    replay("opaque", opaque::check);
}

#[test]
fn access_tokens() {
    replay("jwt", jwt::check);
}

#[test]
fn signed_access_tokens() {
    replay("jwt_signed", jwt::check_signed);
}

#[test]
fn the_fields_of_a_question() {
    replay("fields", fields::check);
}

#[test]
fn records_of_the_store() {
    replay("records", records::check);
}
