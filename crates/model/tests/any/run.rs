//! Does everything that can be done with a model: plans, loads and computes it, in pieces too; forks, shortens, exports and imports its
//! sequences. Allocations take what was planned, and every way gives the same bits.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use happy_gguf::GgufFile;
use happy_kernels::{Ctx, Kernels, Pool};
use happy_model::{
    AdapterSet, Batch, ForwardError, KvCache, KvOptions, KvType, Loader, Model, NoHook, Pooling, RunOptions,
    Scratch, Want,
};
use happy_testkit::{Used, measured};

use super::{Choices, Reached, pool};

/// A model that takes more memory than this isn't computed, as an app would refuse it.
const MAX_BYTES: usize = 48 << 20;
/// The number of tokens in a sequence, and of rows in a batch.
const N_CTX: usize = 128;
const N_BATCH: usize = 24;
/// The most bytes that an error's message may take.
const MESSAGE: u64 = 8 << 10;

/// The bits of logits, row by row.
type Bits = Vec<Vec<u32>>;

/// Checks that an error has a message of one line.
pub(super) fn said(error: &dyn Display, reached: Reached) -> Reached {
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
    reached
}

/// Loads a model. Checks that a file without an outline doesn't load, and that loading takes no more than the outline says.
pub(super) fn load(file: &GgufFile, kernels: &Kernels, embeddings: bool) -> Option<Model> {
    let loader = Loader::new(kernels).embeddings(embeddings);
    let (outline, outlined) = measured(|| loader.outline(&file.view().into()));
    let (model, loaded) = measured(|| loader.load(file));
    let layers = outline.as_ref().map_or(1024, |outline| outline.spec().layers.len() as u64);
    assert!(outlined.peak <= 2048 * layers + (64 << 10), "an outline of {layers} layers: {outlined:?}");
    let planned = outline.as_ref().map_or(outlined.peak, |outline| outline.table_bytes());
    assert!(
        loaded.peak <= planned.max(outlined.peak) + MESSAGE,
        "planned {planned}, loading took {loaded:?}"
    );
    match (&outline, &model) {
        (Err(e), Err(found)) => assert_eq!(e.to_string(), found.to_string()),
        (Err(e), Ok(_)) => panic!("loads, but has no outline: {e}"),
        (Ok(outline), Ok(model)) => {
            let (kv, run) = options();
            assert_eq!(outline.plan(&kv, &run), model.plan(&kv, &run));
        }
        (Ok(_), Err(_)) => {}
    }
    if let Err(e) = &model {
        said(e, Reached::Refused);
    }
    model.ok()
}

fn options() -> (KvOptions, RunOptions) {
    let kv = KvOptions::new(KvType::F32, 3, N_CTX).with_batch(N_BATCH).with_snapshots(1 << 20);
    let run = RunOptions { n_batch: N_BATCH, n_outputs: N_BATCH, threads: 1, n_ctx: N_CTX, adapter_rank: 16 };
    (kv, run)
}

/// A model with a cache and a scratch.
pub(super) struct Runs<'a> {
    model: &'a Model,
    kernels: &'a Kernels,
    pool: Pool,
    kv: KvCache,
    scratch: Scratch,
    tokens: Vec<u32>,
}

impl<'a> Runs<'a> {
    /// Allocates exactly the memory that the plan says. Returns `None` if that is too much.
    pub(super) fn new(model: &'a Model, kernels: &'a Kernels, choices: &mut Choices<'_>) -> Option<Self> {
        let (options, run) = options();
        let plan = model.plan(&options, &run);
        if plan.total_bytes() > MAX_BYTES {
            return None;
        }
        let (kv, cache) = measured(|| model.kv_cache(options));
        let (scratch, rows) = measured(|| model.scratch(&run));
        let (kv, scratch) = match (kv, scratch) {
            (Ok(kv), Ok(scratch)) => (kv, scratch),
            (kv, scratch) => {
                let errors = [kv.err(), scratch.err()];
                errors.iter().flatten().for_each(|e| _ = said(e, Reached::Refused));
                return None;
            }
        };
        let planned = plan.total_bytes() - plan.scratch_bytes;
        for (used, planned) in [(cache, planned), (rows, plan.scratch_bytes)] {
            let Used { peak, held, .. } = used;
            assert_eq!((peak, held), (planned as u64, planned as u64), "{plan:?}");
        }
        let n_vocab = model.n_vocab().max(1);
        let tokens = (0..12).map(|_| choices.below(n_vocab.min(4096)) as u32).collect();
        Some(Runs { model, kernels, pool: pool(), kv, scratch, tokens })
    }

    pub(super) fn all(mut self) -> Reached {
        let embedded = self.embeds();
        if self.model.spec().whole_texts {
            return embedded;
        }
        self.goes_on(None).map_or_else(|e| said(&e, Reached::Failed), |_| Reached::Computed)
    }

