//! Wrong files and wrong batches: each gives one clear error.

mod common;

use common::{Runner, batch, parse, plain, small_llama};
use happy_gguf::{GgmlType, GgufFile, GgufWriter, OwnedValue};
use happy_kernels::Kernels;
use happy_model::{Batch, BatchError, ForwardError, KvType, LoadError, LoadErrorKind, Model, Want};
use happy_testkit::le_bytes;

fn load(file: &GgufFile) -> Result<Model, (LoadErrorKind, String)> {
    Model::load(file, &Kernels::scalar()).map_err(|e| (e.kind(), e.to_string()))
}

fn fails(file: &GgufFile, kind: LoadErrorKind, parts: &[&str]) {
    match load(file) {
        Err((k, message)) => {
            assert!(
                k == kind && parts.iter().all(|p| message.contains(p)),
                "{k:?} {message:?}, expected {parts:?}"
            );
        }
        Ok(_) => panic!("loaded, expected {parts:?}"),
    }
}

#[test]
fn tensors_are_checked() {
    let all: Vec<String> = small_llama(&plain).view().tensors().map(|t| t.name.to_owned()).collect();
    assert_eq!(all.len(), 20);
    for name in &all {
        let without = small_llama(&|n, d, v| if n == name { None } else { plain(n, d, v) });
        fails(&without, LoadErrorKind::MissingTensor, &[name, "missing"]);
        let longer = small_llama(&|n, mut d, v| {
            if n == name {
                let grown = if name.starts_with("token_embd") { 0 } else { d.len() - 1 };
                d[grown] += 32;
                let n = d.iter().product::<u64>() as usize;
                return Some((GgmlType::F32, d, vec![0; 4 * n]));
            }
            plain(n, d, v)
        });
        fails(&longer, LoadErrorKind::Tensor, &[name, "expected shape", "found"]);
    }
    let transposed = small_llama(&|n, d, v| {
        let d = if n == "blk.1.ffn_up.weight" { vec![d[1], d[0]] } else { d };
        plain(n, d, v)
    });
    let parts = ["tensor blk.1.ffn_up.weight: expected shape 64 x 96, found 96 x 64"];
    fails(&transposed, LoadErrorKind::Tensor, &parts);
    let odd = small_llama(&|n, d, v| match n {
        "blk.0.attn_q.weight" => Some((GgmlType::I32, d, vec![0; 4 * v.len()])),
        _ => plain(n, d, v),
    });
    fails(&odd, LoadErrorKind::Unsupported, &["unsupported", "blk.0.attn_q.weight", "I32"]);
}

/// Programs can get at the key, tensor, shapes and types without parsing the message.
#[test]
fn programs_reach_what_is_wrong() {
    let name = "blk.1.ffn_up.weight";
    let shape = |edit: fn(Vec<u64>) -> Vec<u64>| {
        small_llama(&move |n, d, v| plain(n, if n == name { edit(d) } else { d }, v))
    };
    let error = |file: &GgufFile| Model::load(file, &Kernels::scalar()).unwrap_err();
    let tensor = name.to_owned();
    let transposed = error(&shape(|d| vec![d[1], d[0]]));
    let (expected, found) = (vec![64, 96], vec![96, 64]);
    assert_eq!(transposed.tensor(), Some(name));
    assert_eq!(transposed, LoadError::TensorShape { tensor: tensor.clone(), expected, found });
    let missing = error(&small_llama(&|n, d, v| if n == name { None } else { plain(n, d, v) }));
    assert_eq!(missing.tensor(), Some(name));
    assert_eq!(missing, LoadError::MissingTensor { tensor: tensor.clone(), expected: vec![64, 96] });
    let typed = error(&small_llama(&|n, d, v| match n == name {
        true => Some((GgmlType::I32, d, vec![0; 4 * v.len()])),
        false => plain(n, d, v),
    }));
    assert_eq!(typed.tensor(), Some(name));
    assert_eq!(typed, LoadError::TensorType { tensor, found: GgmlType::I32 });
    let extra = error(&with(&[], &[("output_norm.bias", vec![64])]));
    let tensor = "output_norm.bias".to_owned();
    assert_eq!(extra.tensor(), Some("output_norm.bias"));
    assert_eq!(extra, LoadError::ExtraTensor { tensor, architecture: "llama" });
    let keys: &[(&str, OwnedValue, LoadErrorKind)] = &[
        ("llama.block_count", 0u32.into(), LoadErrorKind::Metadata),
        ("llama.pooling_type", 5u32.into(), LoadErrorKind::Unsupported),
        ("llama.rope.scaling.type", "su".into(), LoadErrorKind::Unsupported),
        ("general.architecture", "dream".into(), LoadErrorKind::Unsupported),
        ("general.architecture", 4u32.into(), LoadErrorKind::Metadata),
    ];
    for (key, value, kind) in keys {
        let wrong = error(&with(&[(key, value.clone())], &[]));
        assert_eq!((wrong.key(), wrong.tensor(), wrong.kind()), (Some(*key), None, *kind), "{wrong}");
    }
}

