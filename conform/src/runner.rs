//! A model with everything that is needed to compute the logits of all tokens of one sequence.

use happy_gguf::GgufFile;
use happy_kernels::{Ctx, Kernels, Pool};
use happy_model::{AdapterSet, Batch, KvCache, KvOptions, KvType, Model, NoHook, RunOptions, Scratch, Want};
use std::sync::Arc;

/// Number of tokens that are computed at once if all of them want logits: 64 rows of 262,144 logits are 64 MiB.
const BATCH: usize = 64;

pub(crate) struct Runner {
    model: Model,
    kernels: Kernels,
    pool: Pool,
    kv: KvCache,
    scratch: Scratch,
    batch: Batch,
    run: RunOptions,
    adapters: Option<Arc<AdapterSet>>,
}

impl Runner {
    /// Makes a runner for sequences of at most `n_ctx` tokens, with the best kernels, on all cores.
    pub(crate) fn best(file: &GgufFile, kind: KvType, n_ctx: usize) -> Result<Self, String> {
        Self::on_all_cores(file, Kernels::detect().map_err(|e| e.to_string())?, kind, n_ctx)
    }

    /// Makes a runner with as many threads as the machine has cores (at least two, so that work is shared).
    pub(crate) fn on_all_cores(
        file: &GgufFile,
        kernels: Kernels,
        kind: KvType,
        n_ctx: usize,
    ) -> Result<Self, String> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new(file, kernels, cores.clamp(2, Pool::MAX_THREADS), kind, n_ctx)
    }

    /// Makes a runner with given kernels and threads.
    pub(crate) fn new(
        file: &GgufFile,
        kernels: Kernels,
        threads: usize,
        kind: KvType,
        n_ctx: usize,
    ) -> Result<Self, String> {
        let model = Model::load(file, &kernels).map_err(|e| e.to_string())?;
        let kv = model.kv_cache(KvOptions::new(kind, 1, n_ctx)).map_err(|e| e.to_string())?;
        let run = RunOptions { n_batch: BATCH, n_outputs: BATCH, threads, n_ctx, adapter_rank: 0 };
        let scratch = model.scratch(&run).map_err(|e| e.to_string())?;
        let pool = Pool::new(threads).map_err(|e| e.to_string())?;
        let batch = Batch::with_capacity(BATCH);
        Ok(Self { model, kernels, pool, kv, scratch, batch, run, adapters: None })
    }

    pub(crate) fn n_vocab(&self) -> usize {
        self.model.n_vocab()
    }

    /// Starts a new sequence with these adapters and scales.
    pub(crate) fn use_adapters(&mut self, files: &[GgufFile], scales: &[f32]) -> Result<(), String> {
        let load = |file| self.model.adapter(file, &self.kernels).map(Arc::new).map_err(|e| e.to_string());
        let adapters: Vec<_> = files.iter().map(load).collect::<Result<_, String>>()?;
        let list: Vec<_> = adapters.into_iter().zip(scales.iter().copied()).collect();
        let set = AdapterSet::new(&list).map_err(|e| e.to_string())?;
        let run = RunOptions { adapter_rank: set.rank(), ..self.run };
        self.scratch = self.model.scratch(&run).map_err(|e| e.to_string())?;
        self.adapters = Some(Arc::new(set));
        self.clear()
    }

    /// Starts a new sequence.
    pub(crate) fn clear(&mut self) -> Result<(), String> {
        self.kv.clear(0).map_err(|e| e.to_string())
    }

    /// Computes `tokens` in pieces of at most `piece` and returns the logits of each.
    pub(crate) fn rows(&mut self, tokens: &[u32], piece: usize) -> Result<Vec<Vec<f32>>, String> {
        let mut rows = Vec::with_capacity(tokens.len());
        for piece in tokens.chunks(piece) {
            self.logits(piece, |logits| rows.push(logits.to_vec()))?;
        }
        Ok(rows)
    }

    /// Computes `tokens` as the continuation of the sequence and passes the logits of each to `visit`.
    pub(crate) fn logits(&mut self, tokens: &[u32], mut visit: impl FnMut(&[f32])) -> Result<(), String> {
        let cx = Ctx::new(&self.pool, &self.kernels);
        for chunk in tokens.chunks(BATCH) {
            self.batch.clear();
            self.batch.use_adapters(self.adapters.as_ref()).map_err(|e| e.to_string())?;
            let first = self.kv.len(0) as u32;
            for (i, token) in (0..).zip(chunk) {
                self.batch.push(*token, first + i, 0, Want::Logits).map_err(|e| e.to_string())?;
            }
            let output = self
                .model
                .forward(cx, &self.batch, &mut self.kv, &mut self.scratch, &mut NoHook)
                .map_err(|e| e.to_string())?;
            for i in 0..chunk.len() {
                visit(output.logits(i).ok_or("the pass gave no logits for a token that wanted them")?);
            }
        }
        Ok(())
    }
}

/// Returns the id of the greatest logit; of equal logits, the lower id.
pub(crate) fn best(logits: &[f32]) -> usize {
    let better = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    (0..logits.len()).reduce(better).unwrap_or(0)
}
