//! Branches in architectures that depend on the number of layers or on a key, and that no small model reaches.

mod common;

use common::parse;
use happy_gguf::{GgmlType, GgufFile, GgufWriter, OwnedValue};
use happy_kernels::Kernels;
use happy_model::spec::{Activation, AttentionSpec, FfnInput, FfnKind, FfnSpec, LayerSpec, Need, QkNormKind};
use happy_model::{LoadErrorKind, ModelSpec, Outline};

/// Returns a file with the keys that every model has, these keys, and a token embedding. Its layers have no tensors.
fn header(architecture: &str, keys: &[(&str, OwnedValue)]) -> GgufFile {
    let common: [(&str, OwnedValue); 8] = [
        ("context_length", 256u32.into()),
        ("embedding_length", 64u32.into()),
        ("block_count", 4u32.into()),
        ("feed_forward_length", 96u32.into()),
        ("attention.head_count", 4u32.into()),
        ("attention.head_count_kv", 2u32.into()),
        ("attention.layer_norm_rms_epsilon", 1e-5f32.into()),
        ("attention.layer_norm_epsilon", 1e-5f32.into()),
    ];
    let common = common.into_iter().filter(|(key, _)| keys.iter().all(|(k, _)| k != key));
    let mut w = GgufWriter::new().kv("general.architecture", architecture);
    for (key, value) in common.chain(keys.iter().cloned()) {
        w = w.kv(format!("{architecture}.{key}"), value);
    }
    let n_embd = keys.iter().any(|(key, _)| *key == "embedding_length");
    let dims = [if n_embd { 2560u64 } else { 64 }, 8];
    w = w.tensor("token_embd.weight", GgmlType::F32, &dims, vec![0u8; 4 * (dims[0] * dims[1]) as usize]);
    parse(w.to_vec().unwrap())
}

type Check = fn(&ModelSpec) -> bool;

/// Returns the attention of a layer, which must have one.
fn attention(spec: &ModelSpec, layer: usize) -> AttentionSpec {
    spec.layers[layer].attention.expect("attention")
}

/// Returns the feed-forward half of the first layer.
fn ffn(spec: &ModelSpec) -> FfnSpec {
    spec.layers[0].ffn.expect("a feed-forward half")
}

