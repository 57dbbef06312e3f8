//! A model small enough for tests: two layers, a vocabulary of bytes.
#![allow(dead_code)] // each test binary uses a part

pub(crate) mod script;

use happy_engine::{Engine, LoadOptions};
use happy_gguf::{GgmlType, Gguf, GgufFile, GgufSet, GgufWriter, Limits, OwnedArray, SplitBy};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Width of the model.
const N_EMBD: usize = 64;
/// Tokens without the control tokens of a test: unknown, begin, end, and a token for each byte.
pub(crate) const N_VOCAB: usize = 3 + 256;

/// Weights in -0.15 .. 0.15, the same in every run.
fn weights(n: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.3
    };
    happy_testkit::le_bytes((0..n).map(|_| next()))
}

/// Messages as they are.
pub(crate) const TEMPLATE: &str = "{% for m in messages %}{{ m.content }}{% endfor %}";

/// The file's bytes: its chat template, and control tokens after the others.
pub(crate) fn file_bytes(template: &str, control: &[&str]) -> Vec<u8> {
    file_bytes_with(template, control, None)
}

/// The same with an embedding of another number of rows.
pub(crate) fn file_bytes_with(template: &str, control: &[&str], rows: Option<u64>) -> Vec<u8> {
    let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
    tokens.extend((0..256).map(|b| format!("<0x{b:02X}>")));
    let mut types = vec![2i32, 3, 3];
    types.extend([6; 256]);
    tokens.extend(control.iter().map(|text| (*text).to_owned()));
    types.resize(tokens.len(), 3);
    let n_vocab = tokens.len();
    let mut file = GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("llama.context_length", 512u32)
        .kv("llama.embedding_length", N_EMBD as u32)
        .kv("llama.block_count", 2u32)
        .kv("llama.feed_forward_length", 96u32)
        .kv("llama.attention.head_count", 4u32)
        .kv("llama.attention.head_count_kv", 2u32)
        .kv("llama.attention.layer_norm_rms_epsilon", 1e-5f32)
        .kv("tokenizer.ggml.model", "llama")
        .kv("tokenizer.ggml.tokens", OwnedArray::strings(tokens))
        .kv("tokenizer.ggml.scores", OwnedArray::packed(vec![0.0f32; n_vocab]))
        .kv("tokenizer.ggml.token_type", OwnedArray::packed(types))
        .kv("tokenizer.ggml.add_space_prefix", false)
        .kv("tokenizer.chat_template", template);
    let mut seed = 1;
    let mut tensor = |file: GgufWriter<'static>, name: &str, dims: &[u64]| {
        seed += 1;
        let n = dims.iter().product::<u64>() as usize;
        let bytes = if name.contains("norm") { 1f32.to_le_bytes().repeat(n) } else { weights(n, seed) };
        file.tensor(name, GgmlType::F32, dims, bytes)
    };
    let (e, v, kv, ff) = (N_EMBD as u64, rows.unwrap_or(n_vocab as u64), 32, 96);
    file = tensor(file, "token_embd.weight", &[e, v]);
    file = tensor(file, "output_norm.weight", &[e]);
    for layer in 0..2 {
        let shapes: [(&str, &[u64]); 9] = [
            ("attn_norm", &[e]),
            ("attn_q", &[e, e]),
            ("attn_k", &[e, kv]),
            ("attn_v", &[e, kv]),
            ("attn_output", &[e, e]),
            ("ffn_norm", &[e]),
            ("ffn_gate", &[e, ff]),
            ("ffn_up", &[e, ff]),
            ("ffn_down", &[ff, e]),
        ];
        for (name, dims) in shapes {
            file = tensor(file, &format!("blk.{layer}.{name}.weight"), dims);
        }
    }
    file.to_vec().expect("a file")
}

/// The model, loaded.
pub(crate) fn engine(options: &LoadOptions) -> Result<Engine, happy_engine::EngineError> {
    engine_with(options, TEMPLATE, &[])
}

/// The model with a chat template and control tokens of the test's own.
pub(crate) fn engine_with(
    options: &LoadOptions,
    template: &str,
    control: &[&str],
) -> Result<Engine, happy_engine::EngineError> {
    let bytes = file_bytes(template, control);
    let file = GgufFile::from_shared(Arc::new(bytes), &Limits::default()).expect("a valid file");
    Engine::new(file, "tiny".to_owned(), options)
}

/// Gives a model's recipe the tokens that it lacks: of one letter, and pairs of letters after these.
pub(crate) fn spell(recipe: &mut serde_json::Value) {
    let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
    tokens.extend((b' '..=b'~').map(|byte| char::from(byte).to_string()));
    tokens.extend(('a'..='z').chain('A'..='Z').map(|letter| format!("{letter}{letter}")));
    tokens.truncate(128);
    let kinds: Vec<i32> = (0..tokens.len()).map(|id| [2, 3, 3, 1][id.min(3)]).collect();
    recipe["metadata"].as_array_mut().unwrap().extend([
        json!(["tokenizer.ggml.model", "string", "llama"]),
        json!(["tokenizer.ggml.tokens", "array:string", tokens]),
        json!(["tokenizer.ggml.scores", "array:float32", vec![0.0; tokens.len()]]),
        json!(["tokenizer.ggml.token_type", "array:int32", kinds]),
    ]);
}

/// A folder that goes away with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("happy-engine-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: impl AsRef<Path>, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The parts of a file, split into some, next to `prefix`.
pub(crate) fn split(file: &Path, prefix: &Path) -> Vec<PathBuf> {
    let bytes = std::fs::read(file).unwrap();
    let set = GgufSet::from(Gguf::parse(&bytes).unwrap());
    GgufWriter::write_split(&set, SplitBy::Tensors(6), prefix).unwrap()
}

/// The real models that `cargo xtask fetch-models` fetches; a skip is told.
pub(crate) fn real_models() -> Vec<PathBuf> {
    let files = ["SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"];
    files.into_iter().filter_map(happy_testkit::model).collect()
}
