//! A model small enough for tests: two layers, a vocabulary of bytes, random weights.
#![allow(dead_code)] // each user needs a part

use happy_gguf::{GgmlType, GgufWriter, OwnedArray};

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
    happy_testkit::le_bytes((0..n).map(|_| next()))
}

/// A model of two layers with a vocabulary of bytes: 0 unknown, 1 begin, 2 end, 3 + byte.
pub fn tiny_model(template: Option<&str>) -> Vec<u8> {
    tiny(template, false)
}

/// The same, with mean pooling as its own way and a classifier of one label.
pub fn tiny_embedding_model() -> Vec<u8> {
    tiny(None, true)
}

/// An adapter of rank 3 for the query matrix of the first layer of the tiny model, or of a model of another width.
pub fn tiny_adapter(width: u64, seed: u64) -> Vec<u8> {
    let values = |n: u64, seed| weights(n as usize, seed);
    GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("general.type", "adapter")
        .kv("adapter.type", "lora")
        .kv("adapter.lora.alpha", 30.0f32)
        .tensor("blk.0.attn_q.weight.lora_a", GgmlType::F32, &[width, 3], values(width * 3, seed))
        .tensor("blk.0.attn_q.weight.lora_b", GgmlType::F32, &[3, width], values(width * 3, seed + 1))
        .to_vec()
        .expect("an adapter")
}

fn tiny(template: Option<&str>, embeds: bool) -> Vec<u8> {
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
    if embeds {
        file = file.kv("llama.pooling_type", 1u32);
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
    if embeds {
        shapes.push(("cls.output".into(), vec![e, 1]));
    }
    for (seed, (name, dims)) in (1..).zip(shapes) {
        let n = dims.iter().product::<u64>() as usize;
        let bytes = if name.contains("norm") { 1f32.to_le_bytes().repeat(n) } else { weights(n, seed) };
        file = file.tensor(format!("{name}.weight"), GgmlType::F32, &dims, bytes);
    }
    file.to_vec().expect("a model")
}
