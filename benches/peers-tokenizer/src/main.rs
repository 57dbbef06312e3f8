//! happy-tokenizer beside Hugging Face's tokenizers, kitoken and llama.cpp: speed, load time, and whether the ids are equal.
//!
//! ```text
//! for each vocabulary: load each tokenizer, alternating; for each text: encode with each, alternating, on one thread
//! ours alone: each text that is hard for a tokenizer at three lengths; the load of every vocabulary of the corpus
//! print the medians as tables in Markdown
//! ```
//!
//! Run from anywhere, on an idle machine: `cargo run --release --manifest-path benches/peers-tokenizer/Cargo.toml [ROUNDS]`.
//! It needs the conformance corpus (`HAPPY_CONFORMANCE`), and for llama.cpp the Python environment that
//! `cargo xtask bench-peer` makes (`HAPPY_PEER`, else `target/peer`); without that, its column says `not measured`.
#![forbid(unsafe_code)]

mod llama_cpp;
mod measure;
mod ours;
mod peers;
mod report;
mod texts;
mod vocabulary;

use std::path::{Path, PathBuf};

/// What went wrong, for people to read.
type Error = Box<dyn std::error::Error>;

/// The vocabularies in which all tokenizers are compared.
const VOCABULARIES: [&str; 2] = ["smollm2", "qwen2"];

fn path_of(variable: &str, default: &str) -> PathBuf {
    let value = std::env::var_os(variable).filter(|value| !value.is_empty());
    value.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(default), PathBuf::from)
}

fn main() -> Result<(), Error> {
    let rounds = match std::env::args().nth(1) {
        Some(number) => {
            number.parse::<usize>().ok().filter(|n| *n > 0).ok_or("expected a number of rounds")?
        }
        None => 5,
    };
    let conformance = std::env::var_os("HAPPY_CONFORMANCE").filter(|value| !value.is_empty());
    let conformance = conformance
        .map(PathBuf::from)
        .ok_or("HAPPY_CONFORMANCE names the folder of the full data: set it")?;
    let environment = path_of("HAPPY_PEER", "../../target/peer");
    let folder = std::env::temp_dir().join("happy-peers-tokenizer");
    std::fs::create_dir_all(&folder)?;
    let texts = texts::all(&conformance, &folder)?;
    for name in VOCABULARIES {
        let vocabulary = vocabulary::unpack(&conformance, name, &folder)?;
        let mut peers = peers::all(&vocabulary, &environment, &folder)?;
        let loads = measure::load(&mut peers, rounds)?;
        let rows = measure::texts(&mut peers, &texts, rounds)?;
        println!("{}", report::table(name, &peers, &loads, &rows));
    }
    println!("{}", ours::lengths(&conformance, rounds)?);
    println!("{}", ours::loads(&conformance, rounds)?);
    Ok(())
}
