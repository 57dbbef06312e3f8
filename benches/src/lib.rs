//! Shared inputs of the benchmarks, and the place where the code of the top README and of the pages in `docs` is tested:
//! this package sees every crate.
#![forbid(unsafe_code)]

use happy_engine::{Context, Engine, LoadOptions};
use std::path::PathBuf;

/// Real models that `cargo xtask fetch-models` brings, by the beginning of their files' names.
pub const MODELS: [&str; 2] = ["SmolLM2-135M", "gemma-3-270m"];

/// The file of a model, in `$HAPPY_MODELS` or the platform's data directory; without it a message and `None`.
pub fn model(name: &str) -> Option<PathBuf> {
    let found = happy_testkit::models_folder().and_then(|folder| {
        let files = std::fs::read_dir(folder).ok()?;
        files.flatten().map(|file| file.path()).find(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            file.starts_with(name) && file.ends_with(".gguf")
        })
    });
    if found.is_none() {
        println!("{name}: skipped: no such model (run `cargo xtask fetch-models`, or set HAPPY_MODELS)");
    }
    found
}

/// A context of a model for `threads` threads; `None` as in [`model`].
pub fn context(name: &str, threads: usize) -> Option<Context> {
    let options = LoadOptions { threads: Some(threads), context: Some(2048), ..LoadOptions::default() };
    let engine = Engine::open(model(name)?, &options).expect("a model that was checked when it was fetched");
    Some(engine.context().expect("memory"))
}

/// Ordinary token ids, valid in every real vocabulary.
pub fn tokens(n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| 300 + i * 7919 % 40_000).collect()
}

/// The code of the top README and of the pages in `docs`.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    pub struct Readme;

    #[doc = include_str!("../../docs/adding-an-architecture.md")]
    pub struct AddingAnArchitecture;

    #[doc = include_str!("../../docs/coming-from-candle.md")]
    pub struct ComingFromCandle;

    #[doc = include_str!("../../docs/coming-from-llama-cpp-2.md")]
    pub struct ComingFromLlamaCpp2;

    #[doc = include_str!("../../docs/coming-from-mistral-rs.md")]
    pub struct ComingFromMistralRs;

    #[doc = include_str!("../../docs/embeddings.md")]
    pub struct Embeddings;
}
