//! The decoder of which most architectures are variations (pre-norm, rotary attention, gated feed-forward block), and the changes that
//! most variations need.

use std::ops::Range;

use happy_kernels::ops::{Activation, Gating, RopePairing};

use super::params::Params;
use super::rope;
use crate::error::LoadError;
use crate::names;
use crate::reserve::{collected, reserved};
use crate::spec::*;

/// Limits that keep sizes far from overflow. llama.cpp's limits are 512 layers and 1024 experts.
pub(super) const MAX_LAYERS: u32 = 1024;
pub(super) const MAX_WIDTH: usize = 1 << 24;
pub(super) const MAX_EXPERTS: u32 = 4096;

/// Returns the RMS norm with the file's epsilon.
///
/// # Errors
/// If a key is missing or has an impossible value.
pub fn rms(p: &Params<'_>) -> Result<NormSpec, LoadError> {
    norm(p, NormKind::Rms, "attention.layer_norm_rms_epsilon")
}

/// Returns the layer norm with the file's epsilon.
///
/// # Errors
/// If a key is missing or has an impossible value.
pub fn layer_norm(p: &Params<'_>) -> Result<NormSpec, LoadError> {
    norm(p, NormKind::Layer, "attention.layer_norm_epsilon")
}

fn norm(p: &Params<'_>, kind: NormKind, key: &str) -> Result<NormSpec, LoadError> {
    let eps = p.f32(key)?;
    if eps < 0.0 {
        return Err(p.invalid(key, "a number of at least 0"));
    }
    Ok(NormSpec { kind, eps, weighted: true, bias: Need::Never })
}

/// The rotary pairing of llama.cpp's `LLAMA_ROPE_TYPE_NORM`.
pub const ADJACENT: RopePairing = RopePairing::Adjacent;
/// The rotary pairing of llama.cpp's `LLAMA_ROPE_TYPE_NEOX`.
pub const HALVES: RopePairing = RopePairing::Halves;

/// Makes a Llama-like decoder from the keys that all architectures share: SiLU-gated dense blocks (`feed_forward_length`), optional
/// biases of Q, K and V, full attention scaled by `1 / sqrt(head_dim)`, and one rotation for all layers.
///
/// # Errors
/// If a key is missing or has an impossible value.
pub fn decoder(p: &Params<'_>, norm: NormSpec, pairing: RopePairing) -> Result<ModelSpec, LoadError> {
    let heads = p.per_layer("attention.head_count", n_layers(p)?)?;
    let kv_heads = p.opt_per_layer("attention.head_count_kv", heads.len())?;
    if *heads.first().unwrap_or(&0) == 0 {
        return Err(p.invalid("attention.head_count", "at least 1"));
    }
    let kv_heads = kv_heads.as_ref().unwrap_or(&heads);
    if let Some((i, (n, kv))) =
        heads.iter().zip(kv_heads).enumerate().find(|(_, (n, kv))| **n == 0 || **kv == 0)
    {
        let problem =
            format!("layer {i} has {n} attention heads and {kv} key-value heads, expected a multiple");
        return Err(LoadError::Spec { architecture: p.architecture(), problem });
    }
    hybrid(p, norm, pairing)
}

/// Does the same as [`decoder`] for models with recurrent layers: a layer without heads or key-value heads has no attention, and a model
/// without heads has no rotation.
///
/// # Errors
/// If a key is missing or has an impossible value.
pub fn hybrid(p: &Params<'_>, norm: NormSpec, pairing: RopePairing) -> Result<ModelSpec, LoadError> {
    blocks(p, norm, pairing, 0..n_layers(p)?)
}

