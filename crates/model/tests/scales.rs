//! A tensor `X.scale` multiplies the products with `X.weight`. NVFP4 files have one such scale for each matrix, or for each expert.

mod common;

use common::{Runner, batch, bits, parse, recipes, tokens};
use happy_gguf::{GgmlType, GgufFile, GgufWriter, OwnedValue};
use happy_kernels::Kernels;
use happy_model::{KvType, LoadErrorKind, Model};
use happy_testkit::le_bytes;

/// Recipes that contain all matrices that may have scales.
const RECIPES: [&str; 3] = ["qwen2moe-moe", "qwen35-interval3", "mamba2"];

/// The parts of names, without `.weight`, for which llama.cpp looks for scales.
const PARTS: [&str; 20] = [
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
];

/// Returns which of these parts a name is, if it is one.
fn scaled(name: &str) -> Option<&'static str> {
    let stem = name.strip_suffix(".weight")?;
    let part = stem.strip_prefix("blk.").and_then(|rest| rest.split_once('.')).map_or(stem, |(_, part)| part);
    PARTS.iter().find(|p| **p == part).copied()
}

/// Returns a power of two for each matrix of a stack.
fn factor(i: usize) -> f32 {
    [2.0, 0.5, 4.0, 1.0, 0.25][i % 5]
}

/// Returns the file with scales, or with weights that are already multiplied by them, and with the tensors in `more`.
fn file(source: &GgufFile, multiplied: bool, more: &[(&str, usize)]) -> GgufFile {
    let view = source.view();
    let mut w = GgufWriter::new();
    for (key, value) in view.metadata().iter() {
        w = w.kv(key, OwnedValue::from(value));
    }
    for t in view.tensors() {
        let data = view.data(&t).unwrap();
        if scaled(t.name).is_none() {
            w = w.tensor(t.name, t.ty, &t.dims, data.to_vec());
            continue;
        }
        let stack = t.dims.get(2).copied().unwrap_or(1) as usize;
        let values = data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
        let each = data.len() / 4 / stack;
        if multiplied {
            let values = values.enumerate().map(|(i, x)| x * factor(i / each));
            w = w.tensor(t.name, t.ty, &t.dims, le_bytes(values));
            continue;
        }
        w = w.tensor(t.name, t.ty, &t.dims, data.to_vec());
        let scales = le_bytes((0..stack).map(factor));
        let name = t.name.replace(".weight", ".scale");
        w = w.tensor(&name, GgmlType::F32, &[stack as u64], scales);
    }
    for (name, n) in more {
        w = w.tensor(*name, GgmlType::F32, &[*n as u64], le_bytes((0..*n).map(factor)));
    }
    parse(w.to_vec().unwrap())
}

#[test]
fn scales_give_the_bits_of_weights_that_were_multiplied() {
    let ids = tokens(20, 3);
    let mut parts = std::collections::BTreeSet::new();
    for recipe in recipes::named(&RECIPES) {
        let source = recipes::build(&recipe);
        parts.extend(source.view().tensors().filter_map(|t| scaled(t.name)));
        let run = |file: &GgufFile| {
            let mut r = Runner::new(file, Kernels::detect().unwrap(), 2, KvType::F32, 4);
            bits(&r.logits(&batch(&ids, 0, 0)).unwrap())
        };
        let input = "blk.0.attn_q.input_scale";
        let with = file(&source, false, &[(input, 1)]);
        assert_eq!(run(&with), run(&file(&source, true, &[])), "{}", recipe["name"]);
        assert!(run(&with) != run(&source), "{}: scales do nothing", recipe["name"]);
        let model = Model::load(&with, &Kernels::scalar()).unwrap();
        assert!(model.unused_tensors().iter().any(|name| name == input), "{}", recipe["name"]);
    }
    assert_eq!(parts.into_iter().collect::<Vec<_>>(), {
        let mut all = PARTS;
        all.sort_unstable();
        all
    });
}

/// Scales with a wrong shape, or for a matrix that can't have any, make loading fail, because ignoring them would change the result.
#[test]
fn other_scales_are_errors() {
    let source = recipes::build(&recipes::named(&["qwen2moe-moe"])[0]);
    for (name, n, kind) in [
        ("blk.0.attn_q.scale", 2, LoadErrorKind::Tensor),
        ("blk.0.ffn_up_exps.scale", 1, LoadErrorKind::Tensor),
        ("blk.0.ffn_gate_inp.scale", 1, LoadErrorKind::Unsupported),
        ("token_embd.scale", 1, LoadErrorKind::Unsupported),
    ] {
        let view = source.view();
        let mut w = GgufWriter::new();
        for (key, value) in view.metadata().iter() {
            w = w.kv(key, OwnedValue::from(value));
        }
        for t in view.tensors() {
            w = w.tensor(t.name, t.ty, &t.dims, view.data(&t).unwrap().to_vec());
        }
        w = w.tensor(name, GgmlType::F32, &[n], le_bytes((0..n).map(|_| 2.0)));
        let error = Model::load(&parse(w.to_vec().unwrap()), &Kernels::scalar()).map(|_| ()).unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(name), "{name}: {error}");
    }
}
