//! Adapters: the bits of a row depend only on its sequence and its adapters, and an adapter that doesn't fit the model is refused.

mod common;

use std::sync::Arc;

use common::{Edit, Runner, batch, bits, many_experts, parse, plain, q4_0, small_llama, tokens};
use happy_gguf::{GgmlType, GgufFile, GgufWriter};
use happy_kernels::{Isa, Kernels};
use happy_model::{
    Adapter, AdapterError, AdapterSet, Batch, BatchError, ForwardError, KvType, RunOptions, Want,
};
use happy_testkit::{le_bytes, uniform};

const FORMATS: [(&str, Edit<'static>); 2] = [("F32", &plain), ("Q4_0", &q4_0)];

/// Returns the header of an adapter for Llama.
fn header() -> GgufWriter<'static> {
    GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("general.type", "adapter")
        .kv("adapter.type", "lora")
        .kv("adapter.lora.alpha", 6.0f32)
}

/// A tensor's name and dimensions.
type Dims = (String, Vec<u64>);

fn with<'a>(mut writer: GgufWriter<'a>, tensors: &'a [Dims], seed: u64) -> GgufFile {
    for (name, dims) in tensors {
        let n = dims.iter().product::<u64>() as usize;
        writer = writer.tensor(
            name.as_str(),
            GgmlType::F32,
            dims,
            le_bytes(uniform(name, seed, n).map(|u| 0.2 * u)),
        );
    }
    parse(writer.to_vec().unwrap())
}

fn pair(name: &str, n_in: u64, rank: u64, n_out: u64) -> [Dims; 2] {
    [(format!("{name}.lora_a"), vec![n_in, rank]), (format!("{name}.lora_b"), vec![rank, n_out])]
}

/// Returns a pair of matrices for every matrix of `small_llama`, including the tied output matrix.
fn every_matrix(rank: u64) -> Vec<Dims> {
    let (e, kv, ff, v) = (64, 32, 96, 96);
    let mut all = Vec::from(pair("output.weight", e, rank, v));
    all.push(("token_embd.weight.lora_a".into(), vec![rank, v]));
    all.push(("token_embd.weight.lora_b".into(), vec![rank, e]));
    for l in 0..2 {
        let parts = [("attn_q", e, e), ("attn_k", e, kv), ("attn_v", e, kv), ("attn_output", e, e)];
        let ffn = [("ffn_gate", e, ff), ("ffn_up", e, ff), ("ffn_down", ff, e)];
        for (part, n_in, n_out) in parts.into_iter().chain(ffn) {
            all.extend(pair(&format!("blk.{l}.{part}.weight"), n_in, rank, n_out));
        }
    }
    all
}

fn load(runner: &Runner, file: &GgufFile) -> Arc<Adapter> {
    Arc::new(runner.model.adapter(file, &runner.kernels).unwrap())
}

/// Returns four sets, with one adapter, two adapters, another adapter, and none.
fn sets(runner: &Runner) -> [Option<Arc<AdapterSet>>; 4] {
    let few: Vec<Dims> = every_matrix(5).into_iter().filter(|(name, _)| name.contains("attn_q")).collect();
    let a = load(runner, &with(header(), &every_matrix(3), 11));
    let b = load(runner, &with(header(), &every_matrix(4), 12));
    let c = load(runner, &with(header(), &few, 13));
    let set = |list: &[(Arc<Adapter>, f32)]| Some(Arc::new(AdapterSet::new(list).unwrap()));
    [set(&[(a.clone(), 1.0)]), set(&[(b, 0.5), (a, -0.25)]), set(&[(c, 2.0)]), None]
}

/// Returns a batch of one sequence with an adapter set.
fn adapted(tokens: &[u32], first: usize, sequence: u32, set: Option<&Arc<AdapterSet>>) -> Batch {
    let mut all = Batch::with_capacity(tokens.len());
    all.use_adapters(set).unwrap();
    for (i, token) in tokens.iter().enumerate() {
        all.push(*token, (first + i) as u32, sequence, Want::Logits).unwrap();
    }
    all
}

