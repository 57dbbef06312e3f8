//! Models of every architecture with changed keys, tensors and bits: planned, loaded, computed, shortened, exported.
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

/// A recipe of each architecture, with and without experts, and the encoders.
static FILES: LazyLock<Vec<GgufFile>> = LazyLock::new(|| {
    let recipes = common::recipes::some().into_iter().chain(common::recipes::embeddings());
    recipes.map(|recipe| common::recipes::build(&recipe)).collect()
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    any::any_recipe(&FILES.iter().collect::<Vec<_>>(), data);
});