/// The small Llama with more metadata and tensors.
fn with(pairs: &[(&str, OwnedValue)], extra: &[(&str, Vec<u64>)]) -> GgufFile {
    let base = small_llama(&plain);
    let view = base.view();
    let mut w = GgufWriter::new();
    for (key, value) in view.metadata().iter().filter(|(k, _)| pairs.iter().all(|(p, _)| p != k)) {
        w = w.kv(key, value);
    }
    for (key, value) in pairs {
        w = w.kv(*key, value.clone());
    }
    for t in view.tensors() {
        w = w.tensor(t.name, t.ty, &t.dims, view.data(&t).unwrap());
    }
    for (name, dims) in extra {
        let n = dims.iter().product::<u64>() as usize;
        w = w.tensor(*name, GgmlType::F32, dims, vec![0u8; 4 * n]);
    }
    parse(w.to_vec().unwrap())
}

#[test]
fn what_would_change_the_result_is_refused() {
    let cases: &[(&str, OwnedValue)] = &[
        ("general.architecture", "dream".into()),
        ("general.architecture", "pockettts".into()),
        ("llama.rope.scaling.type", "su".into()),
        ("llama.pooling_type", 5u32.into()),
        ("llama.attention.clamp_kqv", 8.0f32.into()),
        ("llama.attention.max_alibi_bias", 8.0f32.into()),
        ("llama.leading_dense_block_count", 1u32.into()),
        ("llama.swiglu_clamp_exp", vec![7.0f32, 7.0].into()),
        ("llama.expert_group_count", 4u32.into()),
        ("llama.rope.dimension_sections", vec![8u32, 8, 0, 0].into()),
        ("llama.attention.key_length_swa", 8u32.into()),
        ("llama.deepstack_mapping", vec![-1i32, 0].into()),
    ];
    for (key, value) in cases {
        let name = key.strip_prefix("general.architecture").map_or(*key, |_| "architecture");
        fails(&with(&[(key, value.clone())], &[]), LoadErrorKind::Unsupported, &["unsupported", name]);
    }
    for (name, dims) in
        [("blk.1.attn_sinks.weight", vec![4]), ("output_norm.bias", vec![64]), ("output.bias", vec![96])]
    {
        fails(&with(&[], &[(name, dims)]), LoadErrorKind::Unsupported, &["unsupported", name]);
    }
    let harmless = with(
        &[("llama.pooling_type", 0u32.into()), ("llama.deepstack_mapping", vec![-1i32, -1].into())],
        &[("v.patch_embd.weight", vec![3]), ("blk.2.attn_norm.weight", vec![64])],
    );
    let model = load(&harmless).unwrap();
    assert_eq!(model.unused_tensors(), ["v.patch_embd.weight", "blk.2.attn_norm.weight"]);
}

/// Blocks that predict further tokens are not layers. Their tensors are listed as not needed.
#[test]
fn blocks_that_predict_further_tokens_are_skipped() {
    let file =
        with(&[("llama.nextn_predict_layers", 1u32.into())], &[("blk.1.nextn.eh_proj.weight", vec![3])]);
    let model = load(&file).unwrap();
    assert_eq!(model.n_layers(), 1);
    let unused = model.unused_tensors();
    assert!(unused.iter().all(|name| name.starts_with("blk.1.")), "{unused:?}");
    assert!(unused.iter().any(|name| name == "blk.1.nextn.eh_proj.weight"), "{unused:?}");
}

/// The embedding and the output matrix must have a row for each of the same tokens.
#[test]
fn embedding_and_output_have_the_same_tokens() {
    for rows in [64, 95, 97, 200] {
        let name = "output.weight";
        let expected = format!("tensor {name}: expected shape 64 x 96, found 64 x {rows}");
        fails(&with(&[], &[(name, vec![64, rows])]), LoadErrorKind::Tensor, &[&expected]);
    }
    assert_eq!(load(&with(&[], &[("output.weight", vec![64, 96])])).unwrap().n_vocab(), 96);
}

