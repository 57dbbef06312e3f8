//! Tensor names and types as GGUF files spell them.

use std::borrow::Cow;

use happy_gguf::{GgmlType, GgufSet};
use happy_tensor::DType;

use crate::spec::{ModelSpec, OutputKind};

/// The key of a file's architecture.
pub(crate) const ARCHITECTURE: &str = "general.architecture";
/// The token embedding.
pub(crate) const TOKEN_EMBD: &str = "token_embd.weight";
/// The output matrix.
pub(crate) const OUTPUT: &str = "output.weight";
/// Embeddings of a token for each layer, read row by row.
pub(crate) const PER_LAYER_EMBD: &str = "per_layer_token_embd.weight";
/// The matrix from the embedding to the per-layer inputs.
pub(crate) const PER_LAYER_PROJ: &str = "per_layer_model_proj.weight";
/// The norm of the per-layer inputs, without `.weight`.
pub(crate) const PER_LAYER_NORM: &str = "per_layer_proj_norm";
/// The matrices that make the other residual streams from the embedding.
pub(crate) const ALTUP_PROJ: &str = "altup_proj.weight";
/// The matrices through which the other residual streams reach the output.
pub(crate) const ALTUP_UNEMBD: &str = "altup_unembd_proj.weight";
/// The output matrix's bias.
pub(crate) const OUTPUT_BIAS: &str = "output.bias";
/// The norm before the output matrix, without `.weight`.
pub(crate) const OUTPUT_NORM: &str = "output_norm";
/// What is added to the token embedding for each position.
pub(crate) const POSITION_EMBD: &str = "position_embd.weight";
/// What is added to the token embedding for each type of token.
pub(crate) const TOKEN_TYPES: &str = "token_types.weight";
/// The norm of the embedding, without `.weight`.
pub(crate) const TOKEN_EMBD_NORM: &str = "token_embd_norm";
/// The classifier's hidden matrix.
pub(crate) const CLS: &str = "cls";
/// The norm after the hidden matrix, without `.weight`.
pub(crate) const CLS_NORM: &str = "cls.norm";
/// The classifier's last matrix.
pub(crate) const CLS_OUTPUT: &str = "cls.output";
/// Divisors of the rotary frequencies.
pub(crate) const ROPE_FREQS: &str = "rope_freqs.weight";
/// The divisors for contexts longer than the original one.
pub(crate) const ROPE_LONG: &str = "rope_factors_long.weight";
/// The divisors for contexts within the original one.
pub(crate) const ROPE_SHORT: &str = "rope_factors_short.weight";

/// The norm before the attention.
pub(crate) const ATTN_NORM: &str = "attn_norm";
/// The norm before the attention if the feed-forward block reads [`ATTN_NORM`] (Falcon 40B).
pub(crate) const ATTN_NORM_2: &str = "attn_norm_2";
/// The attention's last matrix.
pub(crate) const ATTN_OUTPUT: &str = "attn_output";
/// What a layer adds to its scores, by distance (T5).
pub(crate) const ATTN_REL_B: &str = "attn_rel_b";
/// The norm of the residual stream after the attention (BERT).
pub(crate) const ATTN_SUM_NORM: &str = "attn_output_norm";
/// The norm of the residual stream after the feed-forward block (BERT).
pub(crate) const FFN_SUM_NORM: &str = "layer_output_norm";
/// The norm after the attention.
pub(crate) const ATTN_POST_NORM: &str = "post_attention_norm";
/// The norm before the feed-forward block.
pub(crate) const FFN_NORM: &str = "ffn_norm";
/// The norm after the feed-forward block.
pub(crate) const FFN_POST_NORM: &str = "post_ffw_norm";

/// The norm after a dense block beside experts.
pub(crate) const FFN_POST_NORM_1: &str = "post_ffw_norm_1";
/// The norm before routed experts beside a dense block.
pub(crate) const FFN_NORM_2: &str = "pre_ffw_norm_2";
/// The norm before experts that read what enters the layer (Arctic).
pub(crate) const FFN_NORM_EXPS: &str = "ffn_norm_exps";
/// What Grok's files call [`ATTN_POST_NORM`].
pub(crate) const ATTN_POST_NORM_GROK: &str = "attn_output_norm";
/// What Grok's files call [`FFN_POST_NORM`].
pub(crate) const FFN_POST_NORM_GROK: &str = "layer_output_norm";
/// The norm after routed experts beside a dense block.
pub(crate) const FFN_POST_NORM_2: &str = "post_ffw_norm_2";