/// Does the same as [`hybrid`], with these blocks of the file as layers.
pub(super) fn blocks(
    p: &Params<'_>,
    norm: NormSpec,
    pairing: RopePairing,
    blocks: Range<usize>,
) -> Result<ModelSpec, LoadError> {
    let n = blocks.end;
    let n_embd = p.u32("embedding_length")? as usize;
    let n_ctx_train = p.u32("context_length")?;
    let heads = match p.opt_per_layer("attention.head_count", n)? {
        Some(heads) => heads,
        None => collected(n, std::iter::repeat(0))?,
    };
    let kv_heads = p.opt_per_layer("attention.head_count_kv", n)?;
    let kv_heads = kv_heads.as_ref().unwrap_or(&heads);
    // Mixtures of experts may have only the width of an expert.
    let n_ff = match p.opt_per_layer("feed_forward_length", n)? {
        Some(n_ff) => n_ff,
        None => collected(n, std::iter::repeat(0))?,
    };
    let first = heads.iter().find(|n| **n > 0).map_or(0, |n| *n as usize);
    let head_dim_k = p.opt_u32("attention.key_length")?.map_or(n_embd / first.max(1), |d| d as usize);
    let head_dim_v = p.opt_u32("attention.value_length")?.map_or(n_embd / first.max(1), |d| d as usize);
    let n_rot = p.opt_u32("rope.dimension_count")?.map_or(head_dim_k, |d| d as usize);

    let mut layers = reserved(blocks.len())?;
    let each = heads.iter().zip(kv_heads).zip(&n_ff).enumerate();
    for (i, ((heads, kv_heads), n_ff)) in each.skip(blocks.start) {
        let (n_heads, n_kv_heads) = (*heads as usize, *kv_heads as usize);
        let has_heads = n_heads > 0 && n_kv_heads > 0;
        if has_heads && n_heads % n_kv_heads != 0 {
            let problem = format!(
                "layer {i} has {n_heads} attention heads and {n_kv_heads} key-value heads, expected a multiple"
            );
            return Err(LoadError::Spec { architecture: p.architecture(), problem });
        }
        layers.push(LayerSpec {
            attention: has_heads.then_some(AttentionSpec {
                norm: Some(norm),
                norm_name: names::ATTN_NORM,
                n_heads,
                n_kv_heads,
                head_dim_k,
                head_dim_v,
                qkv_bias: Need::Optional,
                fused_rows: None,
                clamp: None,
                out_bias: Need::Never,
                qk_norm: None,
                v_norm: None,
                rope: Some(0),
                scale: inv_sqrt(head_dim_k),
                soft_cap: None,
                window: None,
                chunked: false,
                kv_from: None,
                position_bias: None,
                sinks: false,
                temperature: None,
                latent: None,
                v_is_k: false,
                gate: None,
                sub_norm: None,
                out_scale: None,
                out_name: names::ATTN_OUTPUT,
                post_norm: None,
                sum_norm: None,
                second_sum_norm: None,
            }),
            recurrent: None,
            ffn: Some(FfnSpec {
                input: FfnInput::Norm(norm),
                norm_name: names::FFN_NORM,
                kind: FfnKind::Dense(DenseSpec {
                    n_ff: *n_ff as usize,
                    activation: Activation::Silu,
                    gated: true,
                    fused: false,
                    bias: Need::Never,
                    divisors: Need::Never,
                    sub_norm: None,
                    sparsity: None,
                }),
                scale: None,
                post_norm: None,
                sum_norm: None,
            }),
            laurel: None,
            out_scale: Need::Never,
            scale: None,
            inert: &[],
        });
    }
    Ok(ModelSpec {
        architecture: p.architecture(),
        n_vocab: n_vocab(p)?,
        n_embd,
        n_ctx_train,
        causal: true,
        whole_texts: false,
        prefix: "",
        learned_positions: false,
        token_types: Need::Never,
        embedding_scale: None,
        embedding_skips: false,
        normed_residual: None,
        residual_scale: None,
        embedding_norm: None,
        per_layer: None,
        altup: None,
        ropes: match first {
            0 => Vec::new(),
            _ => vec![rope::global(p, pairing, n_rot, n_ctx_train, 0.0)?],
        },
        layers,
        output_norm: norm,
        output_norm_name: names::OUTPUT_NORM,
        output: OutputKind::OwnOrTied,
        output_bias: Need::Never,
        logit_scale: None,
        final_soft_cap: None,
        head: HeadSpec::default(),
        draft_head: None,
        inert: &[],
    })
}

