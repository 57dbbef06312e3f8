//! The shapes, from the models' published configurations.

use crate::shape::Shape;
use happy_gguf::{GgufWriter, OwnedValue};
use happy_tensor::DType::{self, BF16, F16, F32, Q4_0, Q4K, Q6K};

/// A model that can be written.
pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) build: fn() -> Result<GgufWriter<'static>, String>,
}

/// All of them.
pub(crate) const ALL: [Model; 5] = [
    Model {
        name: "lfm2-1.2b",
        about: "LFM2 1.2B, Q4_0: 10 short convolutions, 6 attention layers",
        build: lfm2,
    },
    Model { name: "lfm2-8b-a1b", about: "LFM2 8B-A1B, Q4_0: 4 of 32 experts in 22 layers", build: lfm2_moe },
    Model {
        name: "qwen35-0.8b",
        about: "Qwen3.5 0.8B, Q4_K_M: 18 delta nets, 6 attention layers",
        build: qwen35,
    },
    Model {
        name: "gemma4-e2b",
        about: "Gemma 4 E2B, Q4_0: per-layer embeddings, shared keys and values",
        build: gemma4,
    },
    Model {
        name: "granite4-h-350m",
        about: "Granite 4 H 350M, Q4_K_M: 28 Mamba-2 layers, 4 attention layers",
        build: granite,
    },
];

/// The beginning of the names of models that are all in one format, which follows.
const LLAMA: &str = "llama-0.5b-";

/// The names of models with all matrices in one format, one for each format.
pub(crate) fn format_names() -> impl Iterator<Item = String> {
    DType::ALL.into_iter().map(|dtype| format!("{LLAMA}{}", dtype.name().to_ascii_lowercase()))
}

/// Builds the model called `name`, if it is known.
pub(crate) fn named(name: &str) -> Option<Result<GgufWriter<'static>, String>> {
    if let Some(model) = ALL.iter().find(|model| model.name == name) {
        return Some((model.build)());
    }
    let format = name.strip_prefix(LLAMA)?;
    let dtype = DType::ALL.into_iter().find(|dtype| dtype.name().eq_ignore_ascii_case(format))?;
    Some(llama(dtype))
}

/// 0.45B weights, of which a token reads all but the embedding table.
fn llama(dtype: DType) -> Result<GgufWriter<'static>, String> {
    let mut shape = Shape::new("llama", 8192)
        .key("context_length", 8192u32)
        .key("embedding_length", 1280u32)
        .key("block_count", 24u32)
        .key("feed_forward_length", 3584u32)
        .key("attention.head_count", 20u32)
        .key("attention.head_count_kv", 5u32)
        .key("attention.layer_norm_rms_epsilon", 1e-5f32)
        .key("rope.freq_base", 1e5f32)
        .matrix("token_embd.weight", F16, &[1280, 8192])
        .matrix("output.weight", dtype, &[1280, 8192])
        .constant("output_norm.weight", &[1280], 1.0);
    for i in 0..24 {
        shape = shape
            .constant(format!("blk.{i}.attn_norm.weight"), &[1280], 1.0)
            .matrix(format!("blk.{i}.attn_q.weight"), dtype, &[1280, 1280])
            .matrix(format!("blk.{i}.attn_k.weight"), dtype, &[1280, 320])
            .matrix(format!("blk.{i}.attn_v.weight"), dtype, &[1280, 320])
            .matrix(format!("blk.{i}.attn_output.weight"), dtype, &[1280, 1280])
            .constant(format!("blk.{i}.ffn_norm.weight"), &[1280], 1.0);
        shape = mlp(shape, i, 1280, 3584, dtype, dtype);
    }
    shape.build()
}

fn counts(values: impl IntoIterator<Item = u32>) -> OwnedValue {
    OwnedValue::from(values.into_iter().collect::<Vec<u32>>())
}

/// A gated feed-forward block without its norm.
fn mlp(shape: Shape, i: usize, n_embd: usize, n_ff: usize, dtype: DType, down: DType) -> Shape {
    shape
        .matrix(format!("blk.{i}.ffn_gate.weight"), dtype, &[n_embd, n_ff])
        .matrix(format!("blk.{i}.ffn_up.weight"), dtype, &[n_embd, n_ff])
        .matrix(format!("blk.{i}.ffn_down.weight"), down, &[n_ff, n_embd])
}

/// Sizes of an attention.
struct Heads {
    n_embd: usize,
    /// Rows of Q, also columns of the output matrix unless Q carries gates.
    q: usize,
    kv: usize,
    out: usize,
    dim: usize,
}

