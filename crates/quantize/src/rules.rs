//! The rules for which matrix gets which type in a mix.
//!
//! They follow `llama_tensor_get_type` of llama.cpp (`src/llama-quant.cpp`), so that files of the same name have the same types,
//! whoever made them.

use crate::mix::Mix;
use happy_gguf::{GgufSet, TensorInfo, Value};
use happy_tensor::DType;

/// Parts of the names of tensors that stay as they are, because they are small or not multiplied as matrices.
const KEPT: [&str; 26] = [
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "position_embd.weight",
    "token_types.weight",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    ".rel_pos",
    ".patch_embd",
];

/// Returns whether a tensor is a matrix that a mix covers.
pub(crate) fn is_covered(tensor: &TensorInfo<'_>) -> bool {
    // GGUF writes [n] for a vector, but [n, 1] is one too.
    tensor.dims.padded()[1..].iter().any(|d| *d > 1)
        && tensor.name.ends_with("weight")
        && !KEPT.iter().any(|part| tensor.name.contains(part))
}

/// The purpose of a tensor.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Output,
    Embedding,
    /// The values of attention, by themselves or in one tensor with queries and keys.
    Value,
    Key,
    Query,
    AttentionOutput,
    Gate,
    Up,
    Down,
    Other,
}

fn kind(name: &str) -> Kind {
    let is = |part| name.contains(part);
    match name {
        "output.weight" => Kind::Output,
        "token_embd.weight" | "per_layer_token_embd.weight" => Kind::Embedding,
        _ if is("attn_qkv.weight") || is("attn_kv_b.weight") || is("attn_v.weight") => Kind::Value,
        _ if is("attn_k.weight") => Kind::Key,
        _ if is("attn_q.weight") => Kind::Query,
        _ if is("attn_output.weight") => Kind::AttentionOutput,
        _ if is("ffn_up") => Kind::Up,
        _ if is("ffn_gate") => Kind::Gate,
        _ if is("ffn_down") => Kind::Down,
        _ => Kind::Other,
    }
}

/// Returns the number after `blk.`.
fn layer(name: &str) -> Option<usize> {
    name.strip_prefix("blk.")?.split('.').next()?.parse().ok()
}

/// The facts about a model that the rules need.
struct Model {
    n_layers: usize,
    n_values: usize,
    n_experts: usize,
    /// Number of query heads that share a key.
    group: usize,
    is_falcon: bool,
    is_70b: bool,
    tied: bool,
    weighted: bool,
}

impl Model {
    fn new(gguf: &GgufSet<'_>, weighted: bool) -> Self {
        let arch = gguf.metadata().optional::<&str>("general.architecture").ok().flatten().unwrap_or("");
        let number = |key: &str| {
            let value = match gguf.metadata().get(&format!("{arch}.{key}"))? {
                Value::Array(array) => array.get(0)?,
                value => value,
            };
            usize::try_from(value.as_integer()?).ok()
        };
        let heads = number("attention.head_count").unwrap_or(0);
        let n_layers = number("block_count").unwrap_or(0);
        Self {
            n_layers,
            n_values: gguf.tensors().filter(|(_, t)| kind(t.name) == Kind::Value).count(),
            n_experts: number("expert_count").unwrap_or(0),
            group: heads / number("attention.head_count_kv").unwrap_or(heads).max(1),
            is_falcon: arch == "falcon",
            is_70b: matches!(arch, "llama" | "qwen2") && n_layers == 80,
            tied: gguf.tensor("output.weight").is_none(),
            weighted,
        }
    }
}

/// Returns whether a layer gets more bits: the first and the last eighth do, and every third one between them.
fn use_more_bits(i: usize, n: usize) -> bool {
    i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2
}

/// Chooses types by a mix. It has to be called for the matrices in the [`order`] of the layers, since the rules count them.
pub(crate) struct Chooser {
    model: Model,
    mix: Mix,
    before: Counts,
}

/// Number of matrices so far.
#[derive(Clone, Copy, Default)]
struct Counts {
    values: usize,
    gates: usize,
    ups: usize,
    downs: usize,
}

impl Chooser {
    /// Makes a chooser. `weighted` means that there is an importance matrix.
    pub(crate) fn new(gguf: &GgufSet<'_>, mix: Mix, weighted: bool) -> Self {
        Self { model: Model::new(gguf, weighted), mix, before: Counts::default() }
    }

    /// Chooses the type of the next matrix, whose rows may not be a whole number of its blocks.
    pub(crate) fn choose(&mut self, t: &TensorInfo<'_>) -> DType {
        let dtype = of_mix(&self.model, self.mix, t, self.before);
        match kind(t.name) {
            Kind::Value => self.before.values += 1,
            Kind::Gate => self.before.gates += 1,
            Kind::Up => self.before.ups += 1,
            Kind::Down => self.before.downs += 1,
            _ => {}
        }
        dtype
    }
}