#[test]
fn four_sequences_with_four_sets_have_the_bits_that_they_have_alone() {
    for (format, edit) in FORMATS {
        let file = small_llama(edit);
        let prompts: Vec<Vec<u32>> = [20, 1, 7, 13].iter().map(|n| tokens(*n, *n as u64)).collect();
        let mut expected = Vec::new();
        for (prompt, i) in prompts.iter().zip(0..) {
            let mut alone = Runner::new(&file, Kernels::scalar(), 1, KvType::F16, 4);
            let set = &sets(&alone)[i];
            expected.extend(alone.logits(&adapted(prompt, 0, 0, set.as_ref())).unwrap());
        }
        let without = bits(
            &Runner::new(&file, Kernels::scalar(), 1, KvType::F16, 4)
                .logits(&batch(&prompts[0], 0, 0))
                .unwrap(),
        );
        assert!(bits(&expected[..20]) != without, "{format}: the adapter changes nothing");
        for isa in Isa::ALL {
            let Ok(kernels) = Kernels::with_isa(isa) else {
                println!("{isa}: skipped, this machine lacks it");
                continue;
            };
            for threads in 1..=3 {
                let mut runner = Runner::new(&file, kernels, threads, KvType::F16, 8);
                let sets = sets(&runner);
                let mut all = Batch::with_capacity(100);
                for (s, (prompt, set)) in prompts.iter().zip(&sets).enumerate() {
                    all.use_adapters(set.as_ref()).unwrap();
                    for (i, t) in prompt.iter().enumerate() {
                        all.push(*t, i as u32, s as u32, Want::Logits).unwrap();
                    }
                }
                assert!(
                    bits(&runner.logits(&all).unwrap()) == bits(&expected),
                    "{format} {isa} {threads} threads"
                );
                // in chunks, where only the last row's logits are wanted
                let mut runner = Runner::new(&file, kernels, threads, KvType::F16, 8);
                let sets = self::sets(&runner);
                for (at, part) in prompts[0].chunks(6).enumerate() {
                    let mut chunk = Batch::with_capacity(6);
                    chunk.use_adapters(sets[0].as_ref()).unwrap();
                    chunk.push_tokens(part, 6 * at as u32, 0, Want::Logits).unwrap();
                    let cx = happy_kernels::Ctx::new(&runner.pool, &runner.kernels);
                    let (kv, scratch) = (&mut runner.kv, &mut runner.scratch);
                    let out =
                        runner.model.forward(cx, &chunk, kv, scratch, &mut happy_model::NoHook).unwrap();
                    let last = out.logits(part.len() - 1).unwrap().to_vec();
                    assert!(
                        bits(&[last]) == bits(&expected[6 * at + part.len() - 1..][..1]),
                        "{format} {isa} chunk {at}"
                    );
                }
            }
        }
    }
}

