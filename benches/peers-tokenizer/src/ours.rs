//! What only concerns happy-tokenizer: that its time grows as the text does, and how all vocabularies load.

use crate::measure::median;
use crate::report::{line, short};
use crate::texts::{MIB, word};
use crate::vocabulary::{packed, unzstd};
use crate::{Error, VOCABULARIES};
use cpu_time::ThreadTime;
use happy_gguf::{GgufFile, Limits};
use happy_tokenizer::{EncodeOptions, Tokenizer};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// The longest text is so many times as long as the shortest: 1, 2 and 4 times.
const LONGEST: usize = 4;

fn seconds(rounds: usize, mut run: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let start = ThreadTime::now();
        run()?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(median(times))
}

fn header(cells: &[&str]) -> String {
    line(cells.iter().map(|cell| (*cell).to_owned())) + &line(vec!["---".to_owned(); cells.len()])
}

/// Milliseconds for texts without a place to cut them, at one, two and four times the length.
pub(crate) fn lengths(conformance: &Path, rounds: usize) -> Result<String, Error> {
    let mut out = header(&["ms", "vocabulary", "1x", "2x", "4x"]);
    for name in VOCABULARIES {
        let bytes = unzstd(&packed(conformance, name))?;
        let tokenizer = Tokenizer::from_gguf(&GgufFile::from_shared(Arc::new(bytes), &Limits::default())?)?;
        let texts = [
            ("`a`, up to 1 MiB", "a".repeat(MIB)),
            ("spaces, up to 1 MiB", " ".repeat(MIB)),
            ("one word, up to 100 KB", word(100_000)),
        ];
        for (what, text) in texts {
            let mut cells = vec![what.to_owned(), name.to_owned()];
            for times in [1, 2, LONGEST] {
                let part = &text[..text.len() / LONGEST * times];
                let options = EncodeOptions { add_special: false, parse_special: false };
                let taken = seconds(rounds, || {
                    tokenizer.encode(part, options)?;
                    Ok(())
                })?;
                cells.push(short(taken * 1e3));
            }
            out.push_str(&line(cells));
        }
    }
    Ok(out)
}

/// Loading each vocabulary of the corpus from memory, and what it takes of its own.
pub(crate) fn loads(conformance: &Path, rounds: usize) -> Result<String, Error> {
    let path = conformance.join("tokenizer/vocabs.json");
    let known: serde_json::Value = serde_json::from_slice(&fs::read(path)?)?;
    let mut rows = Vec::new();
    for (name, info) in known.as_object().ok_or("expected the vocabularies by name")? {
        let packed = conformance.join("tokenizer").join(info["file"].as_str().ok_or("no file")?);
        let bytes = Arc::new(unzstd(&packed)?);
        let mut tokenizer = None;
        let taken = seconds(rounds, || {
            let file = GgufFile::from_shared(bytes.clone(), &Limits::default())?;
            tokenizer = Some(Tokenizer::from_gguf(&file)?);
            Ok(())
        })?;
        let tokenizer = tokenizer.ok_or("no rounds")?;
        let tokens = tokenizer.vocab_size();
        let own = tokenizer.heap_bytes() as f64 / tokens as f64;
        rows.push((tokens, [name.clone(), tokens.to_string(), short(taken * 1e3), format!("{own:.1}")]));
    }
    rows.sort_by_key(|(tokens, _)| *tokens);
    let out = header(&["vocabulary", "tokens", "load, ms", "own bytes a token"]);
    Ok(rows.into_iter().fold(out, |out, (_, cells)| out + &line(cells)))
}
