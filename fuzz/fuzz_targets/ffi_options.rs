//! The C interface with option structs, sizes, texts and handles of any bytes.
#![no_main]

#[path = "../../crates/ffi/tests/support/any_call.rs"]
mod any_call;
#[path = "../../crates/ffi/tests/support/tiny.rs"]
mod tiny;

libfuzzer_sys::fuzz_target!(|data: &[u8]| any_call::any_call(data));
