#![no_main]
#![allow(missing_docs, reason = "a program of the fuzzer; see tessera_fuzz::records")]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tessera_fuzz::records::check(data));
