//! What a caller decides before a model is loaded.

use crate::{AdapterFile, EngineError};
use happy_kernels::{Isa, Pool};
use happy_model::{Architectures, KvType};

/// How to load a model, and how much memory to plan for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Number of threads, including the caller's, from 1 to 256. Default: `None`, [`default_threads`](crate::default_threads).
    pub threads: Option<usize>,
    /// Instruction set. Default: `None`, the best that the machine has and the environment allows.
    pub isa: Option<Isa>,
    /// How the KV cache stores keys and values. Default: f16. q8_0 takes little more than half of that, and is refused with
    /// [`KvError::Quantized`](crate::model::KvError::Quantized) for models that can't have it.
    pub kv: KvType,
    /// Positions of a sequence, at least 1. Default: `None`, what the model was trained for, at most 4,096, and what fits the budget
    /// ([`Plan::shrunk_from`](crate::Plan::shrunk_from) tells). A given size that does not fit is refused.
    pub context: Option<usize>,
    /// Number of sequences that a [`Context`](crate::Context) holds at a time, at least 1. Default: 1.
    pub sequences: usize,
    /// Number of further sequences for a [`PrefixTree`](crate::PrefixTree), which computes what prompts have in common once. Default: 0.
    pub branches: usize,
    /// Bytes for keys and values that branches don't share with the sequences. If they need more, branches are dropped sooner. Default:
    /// 0.
    pub branch_bytes: usize,
    /// Maximum number of tokens in one pass, at least 1; longer prompts are split. The result does not depend on it. Default:
    /// [`DEFAULT_BATCH`](Self::DEFAULT_BATCH).
    pub batch: usize,
    /// Maximum number of rows in a pass that want logits. Default: `None`, one for each sequence.
    pub outputs: Option<usize>,
    /// Maximum number of tokens that a pass computes ahead as guesses, from 0 to [`MAX_DRAFT_TOKENS`](Self::MAX_DRAFT_TOKENS), once
    /// [`Context::set_speculation`](crate::Context::set_speculation) turns that on. Each takes room for its logits, and in models with
    /// recurrent layers for a state: at most an eighth of the memory budget for all of them, and nothing at all if the plan would not
    /// fit with it ([`Plan::draft_tokens`](crate::Plan::draft_tokens) tells how many fit). Default: 0.
    pub draft_tokens: usize,
    /// Whether to load the file's draft head, too (multi-token prediction, MTP), with which [`Speculation::head`](crate::Speculation::head)
    /// guesses. It needs [`draft_tokens`](Self::draft_tokens), a cache for one layer, and room for the hidden states of a batch; nothing of
    /// it is loaded if no draft token fits the budget. A file without one is refused. Default: false.
    pub draft_head: bool,
    /// Maximum bytes for snapshots. A model with windows or recurrent states cannot shorten a sequence to any position, but it can go back to a
    /// snapshot; without one, the whole sequence is computed again. At most an eighth of the memory budget is taken, and
    /// nothing for a model that needs none. Default: [`DEFAULT_SNAPSHOTS`](Self::DEFAULT_SNAPSHOTS); 0: no snapshots.
    pub snapshot_bytes: usize,
    /// Maximum bytes of anonymous memory: everything that
    /// [`Plan::anon_bytes`](crate::Plan::anon_bytes) counts, and [`Plan::grammar_bytes`](crate::Plan::grammar_bytes) once
    /// forms or tools are used. Default: `None`, the smallest of what the
    /// machine has free, what the limits of the process's control groups leave, and what `RLIMIT_DATA` and `RLIMIT_AS`
    /// leave; no bound if the system does not tell (it needs Linux's `/proc`).
    pub memory_budget: Option<u64>,
    /// Whether to map the file. Default: true. If not, the file is read into anonymous memory, for files that other programs may write to. A file that the
    /// system cannot map is read too ([`Plan::weights_copied`](crate::Plan::weights_copied) tells).
    pub mmap: bool,
    /// Whether to plan for [`Engine::embedder`](crate::Engine::embedder) instead of generation. Default: false. A text then runs in one
    /// pass, so `batch` is at least a context; a pass holds up to `sequences` texts; keys and values are f32 and take the place of one layer; there are
    /// no logits. Models that see texts as a whole (encoders) are always planned so.
    pub embeddings: bool,
    /// Architectures of your own, which are loaded like the built-in ones: see [`model::arch`](crate::model::arch).
    pub architectures: Architectures,
    /// Adapters (LoRA) with which every sequence begins, in the order in which they are added. Default: none.
    pub adapters: Vec<AdapterFile>,
    /// Largest rank to plan for, which is the most that [`Context::set_adapters`](crate::Context::set_adapters) takes, the sum of the ranks of a
    /// set. Default: 0, the sum of those of [`adapters`](Self::adapters).
    pub adapter_rank: usize,
}

impl LoadOptions {
    /// The largest context that is planned for by default.
    pub const DEFAULT_CONTEXT: usize = 4096;
    /// The default of [`batch`](Self::batch): enough to make unpacking weights cheap, few enough that activations stay in the cache.
    pub const DEFAULT_BATCH: usize = 256;
    /// The default of [`snapshot_bytes`](Self::snapshot_bytes): a few of a model with windows of 512 positions, or one of a large recurrent state.
    pub const DEFAULT_SNAPSHOTS: usize = 32 << 20;

    /// Number of texts in a pass of [`LoadOptions::embeddings`].
    pub const TEXTS: usize = 32;

    /// Returns the options for embedding or ranking texts, up to [`LoadOptions::TEXTS`] in one pass.
    pub fn embeddings() -> Self {
        Self { embeddings: true, sequences: Self::TEXTS, ..Self::default() }
    }

    /// Checks what can be checked without a model, as [`Engine::open`](crate::Engine::open) does first.
    ///
    /// # Errors
    /// [`EngineError::Option`] if the number of threads is not 1 to 256, that of draft tokens is not 0 to 7, or another size is 0.
    pub fn check(&self) -> Result<(), EngineError> {
        let sizes = [
            ("the number of sequences", self.sequences),
            ("the batch size", self.batch),
            ("the context size", self.context.unwrap_or(1)),
        ];
        if let Some((what, found)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(EngineError::Option { what, found, expected: "at least 1" });
        }
        if self.draft_tokens > Self::MAX_DRAFT_TOKENS {
            let (what, expected) = ("the number of draft tokens", "0 to 7");
            return Err(EngineError::Option { what, found: self.draft_tokens, expected });
        }
        match self.threads {
            Some(found) if !(1..=Pool::MAX_THREADS).contains(&found) => {
                Err(EngineError::Option { what: "the number of threads", found, expected: "1 to 256" })
            }
            _ => Ok(()),
        }
    }
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            threads: None,
            isa: None,
            kv: KvType::F16,
            context: None,
            sequences: 1,
            branches: 0,
            branch_bytes: 0,
            batch: Self::DEFAULT_BATCH,
            outputs: None,
            draft_tokens: 0,
            draft_head: false,
            snapshot_bytes: Self::DEFAULT_SNAPSHOTS,
            memory_budget: None,
            mmap: true,
            embeddings: false,
            architectures: Architectures::default(),
            adapters: Vec::new(),
            adapter_rank: 0,
        }
    }
}
