//! Fuzzing that does the same every time: models and adapters with wrong keys, tensors and bits are either computed, or refused with an
//! error. `HAPPY_MUTATIONS=n` runs `n` cases, `HAPPY_MUTATIONS=m..n` only those with these numbers. The fuzz targets `recipe` and `adapter`
//! do the same with every recipe, guided by coverage.

mod any;
mod common;

use std::collections::BTreeMap;
use std::ops::Range;

use any::{Reached, any_adapter, any_recipe};
use common::recipes;
use happy_gguf::GgufFile;
use happy_testkit::Meter;

#[global_allocator]
static METER: Meter = Meter;

/// These have mixtures, windows, shared keys, latent attention, every kind of state, and encoders.
const RECIPES: [&str; 12] = [
    "llama",
    "gemma3n",
    "gemma4-e2b",
    "deepseek2-moe",
    "qwen35moe-moe",
    "lfm2",
    "mamba",
    "granitehybrid",
    "rwkv6",
    "gpt-oss-moe",
    "smallthinker-moe",
    "cohere2",
];

/// Says which case it was, if one panics.
struct Case(u64);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("this was case {0}: HAPPY_MUTATIONS={0}..{1} runs it alone", self.0, self.0 + 1);
        }
    }
}

/// Returns which cases run: the first `n`, unless the variable says otherwise.
fn cases(n: u64) -> Range<u64> {
    let Ok(text) = std::env::var("HAPPY_MUTATIONS") else { return 0..n };
    let (first, end) = text.split_once("..").unwrap_or(("0", &text));
    first.parse().unwrap()..end.parse().unwrap()
}

/// Runs `work` on bytes from splitmix64, and returns how many cases got how far.
fn repeated(cases: Range<u64>, work: impl Fn(&[u8]) -> Reached) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for i in cases {
        let word = |j: u64| {
            let z = (64 * i + j).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb).to_le_bytes()
        };
        let data: Vec<u8> = (0..8).flat_map(word).collect();
        let case = Case(i);
        *counts.entry(format!("{:?}", work(&data))).or_default() += 1;
        drop(case);
    }
    counts
}

/// Checks that some cases were computed and some were refused.
fn both(counts: &BTreeMap<String, usize>) {
    println!("{counts:?}");
    let some = |reached: &str| counts.get(reached).is_some_and(|n| *n > 5);
    assert!(
        std::env::var_os("HAPPY_MUTATIONS").is_some() || some("Computed") && some("Refused"),
        "{counts:?}"
    );
}

#[test]
fn changed_models_are_computed_or_refused() {
    let recipes = recipes::named(&RECIPES);
    let mut files: Vec<GgufFile> = recipes.iter().map(recipes::build).collect();
    let encoders = recipes::embeddings();
    files.extend(encoders.iter().step_by(6).map(recipes::build));
    let files: Vec<&GgufFile> = files.iter().collect();
    let counts = repeated(cases(60), |data| any_recipe(&files, data));
    both(&counts);
}

#[test]
fn changed_adapters_are_computed_or_refused() {
    let models = recipes::adapters();
    let counts = repeated(cases(60), |data| any_adapter(&models, data));
    both(&counts);
}