    /// Computes a sequence with adapters, and one without beside it, which must give the same bits as the model alone.
    pub(super) fn adapted(mut self, set: &Arc<AdapterSet>) -> Reached {
        let alone = self.goes_on(None);
        for sequence in 0..3 {
            self.kv.clear(sequence).unwrap();
        }
        let with = self.goes_on(Some(set));
        self.kv.clear(2).unwrap();
        let after = self.rows(2, 0..9, None);
        match (alone, after) {
            (Ok(alone), Ok(after)) => assert!(alone[..9] == after[..], "an adapter changed the model"),
            (alone, after) => panic!("the model alone gives {:?}, then {:?}", alone.err(), after.err()),
        }
        with.map_or_else(|e| said(&e, Reached::Failed), |_| Reached::Computed)
    }

    /// Returns the logits of some of the tokens, as the continuation of a sequence. Checks that a pass doesn't allocate, and that one that
    /// fails leaves the sequence as it was.
    fn rows(
        &mut self,
        sequence: u32,
        part: std::ops::Range<usize>,
        set: Option<&Arc<AdapterSet>>,
    ) -> Result<Bits, ForwardError> {
        let mut batch = Batch::with_capacity(N_BATCH);
        batch.use_adapters(set).unwrap();
        for position in part {
            batch.push(self.tokens[position], position as u32, sequence, Want::Logits).unwrap();
        }
        let (before, cx) = (self.kv.len(sequence), Ctx::new(&self.pool, self.kernels));
        let (model, kv, scratch) = (self.model, &mut self.kv, &mut self.scratch);
        let (out, used) = measured(|| model.forward(cx, &batch, kv, scratch, &mut NoHook));
        match out {
            Ok(out) => {
                assert_eq!(used.calls, 0, "a pass allocates");
                let row = |i| out.logits(i).unwrap().iter().map(|x| x.to_bits()).collect();
                Ok((0..batch.len()).map(row).collect())
            }
            Err(e) => {
                assert_eq!(self.kv.len(sequence), before, "a pass that failed: {e}");
                said(&e, Reached::Failed);
                Err(e)
            }
        }
    }

    /// Computes a prompt and two tokens, and checks that the bits are the same after a fork, an import and a truncation. Returns all rows.
    fn goes_on(&mut self, set: Option<&Arc<AdapterSet>>) -> Result<Bits, ForwardError> {
        let mut all = self.rows(0, 0..9, set)?;
        self.kv.fork(0, 1).unwrap();
        for i in 9..11 {
            all.extend(self.rows(0, i..i + 1, set)?);
        }
        let mut exported = Vec::new();
        self.kv.export(1, &mut exported).unwrap();
        self.kv.import(2, &exported).unwrap();
        for damaged in [exported.len() / 2, exported.len() - 1] {
            let mut other = exported.clone();
            other[damaged] ^= 0x40;
            said(&self.kv.import(2, &other).unwrap_err(), Reached::Failed);
        }
        for sequence in [2, 1] {
            let found = self.rows(sequence, 9..11, set);
            assert!(found.as_deref() == Ok(&all[9..]), "sequence {sequence} goes on with other bits");
        }
        let left = self.kv.truncate(0, 5).unwrap();
        assert!(left <= 5, "shortened to {left}");
        let found = self.rows(0, left..11, set);
        assert!(found.as_deref() == Ok(&all[left..]), "computed again from {left} with other bits");
        Ok(all)
    }

    /// Computes two texts with every pooling, alone and together.
    fn embeds(&mut self) -> Reached {
        let mut reached = Reached::Refused;
        for pooling in Pooling::ALL {
            let reads = match self.model.pooling_reads(pooling) {
                Ok(reads) => reads,
                Err(e) => {
                    said(&e, Reached::Refused);
                    continue;
                }
            };
            let texts = [0..9, 9..12];
            let together = self.vectors(pooling, reads, &texts);
            let alone = self.vectors(pooling, reads, &texts[..1]);
            reached = match (together, alone) {
                (Ok(together), Ok(alone)) => {
                    assert!(together.starts_with(&alone), "a text beside another has other bits");
                    Reached::Computed
                }
                (Err(e), _) | (_, Err(e)) => said(&e, Reached::Failed),
            };
        }
        reached
    }

    fn vectors(
        &mut self,
        pooling: Pooling,
        reads: Pooling,
        texts: &[std::ops::Range<usize>],
    ) -> Result<Vec<u32>, ForwardError> {
        let mut batch = Batch::with_capacity(N_BATCH);
        for (text, sequence) in texts.iter().zip(0..) {
            batch.push_text(&self.tokens[text.clone()], sequence, reads).unwrap();
        }
        let (cx, flag) = (Ctx::new(&self.pool, self.kernels), AtomicBool::new(false));
        let (model, kv, scratch) = (self.model, &mut self.kv, &mut self.scratch);
        let (found, used) = measured(|| model.embed(cx, &batch, kv, scratch, pooling, &flag));
        let bits = found.map(|found| found.rows().flatten().map(|x| x.to_bits()).collect());
        assert!(used.calls == 0 || bits.is_err(), "a pass allocates");
        // Each pass begins with empty sequences, even though a causal model keeps them.
        for sequence in 0..2 {
            self.kv.clear(sequence).unwrap();
        }
        bits
    }
}
