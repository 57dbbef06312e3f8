//! A context: the KV cache, scratch and threads that compute tokens.

mod shift;

use crate::adapters::SequenceAdapters;
use crate::governed::Guided;
use crate::reserve::copied;
use crate::speculation::{Guesses, Speculator};
use crate::{Cancel, Engine, EngineError};
use happy_kernels::{Ctx, Pool};
use happy_model::{
    AdapterSet, Batch, BatchError, KvCache, KvError, KvRestore, LayerHook, NoHook, Output, Scratch, Want,
};
use happy_tokenizer::TokenId;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Sequences of tokens with everything that is needed to compute them.
///
/// Decoding in a context allocates nothing. It serves one caller at a time; make several for independent work.
pub struct Context {
    pub(crate) engine: Engine,
    pub(crate) pool: Pool,
    pub(crate) kv: KvCache,
    pub(crate) scratch: Scratch,
    pub(crate) batch: Batch,
    pub(crate) histories: Vec<Vec<TokenId>>,
    /// The adapters of each sequence.
    adapters: Vec<SequenceAdapters>,
    /// The speculator that guesses tokens ahead, if there is one.
    pub(crate) speculator: Option<Box<Speculator>>,
    /// Guesses of the last pass. While some of them wait, the KV cache is longer than the history of their sequence.
    pub(crate) guesses: Guesses,
    pub(crate) guided: Option<Box<Guided>>,
}

impl Context {
    pub(crate) fn new(engine: Engine, pool: Pool) -> Result<Self, EngineError> {
        if engine.model().spec().whole_texts {
            return Err(EngineError::OnlyEmbeddings);
        }
        let plan = *engine.plan();
        let (run, kv) = plan.options(&engine.0.options, engine.model().spec());
        let kv = KvCache::new(engine.model().spec(), kv)?;
        let scratch = engine.model().scratch(&run)?;
        let mut histories = Vec::new();
        // Branches are sequences, too.
        let n = plan.sequences.saturating_add(plan.branches);
        for _ in 0..n {
            let mut history = Vec::new();
            history.try_reserve_exact(plan.context).map_err(|_| KvError::Memory {
                bytes: plan.context.saturating_mul(size_of::<TokenId>()),
                what: "tokens of a sequence",
            })?;
            histories.push(history);
        }
        let batch = Batch::try_with_capacity(plan.batch)?;
        let first = SequenceAdapters::new(engine.adapters().cloned()).map_err(EngineError::AdapterSet)?;
        let mut adapters = Vec::new();
        adapters.try_reserve_exact(n).map_err(|_| KvError::Memory {
            bytes: n.saturating_mul(size_of::<SequenceAdapters>()),
            what: "adapters of a sequence",
        })?;
        adapters.resize(n, first);
        let guesses = Guesses::default();
        Ok(Self {
            engine,
            pool,
            kv,
            scratch,
            batch,
            histories,
            adapters,
            speculator: None,
            guesses,
            guided: None,
        })
    }

    /// Returns the engine of the context.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the number of positions that a sequence can have.
    pub fn capacity(&self) -> usize {
        self.engine.plan().context
    }

    /// Returns the tokens of a sequence that are in the KV cache. Empty if the sequence does not exist.
    pub fn tokens(&self, sequence: u32) -> &[TokenId] {
        self.histories.get(sequence as usize).map_or(&[], Vec::as_slice)
    }

    /// Returns the number of bytes of the KV pages in use.
    pub fn kv_resident_bytes(&self) -> usize {
        self.kv.resident_bytes()
    }

    /// Returns the number of bytes of the KV pages that the process holds: those in use, and those that are free again.
    /// [`trim`](Self::trim) with [`TrimLevel::Sequences`] gives them back to the system.
    pub fn kv_held_bytes(&self) -> usize {
        self.kv.held_bytes()
    }

    /// Computes `tokens` as the continuation of a sequence, and returns the logits that follow the last: one for each
    /// token of the vocabulary.
    ///
    /// # Errors
    /// If there are no tokens, they do not fit, or an id is out of range. Chunks that were finished stay in the
    /// sequence, see [`Context::tokens`].
    pub fn prefill(&mut self, sequence: u32, tokens: &[TokenId]) -> Result<&[f32], EngineError> {
        self.prefill_until(sequence, tokens, &Cancel::new())
    }

