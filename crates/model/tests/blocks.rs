//! Blocks that only a few architectures have: their errors for wrong tensors, and properties that no recipe tests.

mod common;

use common::{Runner, batch, bits, parse, recipes, tokens};
use happy_gguf::{GgmlType, GgufFile, GgufWriter, OwnedValue};
use happy_kernels::Kernels;
use happy_model::{Batch, KvType, LoadErrorKind, Model, NoHook, Want};
use happy_testkit::{le_bytes, uniform};

/// A recipe for each block.
const RECIPES: [&str; 10] = [
    "gemma4-e2b",
    "gemma4-e4b",
    "gemma4-moe",
    "gemma3n",
    "deepseek2-moe",
    "minicpm3",
    "llama4-moe-plain",
    "grovemoe-moe-plain",
    "mpt-plain",
    "talkie-plain",
];

/// Tensors that a file may leave out. Without them the model computes something else, or its output matrix is the embedding.
const OPTIONAL: [&str; 13] = [
    "attn_norm.bias",
    "ffn_norm.bias",
    "output_norm.bias",
    "ffn.act.scales",
    "position_embd.weight",
    "output.weight",
    "rope_freqs.weight",
    "rope_factors_long.weight",
    "rope_factors_short.weight",
    "layer_output_scale.weight",
    "ffn_down_exps.scale",
    "exp_probs_b.bias",
    "attn_v.weight",
];

/// If one of these tensors is missing, the error names another one: one that could replace it, or one that is left of the block.
const ELSEWISE: [&str; 3] = ["ffn_gate_up_exps.weight", "ffn_gate_inp.weight", "attn_qkv.weight"];

/// Returns the file without a tensor, or with other dimensions of it.
fn without(file: &GgufFile, name: &str, dims: Option<&[u64]>) -> GgufFile {
    let view = file.view();
    let mut w = GgufWriter::new();
    for (key, value) in view.metadata().iter() {
        w = w.kv(key, OwnedValue::from(value));
    }
    for t in view.tensors() {
        match dims {
            _ if t.name != name => w = w.tensor(t.name, t.ty, &t.dims, view.data(&t).unwrap().to_vec()),
            None => {}
            Some(dims) => {
                let n = dims.iter().product::<u64>() as usize;
                w = w.tensor(t.name, GgmlType::F32, dims, le_bytes((0..n).map(|_| 0.5)));
            }
        }
    }
    parse(w.to_vec().unwrap())
}