/// Reads the number of layers. `block_count` also counts the blocks that predict further tokens (`nextn_predict_layers`). They come
/// last, and decoding one token after another skips them.
///
/// # Errors
/// If a key is missing or has an impossible value.
pub fn n_layers(p: &Params<'_>) -> Result<usize, LoadError> {
    let n_blocks = p.u32("block_count")?;
    if n_blocks == 0 || n_blocks > MAX_LAYERS {
        return Err(p.invalid("block_count", &format!("1 to {MAX_LAYERS}")));
    }
    let n_predict = p.opt_u32("nextn_predict_layers")?.unwrap_or(0);
    match n_blocks.checked_sub(n_predict) {
        Some(n) if n > 0 => Ok(n as usize),
        _ => Err(p.invalid("nextn_predict_layers", &format!("0 to {}", n_blocks - 1))),
    }
}

/// Returns the size of the vocabulary, which is the number of rows of the token embedding.
fn n_vocab(p: &Params<'_>) -> Result<usize, LoadError> {
    let n_embd = u64::from(p.opt_u32("embedding_length")?.unwrap_or(0));
    let (tensor, expected) = (names::TOKEN_EMBD.to_owned(), vec![n_embd, 0]);
    let Some((_, info)) = p.gguf().tensor(names::TOKEN_EMBD) else {
        return Err(LoadError::MissingTensor { tensor, expected });
    };
    let rows = info.dims.get(1).and_then(|n| u32::try_from(*n).ok()).filter(|n| *n > 0);
    match rows {
        Some(n) => Ok(n as usize),
        None => Err(LoadError::TensorShape { tensor, expected, found: info.dims.to_vec() }),
    }
}

/// Returns `1 / sqrt(n)`, computed in f32 as in llama.cpp.
pub fn inv_sqrt(n: usize) -> f32 {
    1.0 / (n as f32).sqrt()
}

/// Replaces the dense blocks by mixtures of experts, with SiLU gates and softmax routing with normalized weights. `n_ff` is the width of
/// an expert in each layer. Layers without a value, or with 0, stay dense.
///
/// # Errors
/// If a key is missing or has an impossible value.
pub fn mixture(p: &Params<'_>, spec: &mut ModelSpec, n_ff: &[u32]) -> Result<(), LoadError> {
    let n_experts = p.u32("expert_count")?;
    if n_experts == 0 || n_experts > MAX_EXPERTS {
        return Err(p.invalid("expert_count", &format!("1 to {MAX_EXPERTS}")));
    }
    let used = p.per_layer("expert_used_count", spec.layers.len())?;
    for ((layer, n_ff), n_used) in spec.layers.iter_mut().zip(n_ff).zip(used) {
        if *n_ff == 0 {
            continue;
        }
        if n_used == 0 || n_used > n_experts {
            return Err(p.invalid("expert_used_count", &format!("1 to {n_experts}")));
        }
        let Some(kind) = layer.ffn_kind_mut() else { continue };
        *kind = FfnKind::Moe(MoeSpec {
            n_experts: n_experts as usize,
            n_used: n_used as usize,
            n_ff: *n_ff as usize,
            router_input: RouterInput::Block,
            gating: Gating::Softmax,
            choice_bias: Need::Never,
            groups: None,
            normalize: true,
            weight_scale: 1.0,
            weigh_input: false,
            activation: Activation::Silu,
            gated: true,
            bias: Need::Never,
            post_norm: None,
            shared: None,
            of_groups: None,
        });
    }
    Ok(())
}

