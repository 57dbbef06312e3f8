//! The files that the probes are asked about, and what is in them: known from how they were made, or from gguf-py.

use std::fs;
use std::path::{Path, PathBuf};

use happy_gguf::{ByteOrder, GgmlType, GgufWriter};
use peers_gguf::{Result, fnv};
use serde_json::Value as Json;

use crate::support;
use happy_testkit::Files;

/// Tokens in the header that is timed.
const TOKENS: u32 = 150_000;

/// A file and what a probe must print about it; tensors in any order.
pub struct Expected {
    pub path: PathBuf,
    pub pairs: usize,
    pub tensors: Vec<ExpectedTensor>,
}

pub struct ExpectedTensor {
    /// Name and dimensions, as the probe prints them.
    pub line: String,
    pub fnv: u64,
}

/// All files.
pub struct Inputs {
    pub versions: Vec<(u32, Expected)>,
    pub orders: Vec<(ByteOrder, Expected)>,
    pub types: Vec<Expected>,
    /// Of the corpus: files that are valid.
    pub valid: Vec<Expected>,
    /// Of the corpus: files that the format's document forbids and the reference reader refuses or dies of.
    pub hostile: Vec<PathBuf>,
    /// Of the corpus: all.
    pub all: Vec<PathBuf>,
    pub tokens: PathBuf,
    /// The lengths of all tokens.
    pub token_bytes: usize,
    /// Where a probe may write.
    pub scratch: PathBuf,
}

fn tensor(name: &str, dims: &[u64], bytes: &[u8]) -> ExpectedTensor {
    ExpectedTensor { line: format!("tensor {name:?} {dims:?}"), fnv: fnv(bytes) }
}

/// A file with a string, an array, and two tensors.
fn ordinary(path: PathBuf, version: u32, order: ByteOrder) -> Result<Expected> {
    let (a, b) = (vec![7; 24], vec![9; 36]);
    let tensors = vec![tensor("a", &[3, 2], &a), tensor("b", &[32, 2], &b)];
    let file = GgufWriter::new()
        .version(version)
        .byte_order(order)
        .kv("general.architecture", "llama")
        .kv("llama.context_length", 2048u32)
        .kv("tokenizer.ggml.tokens", vec!["a", "b"])
        .tensor("a", GgmlType::F32, &[3, 2], a)
        .tensor("b", GgmlType::Q4_0, &[32, 2], b)
        .to_vec()?;
    fs::write(&path, file)?;
    Ok(Expected { path, pairs: 3, tensors })
}

fn of_type(path: PathBuf, ty: GgmlType) -> Result<Option<Expected>> {
    let Some(layout) = ty.layout() else { return Ok(None) };
    // Two rows of two blocks. Bytes of 1 are harmless in every format.
    let dims = [2 * u64::from(layout.len), 2];
    let bytes = vec![1; 4 * layout.bytes as usize];
    let tensors = vec![tensor("t", &dims, &bytes)];
    fs::write(&path, GgufWriter::new().kv("general.name", "t").tensor("t", ty, &dims, bytes).to_vec()?)?;
    Ok(Some(Expected { path, pairs: 1, tensors }))
}

/// A file of the corpus as gguf-py read it.
fn parsed(path: PathBuf, parsed: &Json, bytes: &[u8]) -> Result<Expected> {
    let mut tensors = Vec::new();
    for entry in parsed["tensors"].as_array().ok_or("no tensors")? {
        let name = entry[0].as_str().ok_or("no name")?;
        let dims: Vec<u64> = serde_json::from_value(entry[2].clone())?;
        let (start, len): (usize, usize) =
            (serde_json::from_value(entry[3].clone())?, serde_json::from_value(entry[4].clone())?);
        let bytes = start.checked_add(len).and_then(|end| bytes.get(start..end)).ok_or("no bytes")?;
        tensors.push(tensor(name, &dims, bytes));
    }
    Ok(Expected { path, pairs: parsed["kv"].as_array().ok_or("no pairs")?.len(), tensors })
}

/// A vocabulary of the size that models have today, and 300 small tensors.
fn vocabulary(path: &Path) -> Result<usize> {
    let tokens: Vec<String> =
        (0..TOKENS).map(|i| format!("t{}", i.wrapping_mul(2_654_435_761) >> (i % 28))).collect();
    let sum = tokens.iter().map(String::len).sum();
    let mut writer = GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("tokenizer.ggml.tokens", tokens)
        .kv("tokenizer.ggml.scores", (0..TOKENS).map(|i| -(i as f32)).collect::<Vec<_>>())
        .kv("tokenizer.ggml.token_type", vec![1i32; TOKENS as usize]);
    for i in 0..300 {
        writer = writer.tensor(format!("blk.{i}.weight"), GgmlType::F32, &[8], vec![0; 32]);
    }
    fs::write(path, writer.to_vec()?)?;
    Ok(sum)
}

impl Inputs {
    /// Writes all files into `folder`.
    pub fn make(folder: &Path, corpus: &Files) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let at = |name: String| folder.join(name);
        let (mut versions, mut types) = (Vec::new(), Vec::new());
        for version in 1..=3 {
            let file = ordinary(at(format!("version-{version}")), version, ByteOrder::Little)?;
            versions.push((version, file));
        }
        let mut orders = Vec::new();
        for order in [ByteOrder::Little, ByteOrder::Big] {
            orders.push((order, ordinary(at(format!("order-{order}")), 3, order)?));
        }
        for ty in GgmlType::ALL {
            types.extend(of_type(at(format!("type-{ty}")), *ty)?);
        }
        let (mut valid, mut hostile, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for (case, bytes) in support::cases(corpus) {
            let path = at(format!("case-{}", case["id"].as_str().ok_or("no id")?));
            fs::write(&path, &bytes)?;
            match case["spec"].as_str() {
                Some("valid") => valid.push(parsed(path.clone(), &case["parsed"], &bytes)?),
                Some("invalid") if case["llamacpp_0c1e570"]["data"] != "accept" => hostile.push(path.clone()),
                _ => {}
            }
            all.push(path);
        }
        let tokens = at("tokens".into());
        let token_bytes = vocabulary(&tokens)?;
        let scratch = at("written".into());
        Ok(Self { versions, orders, types, valid, hostile, all, tokens, token_bytes, scratch })
    }
}