/// Q, K, V, their norms and the output matrix.
fn attention(shape: Shape, i: usize, h: &Heads, dtype: DType, v: DType) -> Shape {
    shape
        .matrix(format!("blk.{i}.attn_q.weight"), dtype, &[h.n_embd, h.q])
        .matrix(format!("blk.{i}.attn_k.weight"), dtype, &[h.n_embd, h.kv])
        .matrix(format!("blk.{i}.attn_v.weight"), v, &[h.n_embd, h.kv])
        .constant(format!("blk.{i}.attn_q_norm.weight"), &[h.dim], 1.0)
        .constant(format!("blk.{i}.attn_k_norm.weight"), &[h.dim], 1.0)
        .matrix(format!("blk.{i}.attn_output.weight"), dtype, &[h.out, h.n_embd])
}

/// Q4_K_M: more bits for every second value and down matrix.
fn more(i: usize) -> DType {
    if i.is_multiple_of(2) { Q6K } else { Q4K }
}

fn lfm2_layers(
    mut shape: Shape,
    attention_at: &[usize],
    n_layers: usize,
    ffn: impl Fn(Shape, usize) -> Shape,
) -> Shape {
    let kv = counts((0..n_layers).map(|i| if attention_at.contains(&i) { 8 } else { 0 }));
    shape = shape
        .key("context_length", 128_000u32)
        .key("embedding_length", 2048u32)
        .key("block_count", n_layers as u32)
        .key("attention.head_count", 32u32)
        .key("attention.head_count_kv", kv)
        .key("attention.layer_norm_rms_epsilon", 1e-5f32)
        .key("rope.freq_base", 1e6f32)
        .key("shortconv.l_cache", 3u32)
        .matrix("token_embd.weight", Q6K, &[2048, 65_536])
        .constant("token_embd_norm.weight", &[2048], 1.0);
    let heads = Heads { n_embd: 2048, q: 2048, kv: 512, out: 2048, dim: 64 };
    for i in 0..n_layers {
        shape = shape.constant(format!("blk.{i}.attn_norm.weight"), &[2048], 1.0);
        shape = if attention_at.contains(&i) {
            attention(shape, i, &heads, Q4_0, Q4_0)
        } else {
            shape
                .matrix(format!("blk.{i}.shortconv.in_proj.weight"), Q4_0, &[2048, 6144])
                .matrix(format!("blk.{i}.shortconv.conv.weight"), F32, &[3, 2048])
                .matrix(format!("blk.{i}.shortconv.out_proj.weight"), Q4_0, &[2048, 2048])
        };
        shape = ffn(shape.constant(format!("blk.{i}.ffn_norm.weight"), &[2048], 1.0), i);
    }
    shape
}

fn lfm2() -> Result<GgufWriter<'static>, String> {
    let shape = Shape::new("lfm2", 65_536).key("feed_forward_length", 8192u32);
    let ffn = |shape, i| mlp(shape, i, 2048, 8192, Q4_0, Q4_0);
    lfm2_layers(shape, &[2, 5, 8, 10, 12, 14], 16, ffn).build()
}

fn lfm2_moe() -> Result<GgufWriter<'static>, String> {
    let shape = Shape::new("lfm2moe", 65_536)
        .key("feed_forward_length", 7168u32)
        .key("leading_dense_block_count", 2u32)
        .key("expert_count", 32u32)
        .key("expert_used_count", 4u32)
        .key("expert_feed_forward_length", 1792u32)
        .key("expert_gating_func", 2u32);
    let ffn = |shape: Shape, i: usize| {
        if i < 2 {
            return mlp(shape, i, 2048, 7168, Q4_0, Q4_0);
        }
        shape
            .matrix(format!("blk.{i}.ffn_gate_inp.weight"), F32, &[2048, 32])
            .matrix(format!("blk.{i}.ffn_gate_exps.weight"), Q4_0, &[2048, 1792, 32])
            .matrix(format!("blk.{i}.ffn_up_exps.weight"), Q4_0, &[2048, 1792, 32])
            .matrix(format!("blk.{i}.ffn_down_exps.weight"), Q4_0, &[1792, 2048, 32])
            .constant(format!("blk.{i}.exp_probs_b.bias"), &[32], 0.0)
    };
    lfm2_layers(shape, &[2, 6, 10, 14, 18, 21], 24, ffn).build()
}