/// With `s = scale * alpha / rank`, an adapter of one matrix gives the same result as a merged matrix.
#[test]
fn an_adapter_is_what_merged_weights_are() {
    let ids = tokens(9, 5);
    let names = [
        ("blk.0.attn_q.weight", 64, 64),
        ("blk.1.ffn_gate.weight", 64, 96),
        ("blk.1.ffn_down.weight", 96, 64),
    ];
    let list: Vec<Dims> = names.iter().flat_map(|(name, n_in, n_out)| pair(name, *n_in, 3, *n_out)).collect();
    let adapter = with(header(), &list, 3);
    let merge = |name: &str, dims: Vec<u64>, mut values: Vec<f32>| {
        if let Some((_, n_in, n_out)) = names.iter().find(|(n, ..)| *n == name) {
            let (n_in, n_out) = (*n_in as usize, *n_out as usize);
            let half = |suffix: &str, n| -> Vec<f32> {
                uniform(&format!("{name}.{suffix}"), 3, n).map(|u| 0.2 * u).collect()
            };
            let (a, b) = (half("lora_a", n_in * 3), half("lora_b", 3 * n_out));
            for (at, w) in values.iter_mut().enumerate() {
                let (row, col) = (at / n_in, at % n_in);
                *w += (0..3).map(|r| 0.5 * 6.0 / 3.0 * b[row * 3 + r] * a[r * n_in + col]).sum::<f32>();
            }
        }
        plain(name, dims, values)
    };
    let merged = Runner::new(&small_llama(&merge), Kernels::scalar(), 1, KvType::F32, 4)
        .logits(&batch(&ids, 0, 0))
        .unwrap();
    let mut runner = Runner::new(&small_llama(&plain), Kernels::detect().unwrap(), 2, KvType::F32, 4);
    let set = Arc::new(AdapterSet::new(&[(load(&runner, &adapter), 0.5)]).unwrap());
    let found = runner.logits(&adapted(&ids, 0, 0, Some(&set))).unwrap();
    let worst =
        found.iter().flatten().zip(merged.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{worst}");
}

#[test]
fn experts_have_adapters_of_their_own() {
    let file = many_experts(2, 8);
    let list: Vec<Dims> = (0..2)
        .flat_map(|l| {
            let stacked = |part: &str, n_in, n_out| {
                let name = format!("blk.{l}.{part}.weight");
                [(format!("{name}.lora_a"), vec![n_in, 3, 8]), (format!("{name}.lora_b"), vec![3, n_out, 8])]
            };
            [stacked("ffn_gate_exps", 2, 1), stacked("ffn_up_exps", 2, 1), stacked("ffn_down_exps", 1, 2)]
        })
        .flatten()
        .chain(pair("blk.0.ffn_gate_inp.weight", 2, 2, 8))
        .collect();
    let adapter = with(header(), &list, 3);
    let ids: Vec<u32> = (0..24).map(|i| i * 5 % 8).collect();
    let run = |isa, threads, adapter: Option<&GgufFile>| {
        let mut runner = Runner::new(&file, Kernels::with_isa(isa).unwrap(), threads, KvType::F32, 4);
        let set = adapter.map(|file| Arc::new(AdapterSet::new(&[(load(&runner, file), 4.0)]).unwrap()));
        let first = runner.logits(&adapted(&ids[..12], 0, 0, set.as_ref())).unwrap();
        let rest = runner.logits(&adapted(&ids[12..], 12, 0, set.as_ref())).unwrap();
        bits(&[first, rest].concat())
    };
    let expected = run(Isa::Scalar, 1, Some(&adapter));
    assert!(expected != run(Isa::Scalar, 1, None), "the adapter changes nothing");
    for isa in Isa::ALL.into_iter().filter(|isa| Kernels::with_isa(*isa).is_ok()) {
        assert!(run(isa, 2, Some(&adapter)) == expected, "{isa}");
    }
}

#[test]
fn what_does_not_fit_the_model_is_refused_by_name() {
    let runner = Runner::new(&small_llama(&plain), Kernels::scalar(), 1, KvType::F32, 4);
    let error = |file: &GgufFile| runner.model.adapter(file, &runner.kernels).unwrap_err().to_string();
    let q = || pair("blk.0.attn_q.weight", 64, 2, 64).to_vec();
    let key = |key: &str, value: &str| {
        let keys = [("general.architecture", "llama"), ("general.type", "adapter"), ("adapter.type", "lora")];
        let of = |(k, v): (&'static str, &'static str)| {
            (k, if k == key { value.to_owned() } else { v.to_owned() })
        };
        keys.map(of).into_iter().fold(GgufWriter::new(), |w, (k, v)| w.kv(k, v))
    };
    let one = |name: &str, dims: &[u64]| vec![(name.to_owned(), dims.to_vec())];
    let cases: [(GgufFile, &str); 13] = [
        (with(key("general.type", "model"), &q(), 1), "`general.type` is `model`, expected `adapter`"),
        (with(key("adapter.type", "control"), &q(), 1), "`adapter.type` is `control`, expected `lora`"),
        (with(key("general.architecture", "gemma3"), &q(), 1), "architecture `gemma3`, the model is `llama`"),
        (with(GgufWriter::new().kv("general.architecture", "llama"), &q(), 1), "`general.type` is missing"),
        (with(header(), &[], 1), "no tensors"),
        (with(header(), &q()[..1], 1), "no tensor `blk.0.attn_q.weight.lora_b`"),
        (with(header(), &q()[1..], 1), "no tensor `blk.0.attn_q.weight.lora_a`"),
        (with(header(), &pair("blk.7.attn_q.weight", 64, 2, 64), 1), "no matrix `blk.7.attn_q.weight`"),
        (with(header(), &pair("blk.0.attn_norm.weight", 64, 2, 64), 1), "no matrix `blk.0.attn_norm.weight`"),
        (
            with(header(), &pair("blk.0.attn_q.weight", 32, 2, 64), 1),
            "attn_q.weight.lora_a` of the adapter is 32 x 2, expected 64 x 2",
        ),
        (
            with(header(), &pair("blk.0.attn_k.weight", 64, 2, 64), 1),
            "attn_k.weight.lora_b` of the adapter is 2 x 64, expected 2 x 32",
        ),
        (
            with(header(), &one("blk.0.attn_norm.weight", &[64]), 1),
            "unsupported: tensor `blk.0.attn_norm.weight`",
        ),
        (with(header().kv("adapter.alora.invocation_tokens", vec![5u32, 96]), &q(), 1), "not a token id"),
    ];
    for (file, expected) in &cases {
        let found = error(file);
        assert!(found.contains(expected), "found: {found}\nexpected: {expected}");
    }
}

#[test]
fn sets_that_were_not_planned_for_change_nothing() {
    let mut runner = Runner::new(&small_llama(&plain), Kernels::scalar(), 1, KvType::F32, 4);
    let adapter = load(&runner, &with(header(), &every_matrix(9), 1));
    let large = Arc::new(AdapterSet::new(&[(adapter.clone(), 1.0), (adapter.clone(), 1.0)]).unwrap());
    let error = runner.logits(&adapted(&[1, 2], 0, 0, Some(&large))).unwrap_err();
    assert_eq!(error, ForwardError::Batch(BatchError::AdapterRank { found: 18, planned: 16 }));
    assert_eq!(runner.kv.len(0), 0);
    let other = Runner::new(&small_llama(&plain), Kernels::scalar(), 1, KvType::F32, 4);
    let foreign = load(&other, &with(header(), &every_matrix(2), 1));
    let set = Arc::new(AdapterSet::new(&[(foreign.clone(), 1.0)]).unwrap());
    let error = runner.logits(&adapted(&[1, 2], 0, 0, Some(&set))).unwrap_err();
    assert_eq!(error, ForwardError::Batch(BatchError::OtherAdapters));
    let mixed = AdapterSet::new(&[(adapter.clone(), 1.0), (foreign, 1.0)]);
    assert!(matches!(mixed, Err(AdapterError::OtherModel { index: 1 })));
    assert!(matches!(
        AdapterSet::new(&[(adapter.clone(), f32::NAN)]),
        Err(AdapterError::Scale { index: 0, .. })
    ));
    assert!(AdapterSet::new(&[(adapter, 0.0)]).unwrap().is_empty());
    let zero = RunOptions { n_batch: 8, n_outputs: 8, threads: 1, n_ctx: 64, adapter_rank: 0 };
    let planned = RunOptions { adapter_rank: 4, ..zero };
    let bytes = |run| runner.model.plan(runner.kv.options(), &run).scratch_bytes;
    assert!(bytes(zero) < bytes(planned));
}

#[test]
fn matrices_of_other_formats_are_decoded() {
    let mut runner = Runner::new(&small_llama(&plain), Kernels::detect().unwrap(), 1, KvType::F32, 4);
    let values: Vec<f32> = uniform("a", 1, 64 * 2).collect();
    let (ty, dims, bytes) = q4_0("a", vec![64, 2], values).unwrap();
    let b: Vec<f32> = uniform("b", 1, 2 * 64).collect();
    let half = |x: &f32| ((x.to_bits() >> 16) as u16).to_le_bytes();
    let file = header().tensor("blk.0.attn_q.weight.lora_a", ty, &dims, bytes).tensor(
        "blk.0.attn_q.weight.lora_b",
        GgmlType::BF16,
        &[2, 64],
        b.iter().flat_map(half).collect::<Vec<u8>>(),
    );
    let set = Arc::new(AdapterSet::new(&[(load(&runner, &parse(file.to_vec().unwrap())), 1.0)]).unwrap());
    let with = runner.logits(&adapted(&[1, 2, 3], 0, 0, Some(&set))).unwrap();
    let without = runner.logits(&batch(&[1, 2, 3], 0, 1)).unwrap();
    assert!(bits(&with) != bits(&without));
}
