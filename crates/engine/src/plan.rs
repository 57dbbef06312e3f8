//! How much memory a model will take, known from its header before any of it is allocated.

use crate::memory::{self, Bound, Budget};
use crate::{LoadOptions, vocabulary};
use core::fmt;
use happy_gguf::GgufSet;
use happy_kernels::ops::attention::KV_PAGE;
use happy_model::{KvOptions, KvType, ModelSpec, Outline, RunOptions, kv_page_bytes};
use happy_tokenizer::{TokenId, Tokenizer};

/// The memory that running a model takes, part by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Bytes of the weights; file-backed if the file is mapped, anonymous otherwise.
    pub weight_bytes: u64,
    /// Whether the weights are read into anonymous memory.
    pub weights_copied: bool,
    /// Maximum bytes of the model's tables: layers, norms, biases, rotary tables.
    pub table_bytes: u64,
    /// Bytes of the KV cache when all of it is used: keys and values of all positions that some layer can see, the states of
    /// recurrent layers, and snapshots.
    pub kv_bytes: u64,
    /// How many of `kv_bytes` are for the states of recurrent layers.
    pub state_bytes: u64,
    /// How many of `kv_bytes` are for snapshots ([`LoadOptions::snapshot_bytes`]).
    pub snapshot_bytes: u64,
    /// Bytes of activations, scratch, page tables, and the ids of the tokens in the context.
    pub scratch_bytes: u64,
    /// Maximum bytes of the tokenizer's tables.
    pub tokenizer_bytes: u64,
    /// Maximum bytes of the vocabulary that forms and tools need, on top of [`anon_bytes`](Self::anon_bytes). They are taken when the
    /// first form or tool is used, and compared then with what the budget leaves ([`EngineError::GrammarMemory`]).
    ///
    /// [`EngineError::GrammarMemory`]: crate::EngineError::GrammarMemory
    pub grammar_bytes: u64,
    /// Positions of a sequence.
    pub context: usize,
    /// The context that was planned for at first, if it had to shrink to fit the budget.
    pub shrunk_from: Option<usize>,
    /// Number of sequences.
    pub sequences: usize,
    /// Number of further sequences, for [`PrefixTree`](crate::PrefixTree).
    pub branches: usize,
    /// Maximum number of tokens in one pass.
    pub batch: usize,
    /// Maximum number of tokens that a pass guesses ([`LoadOptions::draft_tokens`]), less if the states of so many rows are too large.
    pub draft_tokens: usize,
    /// Number of threads, including the caller's.
    pub threads: usize,
    /// Largest total rank of the adapters of a sequence; 0: no adapters.
    pub adapter_rank: usize,
    /// The budget; `None` if the caller gave no budget and the system does not tell how much is free.
    pub budget: Option<Budget>,
}

/// What code, stacks, messages and the allocator take besides the plan.
const OVERHEAD: u64 = 4 << 20;
/// Address space of a thread's stack, which limits of the process count.
const STACK: u64 = 2 << 20;

/// A file as a plan sees it.
#[derive(Clone, Copy)]
pub(crate) struct Weights {
    /// Bytes of all parts.
    pub(crate) bytes: u64,
    /// Whether they are read into anonymous memory.
    pub(crate) copied: bool,
}

