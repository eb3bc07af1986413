#![no_main]
#![allow(missing_docs, reason = "a program of the fuzzer; see tessera_fuzz::jwt")]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tessera_fuzz::jwt::check(data));