    /// Computes like [`prefill`](Self::prefill), until `cancel` is raised.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill), and [`EngineError::Cancelled`].
    pub fn prefill_until(
        &mut self,
        sequence: u32,
        tokens: &[TokenId],
        cancel: &Cancel,
    ) -> Result<&[f32], EngineError> {
        self.check_prompt(sequence, tokens)?;
        self.invoke(sequence, tokens, cancel)?;
        let chunk = self.chunk_len();
        let (whole, last) = tokens.split_at((tokens.len() - 1) / chunk * chunk);
        for tokens in whole.chunks(chunk) {
            self.prefill_chunk(sequence, tokens, Want::Nothing, cancel)?;
        }
        let output = self.prefill_chunk(sequence, last, Want::Logits, cancel)?;
        logits(&output, last.len() - 1)
    }

    /// Returns the maximum number of tokens of a chunk.
    pub(crate) fn chunk_len(&self) -> usize {
        self.batch.capacity()
    }

    /// Computes at most [`Context::chunk_len`] tokens. `want` says what to compute for the last.
    pub(crate) fn prefill_chunk(
        &mut self,
        sequence: u32,
        tokens: &[TokenId],
        want: Want,
        cancel: &Cancel,
    ) -> Result<Output<'_>, EngineError> {
        self.settle()?;
        self.batch.clear();
        let rest = self.speculator.as_ref().map_or(Want::Nothing, |speculator| speculator.wants());
        let first = self.tokens(sequence).len();
        for (i, token) in tokens.iter().enumerate() {
            let wanted = if i + 1 == tokens.len() { want } else { Want::Nothing };
            self.push(*token, first + i, sequence, if wanted == Want::Nothing { rest } else { wanted })?;
        }
        if want == Want::Logits {
            // Snapshot before the last token: to answer the prompt again, that token is computed anew for its logits.
            let before = first + tokens.len().saturating_sub(1);
            if before == first {
                self.kv.snapshot(sequence)?;
            }
            self.batch.set_snapshot(sequence, u32::try_from(before).unwrap_or(u32::MAX));
        }
        self.run(cancel.flag(), &mut NoHook)
    }

    /// Computes one more token of a sequence, and returns the logits that follow it.
    ///
    /// # Errors
    /// If the sequence is full or does not exist, or the id is out of range.
    pub fn step(&mut self, sequence: u32, token: TokenId) -> Result<&[f32], EngineError> {
        let output = self.decode(&[(sequence, token)])?;
        logits(&output, 0)
    }

    /// Computes one more token for each of several sequences at once; row `i` of the result follows `tokens[i]`.
    ///
    /// # Errors
    /// If there are more tokens than were planned for, a sequence is full or named twice, or an id is out of range.
    pub fn decode(&mut self, tokens: &[(u32, TokenId)]) -> Result<Output<'_>, EngineError> {
        // A flag on the stack, since decoding must not allocate.
        self.compute(tokens, &AtomicBool::new(false))
    }

    /// Computes like [`decode`](Self::decode), until `cancel` is raised. The sequences then keep their lengths.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and [`EngineError::Cancelled`].
    pub fn decode_until(
        &mut self,
        tokens: &[(u32, TokenId)],
        cancel: &Cancel,
    ) -> Result<Output<'_>, EngineError> {
        self.compute(tokens, cancel.flag())
    }

    fn compute(&mut self, tokens: &[(u32, TokenId)], cancel: &AtomicBool) -> Result<Output<'_>, EngineError> {
        self.batch.clear();
        for (index, &(sequence, token)) in tokens.iter().enumerate() {
            if tokens.iter().take(index).any(|&(earlier, _)| earlier == sequence) {
                return Err(EngineError::SequenceRepeated { index, sequence });
            }
            self.push(token, self.tokens(sequence).len(), sequence, Want::Logits)?;
        }
        self.run(cancel, &mut NoHook)
    }

    /// Computes a batch that the caller has made, with a hook between layers. Rows without adapters of their own use
    /// those of their sequence.
    ///
    /// # Errors
    /// As [`happy_model::Model::forward`]. When the hook stops the pass, the sequences keep their lengths.
    pub fn forward(
        &mut self,
        batch: &Batch,
        cancel: &Cancel,
        hook: &mut dyn LayerHook,
    ) -> Result<Output<'_>, EngineError> {
        self.batch.clear();
        for i in 0..batch.len().min(self.batch.capacity()) {
            let (sequence, position) = (batch.sequences()[i], batch.positions()[i]);
            match batch.adapters(i) {
                own @ Some(_) => {
                    self.batch.use_adapters(own)?;
                    self.batch.push(batch.tokens()[i], position, sequence, batch.wants()[i])?;
                }
                None => self.push(batch.tokens()[i], position as usize, sequence, batch.wants()[i])?,
            }
        }
        self.batch.set_speculative(batch.is_speculative());
        for (sequence, position) in batch.snapshots() {
            self.batch.set_snapshot(sequence, position);
        }
        if batch.len() > self.batch.len() {
            let (found, planned) = (batch.len(), self.batch.capacity());
            return Err(BatchError::TooLarge { what: "tokens", found, planned }.into());
        }
        self.run(cancel.flag(), hook)
    }

    /// Shortens a sequence to its first `len` tokens, or to fewer: see [`KvCache::truncate`]. Returns how many are
    /// left; the caller must compute the others again.
    ///
    /// # Errors
    /// If the sequence does not exist or is shorter.
    pub fn truncate(&mut self, sequence: u32, len: usize) -> Result<usize, EngineError> {
        let found = self.tokens(sequence).len();
        if self.guesses.waiting(sequence) == 0 {
            self.settle()?;
        } else if len > found {
            return Err(KvError::Truncate { sequence, len: found, to: len }.into());
        } else {
            // The cache drops the guesses, too.
            self.guesses = Guesses::default();
        }
        let left = self.kv.truncate(sequence, len)?;
        self.forget_after(sequence, left);
        Ok(left)
    }

    /// Forgets tokens from `left` on, which the cache does not have any more.
    pub(crate) fn forget_after(&mut self, sequence: u32, left: usize) {
        if let Some(history) = self.histories.get_mut(sequence as usize) {
            if let (Some(speculator), Some(gone)) = (&mut self.speculator, history.get(left..)) {
                speculator.keep(gone);
            }
            history.truncate(left);
        }
        if let Some(adapters) = self.adapters.get_mut(sequence as usize) {
            adapters.truncate(left);
        }
    }

    /// Returns how many tokens [`truncate`](Self::truncate) to `len` would leave: `len` if every layer sees all
    /// positions, else as many as the nearest snapshot has.
    ///
    /// # Errors
    /// As [`truncate`](Self::truncate).
    pub fn reachable(&self, sequence: u32, len: usize) -> Result<usize, EngineError> {
        Ok(self.kv.reachable(sequence, len)?)
    }

    /// How many tokens of a prompt a sequence has and can go back to, but less than all of them, so that something is left to compute.
    ///
    /// # Errors
    /// If the sequence does not exist.
    pub fn reachable_prefix(&self, sequence: u32, prompt: &[TokenId]) -> Result<usize, EngineError> {
        let common = self.exact_tokens(sequence).iter().zip(prompt).take_while(|(a, b)| a == b).count();
        self.reachable(sequence, common.min(prompt.len().saturating_sub(1)))
    }

    /// Returns whether `n` more tokens of a sequence fit in the context and in the free pages.
    pub fn has_room(&self, sequence: u32, n: usize) -> bool {
        // Waiting guesses already occupy room, which becomes free again.
        self.kv.has_room(sequence, n.saturating_sub(self.guesses.waiting(sequence)))
    }

    /// Whether the pages that are free are enough for a batch: see [`KvCache::check_room`].
    pub(crate) fn check_room(&mut self, batch: &Batch) -> Result<Result<(), KvError>, EngineError> {
        self.settle()?;
        Ok(self.kv.check_room(batch))
    }

    /// Takes a snapshot of a sequence as it is, to which [`truncate`](Self::truncate) can go back: see [`KvCache::snapshot`].
    /// Prefilling takes one before the last token of a prompt, generations one where the answer ends. Returns whether there is one now.
    ///
    /// # Errors
    /// If the sequence does not exist.
    pub fn snapshot(&mut self, sequence: u32) -> Result<bool, EngineError> {
        self.settle()?;
        Ok(self.kv.snapshot(sequence)?)
    }

    /// Gives memory back to the system, for an app that goes to the background or is told that memory is short. A
    /// sequence that was saved in a [`Session`](crate::Session) before can be brought back with
    /// [`Session::open`](crate::Session::open).
    ///
    /// # Errors
    /// If memory cannot be reserved again; the sequences are then as they were.
    pub fn trim(&mut self, level: TrimLevel) -> Result<(), EngineError> {
        self.settle()?;
        if let Some(speculator) = &mut self.speculator {
            speculator.trim(level)?;
        }
        // The new scratch is reserved but not resident yet, and the old one is given back.
        let run = self.engine.plan().options(&self.engine.0.options, self.engine.model().spec()).0;
        self.scratch = self.engine.model().scratch(&run)?;
        if level >= TrimLevel::Snapshots {
            self.kv.drop_snapshots();
        }
        if level >= TrimLevel::Branches {
            for branch in (0..).take(self.histories.len()).skip(self.engine.plan().sequences) {
                self.truncate(branch, 0)?;
            }
        }
        if level >= TrimLevel::Sequences {
            self.kv = KvCache::new(self.engine.model().spec(), *self.kv.options())?;
            self.histories.iter_mut().for_each(Vec::clear);
            self.adapters.iter_mut().for_each(|adapters| adapters.truncate(0));
        }
        Ok(())
    }

    /// Appends a sequence to `out` as bytes, for a file: see [`KvCache::export`]. The tokens are not included.
    ///
    /// # Errors
    /// If the sequence does not exist, has adapters or was [shifted](Self::shift), or memory cannot be reserved.
    pub fn export(&self, sequence: u32, out: &mut Vec<u8>) -> Result<(), EngineError> {
        self.check_model_alone(sequence)?;
        if self.is_shifted(sequence) {
            return Err(KvError::Import { problem: "a sequence that was shifted is not exported" }.into());
        }
        Ok(self.kv.export_first(sequence, self.tokens(sequence).len(), out)?)
    }

    /// Replaces a sequence by one that was exported with these tokens from the same model. It continues with the same
    /// bits.
    ///
    /// # Errors
    /// If the sequence does not exist or has adapters, or the bytes are not an exported sequence of this model with as
    /// many tokens. The sequence is then as it was.
    pub fn import(&mut self, sequence: u32, tokens: &[TokenId], bytes: &[u8]) -> Result<(), EngineError> {
        self.check_model_alone(sequence)?;
        self.settle()?;
        let n_vocab = self.engine.model().n_vocab();
        if self.kv.exported_positions(bytes)? != tokens.len()
            || tokens.iter().any(|id| *id as usize >= n_vocab)
        {
            return Err(KvError::Import { problem: "it does not belong to these tokens" }.into());
        }
        self.kv.import(sequence, bytes)?;
        if let Some(adapters) = self.adapters.get_mut(sequence as usize) {
            adapters.truncate(0);
        }
        if let Some(history) = self.histories.get_mut(sequence as usize) {
            history.clear();
            history.extend_from_slice(tokens);
        }
        Ok(())
    }

    /// Fails if the sequence has adapters: exported bytes do not say which adapters computed them, so they are neither
    /// written nor read for adapted sequences.
    fn check_model_alone(&self, sequence: u32) -> Result<(), EngineError> {
        match self.adapters(sequence) {
            None => Ok(()),
            Some(_) => {
                Err(KvError::Import { problem: "a sequence with adapters is neither exported nor imported" }
                    .into())
            }
        }
    }

    /// Returns the KV cache.
    pub(crate) fn kv(&self) -> &KvCache {
        &self.kv
    }

    /// Returns the position at which the activated adapter of a sequence begins to apply.
    pub(crate) fn invoked(&self, sequence: u32) -> Option<usize> {
        self.adapters.get(sequence as usize).and_then(SequenceAdapters::invoked)
    }

    /// Replaces a sequence by one with these tokens, whose rows and state `fill` supplies. If that fails, the sequence
    /// is empty.
    pub(crate) fn restore(
        &mut self,
        sequence: u32,
        tokens: &[TokenId],
        invoked: Option<usize>,
        fill: impl FnOnce(&mut KvRestore<'_>) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        self.settle()?;
        let mut restore = self.kv.restore(sequence, tokens.len())?;
        let index = sequence as usize;
        let (history, adapters) = (self.histories.get_mut(index), self.adapters.get_mut(index));
        let (Some(history), Some(adapters)) = (history, adapters) else { return Ok(()) };
        history.clear();
        adapters.truncate(0);
        fill(&mut restore)?;
        restore.finish()?;
        // within the reservation: the cache has no more positions than the context
        history.extend_from_slice(tokens);
        adapters.set_invoked(invoked);
        Ok(())
    }

    /// Makes sequence `to` a copy of `from`. They share the pages that neither changes.
    ///
    /// # Errors
    /// If one of them does not exist.
    pub fn fork(&mut self, from: u32, to: u32) -> Result<(), EngineError> {
        self.settle()?;
        self.kv.fork(from, to)?;
        let [from, to] = [from as usize, to as usize];
        if let Ok([from, to]) = self.histories.get_disjoint_mut([from, to]) {
            to.clear();
            to.extend_from_slice(from);
        }
        if let Ok([from, to]) = self.adapters.get_disjoint_mut([from, to]) {
            to.clone_from(from);
        }
        Ok(())
    }

    /// Shortens a sequence to what it has in common with `tokens`, but to fewer than all of them, so that something is
    /// left to compute, and to a position that its memory can go back to. Returns how many tokens were kept.
    ///
    /// # Errors
    /// If the sequence does not exist.
    pub fn keep_common_prefix(&mut self, sequence: u32, tokens: &[TokenId]) -> Result<usize, EngineError> {
        let common = self.exact_tokens(sequence).iter().zip(tokens).take_while(|(a, b)| a == b).count();
        // With different adapters the same tokens have different keys and values.
        let adapters = self.adapters.get_mut(sequence as usize);
        let valid = adapters.map_or(common, |adapters| adapters.invoke(tokens, &[], common));
        self.truncate(sequence, valid.min(tokens.len().saturating_sub(1)))
    }

    /// Returns the adapters of a sequence, or `None` if the model is used alone.
    pub fn adapters(&self, sequence: u32) -> Option<&Arc<AdapterSet>> {
        self.adapters.get(sequence as usize).and_then(SequenceAdapters::set)
    }

    /// Sets the adapters with which a sequence is computed from now on; `None` for the model alone. Positions that were
    /// computed with others are dropped; an equal set keeps all of them. Returns how many are left; the caller must
    /// compute the others again.
    ///
    /// # Errors
    /// If the sequence does not exist, or the adapters belong to another model or have a greater rank than
    /// [`Plan::adapter_rank`](crate::Plan::adapter_rank). Nothing is changed then.
    pub fn set_adapters(
        &mut self,
        sequence: u32,
        set: Option<Arc<AdapterSet>>,
    ) -> Result<usize, EngineError> {
        if let Some(set) = &set {
            self.engine.model().check_adapters(set, self.engine.plan().adapter_rank)?;
        }
        let new = SequenceAdapters::new(set).map_err(EngineError::AdapterSet)?;
        let len = self.tokens(sequence).len();
        let shared = self.adapters.get(sequence as usize).map_or(len, |old| old.shared(&new, len));
        let left = self.truncate(sequence, shared)?;
        if let Some(old) = self.adapters.get_mut(sequence as usize) {
            old.replace(new);
        }
        Ok(left)
    }

    /// Finds where an activated adapter (aLoRA) begins to apply in the sequence followed by `prompt`: at the last
    /// occurrence of its invocation tokens. Positions that were computed differently are computed again. Prefilling
    /// does this itself; call it for batches of your own.
    ///
    /// # Errors
    /// As [`prefill_until`](Self::prefill_until). Positions that were to be computed again may be missing then.
    pub fn invoke(&mut self, sequence: u32, prompt: &[TokenId], cancel: &Cancel) -> Result<(), EngineError> {
        let index = sequence as usize;
        let (Some(known), Some(adapters)) = (self.histories.get(index), self.adapters.get_mut(index)) else {
            return Ok(());
        };
        let valid = adapters.invoke(known, prompt, known.len());
        if valid >= known.len() {
            return Ok(());
        }
        let mut again = copied(known, "tokens that are computed again")?;
        let invoked = adapters.clone();
        let left = self.truncate(sequence, valid)?;
        if let Some(adapters) = self.adapters.get_mut(index) {
            *adapters = invoked;
        }
        for tokens in again.split_off(left.min(again.len())).chunks(self.chunk_len()) {
            self.prefill_chunk(sequence, tokens, Want::Nothing, cancel)?;
        }
        Ok(())
    }

    /// Adds a token to the batch, with the adapters of its sequence and position.
    pub(crate) fn push(
        &mut self,
        token: TokenId,
        position: usize,
        sequence: u32,
        want: Want,
    ) -> Result<(), EngineError> {
        let adapters = self.adapters.get(sequence as usize);
        self.batch.use_adapters(adapters.and_then(|adapters| adapters.at(position)))?;
        Ok(self.batch.push(token, position as u32, sequence, want)?)
    }

    /// Checks that `tokens` can follow the sequence.
    pub(crate) fn check_prompt(&self, sequence: u32, tokens: &[TokenId]) -> Result<(), EngineError> {
        let (used, context) = (self.tokens(sequence).len(), self.capacity());
        match tokens.len() {
            0 => Err(EngineError::EmptyPrompt),
            tokens if tokens > context - used => Err(EngineError::PromptTooLong { tokens, context, used }),
            _ => Ok(()),
        }
    }

    /// Computes the batch and extends the histories.
    fn run(&mut self, cancel: &AtomicBool, hook: &mut dyn LayerHook) -> Result<Output<'_>, EngineError> {
        self.settle()?;
        self.engine.0.pause.wait(cancel);
        let all = self.pool.threads();
        if let Some(guided) = &mut self.guided {
            guided.before(&self.batch, &self.histories, all, cancel);
        }
        let pool = self.guided.as_ref().map_or(&self.pool, |guided| guided.pool(&self.batch, &self.pool));
        let cx = Ctx::new(pool, &self.engine.0.kernels);
        let (model, batch) = (&self.engine.0.model[0], &self.batch);
        let output = model.forward_until(cx, batch, &mut self.kv, &mut self.scratch, hook, cancel)?;
        if let Some(guided) = &mut self.guided {
            guided.after(&self.batch, all);
        }
        if output.stopped().is_none() {
            for (token, sequence) in batch.tokens().iter().zip(batch.sequences()) {
                if let Some(history) = self.histories.get_mut(*sequence as usize) {
                    history.push(*token);
                }
            }
            if let Some(speculator) = &mut self.speculator {
                let pool = self.guided.as_ref().map_or(&self.pool, |guided| guided.pool(batch, &self.pool));
                let cx = Ctx::new(pool, &self.engine.0.kernels);
                speculator.saw(cx, batch, &output, &self.histories, cancel);
            }
        }
        Ok(output)
    }
}

/// What [`Context::trim`] gives back. Each level includes those listed before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TrimLevel {
    /// Buffers for activations, which the next token takes again. Nothing is lost.
    Scratch,
    /// Snapshots. Sequences of models with windows or recurrent layers can then be continued, but not shortened without
    /// computing them again. The pages become free for other use, but stay with the process.
    Snapshots,
    /// Branches, which a [`PrefixTree`](crate::PrefixTree) keeps; clear the tree, too. The pages become free for other
    /// use, but stay with the process.
    Branches,
    /// The whole KV cache, with all sequences and branches.
    Sequences,
}

/// Returns the logits of a row that wants them.
pub(crate) fn logits<'a>(output: &Output<'a>, row: usize) -> Result<&'a [f32], EngineError> {
    output.logits(row).ok_or(EngineError::NoLogits { row })
}
