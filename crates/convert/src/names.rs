//! The one table of names: the names of tensors in checkpoints and in GGUF files.

/// Which tensors of a row an architecture requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// `.weight` is required, `.bias` is optional.
    Weight,
    /// `.weight` and `.bias` are required.
    Both,
    /// Both are optional.
    Optional,
}

/// A row: the architectures that have it, the two names without `.weight` or `.bias`, and which tensors are required. `{}` is the
/// number of a layer.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) architectures: &'static [&'static str],
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) need: Need,
}

const fn row(
    architectures: &'static [&'static str],
    from: &'static str,
    to: &'static str,
    need: Need,
) -> Row {
    Row { architectures, from, to, need }
}

const BERT: &[&str] = &["bert"];
const NOMIC: &[&str] = &["nomic-bert"];
const BERTS: &[&str] = &["bert", "nomic-bert"];
const DECODERS: &[&str] = &["llama", "qwen2", "qwen3", "gemma3"];
/// Decoders with two norms per layer.
const TWO_NORMS: &[&str] = &["llama", "qwen2", "qwen3"];
const GEMMA3: &[&str] = &["gemma3"];
const HEAD_NORMS: &[&str] = &["qwen3", "gemma3"];

/// All rows. Those before the rows of layers are written first, and those after them last, so that the tensors of a file are in the
/// order in which an engine reads them.
#[rustfmt::skip]
pub(crate) static ROWS: &[Row] = &[
    row(BERTS, "embeddings.word_embeddings", "token_embd", Need::Weight),
    row(BERT, "embeddings.position_embeddings", "position_embd", Need::Weight),
    row(BERTS, "embeddings.token_type_embeddings", "token_types", Need::Optional),
    row(BERT, "embeddings.LayerNorm", "token_embd_norm", Need::Both),
    row(NOMIC, "emb_ln", "token_embd_norm", Need::Both),
    row(DECODERS, "embed_tokens", "token_embd", Need::Weight),

    row(BERT, "encoder.layer.{}.attention.self.query", "blk.{}.attn_q", Need::Both),
    row(BERT, "encoder.layer.{}.attention.self.key", "blk.{}.attn_k", Need::Both),
    row(BERT, "encoder.layer.{}.attention.self.value", "blk.{}.attn_v", Need::Both),
    row(BERT, "encoder.layer.{}.attention.output.dense", "blk.{}.attn_output", Need::Both),
    row(BERT, "encoder.layer.{}.attention.output.LayerNorm", "blk.{}.attn_output_norm", Need::Both),
    row(BERT, "encoder.layer.{}.intermediate.dense", "blk.{}.ffn_up", Need::Both),
    row(BERT, "encoder.layer.{}.output.dense", "blk.{}.ffn_down", Need::Both),
    row(BERT, "encoder.layer.{}.output.LayerNorm", "blk.{}.layer_output_norm", Need::Both),

    row(NOMIC, "encoder.layers.{}.attn.Wqkv", "blk.{}.attn_qkv", Need::Weight),
    row(NOMIC, "encoder.layers.{}.attn.out_proj", "blk.{}.attn_output", Need::Weight),
    row(NOMIC, "encoder.layers.{}.norm1", "blk.{}.attn_output_norm", Need::Both),
    row(NOMIC, "encoder.layers.{}.mlp.fc12", "blk.{}.ffn_gate", Need::Weight),
    row(NOMIC, "encoder.layers.{}.mlp.fc11", "blk.{}.ffn_up", Need::Weight),
    row(NOMIC, "encoder.layers.{}.mlp.fc2", "blk.{}.ffn_down", Need::Weight),
    row(NOMIC, "encoder.layers.{}.norm2", "blk.{}.layer_output_norm", Need::Both),

    row(DECODERS, "layers.{}.input_layernorm", "blk.{}.attn_norm", Need::Weight),
    row(DECODERS, "layers.{}.self_attn.q_proj", "blk.{}.attn_q", Need::Weight),
    row(HEAD_NORMS, "layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm", Need::Weight),
    row(DECODERS, "layers.{}.self_attn.k_proj", "blk.{}.attn_k", Need::Weight),
    row(HEAD_NORMS, "layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm", Need::Weight),
    row(DECODERS, "layers.{}.self_attn.v_proj", "blk.{}.attn_v", Need::Weight),
    row(DECODERS, "layers.{}.self_attn.o_proj", "blk.{}.attn_output", Need::Weight),
    row(GEMMA3, "layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm", Need::Weight),
    row(TWO_NORMS, "layers.{}.post_attention_layernorm", "blk.{}.ffn_norm", Need::Weight),
    row(GEMMA3, "layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm", Need::Weight),
    row(DECODERS, "layers.{}.mlp.gate_proj", "blk.{}.ffn_gate", Need::Weight),
    row(DECODERS, "layers.{}.mlp.up_proj", "blk.{}.ffn_up", Need::Weight),
    row(DECODERS, "layers.{}.mlp.down_proj", "blk.{}.ffn_down", Need::Weight),
    row(GEMMA3, "layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm", Need::Weight),

    row(DECODERS, "norm", "output_norm", Need::Weight),
    row(DECODERS, "lm_head", "output", Need::Optional),
];

/// The prefixes of names for the kinds of checkpoints: a model alone, one with a head, one with other modalities.
pub(crate) const PREFIXES: &[&str] =
    &["", "bert.", "model.", "language_model.model.", "model.language_model.", "language_model."];

/// Beginnings and ends of the names of tensors that are not needed: heads for training, buffers, other modalities.
const IGNORED_STARTS: &[&str] = &[
    "cls.predictions",
    "cls.seq_relationship",
    "vision_tower.",
    "model.vision_tower.",
    "multi_modal_projector.",
    "model.multi_modal_projector.",
];
const IGNORED_ENDS: &[&str] = &[
    "embeddings.position_ids",
    "embeddings.token_type_ids",
    "pooler.dense.weight",
    "pooler.dense.bias",
    "rotary_emb.inv_freq",
    "attention.masked_bias",
];

/// Returns whether a tensor of a checkpoint is left out.
pub(crate) fn is_ignored(name: &str) -> bool {
    IGNORED_STARTS.iter().any(|start| name.starts_with(start))
        || IGNORED_ENDS.iter().any(|end| name.ends_with(end))
}

/// Returns the rows of an architecture.
pub(crate) fn rows(architecture: &str) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(move |row| row.architectures.contains(&architecture))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::ARCHITECTURES;
    use std::collections::HashSet;

    #[test]
    fn each_architecture_has_each_name_once() {
        for arch in ARCHITECTURES {
            let (mut from, mut to) = (HashSet::new(), HashSet::new());
            for row in rows(arch.name) {
                assert!(from.insert(row.from) && to.insert(row.to), "{}: {}", arch.name, row.from);
                assert_eq!(row.from.contains("{}"), row.to.contains("{}"), "{}", row.from);
            }
            assert!(from.len() >= 10, "{}", arch.name);
        }
    }

    #[test]
    fn every_row_is_of_a_known_architecture() {
        let known = |name: &&str| ARCHITECTURES.iter().any(|arch| arch.name == *name);
        assert!(ROWS.iter().all(|row| row.architectures.iter().all(known)));
    }
}