/// Each tensor that is missing or has another shape gives one clear error.
#[test]
fn tensors_of_every_block_are_checked() {
    let mut failed = Vec::new();
    for recipe in recipes::named(&RECIPES) {
        let (file, name) = (recipes::build(&recipe), &recipe["name"]);
        let view = file.view();
        let unused = Model::load(&file, &Kernels::scalar()).unwrap().unused_tensors().to_vec();
        let last =
            view.tensors().filter_map(|t| t.name.strip_prefix("blk.")?.split('.').next()?.parse().ok());
        let last: usize = last.max().unwrap();
        for t in view.tensors() {
            let part = t
                .name
                .split_once('.')
                .filter(|_| t.name.starts_with("blk."))
                .map_or(t.name, |(_, rest)| rest.split_once('.').map_or(rest, |(_, part)| part));
            let layer = |i: usize| t.name.starts_with(&format!("blk.{i}."));
            // the first and the last layers have every part
            if t.name.starts_with("blk.") && !layer(0) && !layer(last) || unused.contains(&t.name.to_owned())
            {
                continue;
            }
            let load = |file: &GgufFile| {
                Model::load(file, &Kernels::scalar()).map(|_| ()).map_err(|e| (e.kind(), e.to_string()))
            };
            match load(&without(&file, t.name, None)) {
                Ok(()) if OPTIONAL.contains(&part) => {}
                Err(_) if ELSEWISE.contains(&part) => {}
                Err((LoadErrorKind::MissingTensor, text)) if text.contains(t.name) => {}
                other => failed.push(format!("{name} without {}: {other:?}", t.name)),
            }
            let mut dims = t.dims.to_vec();
            if let Some(first) = dims.first_mut() {
                *first += 32;
            }
            match load(&without(&file, t.name, Some(&dims))) {
                Err((LoadErrorKind::Tensor, text)) if text.contains(t.name) => {}
                other => failed.push(format!("{name} with another shape of {}: {other:?}", t.name)),
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Rows of which nothing is wanted are dropped after the last layer that stores something. The results of the others stay the same, bit
/// for bit.
#[test]
fn rows_that_are_dropped_early_change_nothing() {
    let mut failed = Vec::new();
    for recipe in recipes::named(&RECIPES) {
        let file = recipes::build(&recipe);
        let ids = tokens(48, 3);
        let mut all = Runner::new(&file, Kernels::detect().unwrap(), 2, KvType::F32, 4);
        let expected = bits(&all.logits(&batch(&ids, 0, 0)).unwrap());
        let mut some = Runner::new(&file, Kernels::detect().unwrap(), 2, KvType::F32, 4);
        let mut at = 0;
        for n in [20, 3, 1, 24] {
            let mut part = Batch::with_capacity(n);
            for (i, id) in ids.iter().enumerate().skip(at).take(n) {
                // the last row and one in the middle
                let wanted = i + 1 == at + n || i == at + n / 2;
                let want = if wanted { Want::Logits } else { Want::Nothing };
                part.push(*id, i as u32, 0, want).unwrap();
            }
            let cx = happy_kernels::Ctx::new(&some.pool, &some.kernels);
            let out = some.model.forward(cx, &part, &mut some.kv, &mut some.scratch, &mut NoHook).unwrap();
            for i in out.logits_indices() {
                let found: Vec<u32> = out.logits(i).unwrap().iter().map(|x| x.to_bits()).collect();
                if found != expected[at + i] {
                    failed.push(format!("{}: row {}", recipe["name"], at + i));
                }
            }
            at += n;
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A DeepSeek 2 of 3 heads with `attn_k_b` and `attn_v_b`, or with the same weights as `attn_kv_b`.
fn latent(absorbed: bool) -> GgufFile {
    let (e, heads, plain, rot, v, rank, ff, vocab) = (64u64, 3u64, 32u64, 16u64, 24u64, 48u64, 96u64, 64u64);
    let mut w = GgufWriter::new().kv("general.architecture", "deepseek2");
    for (key, value) in [
        ("context_length", 256),
        ("embedding_length", e),
        ("block_count", 2),
        ("leading_dense_block_count", 2),
        ("feed_forward_length", ff),
        ("expert_feed_forward_length", ff),
        ("expert_count", 2),
        ("expert_used_count", 1),
        ("expert_shared_count", 1),
        ("attention.head_count", heads),
        ("attention.kv_lora_rank", rank),
        ("attention.key_length_mla", plain + rot),
        ("attention.value_length_mla", v),
        ("rope.dimension_count", rot),
    ] {
        w = w.kv(format!("deepseek2.{key}"), value as u32);
    }
    w = w.kv("deepseek2.attention.layer_norm_rms_epsilon", 1e-5f32);
    let values = |name: &str, n: u64| -> Vec<f32> {
        let norm = name.ends_with("_norm");
        uniform(name, 1, n as usize).map(|u| if norm { 1.0 + 0.2 * u } else { 0.3 * u }).collect()
    };
    let mut add = |name: &str, dims: &[u64], values: Vec<f32>| {
        let (name, bytes) = (format!("{name}.weight"), le_bytes(values.into_iter()));
        w = std::mem::take(&mut w).tensor(&name, GgmlType::F32, dims, bytes);
    };
    for (name, dims) in [("token_embd", vec![e, vocab]), ("output_norm", vec![e])] {
        add(name, &dims, values(name, dims.iter().product()));
    }
    for layer in 0..2 {
        for (part, dims) in [
            ("attn_norm", vec![e]),
            ("attn_q", vec![e, heads * (plain + rot)]),
            ("attn_kv_a_mqa", vec![e, rank + rot]),
            ("attn_kv_a_norm", vec![rank]),
            ("attn_output", vec![heads * v, e]),
            ("ffn_norm", vec![e]),
            ("ffn_gate", vec![e, ff]),
            ("ffn_up", vec![e, ff]),
            ("ffn_down", vec![ff, e]),
        ] {
            let name = format!("blk.{layer}.{part}");
            add(&name, &dims, values(&name, dims.iter().product()));
        }
        let (k_name, v_name) = (format!("blk.{layer}.attn_k_b"), format!("blk.{layer}.attn_v_b"));
        let (k_b, v_b) = (values(&k_name, plain * rank * heads), values(&v_name, rank * v * heads));
        if absorbed {
            add(&k_name, &[plain, rank, heads], k_b);
            add(&v_name, &[rank, v, heads], v_b);
            continue;
        }
        let mut both = Vec::new();
        for head in 0..heads as usize {
            let k = &k_b[head * (plain * rank) as usize..];
            for i in 0..plain as usize {
                both.extend((0..rank as usize).map(|r| k[r * plain as usize + i]));
            }
            both.extend_from_slice(&v_b[head * (rank * v) as usize..][..(rank * v) as usize]);
        }
        add(&format!("blk.{layer}.attn_kv_b"), &[rank, heads * (plain + v)], both);
    }
    parse(w.to_vec().unwrap())
}

/// The recipes have only one head. This model has several, and computes both ways.
#[test]
fn both_forms_of_latent_attention_agree() {
    let ids = tokens(40, 5).into_iter().map(|id| id % 64).collect::<Vec<_>>();
    let [absorbed, expanded] = [true, false].map(|absorbed| {
        let file = latent(absorbed);
        let mut r = Runner::new(&file, Kernels::detect().unwrap(), 2, KvType::F32, 4);
        let mut rows = r.logits(&batch(&ids[..30], 0, 0)).unwrap();
        rows.extend(r.logits(&batch(&ids[30..], 30, 0)).unwrap());
        rows.concat()
    });
    let error: f32 = absorbed.iter().zip(&expanded).map(|(a, b)| (a - b) * (a - b)).sum();
    let size: f32 = absorbed.iter().map(|a| a * a).sum();
    assert!(size > 0.0 && error / size < 1e-9, "error {error} of {size}");
}
