//! Adapters for the matrices of every kind of block: latent attention, Gemma 3n's alternating updates, RWKV, short convolutions, state
//! space models, delta nets, and encoders. Each adapted model computes the same as merged weights, with the same bits for any size of
//! chunks and any number of threads.

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use common::{Runner, parse, recipes};
use happy_gguf::{GgmlType, Gguf, GgufFile, GgufWriter};
use happy_kernels::Kernels;
use happy_model::{AdapterSet, Batch, KvOptions, KvType, Loader, Pooling, Want};
use happy_testkit::{le_bytes, uniform};

const RANK: u64 = 3;
const ALPHA: f32 = 6.0;

/// Recipes, the smallest number of their matrices that must take an adapter, and some matrices that must be among them.
const CASES: [(&str, usize, &[&str]); 9] = [
    ("deepseek2-moe", 19, &["attn_q_b", "attn_kv_a_mqa", "attn_output"]),
    ("minicpm3", 16, &["attn_q_a", "attn_kv_b", "ffn_down"]),
    ("gemma3n", 260, &["attn_q", "inp_gate", "proj", "laurel_l", "ffn_up"]),
    ("rwkv6", 33, &["time_mix_key", "time_mix_output", "channel_mix_value"]),
    ("lfm2", 26, &["shortconv.in_proj", "shortconv.out_proj", "attn_q"]),
    ("mamba2", 8, &["ssm_in", "ssm_out"]),
    ("qwen35", 15, &["attn_q", "ssm_out", "ffn_gate"]),
    ("bert", 18, &["attn_q", "ffn_up", "ffn_down"]),
    ("modern-bert", 20, &["attn_output", "ffn_down"]),
];

/// A matrix: its name and its dimensions, with the row length first.
type Matrix = (String, u64, u64);

/// Returns the recipe's file and its tokens.
fn recipe(name: &str) -> (GgufFile, Vec<u32>) {
    let mut all = recipes::embeddings();
    all.retain(|recipe| recipe["name"] == name);
    let recipe = all.pop().unwrap_or_else(|| recipes::named(&[name]).remove(0));
    let tokens = recipe["tokens"].as_array().unwrap().iter().take(24).map(|t| t.as_u64().unwrap() as u32);
    (recipes::build(&recipe), tokens.collect())
}

/// Returns the matrices of all layers.
fn matrices(file: &GgufFile) -> Vec<Matrix> {
    let gguf = Gguf::parse(file.bytes()).unwrap();
    let of_layer = gguf.tensors().filter(|t| t.name.starts_with("blk.") && t.name.ends_with(".weight"));
    let two = of_layer.filter(|t| t.ty == GgmlType::F32 && t.dims.len() == 2);
    two.map(|t| (t.name.to_owned(), t.dims[0], t.dims[1])).collect()
}

fn half(name: &str, part: &str, n: u64) -> Vec<f32> {
    uniform(&format!("{name}.{part}"), 5, n as usize).map(|u| 0.1 * u).collect()
}

/// Returns an adapter for these matrices.
fn adapter(architecture: &str, matrices: &[Matrix]) -> GgufFile {
    let mut writer = GgufWriter::new()
        .kv("general.architecture", architecture)
        .kv("general.type", "adapter")
        .kv("adapter.type", "lora")
        .kv("adapter.lora.alpha", ALPHA);
    for (name, n_in, n_out) in matrices {
        let (a, b) = (half(name, "lora_a", n_in * RANK), half(name, "lora_b", RANK * n_out));
        writer = writer
            .tensor(format!("{name}.lora_a"), GgmlType::F32, &[*n_in, RANK], le_bytes(a.into_iter()))
            .tensor(format!("{name}.lora_b"), GgmlType::F32, &[RANK, *n_out], le_bytes(b.into_iter()));
    }
    parse(writer.to_vec().unwrap())
}

/// Returns the file with `s B A` added to these matrices.
fn merged(file: &GgufFile, matrices: &[Matrix]) -> GgufFile {
    let gguf = Gguf::parse(file.bytes()).unwrap();
    let mut writer = GgufWriter::new();
    for (key, value) in gguf.metadata().iter() {
        writer = writer.kv_read(key, value);
    }
    let scale = ALPHA / RANK as f32;
    for tensor in gguf.tensors() {
        let (name, data) = (tensor.name, gguf.data(&tensor).unwrap());
        let Some((_, n_in, n_out)) = matrices.iter().find(|(matrix, ..)| matrix == name) else {
            writer = writer.tensor(name, tensor.ty, &tensor.dims, data);
            continue;
        };
        let (a, b) = (half(name, "lora_a", n_in * RANK), half(name, "lora_b", RANK * n_out));
        let weights = data.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word));
        let (n_in, rank) = (*n_in as usize, RANK as usize);
        let values = weights.enumerate().map(|(at, weight)| {
            let (row, column) = (at / n_in, at % n_in);
            weight + scale * (0..rank).map(|k| b[row * rank + k] * a[k * n_in + column]).sum::<f32>()
        });
        writer = writer.tensor(name, GgmlType::F32, &tensor.dims, le_bytes(values));
    }
    parse(writer.to_vec().unwrap())
}

