//! What the tests of all crates share. It is a development dependency only: nothing that is shipped uses this crate.
//!
//! - [`Corpus`]: inputs with other people's results. A selection is in the repository (`fixtures/corpus`), so that every
//!   test can run in a fresh clone; `HAPPY_CONFORMANCE` names the folder of the full data.
//! - [`model`]: the real models that `cargo xtask fetch-models` gets.
//! - [`tiny_bert`], [`tiny_llama`]: tiny models in Hugging Face's form.
//! - [`Meter`]: an allocator that counts, and refuses what a test wants refused.
//! - [`pages`], [`page_lines`], [`page_commands`]: the commands in the documents.
//! - [`uniform`], [`le_bytes`]: weights of models that tests make.
//! - [`skip`], [`skip_without_root`]: a test that cannot run says so, and the summary of `cargo xtask test` lists it.
//!
//! | variable | what it names |
//! |---|---|
//! | `HAPPY_CORPUS` | folder of the selection; `fixtures/corpus` of the source tree unless set (a phone has no source tree) |
//! | `HAPPY_CONFORMANCE` | folder of the full data; unset: only the selection is used |
//! | `HAPPY_MODELS` | folder of the real models; the platform's data directory unless set |
//! | `HAPPY_SKIPS` | file to which each skip appends a line; unset: skips are only printed |

#![deny(unsafe_code)]

mod base64;
mod checkpoint;
mod corpus;
mod meter;
mod models;
mod pages;
mod skips;
mod weights;

pub use base64::base64;
pub use checkpoint::{BERT_TOKENS, Values, safetensors, tiny_bert, tiny_llama};
pub use corpus::{Corpus, Files};
pub use meter::{
    LARGE, Meter, Used, granted, measured, process_calls, refusing, refusing_after_probes, refusing_from,
};
pub use models::{model, models_folder};
pub use pages::{PageCommand, PageLine, page_commands, page_lines, pages};
pub use skips::{skip, skip_without_root};
pub use weights::{le_bytes, uniform};

/// Returns whether `HAPPY_SWEEP` asks tests for every case: all recipes, all lines of the pages, where a plain run takes some.
pub fn is_sweep() -> bool {
    variable("HAPPY_SWEEP").is_some()
}

/// Returns the value of a variable that is set and not empty.
fn variable(name: &str) -> Option<std::path::PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(Into::into)
}
