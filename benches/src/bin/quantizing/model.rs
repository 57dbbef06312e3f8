//! A llama-shaped model of random F16 weights, and the error of an encoded copy.

use happy_gguf::{GgmlType, GgufSetReader, GgufWriter, Limits, OwnedValue};
use happy_tensor::{DType, convert, dequantize_row};
use std::error::Error;
use std::path::Path;

/// Columns of most matrices, rows of the widest, and the vocabulary.
const WIDTH: usize = 1024;
const FEED_FORWARD: usize = 2816;
const VOCABULARY: usize = 512;

/// Weights of a layer: four square matrices and three of the feed-forward network.
const LAYER: usize = 4 * WIDTH * WIDTH + 3 * WIDTH * FEED_FORWARD;

/// The names of all matrices, and their columns and rows.
fn matrices(layers: usize) -> Vec<(String, usize, usize)> {
    let mut all: Vec<_> =
        ["token_embd", "output"].map(|name| (format!("{name}.weight"), WIDTH, VOCABULARY)).into();
    for layer in 0..layers {
        let shapes = [
            ("attn_q", WIDTH, WIDTH),
            ("attn_k", WIDTH, WIDTH),
            ("attn_v", WIDTH, WIDTH),
            ("attn_output", WIDTH, WIDTH),
            ("ffn_gate", WIDTH, FEED_FORWARD),
            ("ffn_up", WIDTH, FEED_FORWARD),
            ("ffn_down", FEED_FORWARD, WIDTH),
        ];
        all.extend(shapes.map(|(name, k, n)| (format!("blk.{layer}.{name}.weight"), k, n)));
    }
    all
}

/// Returns `name:columns` for every matrix.
pub(crate) fn columns(layers: usize) -> Vec<String> {
    matrices(layers).into_iter().map(|(name, k, _)| format!("{name}:{k}")).collect()
}

/// Returns the number of layers with about as many millions of weights.
pub(crate) fn layers(millions: usize) -> usize {
    (millions * 1_000_000).div_ceil(LAYER).max(1)
}

/// Writes the model. Its weights are about normally distributed, and rows differ in scale, as in real models.
pub(crate) fn write(path: &Path, layers: usize) -> Result<(), Box<dyn Error>> {
    let tokens: Vec<String> = (0..VOCABULARY).map(|i| format!("<{i}>")).collect();
    let mut writer = GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("llama.block_count", layers as u32)
        .kv("llama.context_length", 512u32)
        .kv("llama.embedding_length", WIDTH as u32)
        .kv("llama.feed_forward_length", FEED_FORWARD as u32)
        .kv("llama.attention.head_count", 8u32)
        .kv("llama.attention.head_count_kv", 8u32)
        .kv("llama.attention.layer_norm_rms_epsilon", 1e-5f32)
        .kv("tokenizer.ggml.model", "gpt2")
        .kv("tokenizer.ggml.tokens", OwnedValue::from(tokens));
    for (seed, (name, k, n)) in (1u64..).zip(matrices(layers)) {
        writer = writer.tensor_from(name, GgmlType::F16, &[k as u64, n as u64], move |out| {
            let mut uniform = uniform(seed);
            let mut row = Vec::new();
            for _ in 0..n {
                // A sum of six is near enough to a normal distribution.
                let scale = (1.0 + 0.5 * uniform()) / (k as f32).sqrt();
                row.clear();
                for _ in 0..k {
                    let x: f32 = (0..6).map(|_| uniform()).sum();
                    row.extend(convert::f16_from_f32(x * scale).to_le_bytes());
                }
                out.write_all(&row)?;
            }
            Ok(())
        });
    }
    writer.write_file(path)?;
    Ok(())
}

/// Returns random numbers between -1 and 1.
fn uniform(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// Returns the mean squared error of the weights of `encoded`, divided by their mean square.
pub(crate) fn error(original: &Path, encoded: &Path, dtype: DType) -> Result<f64, Box<dyn Error>> {
    let open = |path: &Path| GgufSetReader::open(path, &Limits::default());
    let (original, encoded) = (open(original)?, open(encoded)?);
    let (mut squares, mut energy) = (0.0, 0.0);
    for (part, info) in original.view().tensors() {
        let (other_part, other) = encoded.view().tensor(info.name).ok_or("a tensor is missing")?;
        if other.ty.name() != dtype.name() {
            return Err(format!("{}: {}, expected {dtype}", info.name, other.ty.name()).into());
        }
        let n = info.dims.padded().iter().product::<u64>() as usize;
        let read = |model: &GgufSetReader, part, info: &_, dtype: DType| -> Result<_, Box<dyn Error>> {
            let (mut bytes, mut values) = (vec![0; dtype.row_bytes(n)?], vec![0.0; n]);
            model.read_at(part, info, 0, &mut bytes)?;
            dequantize_row(dtype, &bytes, &mut values)?;
            Ok(values)
        };
        let x = read(&original, part, &info, DType::F16)?;
        let y = read(&encoded, other_part, &other, dtype)?;
        for (x, y) in x.into_iter().zip(y) {
            let (x, y) = (f64::from(x), f64::from(y));
            squares += (x - y) * (x - y);
            energy += x * x;
        }
    }
    Ok(squares / energy)
}