/// Returns the result of each token: its logits or, for models that see texts as a whole, its hidden state.
fn rows(
    file: &GgufFile,
    adapter: Option<&GgufFile>,
    tokens: &[u32],
    threads: usize,
    chunk: usize,
) -> Vec<f32> {
    let kernels = Kernels::detect().unwrap();
    let model = Loader::new(&kernels).load(file).unwrap();
    let whole = model.spec().whole_texts;
    let kind = if whole { KvType::F32 } else { KvType::F16 };
    let mut runner = Runner::sized(model, kernels, threads, KvOptions::new(kind, 2, 64));
    let adapter = adapter.map(|file| Arc::new(runner.model.adapter(file, &runner.kernels).unwrap()));
    let set = adapter.map(|adapter| Arc::new(AdapterSet::new(&[(adapter, 1.0)]).unwrap()));
    let mut batch = Batch::with_capacity(tokens.len());
    batch.use_adapters(set.as_ref()).unwrap();
    if whole {
        batch.push_text(tokens, 0, Pooling::None).unwrap();
        let cx = happy_kernels::Ctx::new(&runner.pool, &runner.kernels);
        let (kv, scratch) = (&mut runner.kv, &mut runner.scratch);
        let found =
            runner.model.embed(cx, &batch, kv, scratch, Pooling::None, &AtomicBool::new(false)).unwrap();
        return found.rows().flatten().copied().collect();
    }
    let mut all = Vec::new();
    for (at, part) in tokens.chunks(chunk).enumerate() {
        batch.clear();
        batch.use_adapters(set.as_ref()).unwrap();
        for (i, token) in part.iter().enumerate() {
            batch.push(*token, (at * chunk + i) as u32, 0, Want::Logits).unwrap();
        }
        all.extend(runner.logits(&batch).unwrap().concat());
    }
    all
}

fn nmse(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |x: f64| x * x;
    let error: f64 = found.iter().zip(expected).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    error / expected.iter().map(|x| square(f64::from(*x))).sum::<f64>()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn every_block_computes_what_merged_weights_compute() {
    let mut wrong = Vec::new();
    for (name, least, must) in CASES {
        let (file, tokens) = recipe(name);
        let kernels = Kernels::detect().unwrap();
        let model = Loader::new(&kernels).load(&file).unwrap();
        let architecture = model.spec().architecture;
        // Only matrices that rows are multiplied with take an adapter; tables, two-dimensional vectors and convolutions don't.
        let mut takes = matrices(&file);
        let all = takes.len();
        takes
            .retain(|one| model.adapter(&adapter(architecture, std::slice::from_ref(one)), &kernels).is_ok());
        println!("{name}: {} of {all} matrices take an adapter", takes.len());
        if takes.len() < least {
            wrong.push(format!("{name}: only {} matrices take an adapter", takes.len()));
        }
        for part in must {
            if !takes.iter().any(|(name, ..)| name.ends_with(&format!(".{part}.weight"))) {
                wrong.push(format!("{name}: `{part}` takes no adapter"));
            }
        }
        let adapter = adapter(architecture, &takes);
        let (plain, adapted) =
            (rows(&file, None, &tokens, 1, 24), rows(&file, Some(&adapter), &tokens, 1, 24));
        let (changed, off) =
            (nmse(&adapted, &plain), nmse(&adapted, &rows(&merged(&file, &takes), None, &tokens, 1, 24)));
        println!("  the adapter changes {changed:.2e}, and differs from merged weights by {off:.2e}");
        if changed.is_nan() || changed < 1e-3 || off.is_nan() || off > 1e-6 {
            wrong.push(format!("{name}: changes {changed:.2e}, off by {off:.2e}"));
        }
        for (threads, chunk) in [(2, 24), (3, 7), (1, 1)] {
            if bits(&rows(&file, Some(&adapter), &tokens, threads, chunk)) != bits(&adapted) {
                wrong.push(format!("{name}: other bits with {threads} threads in chunks of {chunk}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
