#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imgit_fuzz::file_system(bytes));
