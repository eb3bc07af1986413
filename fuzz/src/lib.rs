//! What the fuzzer runs, and `tests/fuzz_corpus.rs` over the inputs that it kept. Each
//! check panics where the code under it is wrong.

pub mod fields;
pub mod jwt;
pub mod opaque;
pub mod records;