/// Returns `blk.{layer}.{part}.{kind}`, where the kind is `weight` or `bias`.
pub(crate) fn block(layer: usize, part: &str, kind: &str) -> String {
    format!("blk.{layer}.{part}.{kind}")
}

/// The matrix that reads the embedding and the hidden state of a draft head.
pub(crate) const EH_PROJ: &str = "nextn.eh_proj";
/// The norm of that embedding.
pub(crate) const ENORM: &str = "nextn.enorm";
/// The norm of that hidden state.
pub(crate) const HNORM: &str = "nextn.hnorm";
/// A draft head's own token embedding.
const HEAD_EMBD: &str = "nextn.embed_tokens";
/// A draft head's own output matrix.
const HEAD_OUTPUT: &str = "nextn.shared_head_head";
/// A draft head's own norm before the output matrix.
const HEAD_NORM: &str = "nextn.shared_head_norm";

/// The beginnings of the names of vectors that nothing else in the name marks as vectors.
const VECTORS: &[&str] = &[
    "attn_sinks",
    "ffn.act.",
    "rope_",
    "exp_probs_b",
    "layer_output_scale",
    "altup_predict",
    "altup_correct",
    "ssm_conv1d",
    "shortconv.conv.",
    "time_mix_lerp",
    "time_mix_first",
    "time_mix_ln",
    "time_mix_decay.",
    "time_mix_w0.",
    "time_mix_a0.",
    "time_mix_v0.",
    "time_mix_k_k.",
    "time_mix_k_a.",
    "time_mix_r_k.",
    "channel_mix_lerp",
    ENORM,
    HNORM,
];

/// The matrices that may have a tensor `X.scale`, which multiplies their products.
const SCALED: &[&str] = &[
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_qkv",
    "attn_gate",
    "attn_output",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
    "ffn_gate_shexp",
    "ffn_up_shexp",
    "ffn_down_shexp",
    "ffn_gate_exps",
    "ffn_up_exps",
    "ffn_down_exps",
    "ssm_in",
    "ssm_out",
    "ssm_alpha",
    "ssm_beta",
    "output",
    EH_PROJ,
    HEAD_OUTPUT,
];

/// Returns the name of the scales of a matrix `X.weight`, if that matrix may have scales.
pub(crate) fn scale_of(weight: &str, prefix: &str) -> Option<String> {
    let stem = weight.strip_suffix(".weight")?;
    let (_, part) = layer_and_part(stem, prefix);
    SCALED.contains(&part).then(|| format!("{stem}.scale"))
}

/// What the loader does with a tensor, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Its rows are read one at a time from the mapped file. It may also be the output matrix.
    Table,
    /// A matrix that rows are multiplied with. It stays in the mapped file.
    Matrix {
        /// The index of its layer, or `None` if it belongs to no layer.
        layer: Option<usize>,
        /// Whether it belongs to experts, including shared ones.
        expert: bool,
    },
    /// A norm, a bias, attention sinks or rotary factors. It is copied as f32.
    Vector,
    /// Not used in the computation. Only its name is kept.
    Unused,
}

/// Splits a tensor's name into its layer, if it has one, and the rest of the name.
fn layer_and_part<'n>(name: &'n str, prefix: &str) -> (Option<usize>, &'n str) {
    let blocks = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix("blk."));
    let rest = blocks.and_then(|rest| rest.split_once('.'));
    rest.map_or((None, name), |(layer, part)| (layer.parse().ok(), part))
}

/// Returns the layer of a tensor in the specification, or `None` if it belongs to no layer.
pub(crate) fn layer(name: &str, spec: &ModelSpec) -> Option<usize> {
    place(name, spec).0
}

/// Does the same, but with the index of the layer in the specification. A block that is not part of it has an index past its layers.
fn place<'n>(name: &'n str, spec: &ModelSpec) -> (Option<usize>, &'n str) {
    let (block, part) = layer_and_part(name, spec.prefix);
    (block.map(|block| block.wrapping_sub(spec.first_block())), part)
}

/// Returns whether a tensor belongs to the head.
fn in_head(name: &str) -> bool {
    name.starts_with("cls.") || name.starts_with("dense_")
}

/// Returns whether a part of a name, without `.weight`, is that of a norm.
pub(crate) fn is_norm(part: &str) -> bool {
    part.ends_with("_norm")
        || [ATTN_NORM_2, FFN_POST_NORM_1, FFN_NORM_2, FFN_POST_NORM_2, FFN_NORM_EXPS].contains(&part)
}

