//! Which tensors get which types, and mistakes that are refused before anything is written.

mod support;

use happy_gguf::{ByteOrder, GgmlType};
use happy_quantize::{Imatrix, Mix, QuantizeErrorKind as Kind, Quantizer, RunOptions};
use happy_tensor::DType;
use support::{Folder, model, older, open};

#[test]
fn a_mix_gives_more_bits_to_important_matrices() {
    let folder = Folder::new("types");
    let path = folder.path("m.gguf");
    model("llama", 16, 256, 2).write_file(&path).expect("a file");
    let input = open(&path);
    // Layers 0, 1, 4, 7, 10, 13, 14, 15 are the ones that `_M` favors.
    let cases = [
        (Mix::Q4KM, "output.weight", Some(DType::Q6K)),
        (Mix::Q4KM, "token_embd.weight", Some(DType::Q4K)),
        (Mix::Q4KM, "output_norm.weight", None),
        (Mix::Q4KM, "blk.0.attn_v.weight", Some(DType::Q6K)),
        (Mix::Q4KM, "blk.2.attn_v.weight", Some(DType::Q4K)),
        // Layers are in the order of their numbers, not of their names: 10 comes after 9.
        (Mix::Q4KM, "blk.10.ffn_down.weight", Some(DType::Q6K)),
        (Mix::Q4KM, "blk.9.ffn_down.weight", Some(DType::Q4K)),
        (Mix::Q4KM, "blk.0.ffn_up.weight", Some(DType::Q4K)),
        (Mix::Q4KS, "blk.3.attn_v.weight", Some(DType::Q5K)),
        (Mix::Q4KS, "blk.4.attn_v.weight", Some(DType::Q4K)),
        (Mix::Q5KM, "blk.15.ffn_down.weight", Some(DType::Q6K)),
        (Mix::Q3KL, "blk.5.attn_output.weight", Some(DType::Q5K)),
        (Mix::Q3KM, "blk.0.ffn_down.weight", Some(DType::Q5K)),
        (Mix::Q2K, "blk.7.attn_v.weight", Some(DType::Q3K)),
        (Mix::Q8_0, "output.weight", Some(DType::Q8_0)),
        (Mix::Q4_0, "output.weight", Some(DType::Q6K)),
        (Mix::IQ1S, "token_embd.weight", Some(DType::Q2K)),
        (Mix::IQ1S, "output.weight", Some(DType::Q5K)),
        (Mix::IQ1S, "blk.1.ffn_down.weight", Some(DType::Q2K)),
        (Mix::IQ1M, "blk.2.ffn_down.weight", Some(DType::IQ1M)),
        (Mix::IQ1M, "blk.2.attn_output.weight", Some(DType::IQ2XXS)),
        (Mix::IQ2XXS, "blk.2.attn_v.weight", Some(DType::Q2K)),
        (Mix::IQ2XS, "blk.2.attn_q.weight", Some(DType::IQ2XS)),
        (Mix::IQ2S, "blk.2.attn_q.weight", Some(DType::IQ2XS)),
        (Mix::IQ2M, "blk.2.attn_q.weight", Some(DType::IQ2S)),
        (Mix::IQ2M, "blk.2.attn_output.weight", Some(DType::IQ3S)),
        (Mix::IQ3XXS, "blk.2.attn_q.weight", Some(DType::IQ2S)),
        (Mix::IQ3XXS, "blk.2.attn_v.weight", Some(DType::IQ3S)),
        (Mix::IQ3XXS, "blk.1.ffn_down.weight", Some(DType::Q4K)),
        (Mix::IQ3XXS, "blk.2.ffn_down.weight", Some(DType::Q3K)),
        (Mix::IQ3XS, "blk.1.ffn_up.weight", Some(DType::IQ3S)),
        (Mix::IQ3XS, "blk.2.ffn_gate.weight", Some(DType::IQ3XXS)),
        (Mix::IQ3XS, "blk.14.ffn_gate.weight", Some(DType::IQ3S)),
        (Mix::IQ3XS, "blk.3.attn_k.weight", Some(DType::IQ3XXS)),
        (Mix::IQ3S, "blk.2.attn_v.weight", Some(DType::IQ3S)),
        (Mix::IQ3M, "blk.2.attn_v.weight", Some(DType::Q4K)),
        (Mix::IQ4NL, "blk.1.ffn_down.weight", Some(DType::Q5K)),
        (Mix::IQ4XS, "blk.2.ffn_down.weight", Some(DType::IQ4XS)),
        (Mix::IQ4XS, "output.weight", Some(DType::Q6K)),
        (Mix::TQ1_0, "token_embd.weight", Some(DType::Q4K)),
        (Mix::TQ2_0, "blk.2.ffn_down.weight", Some(DType::TQ2_0)),
        (Mix::Q1_0, "token_embd.weight", Some(DType::Q1_0)),
        (Mix::Q2_0, "blk.2.ffn_up.weight", Some(DType::Q2_0)),
        (Mix::MXFP4, "blk.2.ffn_up.weight", Some(DType::Q8_0)),
        (Mix::F16, "output.weight", Some(DType::F16)),
        (Mix::BF16, "blk.0.attn_v.weight", Some(DType::BF16)),
    ];
    let mut wrong = Vec::new();
    for (mix, name, expected) in cases {
        let quantizer = Quantizer::new(mix);
        let plan = quantizer.plan(&input).expect("a plan");
        let found = plan.tensors().iter().find(|t| t.info.name == name).map(|t| t.to);
        if found != Some(expected) {
            wrong.push(format!("{mix} {name}: {found:?}, expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The matrices of experts are stacked; only they get MXFP4 in its mix.
#[test]
fn stacks_of_experts_get_mxfp4() {
    let folder = Folder::new("experts");
    let path = folder.path("m.gguf");
    model("llama", 1, 64, 2)
        .tensor("blk.1.ffn_up_exps.weight", GgmlType::F32, &[64, 2, 3], vec![0; 64 * 6 * 4])
        .write_file(&path)
        .expect("a file");
    let input = open(&path);
    let quantizer = Quantizer::new(Mix::MXFP4);
    let plan = quantizer.plan(&input).expect("a plan");
    let to = |name: &str| plan.tensors().iter().find(|t| t.info.name == name).and_then(|t| t.to);
    assert_eq!(to("blk.1.ffn_up_exps.weight"), Some(DType::MXFP4));
    assert_eq!(to("blk.0.ffn_up.weight"), Some(DType::Q8_0));
}

/// Without exceptions, only blocks that don't fit and overrides change the type; every mix can be written.
#[test]
fn pure_mixes_have_one_type() {
    let folder = Folder::new("pure");
    let (path, out) = (folder.path("m.gguf"), folder.path("out.gguf"));
    model("llama", 1, 256, 2).write_file(&path).expect("a file");
    let input = open(&path);
    for mix in Mix::ALL.iter().copied() {
        let quantizer = Quantizer::new(mix).pure(true).with_override("output=F16".parse().expect("a rule"));
        let plan = quantizer.plan(&input).expect("a plan");
        let covered = plan.tensors().iter().filter(|t| t.to.is_some());
        for t in covered {
            let expected = if t.info.name == "output.weight" || t.info.name.contains("attn_output") {
                DType::F16
            } else {
                mix.dtype()
            };
            assert_eq!(t.to, Some(expected), "{mix} {}", t.info.name);
        }
        let written = plan.write_file(&out, &RunOptions { threads: 2, ..RunOptions::default() });
        assert_eq!(written.ok(), plan.file_len().ok(), "{mix}");
        let types: Vec<_> = open(&out).view().tensors().map(|(_, t)| t.ty.name()).collect();
        assert!(types.contains(&mix.dtype().name()), "{mix}: {types:?}");
    }
}

/// The first matching override counts. A matrix whose rows are not whole blocks gets another type.
#[test]
fn overrides_come_before_the_mix() {
    let folder = Folder::new("overrides");
    let path = folder.path("m.gguf");
    model("llama", 2, 96, 2).write_file(&path).expect("a file");
    let input = open(&path);
    let rule = |s: &str| s.parse().expect("a rule");
    let quantizer = Quantizer::new(Mix::Q4KM)
        .with_override(rule("blk.0.ffn_*=F16"))
        .with_override(rule("ffn_up=Q8_0"))
        .with_override(rule("attn_q=Q6_K"));
    let plan = quantizer.plan(&input).expect("a plan");
    let types = |name: &str| plan.tensors().iter().find(|t| t.info.name == name).map(|t| (t.asked, t.to));
    for (name, asked, to) in [
        ("blk.0.ffn_up.weight", DType::F16, DType::F16),
        ("blk.1.ffn_up.weight", DType::Q8_0, DType::Q8_0),
        ("blk.0.attn_q.weight", DType::Q6K, DType::Q8_0),
        ("blk.0.attn_k.weight", DType::Q4K, DType::Q5_0),
    ] {
        assert_eq!(types(name), Some((Some(asked), Some(to))), "{name}");
    }
}

/// A file that llama.cpp made as a mix has the types of that mix.
#[test]
fn the_mixes_are_those_of_real_files() {
    for (name, mix) in
        [("gemma-3-270m-q4_k_m.gguf", Mix::Q4KM), ("SmolLM2-135M-Instruct.Q4_1.gguf", Mix::Q4_1)]
    {
        let Some(path) = happy_testkit::model(name) else { continue };
        let input = open(path);
        let quantizer = Quantizer::new(mix).requantize(true);
        let plan = quantizer.plan(&input).expect("a plan");
        let others: Vec<_> = plan.tensors().iter().filter(|t| t.encoded().is_some()).collect();
        assert!(others.is_empty(), "{name}: {others:#?}");
        assert!(plan.tensors().iter().any(|t| t.to.is_some()), "{name}");
    }
}

#[test]
fn mistakes_are_refused_before_anything_is_written() {
    let folder = Folder::new("refused");
    let (plain, big, encoded) = (folder.path("m.gguf"), folder.path("big.gguf"), folder.path("q.gguf"));
    model("llama", 2, 64, 2).write_file(&plain).expect("a file");
    model("llama", 2, 64, 2).byte_order(ByteOrder::Big).write_file(&big).expect("a file");
    let block = vec![0; GgmlType::Q8_0.row_bytes(64).expect("a size") as usize];
    model("llama", 1, 64, 2)
        .tensor("blk.1.attn_q.weight", GgmlType::Q8_0, &[64, 1], block.clone())
        .tensor("blk.2.attn_q.weight", GgmlType::Q8_0, &[64, 2], [block.clone(), block].concat())
        .write_file(&encoded)
        .expect("a file");
    let new = || Quantizer::new(Mix::Q4_0);
    let weights = Imatrix::parse(&older(b"blk.0.attn_q.weight", 1, &[1.0; 63])).expect("a matrix");
    let cases = [
        (
            &plain,
            new().with_override("nothing=F16".parse().expect("a rule")),
            Kind::UnusedOverride,
            "nothing=F16",
        ),
        (&plain, new().with_imatrix(weights), Kind::InvalidImatrix, "expected 1 x 64 weights, found 63"),
        (&encoded, new(), Kind::AlreadyQuantized, "tensor `blk.2.attn_q.weight`: Q8_0 already"),
        // Their tensors would be read as little-endian ones.
        (&big, new(), Kind::Unsupported, "big-endian"),
    ];
    let mut wrong = Vec::new();
    for (path, quantizer, kind, message) in cases {
        match quantizer.plan(&open(path)) {
            Err(e) if e.kind() == kind && e.to_string().contains(message) => {}
            other => wrong.push(format!("{kind:?}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(
        Quantizer::new(Mix::Q4_0).requantize(true).plan(&open(&encoded)).map(|_| ()).map_err(|e| e.kind()),
        Ok(())
    );
}
