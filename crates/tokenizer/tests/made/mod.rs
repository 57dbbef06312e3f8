//! GGUF files with vocabularies made here, for each kind.

use happy_gguf::{GgufFile, GgufWriter, Limits, OwnedArray};
use std::sync::Arc;

pub(crate) const KINDS: [&str; 7] = ["gpt2", "llama", "gemma4", "bert", "t5", "rwkv", "plamo2"];

/// Normal, control, user-defined, byte.
pub(crate) const TYPES: [i32; 4] = [1, 3, 4, 6];

/// A file with all byte tokens and `n` more tokens. `text` makes their strings, and their types cycle through `types`.
pub(crate) fn file(kind: &str, n: usize, text: impl Fn(usize) -> String, types: &[i32]) -> GgufFile {
    let bytes = (0..=255u8).map(|b| format!("<0x{b:02X}>"));
    let ascii = (' '..='~').map(String::from);
    let tokens = OwnedArray::strings(bytes.chain(ascii).chain((0..n).map(&text)));
    let count = 256 + 95 + n;
    let type_of = |i: usize| match i {
        0..256 => 6,
        256..351 => 1,
        _ => types[(i - 351) % types.len()],
    };
    let merges = OwnedArray::strings((0..n).map(|i| match text(i).split_at_checked(1) {
        Some((left, right)) => format!("{left} {right}"),
        None => String::new(),
    }));
    let bytes = GgufWriter::new()
        .kv("tokenizer.ggml.model", kind)
        .kv("tokenizer.ggml.pre", "gpt-2")
        .kv("tokenizer.ggml.tokens", tokens)
        .kv("tokenizer.ggml.token_type", OwnedArray::packed((0..count).map(type_of)))
        .kv("tokenizer.ggml.scores", OwnedArray::packed((0..count).map(|i| -((i % 7) as f32))))
        .kv("tokenizer.ggml.merges", merges)
        .kv("tokenizer.ggml.eos_token_ids", OwnedArray::packed((0..2000).map(|i| i * 3)))
        .kv("tokenizer.ggml.bos_token_id", 351u32)
        .kv("general.name", "made here")
        .to_vec()
        .unwrap();
    GgufFile::from_shared(Arc::new(bytes), &Limits::default()).unwrap()
}
