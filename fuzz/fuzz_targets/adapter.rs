//! Adapters with changed keys, tensors and bits, on the models that they are for.
#![no_main]

#[path = "../../crates/model/tests/any/mod.rs"]
mod any;
#[path = "../../crates/model/tests/common/mod.rs"]
mod common;

use happy_gguf::GgufFile;
use happy_testkit::Meter;
use std::sync::LazyLock;

#[global_allocator]
static METER: Meter = Meter;

static CASES: LazyLock<Vec<(GgufFile, Vec<GgufFile>)>> = LazyLock::new(common::recipes::adapters);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    any::any_adapter(&CASES, data);
});
