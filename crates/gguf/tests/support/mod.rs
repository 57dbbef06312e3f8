//! What the tests share: finding the conformance corpus, base64, counting allocations, hostile headers.
#![allow(dead_code, unreachable_pub)] // each test binary uses a part

pub mod counting;

use std::io::Read;
use std::path::{Path, PathBuf};

/// The folder of the GGUF corpus, from `HAPPY_CONFORMANCE` or beside the workspace. Where it is absent the test says so,
/// and fails under `CI=true`.
pub fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("HAPPY_CONFORMANCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    );
    let folder = root.join("gguf");
    if folder.is_dir() {
        return Some(folder);
    }
    let message = format!("NOT RUN: no conformance corpus at {} (set HAPPY_CONFORMANCE)", folder.display());
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
    eprintln!("{message}");
    None
}

/// The cases of the corpus, each with its bytes.
pub fn cases(corpus: &Path) -> Vec<(serde_json::Value, Vec<u8>)> {
    let packed = std::fs::File::open(corpus.join("cases.jsonl.gz")).expect("the cases");
    let mut lines = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut lines).expect("gzip");
    let cases = lines.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    cases
        .map(|case: serde_json::Value| {
            let bytes = base64(case["b64"].as_str().expect("text"));
            (case, bytes)
        })
        .collect()
}

/// The valid files of the corpus with their names.
pub fn files(corpus: &Path) -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<_> = std::fs::read_dir(corpus.join("files"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "gguf"))
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path).expect("a file");
            (path.display().to_string(), bytes)
        })
        .collect()
}

/// Decodes base64 with padding.
pub fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for c in text.bytes().filter(|c| *c != b'=') {
        let digit = ALPHABET.iter().position(|a| *a == c).expect("base64 digit");
        bits = bits << 6 | digit as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

/// Bytes of a file, put together field by field, right or wrong.
#[derive(Clone, Default)]
pub struct Raw(pub Vec<u8>);

impl Raw {
    /// Magic, version 3 and the two counts.
    pub fn header(n_tensors: u64, n_pairs: u64) -> Self {
        Self(b"GGUF".to_vec()).u32(3).u64(n_tensors).u64(n_pairs)
    }

    pub fn u32(mut self, v: u32) -> Self {
        self.0.extend(v.to_le_bytes());
        self
    }

    pub fn u64(mut self, v: u64) -> Self {
        self.0.extend(v.to_le_bytes());
        self
    }

    pub fn bytes(mut self, v: &[u8]) -> Self {
        self.0.extend(v);
        self
    }

    /// Length and bytes.
    pub fn string(self, v: &[u8]) -> Self {
        self.u64(v.len() as u64).bytes(v)
    }

    /// A tensor entry.
    pub fn tensor(self, name: &[u8], dims: &[u64], ty: u32, offset: u64) -> Self {
        let dims_written =
            dims.iter().fold(self.string(name).u32(dims.len() as u32), |raw, dim| raw.u64(*dim));
        dims_written.u32(ty).u64(offset)
    }

    /// Padding to the default alignment, then `n` bytes of tensor data.
    pub fn data(mut self, n: usize) -> Self {
        let start = self.0.len().next_multiple_of(32);
        self.0.resize(start + n, 0xda);
        self
    }
}