/// Returns the role of a tensor in a file that loads.
pub(crate) fn role(name: &str, spec: &ModelSpec) -> Role {
    if !matters(name, spec) {
        return Role::Unused;
    }
    let (layer, part) = place(name, spec);
    if [TOKEN_EMBD, POSITION_EMBD, PER_LAYER_EMBD].contains(&name) || part.starts_with(HEAD_EMBD) {
        return Role::Table;
    }
    let vector = part.ends_with(".bias")
        || part.ends_with(".scale")
        || part.strip_suffix(".weight").is_some_and(is_norm)
        || part.ends_with("_norm")
        || name == TOKEN_TYPES
        || part.strip_suffix(".weight") == Some(CLS_NORM)
        || part.starts_with(ATTN_REL_B)
        || VECTORS.iter().any(|p| part.starts_with(p))
        || ["ssm_a", "ssm_d"].contains(&part);
    if vector {
        return Role::Vector;
    }
    Role::Matrix { layer, expert: part.ends_with("exps.weight") || part.contains("_shexp") }
}

/// Returns the name of the tensor that is the output matrix, or `None` if there is no output matrix. `has` says whether the file has a tensor.
pub(crate) fn output(spec: &ModelSpec, has: impl Fn(&str) -> bool) -> Option<Cow<'static, str>> {
    if let Some(own) = of_head(spec, HEAD_OUTPUT, &has) {
        return Some(own.into());
    }
    let own = match spec.output {
        OutputKind::Own => true,
        OutputKind::OwnOrTied => has(OUTPUT),
        OutputKind::Tied => false,
        OutputKind::None => return None,
    };
    let name = if own { OUTPUT } else { TOKEN_EMBD };
    Some(name.into())
}

/// Returns the name of the token embedding.
pub(crate) fn embedding(spec: &ModelSpec, has: impl Fn(&str) -> bool) -> Cow<'static, str> {
    of_head(spec, HEAD_EMBD, has).map_or(TOKEN_EMBD.into(), Into::into)
}

/// Returns the name of the norm before the output matrix, without `.weight`.
pub(crate) fn output_norm(spec: &ModelSpec, has: impl Fn(&str) -> bool) -> Cow<'static, str> {
    match of_head(spec, HEAD_NORM, has) {
        Some(own) => own.trim_end_matches(".weight").to_owned().into(),
        None => spec.output_norm_name.into(),
    }
}

/// Returns the name of a tensor that a draft head may have instead of the model's, if this is one and has it.
fn of_head(spec: &ModelSpec, part: &str, has: impl Fn(&str) -> bool) -> Option<String> {
    let name = block(spec.draft_head?.block, part, "weight");
    has(&name).then_some(name)
}

/// How much of a tensor a generated token reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// All of it.
    Whole,
    /// Some of the matrices that it stacks.
    Experts,
    /// Little or nothing.
    Little,
}

/// Returns how much of a tensor a generated token reads.
pub(crate) fn read(name: &str, gguf: &GgufSet<'_>, spec: &ModelSpec) -> Read {
    let is_output = |name| output(spec, |output| gguf.tensor(output).is_some()).as_deref() == Some(name);
    match role(name, spec) {
        // Shared experts have other names.
        Role::Matrix { .. } if name.ends_with("exps.weight") => Read::Experts,
        Role::Matrix { .. } => Read::Whole,
        Role::Table if is_output(name) => Read::Whole,
        Role::Table | Role::Vector | Role::Unused => Read::Little,
    }
}

/// Returns whether the model would compute something else without this tensor.
pub(crate) fn matters(name: &str, spec: &ModelSpec) -> bool {
    if inert(name, spec) {
        return false;
    }
    let (n_layers, first) = (spec.layers.len(), spec.first_block());
    if let Some(rest) = name.strip_prefix(spec.prefix).and_then(|rest| rest.strip_prefix("blk.")) {
        let (layer, part) = rest.split_once('.').unwrap_or((rest, ""));
        // old converters stored the rotary angles, which are computed here; scales of activations are not used
        let derived = part.starts_with("attn_rot_embd") || part.ends_with(".input_scale");
        return layer.parse::<usize>().is_ok_and(|l| l.wrapping_sub(first) < n_layers) && !derived;
    }
    let output = name.starts_with("output.") && spec.output == OutputKind::None;
    ["enc.", "output", "token_embd", "token_types", "position_embd", "rope_", "per_layer_", "altup_"]
        .iter()
        .any(|p| name.starts_with(p) && !output)
        || in_head(name)
}

/// Returns whether the loader refuses a file because no part of the specification uses this tensor. A draft head need not use what the
/// model has.
pub(crate) fn must_be_used(name: &str, spec: &ModelSpec) -> bool {
    matters(name, spec) && (spec.draft_head.is_none() || place(name, spec).0.is_some())
}