/// Changes every mixture of experts.
pub fn each_moe(spec: &mut ModelSpec, change: impl Fn(&mut MoeSpec)) {
    spec.each_ffn(|f| {
        if let FfnKind::Moe(moe) = &mut f.kind {
            change(moe);
        }
    });
}

/// Changes every dense block.
pub fn each_dense(spec: &mut ModelSpec, change: impl Fn(&mut DenseSpec)) {
    spec.each_ffn(|f| {
        if let FfnKind::Dense(dense) = &mut f.kind {
            change(dense);
        }
    });
}

/// Gives a window to some layers. As an array, `attention.sliding_window_pattern` has a flag for each layer. As a
/// number `n` (the default is `default`), it means that every `n`-th layer sees everything, or none if `n` is 0. Layers
/// with a window use rotation `rope`.
///
/// # Errors
/// If a key is missing or has an impossible value.
pub fn windows(
    p: &Params<'_>,
    spec: &mut ModelSpec,
    window: u32,
    default: u32,
    rope: usize,
) -> Result<(), LoadError> {
    let windowed = windowed(p, spec, default, |i, every| i % every < every - 1)?;
    if window == 0 && windowed.contains(&true) {
        return Err(p.invalid("attention.sliding_window", "at least 1"));
    }
    for (layer, _) in spec.layers.iter_mut().zip(windowed).filter(|(_, windowed)| *windowed) {
        if let Some(a) = &mut layer.attention {
            a.window = Some(window);
            a.rope = Some(rope);
        }
    }
    Ok(())
}

/// Returns which layers have a window. As an array, `attention.sliding_window_pattern` has a flag for each layer. As a
/// number `n` (the default is `default`), layers for which `rule(layer, n)` is true have one, or every layer if `n` is
/// 0.
///
/// # Errors
/// If a key has an impossible value.
pub fn windowed(
    p: &Params<'_>,
    spec: &ModelSpec,
    default: u32,
    rule: impl Fn(usize, usize) -> bool,
) -> Result<Vec<bool>, LoadError> {
    const KEY: &str = "attention.sliding_window_pattern";
    let n = spec.layers.len();
    Ok(match p.opt_array(KEY, n)? {
        Some(flags) => collected(n, flags.into_iter().map(|f| f != 0))?,
        None => {
            let every = p.opt_u32(KEY)?.unwrap_or(default) as usize;
            collected(n, (0..n).map(|i| every == 0 || rule(i, every)))?
        }
    })
}

/// Adds norms of Q and K. Each head is normed by itself, and all heads share one weight of `head_dim` values.
pub fn norm_heads(spec: &mut ModelSpec, norm: NormSpec, need: Need, after_rope: bool) {
    let qk_norm = QkNormSpec { kind: QkNormKind::PerHead, norm, need, after_rope };
    spec.each_attention(|a| a.qk_norm = Some(qk_norm));
}

/// Adds norms after both halves of every layer.
pub fn norm_results(spec: &mut ModelSpec, norm: NormSpec) {
    spec.each_attention(|a| a.post_norm = Some(norm));
    spec.layers.iter_mut().filter_map(|l| l.recurrent.as_mut()).for_each(|r| r.post_norm = Some(norm));
    spec.each_ffn(|f| f.post_norm = Some(norm));
}

/// Returns the rotation for layers with a window: the model's first rotation with the base `rope.freq_base_swa` or, if
/// the file doesn't have that key, with the same base. Returns `None` if the model has no rotation.
///
/// # Errors
/// If a key has an impossible value.
pub fn window_rope(p: &Params<'_>, spec: &ModelSpec) -> Result<Option<RopeParams>, LoadError> {
    let Some(global) = spec.ropes.first() else { return Ok(None) };
    let theta = p.opt_f32("rope.freq_base_swa")?.unwrap_or(global.theta);
    if theta <= 0.0 {
        return Err(p.invalid("rope.freq_base_swa", "a positive number"));
    }
    Ok(Some(RopeParams { theta, ..*global }))
}
