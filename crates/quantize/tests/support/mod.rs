//! Shared by the tests: a temporary folder, and a small model.
#![allow(dead_code, unreachable_pub)] // each test binary uses a part

use happy_gguf::{GgmlType, GgufSetReader, GgufWriter, Limits};
use std::path::{Path, PathBuf};

/// A folder that is removed when it is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("happy-quantize-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns the names of all files, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("the folder");
        let mut names: Vec<String> =
            entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Returns varying values between -1 and 1.
pub fn values(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// Makes a model with `layers` layers. Each matrix has `rows` rows of `columns` elements.
pub fn model(architecture: &'static str, layers: u32, columns: usize, rows: usize) -> GgufWriter<'static> {
    let mut writer = GgufWriter::new()
        .kv("general.architecture", architecture)
        .kv(format!("{architecture}.block_count"), layers)
        .kv(format!("{architecture}.attention.head_count"), 8u32)
        .kv(format!("{architecture}.attention.head_count_kv"), 8u32)
        .kv("general.file_type", 0u32);
    let mut names = vec!["token_embd.weight".to_owned(), "output.weight".to_owned()];
    let in_layer = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];
    names.extend((0..layers).flat_map(|l| in_layer.map(|name| format!("blk.{l}.{name}.weight"))));
    for (seed, name) in names.into_iter().enumerate() {
        let bytes = floats(&values(columns * rows, seed));
        writer = writer.tensor(name, GgmlType::F32, &[columns as u64, rows as u64], bytes);
    }
    writer.tensor("output_norm.weight", GgmlType::F32, &[columns as u64], floats(&values(columns, 9)))
}

pub fn open(path: impl AsRef<Path>) -> GgufSetReader {
    GgufSetReader::open(path, &Limits::default()).expect("a model")
}

/// Makes an importance matrix in the older format.
pub fn older(name: &[u8], calls: i32, weights: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [1, name.len() as i32] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(name);
    for word in [calls, weights.len() as i32] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(floats(weights));
    bytes
}
