//! What the tests share: a tiny model, the built library, and other people's compilers and interpreters.
#![allow(dead_code, unreachable_pub)] // each test binary uses a part

use happy_engine::chat::{Message, ReplyEvent};
use happy_engine::{AnswerEvent, Conversation, Engine, GenerateOptions, LoadOptions};
use happy_gguf::{GgmlType, GgufWriter, OwnedArray};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Width of the model.
const N_EMBD: u64 = 64;

/// Messages with their roles, calls as Hermes models write them; refuses the role `refused`.
pub const TEMPLATE: &str = "\
{%- for m in messages -%}
{%- if m.role == 'refused' %}{{ raise_exception('no such role') }}{% endif -%}
[{{ m.role }}]{{ m.content }}{% for c in m.tool_calls %}<tool_call>{{ c.function|tojson }}</tool_call>{% endfor -%}
{%- endfor -%}
{%- if add_generation_prompt %}[assistant]{% endif -%}";

/// Weights in -0.15 .. 0.15, the same in every run.
fn weights(n: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.3
    };
    (0..n).flat_map(|_| next().to_le_bytes()).collect()
}

/// A model of two layers with a vocabulary of bytes: 0 unknown, 1 begin, 2 end, 3 + byte.
pub fn tiny_model(template: Option<&str>) -> Vec<u8> {
    let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
    tokens.extend((0..256).map(|b| format!("<0x{b:02X}>")));
    let mut types = vec![2i32, 3, 3];
    types.resize(tokens.len(), 6);
    let n_vocab = tokens.len();
    let mut file = GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("general.name", "tiny")
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
        .kv("tokenizer.ggml.add_space_prefix", false);
    if let Some(template) = template {
        file = file.kv("tokenizer.chat_template", template.to_owned());
    }
    let (e, v, kv, ff) = (N_EMBD, n_vocab as u64, 32, 96);
    let mut shapes: Vec<(String, Vec<u64>)> =
        vec![("token_embd".into(), vec![e, v]), ("output_norm".into(), vec![e])];
    for layer in 0..2 {
        let shape = |name: &str, dims: &[u64]| (format!("blk.{layer}.{name}"), dims.to_vec());
        shapes.extend([
            shape("attn_norm", &[e]),
            shape("attn_q", &[e, e]),
            shape("attn_k", &[e, kv]),
            shape("attn_v", &[e, kv]),
            shape("attn_output", &[e, e]),
            shape("ffn_norm", &[e]),
            shape("ffn_gate", &[e, ff]),
            shape("ffn_up", &[e, ff]),
            shape("ffn_down", &[ff, e]),
        ]);
    }
    for (seed, (name, dims)) in (1..).zip(shapes) {
        let n = dims.iter().product::<u64>() as usize;
        let bytes = if name.contains("norm") { 1f32.to_le_bytes().repeat(n) } else { weights(n, seed) };
        file = file.tensor(format!("{name}.weight"), GgmlType::F32, &dims, bytes);
    }
    file.to_vec().expect("a model")
}

/// A folder that goes away with its owner.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("happy-ffi-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The package's folder.
pub fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the `libhappy.so` that cargo made together with this test: both lie in `deps`.
pub fn library_folder() -> PathBuf {
    let test = std::env::current_exe().expect("the test's path");
    let folder = test.parent().expect("a folder").to_path_buf();
    let library = folder.join("libhappy.so");
    assert!(library.is_file(), "no {}: cargo puts it beside the package's tests", library.display());
    folder
}

/// Whether a program is there; where CI runs, it must be.
pub fn have(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    if !found {
        not_run(&format!("there is no `{program}`"));
    }
    found
}

/// Says that a test did not run; in CI that is a failure.
pub fn not_run(why: &str) {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(!ci, "CI=true allows no skips: {why}");
    eprintln!("NOT RUN: {why}");
}

/// Runs a program to its end.
///
/// # Panics
/// If it fails; with what it wrote.
pub fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// The real model, where it is.
pub fn smollm2() -> Option<String> {
    let Some(folder) = std::env::var_os("HAPPY_MODELS").map(PathBuf::from) else {
        not_run("HAPPY_MODELS is not set: it names the folder of the real models");
        return None;
    };
    let path = folder.join("SmolLM2-135M-Instruct.Q4_1.gguf");
    if !path.is_file() {
        not_run(&format!("there is no {}", path.display()));
        return None;
    }
    Some(path.display().to_string())
}

/// What the engine answers by itself, always taking the best token: as many tokens at most.
pub fn greedy_answer(model: &str, question: &str, most: usize) -> String {
    let engine = Engine::open(model, &LoadOptions::default()).expect("a model");
    let mut conversation = Conversation::new(&engine, None).expect("a template").expect("a template");
    conversation.push(Message::new("user", question));
    let options = GenerateOptions { max_tokens: Some(most), ..GenerateOptions::default() };
    let mut context = engine.context().expect("a context");
    let mut answer = String::new();
    for event in conversation.answer(&mut context, 0, options).expect("an answer") {
        if let AnswerEvent::Reply(ReplyEvent::Content(text)) = event.expect("an event") {
            answer.push_str(&text);
        }
    }
    answer
}
