//! What the tests share: running the binary, and a tiny model with a tokenizer of bytes.
#![allow(dead_code, unreachable_pub)] // each test binary uses a part

use happy_gguf::{GgmlType, GgufWriter};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that goes away with its owner.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("happy-cli-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        path
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The command, with nothing of the caller's environment that changes what it does.
pub fn happy(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_happy"));
    command.args(args);
    let ours = ["HAPPY_ISA", "HAPPY_DISABLE", "HAPPY_MODELS", "HAPPY_API_KEY", "XDG_DATA_HOME"];
    let hub = ["HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE"];
    for name in ours.into_iter().chain(hub) {
        command.env_remove(name);
    }
    // No configuration: there is no such folder.
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

/// Runs a command to its end.
pub fn output(command: &mut Command, stdin: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    // A command that fails early need not read its input.
    let _ = child.stdin.take().expect("piped").write_all(stdin);
    child.wait_with_output().expect("the binary ends")
}

/// Whether a real model can be tested here: one where the caller's environment says that models are.
pub fn have(model: &str) -> bool {
    if cfg!(debug_assertions) {
        happy_testkit::skip("real models are tested in release builds");
        return false;
    }
    let found = output(Command::new(env!("CARGO_BIN_EXE_happy")).args(["inspect", model]), b"");
    if !found.status.success() {
        happy_testkit::skip(String::from_utf8_lossy(&found.stderr).trim());
    }
    found.status.success()
}

/// Runs a command that must succeed; its standard output.
pub fn succeed(args: &[&str], stdin: &[u8]) -> String {
    let done = output(&mut happy(args), stdin);
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{args:?}: {:?}: {stderr}", done.status.code());
    String::from_utf8(done.stdout).expect("UTF-8 on standard output")
}

/// The tiny model's size of everything.
pub const N_EMBD: u64 = 32;
const N_FF: u64 = 64;
const N_EXPERTS: u64 = 4;
const N_LAYERS: u32 = 2;
/// 256 bytes, a merge, and two special tokens.
pub const N_VOCAB: u64 = 259;

/// The chat template of the tiny model.
pub const TEMPLATE: &str = "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools here') }}\
{% endif %}<|turn|>{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<|turn|>assistant:{% endif %}";

/// The byte-level alphabet of GPT-2: printable bytes stand for themselves, the others for what follows U+0100.
fn byte_tokens() -> Vec<String> {
    let printable = |b: u32| matches!(b, 33..=126 | 161..=172 | 174..=255);
    let mut next = 256;
    let mut character = |b: u32| {
        let code = if printable(b) { b } else { next };
        next += u32::from(!printable(b));
        char::from_u32(code).expect("a character").to_string()
    };
    (0..256).map(&mut character).collect()
}

/// A model with the tensors and pairs that it needs, one that a test wants, or one less.
pub struct Tiny {
    pub architecture: &'static str,
    pub without_tensor: Option<&'static str>,
    pub misshapen: Option<&'static str>,
    pub template: &'static str,
    pub tokenizer: bool,
    /// The file's `pooling_type`.
    pub pooling: Option<u32>,
    /// Whether it has a classifier of one label.
    pub classifier: bool,
    /// Whether its feed-forward halves are mixtures of 4 experts, of which a token takes 2.
    pub experts: bool,
}

impl Default for Tiny {
    fn default() -> Self {
        let template = TEMPLATE;
        Self {
            architecture: "llama",
            without_tensor: None,
            misshapen: None,
            template,
            tokenizer: true,
            pooling: None,
            classifier: false,
            experts: false,
        }
    }
}

impl Tiny {
    pub fn bytes(&self) -> Vec<u8> {
        let a = self.architecture;
        let mut writer = GgufWriter::new()
            .kv("general.architecture", a)
            .kv(format!("{a}.block_count"), N_LAYERS)
            .kv(format!("{a}.context_length"), 512u32)
            .kv(format!("{a}.embedding_length"), N_EMBD as u32)
            .kv(format!("{a}.feed_forward_length"), N_FF as u32)
            .kv(format!("{a}.attention.head_count"), 2u32)
            .kv(format!("{a}.attention.head_count_kv"), 1u32)
            .kv(format!("{a}.attention.layer_norm_rms_epsilon"), 1e-5f32)
            .kv(format!("{a}.rope.dimension_count"), 16u32);
        if self.experts {
            writer = writer
                .kv(format!("{a}.expert_count"), N_EXPERTS as u32)
                .kv(format!("{a}.expert_used_count"), 2u32);
        }
        if let Some(pooling) = self.pooling {
            writer = writer.kv(format!("{a}.pooling_type"), pooling);
        }
        if self.tokenizer {
            writer = tokenizer(writer).kv("tokenizer.chat_template", self.template);
        }
        let mut tensors: Vec<(String, Vec<u64>)> = vec![
            ("token_embd.weight".into(), vec![N_EMBD, N_VOCAB]),
            ("output_norm.weight".into(), vec![N_EMBD]),
        ];
        for layer in 0..N_LAYERS {
            let mixture = [
                ("ffn_gate_inp", vec![N_EMBD, N_EXPERTS]),
                ("ffn_gate_exps", vec![N_EMBD, N_FF, N_EXPERTS]),
                ("ffn_up_exps", vec![N_EMBD, N_FF, N_EXPERTS]),
                ("ffn_down_exps", vec![N_FF, N_EMBD, N_EXPERTS]),
            ];
            let dense = [
                ("ffn_gate", vec![N_EMBD, N_FF]),
                ("ffn_up", vec![N_EMBD, N_FF]),
                ("ffn_down", vec![N_FF, N_EMBD]),
            ];
            let ffn = if self.experts { mixture.to_vec() } else { dense.to_vec() };
            let others = [
                ("attn_norm", vec![N_EMBD]),
                ("attn_q", vec![N_EMBD, N_EMBD]),
                ("attn_k", vec![N_EMBD, N_EMBD / 2]),
                ("attn_v", vec![N_EMBD, N_EMBD / 2]),
                ("attn_output", vec![N_EMBD, N_EMBD]),
                ("ffn_norm", vec![N_EMBD]),
            ];
            for (name, dims) in others.into_iter().chain(ffn) {
                tensors.push((format!("blk.{layer}.{name}.weight"), dims));
            }
        }
        if self.classifier {
            tensors.push(("cls.output.weight".into(), vec![N_EMBD, 1]));
        }
        let mut seed = 1u64;
        for (name, mut dims) in tensors {
            if self.without_tensor == Some(&name) {
                continue;
            }
            if self.misshapen == Some(&name) {
                dims[0] += 1;
            }
            let n: u64 = dims.iter().product();
            let bytes = happy_testkit::le_bytes((0..n).map(|_| value(&mut seed)));
            writer = writer.tensor(name, GgmlType::F32, &dims, bytes);
        }
        writer.to_vec().expect("a valid file")
    }
}

/// An adapter of rank 2 for the query matrix of the tiny model's first layer, or of a model of another width.
pub fn adapter(width: u64, mut seed: u64) -> Vec<u8> {
    let mut values = || happy_testkit::le_bytes((0..width * 2).map(|_| value(&mut seed)));
    let (a, b) = (values(), values());
    GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("general.type", "adapter")
        .kv("adapter.type", "lora")
        .kv("adapter.lora.alpha", 8.0f32)
        .tensor("blk.0.attn_q.weight.lora_a", GgmlType::F32, &[width, 2], a)
        .tensor("blk.0.attn_q.weight.lora_b", GgmlType::F32, &[2, width], b)
        .to_vec()
        .expect("a valid file")
}

/// A vocabulary-only file.
pub fn vocabulary() -> Vec<u8> {
    tokenizer(GgufWriter::new().kv("general.architecture", "llama")).to_vec().expect("a valid file")
}

fn tokenizer(writer: GgufWriter<'_>) -> GgufWriter<'_> {
    let mut tokens = byte_tokens();
    tokens.extend(["he", "<|turn|>", "<|end|>"].map(str::to_owned));
    let mut types = vec![1i32; tokens.len()];
    types[257..].fill(3);
    writer
        .kv("tokenizer.ggml.model", "gpt2")
        .kv("tokenizer.ggml.pre", "gpt-2")
        .kv("tokenizer.ggml.tokens", tokens)
        .kv("tokenizer.ggml.token_type", types)
        .kv("tokenizer.ggml.merges", vec!["h e"])
        .kv("tokenizer.ggml.bos_token_id", 257u32)
        .kv("tokenizer.ggml.eos_token_id", 258u32)
        .kv("tokenizer.ggml.add_bos_token", false)
}

/// Numbers from -0.5 to 0.5 (splitmix64).
fn value(seed: &mut u64) -> f32 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32 - 0.5
}
