//! A sequence that goes on without a part of it, when the context is full.

use super::Context;
use crate::EngineError;
use crate::adapters::SequenceAdapters;
use happy_kernels::Ctx;
use happy_model::{KV_PAGE, KvError};
use happy_tokenizer::TokenId;

impl Context {
    /// The first tokens of a sequence whose keys and values are what these tokens compute: all of them, unless it was
    /// [shifted](Self::shift).
    pub(crate) fn exact_tokens(&self, sequence: u32) -> &[TokenId] {
        let exact = self.adapters.get(sequence as usize).map_or(usize::MAX, SequenceAdapters::exact);
        let tokens = self.tokens(sequence);
        tokens.get(..exact).unwrap_or(tokens)
    }

    /// Returns whether positions of the sequence were dropped by [`shift`](Self::shift).
    pub fn is_shifted(&self, sequence: u32) -> bool {
        self.exact_tokens(sequence).len() < self.tokens(sequence).len()
    }

    /// Checks that a sequence can be [shifted](Self::shift).
    ///
    /// # Errors
    /// [`KvError::Shift`] with what is in the way.
    pub fn check_shift(&self, sequence: u32) -> Result<(), EngineError> {
        let model = self.engine.model();
        model.check_shift(self.kv.options().kind)?;
        if self.adapters.get(sequence as usize).is_some_and(SequenceAdapters::are_invoked) {
            let (architecture, problem) =
                (model.spec().architecture, "its adapter works from a token on (aLoRA)");
            return Err(KvError::Shift { architecture, problem }.into());
        }
        Ok(())
    }

    /// Drops about half of a sequence after its first 64 tokens, so that a full context has room again, and moves what follows to those
    /// positions: see [`Model::shift`](happy_model::Model::shift) and [`ContextPolicy::Shift`](crate::ContextPolicy::Shift). Returns the
    /// number of dropped tokens, 0 if nothing can be dropped.
    ///
    /// What stays has seen what was dropped, so the sequence goes on with other text than its tokens would give. It is never taken for what
    /// they compute: [`keep_common_prefix`](Self::keep_common_prefix), [`PrefixTree`](crate::PrefixTree) and sessions use the first 64 tokens
    /// at most.
    ///
    /// # Errors
    /// As [`check_shift`](Self::check_shift), and if the sequence does not exist or pages that others share cannot be copied.
    pub fn shift(&mut self, sequence: u32) -> Result<usize, EngineError> {
        self.check_shift(sequence)?;
        self.settle()?;
        let cx = Ctx::new(&self.pool, &self.engine.0.kernels);
        let [model] = &*self.engine.0.model;
        let dropped = model.shift(cx, &mut self.kv, &mut self.scratch, sequence)?;
        let index = sequence as usize;
        let (history, adapters) = (self.histories.get_mut(index), self.adapters.get_mut(index));
        if let (Some(history), Some(adapters), true) = (history, adapters, dropped > 0) {
            let gone = KV_PAGE..history.len().min(KV_PAGE + dropped);
            if let (Some(speculator), Some(gone)) = (&mut self.speculator, history.get(gone.clone())) {
                speculator.keep(gone);
            }
            history.drain(gone);
            adapters.set_moved(KV_PAGE);
        }
        Ok(dropped)
    }
}