impl Plan {
    /// Returns the maximum of anonymous memory without forms and tools: everything but mapped weights and
    /// [`grammar_bytes`](Self::grammar_bytes).
    pub fn anon_bytes(&self) -> u64 {
        let weights = if self.weights_copied { self.weight_bytes } else { 0 };
        [weights, self.table_bytes, self.kv_bytes, self.scratch_bytes, self.tokenizer_bytes, OVERHEAD]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Returns what to tell the user if the context had to shrink: "context of N positions instead of M, to fit X MiB (..)".
    pub fn shrunk_notice(&self) -> Option<String> {
        let (from, budget) = (self.shrunk_from?, self.budget?);
        let (context, mib, bound) = (self.context, budget.bytes >> 20, budget.bound);
        Some(format!("context of {context} positions instead of {from}, to fit {mib} MiB ({bound})"))
    }

    /// The sizes as the model takes them.
    pub(crate) fn options(&self, load: &LoadOptions, spec: &ModelSpec) -> (RunOptions, KvOptions) {
        if spec.whole_texts {
            let (n_batch, n_ctx) = (self.batch, self.context);
            let run = RunOptions {
                n_batch,
                n_outputs: n_batch,
                n_ctx,
                threads: self.threads,
                adapter_rank: self.adapter_rank,
            };
            let kv = KvOptions::new(KvType::F32, self.sequences, n_ctx).with_batch(n_batch);
            // Each text rounds up to a page.
            let n_pages = kv.n_pages.min((n_batch / KV_PAGE).saturating_add(self.sequences));
            return (run, KvOptions { n_pages, ..kv });
        }
        let rows = if self.draft_tokens == 0 { 0 } else { self.draft_tokens + 1 };
        let n_outputs = load.outputs.unwrap_or(self.sequences).max(1).max(rows);
        let run = RunOptions {
            n_batch: self.batch,
            n_outputs,
            n_ctx: self.context,
            threads: self.threads,
            adapter_rank: self.adapter_rank,
        };
        let kv = KvOptions::new(load.kv, self.sequences, self.context).with_batch(self.batch);
        let per_branch = self.context.div_ceil(KV_PAGE);
        let pages = load.branch_bytes.checked_div(kv_page_bytes(spec, &kv)).unwrap_or(0);
        let kv = KvOptions {
            n_sequences: self.sequences.saturating_add(self.branches),
            n_pages: kv.n_pages.saturating_add(pages.min(per_branch.saturating_mul(self.branches))),
            n_speculative: rows,
            ..kv
        };
        let eighth = self.budget.map_or(u64::MAX, |budget| budget.bytes / 8);
        (run, kv.with_snapshots(usize::try_from(eighth).unwrap_or(usize::MAX).min(load.snapshot_bytes)))
    }

    /// How many draft tokens have states within an eighth of the budget.
    fn draft_states(&self, outline: &Outline, load: &LoadOptions) -> usize {
        let (run, kv) = Plan { draft_tokens: 0, ..*self }.options(load, outline.spec());
        let states = |n| outline.plan(&KvOptions { n_speculative: n, ..kv }, &run).state_bytes as u64;
        let each = states(1).saturating_sub(states(0));
        let eighth = self.budget.map_or(u64::MAX, |budget| budget.bytes / 8);
        // A pass has a row beside the guesses.
        let rows = eighth.checked_div(each).map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        self.draft_tokens.min(rows.saturating_sub(1))
    }

    /// Plans for a model of which the header is there, and for its draft head.
    ///
    /// # Errors
    /// If the plan is over the budget, with the context that would fit.
    pub(crate) fn new(
        (outline, head): (&Outline, Option<&Outline>),
        header: &GgufSet<'_>,
        weights: Weights,
        load: &LoadOptions,
        threads: usize,
        adapter_rank: usize,
    ) -> Result<Self, Box<OverBudget>> {
        let trained = outline.spec().n_ctx_train as usize;
        let wanted = load.context.unwrap_or(trained.clamp(1, LoadOptions::DEFAULT_CONTEXT));
        let stacks = (threads as u64 - 1).saturating_mul(STACK);
        let given = load.memory_budget.map(|bytes| Budget { bytes, bound: Bound::Caller });
        let budget = given.or_else(|| memory::left(stacks));
        let fixed = Plan {
            weight_bytes: weights.bytes,
            weights_copied: weights.copied,
            table_bytes: outline.table_bytes(),
            kv_bytes: 0,
            state_bytes: 0,
            snapshot_bytes: 0,
            scratch_bytes: 0,
            tokenizer_bytes: Tokenizer::planned_bytes(header.metadata()),
            grammar_bytes: vocabulary::planned_bytes(header.metadata()),
            context: wanted,
            shrunk_from: None,
            sequences: load.sequences,
            branches: if outline.spec().whole_texts { 0 } else { load.branches },
            batch: load.batch,
            // A pass has a row beside the guesses.
            draft_tokens: if outline.spec().whole_texts {
                0
            } else {
                load.draft_tokens.min(load.batch.saturating_sub(1)).min(wanted.saturating_sub(1))
            },
            threads,
            adapter_rank,
            budget,
        };
        let fixed = Plan { draft_tokens: fixed.draft_states(outline, load), ..fixed };
        let at = |context: usize| {
            let positions = context.saturating_mul(load.sequences);
            let least = if outline.spec().whole_texts { context } else { 0 };
            let mut plan = Plan { context, batch: load.batch.max(least).min(positions), ..fixed };
            let (run, kv) = plan.options(load, outline.spec());
            let memory = outline.plan(&kv, &run);
            (plan.state_bytes, plan.snapshot_bytes) =
                (memory.state_bytes as u64, memory.snapshot_bytes as u64);
            let states = plan.state_bytes.saturating_add(plan.snapshot_bytes);
            plan.kv_bytes = (memory.kv_bytes as u64).saturating_add(states);
            // The ids of each sequence, of what speculation keeps of earlier ones, and seven numbers for each token of a batch.
            let branches = context.saturating_mul(plan.branches);
            let ids = positions
                .saturating_add(branches)
                .saturating_add(if plan.draft_tokens > 0 { context } else { 0 })
                .saturating_add(plan.batch.saturating_mul(7))
                .saturating_mul(size_of::<TokenId>());
            let buffers = memory.scratch_bytes.saturating_add(memory.kv_table_bytes);
            plan.scratch_bytes = (buffers as u64).saturating_add(ids as u64);
            if let Some(head) = head.filter(|_| plan.draft_tokens > 0) {
                let (run, kv) = plan.head_options(load);
                let memory = head.plan(&kv, &run);
                let lists = plan.head_lists(head.spec().n_embd);
                let buffers =
                    memory.scratch_bytes.saturating_add(memory.kv_table_bytes).saturating_add(lists);
                plan.table_bytes = plan.table_bytes.saturating_add(head.table_bytes());
                plan.kv_bytes = plan.kv_bytes.saturating_add(memory.kv_bytes as u64);
                plan.scratch_bytes = plan.scratch_bytes.saturating_add(buffers as u64);
            }
            plan
        };
        let plan = at(wanted);
        let Some(budget) = budget.filter(|budget| plan.anon_bytes() > budget.bytes) else { return Ok(plan) };
        if plan.draft_tokens > 0 {
            // A text may take its time, but not more memory than there is.
            let load = LoadOptions { draft_tokens: 0, ..load.clone() };
            return Self::new((outline, None), header, weights, &load, threads, adapter_rank);
        }
        // The largest context that fits, by whole pages: the plan grows with the context.
        let (mut fits, mut over) = (0, wanted.div_ceil(KV_PAGE));
        while over - fits > 1 {
            let middle = fits + (over - fits) / 2;
            if at(middle * KV_PAGE).anon_bytes() <= budget.bytes {
                fits = middle;
            } else {
                over = middle;
            }
        }
        let fitting = (fits > 0).then(|| at(fits * KV_PAGE));
        match (load.context, fitting) {
            (None, Some(plan)) => Ok(Plan { shrunk_from: Some(wanted), ..plan }),
            (_, fitting) => Err(Box::new(OverBudget { plan, budget, fitting: fitting.map(|p| p.context) })),
        }
    }
}

/// The error for a plan that needs more memory than the budget.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverBudget {
    /// The plan that was asked for.
    pub plan: Plan,
    /// The budget.
    pub budget: Budget,
    /// The largest context that would fit; `None` if not even one page does.
    pub fitting: Option<usize>,
}

/// Bytes in the largest unit that keeps the number above one.
pub(crate) fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// One line: the context, the anonymous memory that it needs, and the parts of that.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a context of {} positions needs {} of memory (", self.context, human(self.anon_bytes()))?;
        if self.weights_copied {
            write!(f, "{} weights, ", human(self.weight_bytes))?;
        }
        write!(
            f,
            "{} kv cache, {} scratch, {} tokenizer, {} tables)",
            human(self.kv_bytes),
            human(self.scratch_bytes),
            human(self.tokenizer_bytes),
            human(self.table_bytes),
        )
    }
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Budget { bytes, bound } = self.budget;
        write!(f, "{}, over the budget of {} ({bound})", self.plan, human(bytes))?;
        match self.fitting {
            Some(context) => write!(f, "; a context of {context} would fit"),
            None => f.write_str("; no context would fit"),
        }
    }
}

impl std::error::Error for OverBudget {}