fn qwen35() -> Result<GgufWriter<'static>, String> {
    let sections = OwnedValue::from(vec![11i32, 11, 10, 0]);
    let mut shape = Shape::new("qwen35", 248_320)
        .key("context_length", 262_144u32)
        .key("embedding_length", 1024u32)
        .key("block_count", 24u32)
        .key("feed_forward_length", 3584u32)
        .key("attention.head_count", 8u32)
        .key("attention.head_count_kv", 2u32)
        .key("attention.key_length", 256u32)
        .key("attention.value_length", 256u32)
        .key("attention.layer_norm_rms_epsilon", 1e-6f32)
        .key("rope.freq_base", 1e7f32)
        .key("rope.dimension_count", 64u32)
        .key("rope.dimension_sections", sections)
        .key("ssm.conv_kernel", 4u32)
        .key("ssm.state_size", 128u32)
        .key("ssm.group_count", 16u32)
        .key("ssm.time_step_rank", 16u32)
        .key("ssm.inner_size", 2048u32)
        .key("full_attention_interval", 4u32)
        .matrix("token_embd.weight", Q6K, &[1024, 248_320])
        .constant("output_norm.weight", &[1024], 1.0);
    let heads = Heads { n_embd: 1024, q: 4096, kv: 512, out: 2048, dim: 256 };
    for i in 0..24 {
        shape = shape.constant(format!("blk.{i}.attn_norm.weight"), &[1024], 1.0).constant(
            format!("blk.{i}.post_attention_norm.weight"),
            &[1024],
            1.0,
        );
        shape = if i % 4 == 3 {
            attention(shape, i, &heads, Q4K, more(i))
        } else {
            shape
                .matrix(format!("blk.{i}.attn_qkv.weight"), Q4K, &[1024, 6144])
                .matrix(format!("blk.{i}.attn_gate.weight"), Q4K, &[1024, 2048])
                .matrix(format!("blk.{i}.ssm_conv1d.weight"), F32, &[4, 6144])
                .constant(format!("blk.{i}.ssm_dt.bias"), &[16], 0.5)
                .constant(format!("blk.{i}.ssm_a"), &[16], -0.3)
                .matrix(format!("blk.{i}.ssm_beta.weight"), Q4K, &[1024, 16])
                .matrix(format!("blk.{i}.ssm_alpha.weight"), Q4K, &[1024, 16])
                .constant(format!("blk.{i}.ssm_norm.weight"), &[128], 1.0)
                .matrix(format!("blk.{i}.ssm_out.weight"), Q4K, &[2048, 1024])
        };
        shape = mlp(shape, i, 1024, 3584, Q4K, more(i));
    }
    shape.build()
}

fn gemma4() -> Result<GgufWriter<'static>, String> {
    const LAYERS: usize = 35;
    const OWN: usize = 15;
    let full = |i: usize| i % 5 == 4;
    let n_ff = |i: usize| if i < OWN { 6144 } else { 12_288 };
    let mut shape = Shape::new("gemma4", 262_144)
        .key("context_length", 131_072u32)
        .key("embedding_length", 1536u32)
        .key("block_count", LAYERS as u32)
        .key("feed_forward_length", counts((0..LAYERS).map(|i| n_ff(i) as u32)))
        .key("attention.head_count", 8u32)
        .key("attention.head_count_kv", 1u32)
        .key("attention.key_length", 512u32)
        .key("attention.value_length", 512u32)
        .key("attention.key_length_swa", 256u32)
        .key("attention.value_length_swa", 256u32)
        .key("attention.layer_norm_rms_epsilon", 1e-6f32)
        .key("attention.sliding_window", 512u32)
        .key(
            "attention.sliding_window_pattern",
            OwnedValue::from((0..LAYERS).map(|i| !full(i)).collect::<Vec<bool>>()),
        )
        .key("attention.shared_kv_layers", (LAYERS - OWN) as u32)
        .key("embedding_length_per_layer_input", 256u32)
        .key("final_logit_softcapping", 30f32)
        .key("rope.freq_base", 1e6f32)
        .key("rope.freq_base_swa", 1e4f32)
        .key("rope.dimension_count", 512u32)
        .key("rope.dimension_count_swa", 256u32)
        .matrix("token_embd.weight", Q6K, &[1536, 262_144])
        .constant("output_norm.weight", &[1536], 1.0)
        .values("rope_freqs.weight", &[[1.0; 64].as_slice(), &[1e30; 192]].concat())
        .matrix("per_layer_token_embd.weight", Q4_0, &[256 * LAYERS, 262_144])
        .matrix("per_layer_model_proj.weight", BF16, &[1536, 256 * LAYERS])
        .constant("per_layer_proj_norm.weight", &[256], 1.0);
    for i in 0..LAYERS {
        let dim = if full(i) { 512 } else { 256 };
        shape = shape
            .constant(format!("blk.{i}.attn_norm.weight"), &[1536], 1.0)
            .matrix(format!("blk.{i}.attn_q.weight"), Q4_0, &[1536, 8 * dim])
            .constant(format!("blk.{i}.attn_q_norm.weight"), &[dim], 0.1);
        if i < OWN {
            shape = shape
                .matrix(format!("blk.{i}.attn_k.weight"), Q4_0, &[1536, dim])
                .matrix(format!("blk.{i}.attn_v.weight"), Q4_0, &[1536, dim])
                .constant(format!("blk.{i}.attn_k_norm.weight"), &[dim], 0.1);
        }
        shape = shape
            .matrix(format!("blk.{i}.attn_output.weight"), Q4_0, &[8 * dim, 1536])
            .constant(format!("blk.{i}.post_attention_norm.weight"), &[1536], 1.0)
            .constant(format!("blk.{i}.layer_output_scale.weight"), &[1], 0.7)
            .constant(format!("blk.{i}.ffn_norm.weight"), &[1536], 1.0)
            .constant(format!("blk.{i}.post_ffw_norm.weight"), &[1536], 1.0)
            .matrix(format!("blk.{i}.inp_gate.weight"), F16, &[1536, 256])
            .matrix(format!("blk.{i}.proj.weight"), F16, &[256, 1536])
            .constant(format!("blk.{i}.post_norm.weight"), &[1536], 1.0);
        shape = mlp(shape, i, 1536, n_ff(i), Q4_0, Q4_0);
    }
    shape.build()
}

