//! Shared by the tests: the conformance corpus, and a builder of hostile headers.
#![allow(dead_code, unreachable_pub)] // each test binary uses only some of it

use happy_testkit::{Corpus, Files};

/// The files of the GGUF corpus, all of which are in the repository.
pub fn corpus() -> Files {
    Corpus::repository().open("gguf").unwrap_or_else(|e| panic!("{e}"))
}

/// The cases of the corpus, each with its bytes.
pub fn cases(corpus: &Files) -> Vec<(serde_json::Value, Vec<u8>)> {
    let lines = corpus.text("cases.jsonl.gz").expect("the cases");
    let cases = lines.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    cases
        .map(|case: serde_json::Value| {
            let bytes = happy_testkit::base64(case["b64"].as_str().expect("text")).expect("base64");
            (case, bytes)
        })
        .collect()
}

/// The valid files of the corpus with their names.
pub fn files(corpus: &Files) -> Vec<(String, Vec<u8>)> {
    let mut paths = corpus.list("files").expect("a folder");
    paths.retain(|path| path.ends_with(".gguf"));
    paths.into_iter().map(|path| (path.clone(), corpus.bytes(&path).expect("a file"))).collect()
}

/// The bytes of a file, assembled field by field, valid or not.
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
