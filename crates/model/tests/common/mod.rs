//! What the tests have in common: model files that are built in memory, and code that runs them.
#![allow(dead_code)] // each test file uses a part

pub(crate) mod recipes;

use std::sync::Arc;

use happy_gguf::{GgmlType, GgufFile, GgufWriter, Limits};
use happy_kernels::{Ctx, Kernels, Pool};
use happy_model::{Batch, KvCache, KvOptions, KvType, Model, NoHook, RunOptions, Scratch, Want};
use happy_testkit::{le_bytes, uniform};

/// Parses a file.
pub(crate) fn parse(bytes: Vec<u8>) -> GgufFile {
    GgufFile::from_shared(Arc::new(bytes), &Limits::default()).unwrap()
}

/// Changes a tensor of a small model: takes its name, dimensions and values, and returns its type, dimensions and bytes, or `None`
/// to drop it.
pub(crate) type Edit<'a> = &'a dyn Fn(&str, Vec<u64>, Vec<f32>) -> Option<(GgmlType, Vec<u64>, Vec<u8>)>;

/// Returns a Llama with 2 layers, 4 heads, 2 key-value heads, 64 channels and 96 tokens. `edit` changes or drops tensors.
pub(crate) fn small_llama(edit: Edit<'_>) -> GgufFile {
    let (e, kv, ff, v) = (64u64, 32u64, 96u64, 96u64);
    let mut w = GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("llama.context_length", 512u32)
        .kv("llama.embedding_length", e as u32)
        .kv("llama.block_count", 2u32)
        .kv("llama.feed_forward_length", ff as u32)
        .kv("llama.attention.head_count", 4u32)
        .kv("llama.attention.head_count_kv", 2u32)
        .kv("llama.attention.layer_norm_rms_epsilon", 1e-5f32);
    let mut tensors =
        vec![("token_embd.weight".to_owned(), vec![e, v]), ("output_norm.weight".to_owned(), vec![e])];
    for l in 0..2 {
        let parts: [(&str, Vec<u64>); 9] = [
            ("attn_norm", vec![e]),
            ("attn_q", vec![e, e]),
            ("attn_k", vec![e, kv]),
            ("attn_v", vec![e, kv]),
            ("attn_output", vec![e, e]),
            ("ffn_norm", vec![e]),
            ("ffn_gate", vec![e, ff]),
            ("ffn_up", vec![e, ff]),
            ("ffn_down", vec![ff, e]),
        ];
        tensors.extend(parts.map(|(part, dims)| (format!("blk.{l}.{part}.weight"), dims)));
    }
    for (name, dims) in tensors {
        let n = dims.iter().product::<u64>() as usize;
        let offset = if dims.len() == 1 { 1.0 } else { 0.0 };
        let values: Vec<f32> = uniform(&name, 1, n).map(|u| offset + 0.2 * u).collect();
        if let Some((ty, dims, bytes)) = edit(&name, dims, values) {
            w = w.tensor(name, ty, &dims, bytes);
        }
    }
    parse(w.to_vec().unwrap())
}

/// The edit that changes nothing.
pub(crate) fn plain(_: &str, dims: Vec<u64>, values: Vec<f32>) -> Option<(GgmlType, Vec<u64>, Vec<u8>)> {
    Some((GgmlType::F32, dims, le_bytes(values.into_iter())))
}

/// A model with everything a run needs.
pub(crate) struct Runner {
    pub(crate) model: Model,
    pub(crate) kernels: Kernels,
    pub(crate) pool: Pool,
    pub(crate) kv: KvCache,
    pub(crate) scratch: Scratch,
}

impl Runner {
    pub(crate) fn new(
        file: &GgufFile,
        kernels: Kernels,
        threads: usize,
        kind: KvType,
        n_pages: usize,
    ) -> Runner {
        let model = Model::load(file, &kernels).unwrap();
        Runner::of(model, kernels, threads, kind, n_pages)
    }

    pub(crate) fn of(model: Model, kernels: Kernels, threads: usize, kind: KvType, n_pages: usize) -> Runner {
        Runner::sized(model, kernels, threads, KvOptions { n_pages, ..KvOptions::new(kind, 4, 256) })
    }

