//! How much memory a model will take, known before any of it is allocated.

use crate::{LoadOptions, memory};
use core::fmt;
use happy_kernels::ops::attention::KV_PAGE;
use happy_model::{KvOptions, Model, RunOptions};

/// Bytes that running a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Bytes of the weights; file-backed where the file is mapped, anonymous otherwise.
    pub weight_bytes: u64,
    /// Whether the weights are read into anonymous memory.
    pub weights_copied: bool,
    /// Bytes of the KV cache when all of it is used.
    pub kv_bytes: u64,
    /// Bytes of activations and scratch.
    pub scratch_bytes: u64,
    /// Bytes of the tokenizer's tables.
    pub tokenizer_bytes: u64,
    /// Positions of a sequence.
    pub context: usize,
    /// Sequences.
    pub sequences: usize,
    /// Most tokens that are computed at once.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
}

/// What stacks, code tables and the allocator take besides the plan.
const OVERHEAD: u64 = 4 << 20;

impl Plan {
    /// Most anonymous memory: everything but mapped weights.
    pub fn anon_bytes(&self) -> u64 {
        let weights = if self.weights_copied { self.weight_bytes } else { 0 };
        [weights, self.kv_bytes, self.scratch_bytes, self.tokenizer_bytes, OVERHEAD]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// The sizes as the model takes them.
    pub(crate) fn options(&self, load: &LoadOptions) -> (RunOptions, KvOptions) {
        let n_outputs = load.outputs.unwrap_or(self.sequences).max(1);
        let run = RunOptions { n_batch: self.batch, n_outputs, n_ctx: self.context, threads: self.threads };
        (run, KvOptions::new(load.kv, self.sequences, self.context))
    }

    /// Plans for `model`.
    ///
    /// # Errors
    /// If the plan is over the budget, with the context that would fit.
    pub(crate) fn new(
        model: &Model,
        load: &LoadOptions,
        threads: usize,
        file_bytes: u64,
        tokenizer_bytes: u64,
    ) -> Result<Self, OverBudget> {
        let trained = model.spec().n_ctx_train as usize;
        let wanted = load.context.unwrap_or(trained.clamp(1, LoadOptions::DEFAULT_CONTEXT));
        let at = |context: usize| {
            let mut plan = Plan {
                weight_bytes: file_bytes,
                weights_copied: !load.mmap,
                kv_bytes: 0,
                scratch_bytes: 0,
                tokenizer_bytes,
                context,
                sequences: load.sequences,
                batch: load.batch.min(context.saturating_mul(load.sequences)),
                threads,
            };
            let (run, kv) = plan.options(load);
            let memory = model.plan(&kv, &run);
            plan.kv_bytes = memory.kv_bytes as u64;
            plan.scratch_bytes = memory.scratch_bytes as u64;
            plan
        };
        let plan = at(wanted);
        let Some(budget) = load.memory_budget.or_else(memory::available) else { return Ok(plan) };
        if plan.anon_bytes() <= budget {
            return Ok(plan);
        }
        // The largest context that fits, by whole pages: the plan grows with the context.
        let (mut fits, mut over) = (0, wanted.div_ceil(KV_PAGE));
        while over - fits > 1 {
            let middle = fits + (over - fits) / 2;
            if at(middle * KV_PAGE).anon_bytes() <= budget {
                fits = middle;
            } else {
                over = middle;
            }
        }
        let fitting = (fits > 0).then(|| at(fits * KV_PAGE));
        match (load.context, fitting) {
            (None, Some(plan)) => Ok(plan),
            (_, fitting) => Err(OverBudget { plan, budget, fitting: fitting.map(|p| p.context) }),
        }
    }
}

/// A plan that needs more memory than it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverBudget {
    /// What was asked for.
    pub plan: Plan,
    /// Bytes that it may take.
    pub budget: u64,
    /// The largest context that would fit; `None` if not even one page does.
    pub fitting: Option<usize>,
}

/// Bytes in the largest unit that keeps the number above one.
fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        write!(
            f,
            "a context of {} positions needs {} of memory ({} kv cache, {} scratch, {} tokenizer), over the budget of {}",
            plan.context,
            human(plan.anon_bytes()),
            human(plan.kv_bytes),
            human(plan.scratch_bytes),
            human(plan.tokenizer_bytes),
            human(self.budget),
        )?;
        match self.fitting {
            Some(context) => write!(f, "; a context of {context} would fit"),
            None => f.write_str("; no context would fit"),
        }
    }
}

impl std::error::Error for OverBudget {}