/// Says in a few words why the computation skips a tensor.
pub(crate) fn why_unused(name: &str, spec: &ModelSpec) -> &'static str {
    let (layer, part) = place(name, spec);
    let attention = |layer: usize| spec.layers.get(layer).map(|l| l.attention);
    match layer.map(attention) {
        _ if part.ends_with(".input_scale") => "scales of activations, which are quantized as they come",
        _ if part.starts_with("attn_rot_embd") => "rotary angles, which are computed",
        None => "not part of the text model",
        Some(None) if spec.draft_head.is_some() => "layers of the model, not of its draft head",
        Some(None) => "blocks that predict further tokens",
        Some(Some(Some(a))) if a.kv_from.is_some() => "keys and values of layers that read another layer's",
        Some(Some(_)) => "not used by this architecture",
    }
}

/// Returns whether the specification lists this tensor as one that the computation skips.
fn inert(name: &str, spec: &ModelSpec) -> bool {
    let (layer, part) = place(name, spec);
    let list = match layer {
        Some(layer) => spec.layers.get(layer).map_or(&[][..], |l| l.inert),
        None => spec.inert,
    };
    list.iter().any(|inert| match inert.strip_suffix('*') {
        Some(start) => part.starts_with(start),
        None => part == *inert,
    })
}

/// Returns the element type of a tensor, if the kernels can compute with it.
pub(crate) fn dtype(ty: GgmlType) -> Option<DType> {
    DType::from_id(ty.id())
}

/// Returns the largest number of times that a file's tensors may be read: a tied embedding and the factors of each rotation are read
/// more than once.
pub(crate) fn most_reads(n_tensors: usize) -> usize {
    n_tensors.saturating_add(16)
}

#[cfg(test)]
mod tests {
    use happy_gguf::{GgufFile, GgufWriter, Limits};

    use super::*;

    /// The parser doesn't depend on other crates, so it has a table of formats of its own. This test compares it with the kernels'.
    #[test]
    fn formats_are_what_the_parser_says_of_their_ids() {
        let mut failed = Vec::new();
        for dtype in DType::ALL {
            let ty = GgmlType::from_id(dtype.id());
            let layout = ty.layout().map(|l| (l.len as usize, l.bytes as usize));
            let expected = Some((dtype.block_len(), dtype.block_bytes()));
            if ty.name() != dtype.name() || layout != expected {
                failed.push(format!("{dtype}: {ty} of {layout:?}, expected {expected:?}"));
            }
        }
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }

    #[test]
    fn what_a_token_reads_is_known_for_each_role() {
        use Read::{Experts, Little, Whole};
        for output in [None, Some(OUTPUT)] {
            let names = [
                (TOKEN_EMBD, if output.is_none() { Whole } else { Little }),
                (OUTPUT, Whole),
                (PER_LAYER_EMBD, Little),
                (POSITION_EMBD, Little),
                ("blk.0.attn_q.weight", Whole),
                ("blk.0.ffn_down.weight", Whole),
                ("blk.0.ffn_down_shexp.weight", Whole),
                ("blk.0.ffn_gate_inp.weight", Whole),
                ("blk.0.ffn_down_exps.weight", Experts),
                ("blk.0.ffn_gate_up_exps.weight", Experts),
                ("blk.0.attn_norm.weight", Little),
                ("blk.0.attn_q.bias", Little),
                // A layer that the model doesn't have.
                ("blk.1.attn_q.weight", Little),
            ];
            let mut file = GgufWriter::new()
                .kv("general.architecture", "llama")
                .kv("llama.context_length", 512u32)
                .kv("llama.embedding_length", 8u32)
                .kv("llama.block_count", 1u32)
                .kv("llama.feed_forward_length", 8u32)
                .kv("llama.attention.head_count", 2u32)
                .kv("llama.attention.layer_norm_rms_epsilon", 1e-5f32);
            for name in [TOKEN_EMBD].into_iter().chain(output) {
                file = file.tensor(name, GgmlType::F32, &[8, 16], vec![0; 4 * 8 * 16]);
            }
            let bytes = std::sync::Arc::new(file.to_vec().unwrap());
            let file = GgufFile::from_shared(bytes, &Limits::default()).unwrap();
            let set = file.view().into();
            let spec = crate::arch::read_spec(&set, &[]).unwrap();
            for (name, expected) in names {
                assert_eq!(read(name, &set, &spec), expected, "{name}, output {output:?}");
            }
        }
    }
}