    /// Makes a runner with a cache of the caller's choice, for batches of up to 200 tokens.
    pub(crate) fn sized(model: Model, kernels: Kernels, threads: usize, options: KvOptions) -> Runner {
        let run =
            RunOptions { n_batch: 200, n_outputs: 200, threads, n_ctx: options.n_ctx, adapter_rank: 16 };
        let kv = model.kv_cache(options).unwrap();
        let scratch = model.scratch(&run).unwrap();
        Runner { model, kernels, pool: Pool::new(threads).unwrap(), kv, scratch }
    }

    pub(crate) fn cx(&self) -> Ctx<'_> {
        Ctx::new(&self.pool, &self.kernels)
    }

    /// Returns the logits of all tokens of a batch.
    pub(crate) fn logits(&mut self, batch: &Batch) -> Result<Vec<Vec<f32>>, happy_model::ForwardError> {
        let cx = Ctx::new(&self.pool, &self.kernels);
        let out = self.model.forward(cx, batch, &mut self.kv, &mut self.scratch, &mut NoHook)?;
        Ok((0..batch.len()).filter_map(|i| out.logits(i)).map(<[f32]>::to_vec).collect())
    }
}

/// Returns a batch of one sequence, in which logits of every token are wanted.
pub(crate) fn batch(tokens: &[u32], first: u32, sequence: u32) -> Batch {
    let mut b = Batch::with_capacity(tokens.len());
    for (i, t) in tokens.iter().enumerate() {
        b.push(*t, first + i as u32, sequence, Want::Logits).unwrap();
    }
    b
}

/// The edit that stores matrices as Q4_0.
pub(crate) fn q4_0(_: &str, dims: Vec<u64>, values: Vec<f32>) -> Option<(GgmlType, Vec<u64>, Vec<u8>)> {
    if dims.len() < 2 {
        return plain("", dims, values);
    }
    let dtype = happy_tensor::DType::Q4_0;
    let row = dims[0] as usize;
    let mut bytes = Vec::new();
    for values in values.chunks_exact(row) {
        let mut out = vec![0; dtype.row_bytes(row).unwrap()];
        happy_tensor::quantize_row(dtype, values, &mut out).unwrap();
        bytes.extend(out);
    }
    Some((GgmlType::Q4_0, dims, bytes))
}

/// Returns token ids that look random.
pub(crate) fn tokens(n: usize, seed: u64) -> Vec<u32> {
    uniform("tokens", seed, n).map(|u| ((u + 1.0) * 48.0) as u32 % 96).collect()
}

/// Returns the bits of logits, so that they can be compared exactly.
pub(crate) fn bits(rows: &[Vec<f32>]) -> Vec<Vec<u32>> {
    rows.iter().map(|row| row.iter().map(|x| x.to_bits()).collect()).collect()
}

/// Returns a Llama with `layers` layers of `experts` experts, whose matrices have two weights each.
pub(crate) fn many_experts(layers: u32, experts: u32) -> GgufFile {
    let mut w = GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("llama.context_length", 64u32)
        .kv("llama.embedding_length", 2u32)
        .kv("llama.block_count", layers)
        .kv("llama.feed_forward_length", 1u32)
        .kv("llama.expert_count", experts)
        .kv("llama.expert_used_count", experts.min(2))
        .kv("llama.attention.head_count", 1u32)
        .kv("llama.attention.layer_norm_rms_epsilon", 1e-5f32);
    let n = u64::from(experts);
    let mut tensors =
        vec![("token_embd.weight".to_owned(), vec![2, 8]), ("output_norm.weight".to_owned(), vec![2])];
    for l in 0..layers {
        let parts: [(&str, Vec<u64>); 10] = [
            ("attn_norm", vec![2]),
            ("attn_q", vec![2, 2]),
            ("attn_k", vec![2, 2]),
            ("attn_v", vec![2, 2]),
            ("attn_output", vec![2, 2]),
            ("ffn_norm", vec![2]),
            ("ffn_gate_inp", vec![2, n]),
            ("ffn_gate_exps", vec![2, 1, n]),
            ("ffn_up_exps", vec![2, 1, n]),
            ("ffn_down_exps", vec![1, 2, n]),
        ];
        tensors.extend(parts.map(|(part, dims)| (format!("blk.{l}.{part}.weight"), dims)));
    }
    for (name, dims) in tensors {
        let n = dims.iter().product::<u64>() as usize;
        w = w.tensor(name.as_str(), GgmlType::F32, &dims, le_bytes(uniform(&name, 1, n)));
    }
    parse(w.to_vec().unwrap())
}