/// Returns the key by which tensors are sorted for [`Chooser::choose`].
pub(crate) fn order(name: &str) -> (usize, &str) {
    (layer(name).map_or(0, |l| l.saturating_add(1)), name)
}

/// Returns the type, or another one with about as many bits whose blocks fit rows of `k` elements.
pub(crate) fn that_fits(dtype: DType, k: u64) -> DType {
    let fits = |dtype: DType| k.is_multiple_of(dtype.block_len() as u64);
    if fits(dtype) {
        return dtype;
    }
    let smaller = match dtype {
        DType::Q4K => DType::Q5_0,
        DType::Q5K => DType::Q5_1,
        DType::Q6K => DType::Q8_0,
        DType::Q2K | DType::Q3K | DType::Q1_0 | DType::Q2_0 | DType::TQ1_0 | DType::TQ2_0 => DType::Q4_0,
        _ => DType::IQ4NL,
    };
    if fits(smaller) { smaller } else { DType::F16 }
}

/// Chooses a type. `before` counts the earlier tensors.
fn of_mix(m: &Model, mix: Mix, t: &TensorInfo<'_>, before: Counts) -> DType {
    let base = mix.dtype();
    let name = t.name;
    let qkv = name.contains("attn_qkv.weight");
    let Counts { values, downs, .. } = before;
    let n = m.n_layers;
    // Experts are not in the order of layers, so that their layer is that of the name.
    let nth = |before: usize| if m.n_experts > 1 { layer(name).unwrap_or(before) } else { before };
    if base.is_float() {
        return base;
    }
    let dtype = match kind(name) {
        Kind::Output => return output(m, mix, t),
        Kind::Embedding if m.tied => return output(m, mix, t),
        // A stack of matrices is one of experts.
        _ if mix == Mix::MXFP4 => {
            return if t.dims.padded()[2] > 1 { DType::MXFP4 } else { DType::Q8_0 };
        }
        Kind::Embedding => {
            return match mix {
                Mix::IQ1S | Mix::IQ1M | Mix::IQ2XXS | Mix::IQ2XS => DType::Q2K,
                Mix::IQ2S | Mix::IQ2M | Mix::IQ3XXS => DType::IQ3S,
                Mix::TQ1_0 | Mix::TQ2_0 | Mix::Q2_0 => DType::Q4K,
                _ => base,
            };
        }
        kind if is_tiny(mix) => return of_tiny_mix(m, mix, kind, downs),
        Kind::Value => match mix {
            Mix::Q2K if m.group >= 4 => DType::Q4K,
            Mix::Q2K => DType::Q3K,
            Mix::Q2KS if m.group >= 4 => DType::Q4K,
            Mix::IQ3XXS | Mix::IQ3XS | Mix::IQ3S if m.group >= 4 => DType::Q4K,
            Mix::IQ3XXS if !m.weighted => DType::IQ3S,
            Mix::IQ3M => DType::Q4K,
            Mix::IQ4NL | Mix::IQ4XS if m.group >= 4 => DType::Q5K,
            Mix::Q3KM if values < 2 => DType::Q5K,
            Mix::Q3KM => DType::Q4K,
            Mix::Q3KL => DType::Q5K,
            Mix::Q4KM | Mix::Q5KM if use_more_bits(values, m.n_values) => DType::Q6K,
            Mix::Q4KS if values < 4 => DType::Q5K,
            _ => base,
        },
        Kind::Down => {
            let i = nth(downs);
            match mix {
                Mix::IQ3XXS if !m.weighted && i < n / 8 => DType::Q4K,
                Mix::IQ3XXS if !m.weighted => DType::Q3K,
                Mix::IQ3M if i < n / 8 || m.n_experts == 8 && use_more_bits(i, n) => DType::Q4K,
                Mix::IQ4NL | Mix::IQ4XS if !m.weighted && i < n / 8 => DType::Q5K,
                Mix::Q2K => DType::Q3K,
                Mix::Q2KS if i < n / 8 => DType::Q4K,
                Mix::Q3KM if i < n / 16 => DType::Q5K,
                Mix::Q3KM if !m.is_falcon || use_more_bits(i, n) => DType::Q4K,
                Mix::Q3KL if m.is_falcon => DType::Q4K,
                Mix::Q3KL => DType::Q5K,
                Mix::Q4KM if m.is_falcon && i < n / 16 => DType::Q6K,
                Mix::Q4KM if use_more_bits(i, n) => {
                    if m.is_falcon {
                        DType::Q5K
                    } else {
                        DType::Q6K
                    }
                }
                Mix::Q5KM if use_more_bits(i, n) => DType::Q6K,
                Mix::Q4KS if !m.is_falcon && i < n / 8 => DType::Q5K,
                Mix::Q4_0 if m.weighted && i < n / 8 => DType::Q4_1,
                Mix::Q5_0 if m.weighted && i < n / 8 => DType::Q5_1,
                _ => base,
            }
        }
        Kind::AttentionOutput if m.is_falcon => match mix {
            Mix::Q3KL => DType::Q4K,
            _ => base,
        },
        Kind::AttentionOutput if m.n_experts == 8 => match mix {
            Mix::Q2K | Mix::Q3KS | Mix::Q3KM | Mix::Q4KS | Mix::Q4KM => DType::Q5K,
            Mix::IQ3XXS | Mix::IQ3XS | Mix::IQ3S | Mix::IQ3M | Mix::IQ4NL | Mix::IQ4XS => DType::Q5K,
            _ => base,
        },
        Kind::AttentionOutput => match mix {
            Mix::Q2K => DType::Q3K,
            Mix::IQ3XXS => DType::IQ3S,
            Mix::Q3KM | Mix::IQ3M => DType::Q4K,
            Mix::Q3KL => DType::Q5K,
            _ => base,
        },
        Kind::Key | Kind::Query => match mix {
            Mix::IQ3XS => DType::IQ3XXS,
            Mix::IQ3XXS => DType::IQ2S,
            _ => base,
        },
        Kind::Gate | Kind::Up => {
            let i = nth(if kind(name) == Kind::Up { before.ups } else { before.gates });
            match mix {
                Mix::IQ3XS if i >= n / 8 && i < 7 * n / 8 => DType::IQ3XXS,
                _ => base,
            }
        }
        Kind::Other => base,
    };
    match (kind(name), dtype) {
        // With eight experts, these are a small part of the file.
        (Kind::Value | Kind::Key, _) if m.n_experts == 8 => DType::Q8_0,
        // Eight heads share a value here, so it is small.
        (Kind::Value, DType::Q3K | DType::Q4K) if m.is_70b && !qkv => DType::Q5K,
        (_, dtype) => dtype,
    }
}