#[test]
fn metadata_is_checked() {
    let cases: &[(&str, OwnedValue, &str)] = &[
        ("llama.block_count", 0u32.into(), "expected 1 to 1024, found u32 0"),
        ("llama.block_count", u32::MAX.into(), "expected 1 to 1024"),
        ("llama.block_count", "two".into(), "expected a whole number"),
        ("llama.nextn_predict_layers", 2u32.into(), "expected 0 to 1, found u32 2"),
        ("llama.nextn_predict_layers", u32::MAX.into(), "expected 0 to 1"),
        ("llama.embedding_length", (-64i32).into(), "expected a whole number"),
        ("llama.attention.head_count", 0u32.into(), "expected at least 1"),
        ("llama.attention.head_count_kv", 3u32.into(), "expected a multiple"),
        ("llama.attention.head_count_kv", vec![2u32].into(), "for each of 2 layers"),
        ("llama.attention.layer_norm_rms_epsilon", f32::NAN.into(), "expected a finite f32"),
        ("llama.rope.freq_base", 0.0f32.into(), "expected a positive number"),
        ("llama.rope.scaling.factor", (-1.0f32).into(), "expected a positive number"),
        ("llama.rope.dimension_count", 8u32.into(), "expected the number of elements of a head"),
        ("llama.feed_forward_length", 0u32.into(), "feed-forward length"),
        ("general.architecture", 1u32.into(), "expected a string, found u32 1"),
    ];
    for (key, value, part) in cases {
        fails(&with(&[(key, value.clone())], &[]), LoadErrorKind::Metadata, &[part]);
    }
    let empty = parse(GgufWriter::new().to_vec().unwrap());
    fails(&empty, LoadErrorKind::Metadata, &["general.architecture is missing"]);
    let bare = parse(GgufWriter::new().kv("general.architecture", "llama").to_vec().unwrap());
    fails(&bare, LoadErrorKind::Metadata, &["llama.", "is missing"]);
}

#[test]
fn batches_are_checked() {
    let mut r = Runner::new(&small_llama(&plain), Kernels::detect().unwrap(), 1, KvType::F32, 4);
    let mut run = |rows: &[(u32, u32, u32)]| {
        let mut b = Batch::with_capacity(rows.len());
        rows.iter().for_each(|(t, p, s)| b.push(*t, *p, *s, Want::Logits).unwrap());
        r.logits(&b).map(|_| ()).map_err(|e| match e {
            ForwardError::Batch(e) => e,
            other => panic!("{other}"),
        })
    };
    assert_eq!(run(&[]), Err(BatchError::Empty));
    assert_eq!(run(&[(95, 0, 0), (96, 1, 0)]), Err(BatchError::Token { index: 1, token: 96, n_vocab: 96 }));
    assert_eq!(run(&[(u32::MAX, 0, 0)]), Err(BatchError::Token { index: 0, token: u32::MAX, n_vocab: 96 }));
    let position =
        |index, sequence, expected, found| Err(BatchError::Position { index, sequence, expected, found });
    assert_eq!(run(&[(1, 1, 0)]), position(0, 0, 0, 1));
    assert_eq!(run(&[(1, 0, 0), (1, 2, 0)]), position(1, 0, 1, 2));
    let interleaved = [(1, 0, 0), (1, 0, 1), (1, 1, 0)];
    assert_eq!(run(&interleaved), Err(BatchError::Interleaved { index: 2, sequence: 0 }));
    assert_eq!(run(&[(1, 0, 0), (1, 0, 1)]), Ok(()));
    assert_eq!(run(&[(1, 0, 0)]), position(0, 0, 1, 0));
    let many: Vec<_> = (0..201).map(|i| (1, i, 2)).collect();
    assert_eq!(run(&many), Err(BatchError::TooLarge { what: "tokens", found: 201, planned: 200 }));
    let unknown = r.logits(&batch(&[1], 0, 4));
    assert!(unknown.is_err_and(|e| e.to_string().contains("sequence 4 is out of range")));

    let mut b = Batch::with_capacity(2);
    assert_eq!(b.push_tokens(&[1, 2, 3], 0, 0, Want::Logits), Err(BatchError::Full { capacity: 2 }));
    assert!(b.is_empty() && b.push_tokens(&[1, 2], 0, 0, Want::Hidden).is_ok());
    assert_eq!(b.push(1, 2, 0, Want::Nothing), Err(BatchError::Full { capacity: 2 }));
    assert_eq!((b.wants(), b.n_outputs()), (&[Want::Nothing, Want::Hidden][..], 1));
}

#[test]
fn values_that_are_not_finite_are_an_error() {
    let nan_in = |tensor: &'static str, edit: common::Edit<'static>| {
        small_llama(&move |n, d, mut v| {
            if n == tensor {
                v[5] = f32::NAN;
                return Some((GgmlType::F32, d, le_bytes(v.into_iter())));
            }
            edit(n, d, v)
        })
    };
    let cases = [("blk.0.attn_q.weight", 0), ("blk.1.ffn_norm.weight", 1), ("output_norm.weight", 2)];
    for (name, layer) in cases {
        for edit in [&plain as common::Edit<'static>, &common::q4_0] {
            let mut r = Runner::new(&nan_in(name, edit), Kernels::detect().unwrap(), 2, KvType::F32, 4);
            let found = r.logits(&batch(&[1, 2, 3, 4, 5], 0, 0));
            assert_eq!(found, Err(ForwardError::NonFinite { layer }), "{name}");
            assert_eq!((r.kv.len(0), r.kv.free_pages()), (0, 4), "{name}: the cache is as before");
        }
    }
}
