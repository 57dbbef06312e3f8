//! Sessions: arbitrary bytes, and records with changed numbers and payloads whose checksums are right.
#![no_main]

#[path = "../../crates/engine/tests/session/any.rs"]
mod any;
#[path = "../../crates/engine/tests/common/mod.rs"]
mod common;
#[path = "../../crates/engine/tests/session/support.rs"]
mod support;

use std::sync::{LazyLock, Mutex};

static ANY: LazyLock<Mutex<any::Any>> = LazyLock::new(|| Mutex::new(any::Any::new()));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // A panic ends the process, so the lock is never poisoned.
    if let Ok(mut any) = ANY.lock() {
        any.run(data);
    }
});