fn granite() -> Result<GgufWriter<'static>, String> {
    const LAYERS: usize = 32;
    let full = |i: usize| [10, 13, 17, 27].contains(&i);
    // a layer without keys and values is a recurrent one
    let kv_heads = counts((0..LAYERS).map(|i| if full(i) { 4 } else { 0 }));
    let mut shape = Shape::new("granitehybrid", 100_352)
        .key("context_length", 32_768u32)
        .key("embedding_length", 768u32)
        .key("block_count", LAYERS as u32)
        .key("feed_forward_length", 2048u32)
        .key("attention.head_count", 12u32)
        .key("attention.head_count_kv", kv_heads)
        .key("attention.layer_norm_rms_epsilon", 1e-5f32)
        .key("attention.scale", 0.015_625f32)
        .key("embedding_scale", 12f32)
        .key("residual_scale", 0.246f32)
        .key("logit_scale", 3f32)
        .key("rope.freq_base", 1e4f32)
        .key("rope.dimension_count", 64u32)
        .key("ssm.conv_kernel", 4u32)
        .key("ssm.state_size", 128u32)
        .key("ssm.group_count", 1u32)
        .key("ssm.time_step_rank", 48u32)
        .key("ssm.inner_size", 1536u32)
        .matrix("token_embd.weight", Q6K, &[768, 100_352])
        .constant("output_norm.weight", &[768], 1.0);
    for i in 0..LAYERS {
        shape = shape.constant(format!("blk.{i}.attn_norm.weight"), &[768], 1.0);
        shape = if full(i) {
            shape
                .matrix(format!("blk.{i}.attn_q.weight"), Q4K, &[768, 768])
                .matrix(format!("blk.{i}.attn_k.weight"), Q4K, &[768, 256])
                .matrix(format!("blk.{i}.attn_v.weight"), more(i), &[768, 256])
                .matrix(format!("blk.{i}.attn_output.weight"), Q4K, &[768, 768])
        } else {
            shape
                .matrix(format!("blk.{i}.ssm_in.weight"), Q4K, &[768, 2 * 1536 + 2 * 128 + 48])
                .matrix(format!("blk.{i}.ssm_conv1d.weight"), F32, &[4, 1536 + 2 * 128])
                .constant(format!("blk.{i}.ssm_conv1d.bias"), &[1536 + 2 * 128], 0.0)
                .constant(format!("blk.{i}.ssm_dt.bias"), &[48], 0.1)
                .constant(format!("blk.{i}.ssm_a"), &[1, 48], -0.5)
                .constant(format!("blk.{i}.ssm_d"), &[1, 48], 0.1)
                .constant(format!("blk.{i}.ssm_norm.weight"), &[1536, 1], 1.0)
                .matrix(format!("blk.{i}.ssm_out.weight"), Q4K, &[1536, 768])
        };
        shape = shape.constant(format!("blk.{i}.ffn_norm.weight"), &[768], 1.0);
        shape = mlp(shape, i, 768, 2048, Q4K, more(i));
    }
    shape.build()
}