#[test]
fn branches_by_number_of_layers_or_key() {
    let cases: &[(&str, &[(&str, OwnedValue)], Check)] = &[
        ("exaone4", &[], |s| s.attentions().all(|a| a.window.is_none() && a.rope == Some(0))),
        ("exaone4", &[("block_count", 64u32.into())], |s| {
            s.attentions().enumerate().all(|(i, a)| {
                let full = i % 4 == 3;
                (a.window, a.rope) == if full { (None, None) } else { (Some(4096), Some(0)) }
            })
        }),
        ("command-r", &[], |s| attention(s, 0).qk_norm.is_none()),
        ("command-r", &[("block_count", 64u32.into())], |s| {
            attention(s, 63).qk_norm.is_some_and(|n| n.kind == QkNormKind::PerHeadOwnWeight)
        }),
        ("bitnet", &[], |s| activation(s) == Some(Activation::Silu)),
        (
            "bitnet",
            &[
                ("block_count", 30u32.into()),
                ("embedding_length", 2560u32.into()),
                ("attention.head_count", 20u32.into()),
                ("attention.head_count_kv", 5u32.into()),
            ],
            |s| activation(s) == Some(Activation::ReluSquared),
        ),
        ("baichuan", &[("block_count", 32u32.into())], |s| attention(s, 0).rope == Some(0)),
        ("baichuan", &[("block_count", 33u32.into())], |s| attention(s, 0).rope.is_none()),
        ("falcon", &[], |s| ffn(s).input == FfnInput::Attention),
        (
            "gptneox",
            &[("use_parallel_residual", false.into())],
            |s| matches!(ffn(s).input, FfnInput::Norm(norm) if norm.bias == Need::Required),
        ),
        ("llama4", &[], |s| {
            let a = |i: usize| (attention(s, i).window, attention(s, i).chunked, attention(s, i).rope);
            let normed = |i: usize| attention(s, i).qk_norm.is_some();
            let factor = |i: usize, position| attention(s, i).temperature.map(|t| t.factor(position));
            a(2) == (Some(8192), true, Some(1)) && a(3) == (None, false, None)
                && (normed(2), normed(3)) == (true, false)
                // positions count from 1: ln 2 / 10 + 1 from the last one of the first chunk on
                && (factor(2, 8191), factor(3, 8190), factor(3, 8191)) == (None, Some(1.0), Some(1.069_314_7))
        }),
        ("llama4", &[("attention.sliding_window", 0u32.into())], |s| {
            s.attentions().all(|a| (a.window, a.rope, a.temperature) == (None, Some(0), None))
        }),
        (
            "llama4",
            &[
                ("expert_count", 128u32.into()),
                ("expert_used_count", 1u32.into()),
                ("expert_feed_forward_length", 32u32.into()),
                ("interleave_moe_layer_step", 2u32.into()),
            ],
            |s| {
                let routed =
                    |l: &LayerSpec| matches!(l.ffn.map(|f| f.kind), Some(FfnKind::Moe(m)) if m.weigh_input);
                s.attentions().all(|a| a.qk_norm.is_none())
                    && s.layers.iter().map(routed).eq([false, true, false, true])
            },
        ),
        ("mpt", &[("attention.clamp_kqv", 2.0f32.into())], |s| {
            let a = attention(s, 0);
            (a.clamp, a.position_bias, a.rope) == (Some(2.0), None, None) && !s.learned_positions
        }),
        ("glm4", &[], |s| s.ropes[0].pairing == happy_model::arch::ADJACENT),
        ("glm4", &[("rope.dimension_sections", vec![4u32, 2, 2, 0].into())], |s| {
            s.ropes[0].pairing == happy_model::arch::HALVES
        }),
        ("qwen2vl", &[], |s| s.output_norm.eps == 1e-5),
        ("minicpm", &[], |s| {
            (s.embedding_scale, s.residual_scale, s.logit_scale) == (Some(12.0), Some(0.7), Some(0.25))
        }),
        ("afmoe", &[("expert_count", 4u32.into()), ("expert_used_count", 2u32.into())], |s| {
            s.attentions().map(|a| a.rope).eq([Some(0), Some(0), Some(0), None])
        }),
    ];
    let mut failed = Vec::new();
    for (i, (architecture, keys, check)) in cases.iter().enumerate() {
        match Outline::read(&header(architecture, keys).view().into(), &Kernels::scalar()) {
            Ok(outline) if check(outline.spec()) => {}
            Ok(outline) => failed.push(format!("{i} {architecture}: {:?}", outline.spec().layers[0])),
            Err(e) => failed.push(format!("{i} {architecture}: {e}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn activation(spec: &ModelSpec) -> Option<Activation> {
    match ffn(spec).kind {
        FfnKind::Dense(dense) => Some(dense.activation),
        FfnKind::Moe(_) | FfnKind::Elementwise(_) | FfnKind::ChannelMix(_) => None,
    }
}

#[test]
fn what_no_block_computes_is_refused() {
    let experts = |more: &[(&'static str, OwnedValue)]| {
        let mut keys = vec![("expert_count", 4u32.into()), ("expert_used_count", 2u32.into())];
        keys.extend_from_slice(more);
        keys
    };
    let cases: Vec<(&str, Vec<(&str, OwnedValue)>, &str)> = vec![
        ("nanbeige", vec![("num_loops", 2u32.into())], "num_loops = u32 2, expected 1"),
        ("baichuan", vec![("block_count", 40u32.into())], "block_count = u32 40, expected 32 layers"),
        ("qwen2vl", vec![("rope.dimension_sections", vec![2u32, 2, 2, 2].into())], "no pairs in the fourth"),
        ("dots1", experts(&[("expert_gating_func", 4u32.into())]), "expert_gating_func = u32 4, expected 1"),
        (
            "mimo2",
            experts(&[("attention.sliding_window", 8u32.into()), ("expert_group_count", 2u32.into())]),
            "group",
        ),
        (
            "bailingmoe3",
            experts(&[
                ("attention.kv_lora_rank", 16u32.into()),
                ("expert_gating_func", 2u32.into()),
                ("kda.safe_gate", false.into()),
            ]),
            "kda.safe_gate = bool false, expected true",
        ),
        ("llama", vec![("rope.dimension_sections", vec![8u32, 8, 0, 0].into())], "rope.dimension_sections"),
    ];
    let mut failed = Vec::new();
    for (architecture, mut keys, part) in cases {
        keys.push(("expert_feed_forward_length", 32u32.into()));
        match Outline::read(&header(architecture, &keys).view().into(), &Kernels::scalar()) {
            Err(e) if e.kind() == LoadErrorKind::Unsupported && e.to_string().contains(part) => {}
            Err(e) => failed.push(format!("{architecture}, {part}: {e}")),
            Ok(_) => failed.push(format!("{architecture}, {part}: loads")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