/// Returns whether a mix has at most 2.7 bits a weight. Then few matrices can be favored.
fn is_tiny(mix: Mix) -> bool {
    matches!(mix, Mix::IQ1S | Mix::IQ1M | Mix::IQ2XXS | Mix::IQ2XS | Mix::IQ2S | Mix::IQ2M)
}

/// Chooses the type of a matrix in such a mix.
fn of_tiny_mix(m: &Model, mix: Mix, kind: Kind, downs: usize) -> DType {
    let better = if matches!(mix, Mix::IQ2S | Mix::IQ2M) { DType::IQ3S } else { DType::Q2K };
    match kind {
        Kind::Value if m.group >= 4 || m.n_experts >= 4 => DType::Q4K,
        Kind::Value => better,
        Kind::Key if m.n_experts == 8 => DType::Q4K,
        Kind::Down if downs < m.n_layers / 8 => better,
        Kind::AttentionOutput if m.n_experts == 8 => DType::Q5K,
        Kind::AttentionOutput if matches!(mix, Mix::IQ1S | Mix::IQ1M) => DType::IQ2XXS,
        Kind::AttentionOutput if matches!(mix, Mix::IQ2S | Mix::IQ2M) => DType::IQ3S,
        _ => mix.dtype(),
    }
}

/// Chooses the type of the output matrix, which may be the embedding.
fn output(m: &Model, mix: Mix, t: &TensorInfo<'_>) -> DType {
    let base = mix.dtype();
    // The mixes request Q8_0 here; it is not a replacement.
    if m.is_falcon
        || mix == Mix::MXFP4
        || !t.dims.padded()[0].is_multiple_of(base.block_len() as u64)
        || base == DType::Q8_0
    {
        DType::Q8_0
    } else if is_tiny(mix) || mix == Mix::IQ3XXS {
        DType::Q5K
    } else {
        DType::Q6K
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_with_more_bits() {
        let chosen: Vec<usize> = (0..16).filter(|i| use_more_bits(*i, 16)).collect();
        assert_eq!(chosen, [0, 1, 4, 7, 10, 13, 14, 15]);
    }

    #[test]
    fn rows_that_are_not_whole_blocks_get_another_type() {
        assert_eq!(that_fits(DType::Q4K, 576), DType::Q5_0);
        assert_eq!(that_fits(DType::Q6K, 576), DType::Q8_0);
        assert_eq!(that_fits(DType::Q4K, 100), DType::F16);
        assert_eq!(that_fits(DType::Q4K, 512), DType::Q4K);
    }
}
