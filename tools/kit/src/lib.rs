//! What `xtask` and the packages in `tools` share: starting programs, where things are, how a step ended, and the real models.
//!
//! | module | what it knows |
//! |---|---|
//! | [`process`] | cargo and other programs: output shown, captured, or under a time limit |
//! | [`paths`] | the workspace, the target directory, the folders of models and corpora |
//! | [`outcome`] | how a step of `cargo xtask test` ended, across processes |
//! | [`progress`] | `cargo test` as a line per test program |
//! | [`models`], [`fetch`], [`fixtures`] | the real models: names, download, the hashes of their logits |
//! | [`scratch`] | a folder for a test |
//!
//! It links nothing of the engine and stays small: what only one tool needs is in that tool.

#![forbid(unsafe_code)]

pub mod fetch;
pub mod fixtures;
pub mod models;
pub mod outcome;
pub mod paths;
pub mod process;
pub mod progress;
pub mod scratch;

/// A result whose error is reported at the terminal: one sentence, then what to do.
pub type Result<T> = std::result::Result<T, String>;
