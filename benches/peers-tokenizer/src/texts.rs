//! The texts: made from the conformance corpus and this repository's sources, the same bytes at every run.

use crate::Error;
use flate2::read::GzDecoder;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

pub(crate) const MIB: usize = 1 << 20;

/// Categories of the conformance corpus in which people write, in all scripts.
const WRITTEN: [&str; 7] = ["multiling", "script", "mixed", "prose_ja", "cldr", "emoji", "bidi"];

/// A text, also as a file for peers in other processes.
pub(crate) struct Text {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) file: PathBuf,
}

/// Numbers that look random (Knuth's multiplier, the upper bits).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// The pieces in ever new orders, until there are a MiB of them.
fn shuffled(mut pieces: Vec<String>) -> String {
    let mut random = Random(1);
    let mut text = String::new();
    while text.len() < MIB && !pieces.is_empty() {
        for last in (1..pieces.len()).rev() {
            pieces.swap(last, random.below(last + 1));
        }
        pieces.iter().for_each(|piece| text.push_str(piece));
    }
    cut(text)
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MIB));
    text
}

/// Paragraphs of a novel.
fn english(conformance: &Path) -> Result<String, Error> {
    let book = fs::read_to_string(conformance.join("text/pride_and_prejudice.txt"))?;
    Ok(shuffled(book.split_inclusive('\n').map(str::to_owned).collect()))
}

/// The library crates' sources, by path.
fn code() -> Result<String, Error> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let sources: Vec<String> = files.iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
    let all = sources.concat();
    Ok(cut(all.repeat(MIB / all.len().max(1) + 1)))
}

/// Sentences of the corpus in many scripts.
fn mixed(conformance: &Path) -> Result<String, Error> {
    let mut lines = String::new();
    GzDecoder::new(File::open(conformance.join("tokenizer/pairs/smollm2.jsonl.gz"))?)
        .read_to_string(&mut lines)?;
    let mut sentences = Vec::new();
    for line in lines.lines() {
        let record: serde_json::Value = serde_json::from_str(line)?;
        if let (Some(category), Some(text)) = (record["cat"].as_str(), record["text"].as_str())
            && WRITTEN.contains(&category)
        {
            sentences.push(format!("{text}\n"));
        }
    }
    Ok(shuffled(sentences))
}

/// A word of letters in no order.
pub(crate) fn word(length: usize) -> String {
    let mut random = Random(2);
    (0..length).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
}

/// All texts, written into `folder`.
pub(crate) fn all(conformance: &Path, folder: &Path) -> Result<Vec<Text>, Error> {
    let texts = [
        ("English, 1 MiB", english(conformance)?),
        ("code, 1 MiB", code()?),
        ("mixed scripts, 1 MiB", mixed(conformance)?),
        ("`a`, 128 KiB", "a".repeat(MIB / 8)),
        ("`a`, 1 MiB", "a".repeat(MIB)),
        ("spaces, 128 KiB", " ".repeat(MIB / 8)),
        ("spaces, 1 MiB", " ".repeat(MIB)),
        ("one word, 12.5 KB", word(12_500)),
        ("one word, 100 KB", word(100_000)),
    ];
    let mut all = Vec::new();
    for (i, (name, text)) in texts.into_iter().enumerate() {
        let file = folder.join(format!("text-{i}.txt"));
        fs::write(&file, &text)?;
        all.push(Text { name, text, file });
    }
    Ok(all)
}
