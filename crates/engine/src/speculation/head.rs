//! Guesses from the file's own draft head (multi-token prediction, MTP).
//!
//! ```text
//! after each pass     keep the tokens of its rows and the model's hidden states after them, to be read later
//! when asked          one pass of the head reads those that were chosen and the last chosen token, and gives the first guess
//! further guesses     take a pass each, from the previous guess and the head's own hidden state
//! ```
//!
//! The head has one layer, and keys and values of one text. If a hidden state is missing (the text was shortened, or another
//! sequence was computed in between), it gets zeros, as for the first token of a text, or starts anew. That only makes guesses worse.

use super::draft::{Draft, best};
use crate::reserve::reserve;
use crate::{Engine, EngineError, LoadOptions, Plan, TrimLevel};
use happy_kernels::Ctx;
use happy_model::{Batch, KvCache, KvOptions, Model, Output, RunOptions, Scratch, Want};
use happy_tokenizer::TokenId;
use std::sync::atomic::AtomicBool;

/// The sequence of the head's cache.
const TEXT: u32 = 0;

/// The draft head with its memory.
pub(super) struct Head {
    engine: Engine,
    kv: KvCache,
    scratch: Scratch,
    batch: Batch,
    /// The position in the text of the first token that it has read.
    start: usize,
    /// The tokens that it has read. The cache holds their keys and values, and while it guesses also those of guesses.
    read: Vec<TokenId>,
    /// The tokens to read next, which the model has computed. Some may be wrong guesses.
    unread: Vec<TokenId>,
    /// The model's hidden states before the first unread token and after each: rows of `n_embd` values.
    states: Vec<f32>,
    /// Its own hidden state after the last guess.
    own: Vec<f32>,
}

impl Plan {
    /// Returns the sizes for the draft head, which reads the rows of a pass and one token more.
    pub(crate) fn head_options(&self, load: &LoadOptions) -> (RunOptions, KvOptions) {
        let (n_batch, n_ctx) = (self.batch.saturating_add(1), self.context);
        let run = RunOptions { n_batch, n_outputs: 1, n_ctx, threads: self.threads, adapter_rank: 0 };
        (run, KvOptions::new(load.kv, 1, n_ctx).with_batch(n_batch))
    }

    /// Returns the bytes that the head takes besides its cache and scratch: itself, token ids, and hidden states.
    pub(crate) fn head_lists(&self, n_embd: usize) -> usize {
        let ids = self.context.saturating_add(self.batch.saturating_add(1).saturating_mul(8));
        // One before the first unread token, one after each, and its own.
        let states = self.batch.saturating_add(2).saturating_mul(n_embd);
        let lists = [ids.saturating_mul(size_of::<TokenId>()), states.saturating_mul(size_of::<f32>())];
        lists.into_iter().fold(size_of::<Draft>(), usize::saturating_add)
    }
}

impl Head {
    pub(super) fn new(engine: &Engine) -> Result<Self, EngineError> {
        let (what, expected) = ("LoadOptions::draft_head", "true, to guess with the file's draft head");
        let missing = EngineError::Option { what, found: 0, expected };
        let model = engine.draft_head().ok_or(missing)?;
        let plan = engine.plan();
        let (run, kv) = plan.head_options(&engine.0.options);
        let mut head = Self {
            engine: engine.clone(),
            kv: model.kv_cache(kv)?,
            scratch: model.scratch(&run)?,
            batch: Batch::try_with_capacity(run.n_batch)?,
            start: 0,
            read: Vec::new(),
            unread: Vec::new(),
            states: Vec::new(),
            own: Vec::new(),
        };
        let n_embd = model.n_embd();
        reserve(&mut head.read, plan.context, "tokens that the draft head reads")?;
        reserve(&mut head.unread, plan.batch, "tokens that the draft head reads")?;
        reserve(
            &mut head.states,
            plan.batch.saturating_add(1).saturating_mul(n_embd),
            "states of the draft head",
        )?;
        reserve(&mut head.own, n_embd, "states of the draft head")?;
        head.lose_state(n_embd);
        Ok(head)
    }

    /// Drops unread tokens, and sets the hidden state before the next token to zeros.
    fn lose_state(&mut self, n_embd: usize) {
        self.unread.clear();
        self.states.clear();
        self.states.resize(n_embd, 0.0);
    }

    /// Keeps the first `n` tokens that it has read.
    fn shorten(&mut self, n: usize) -> Result<(), EngineError> {
        if n < self.read.len() {
            self.read.truncate(n);
            self.lose_state(self.own_width());
        }
        // This also drops its last guesses.
        if self.read.len() < self.kv.len(TEXT) {
            self.kv.truncate(TEXT, self.read.len())?;
        }
        Ok(())
    }

    fn own_width(&self) -> usize {
        self.engine.model().n_embd()
    }

    /// Starts a text at this position.
    fn begin_at(&mut self, position: usize) -> Result<(), EngineError> {
        self.read.clear();
        self.lose_state(self.own_width());
        self.start = position;
        self.kv.truncate(TEXT, 0)?;
        Ok(())
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) -> Result<(), EngineError> {
        self.begin_at(0)
    }

    /// Drops tokens that are not part of this text.
    fn follow(&mut self, text: &[TokenId]) -> Result<(), EngineError> {
        let same = |ours: &[TokenId], from: usize| {
            let theirs = text.get(from..).unwrap_or_default();
            ours.iter().zip(theirs).take_while(|(a, b)| a == b).count()
        };
        self.shorten(same(&self.read, self.start))?;
        let chosen = same(&self.unread, self.start + self.read.len());
        self.unread.truncate(chosen);
        self.states.truncate((chosen + 1) * self.own_width());
        Ok(())
    }

    /// Returns the position after all read and unread tokens.
    fn end(&self) -> usize {
        self.start + self.read.len() + self.unread.len()
    }

    /// Returns how many tokens it has to read before it can guess what follows this text. `None` if it can't guess.
    pub(super) fn unread(&mut self, text: &[TokenId]) -> Result<Option<usize>, EngineError> {
        self.follow(text)?;
        Ok((self.end() == text.len()).then_some(self.unread.len()))
    }

    /// Takes the hidden states of a pass over a part of this text, which guesses may follow. `batch` has one sequence.
    pub(super) fn saw(
        &mut self,
        cx: Ctx<'_>,
        batch: &Batch,
        output: &Output<'_>,
        text: &[TokenId],
        cancel: &AtomicBool,
    ) -> Result<(), EngineError> {
        self.follow(text)?;
        let first = batch.positions().first().map_or(0, |position| *position as usize);
        if first < self.start || first > self.end() {
            self.begin_at(first)?;
        } else {
            let (n, read) = (first - self.start, self.read.len());
            self.shorten(n)?;
            // Rows that were computed again replace those from before.
            self.unread.truncate(n.saturating_sub(read));
            self.states.truncate((self.unread.len() + 1) * self.own_width());
        }
        for (i, token) in batch.tokens().iter().enumerate() {
            let Some(state) = output.hidden(i) else { return self.begin_at(0) };
            if self.unread.len() == self.engine.plan().batch {
                self.read_on(cx, None, cancel)?;
            }
            self.unread.push(*token);
            self.states.extend_from_slice(state);
        }
        Ok(())
    }

    /// Reads the unread tokens. With `token`, which follows them, it also returns a guess of the token after that. The row of `token` is
    /// dropped later.
    fn read_on(
        &mut self,
        cx: Ctx<'_>,
        token: Option<TokenId>,
        cancel: &AtomicBool,
    ) -> Result<Option<(TokenId, u8)>, EngineError> {
        let (model, n_embd) = (model(&self.engine)?, self.own_width());
        let (first, n) = (self.read.len(), self.unread.len());
        self.batch.clear();
        self.batch.push_tokens(&self.unread, first as u32, TEXT, Want::Nothing)?;
        if let Some(token) = token {
            self.batch.push(token, (first + n) as u32, TEXT, Want::Logits)?;
        }
        let hidden = self.states.get(..self.batch.len() * n_embd).unwrap_or_default();
        let (kv, scratch) = (&mut self.kv, &mut self.scratch);
        let output = model.forward_after(cx, (&self.batch, hidden), kv, scratch, cancel)?;
        let guess = token.and_then(|_| output.logits(n)).and_then(best);
        self.own.clear();
        self.own.extend_from_slice(output.hidden(n).unwrap_or_default());
        self.read.append(&mut self.unread);
        self.states.drain(..n * n_embd);
        Ok(guess)
    }

    /// Returns a guess of what follows the text that [`unread`](Self::unread) got and `token`, and how many tokens it read.
    pub(super) fn begin(
        &mut self,
        cx: Ctx<'_>,
        token: TokenId,
        cancel: &AtomicBool,
    ) -> Result<(Option<(TokenId, u8)>, usize), EngineError> {
        let n = self.unread.len() + 1;
        Ok((self.read_on(cx, Some(token), cancel)?, n))
    }

    /// Returns a guess of what follows its last guess.
    pub(super) fn next(
        &mut self,
        cx: Ctx<'_>,
        guess: TokenId,
        cancel: &AtomicBool,
    ) -> Result<Option<(TokenId, u8)>, EngineError> {
        let model = model(&self.engine)?;
        self.batch.clear();
        self.batch.push(guess, self.kv.len(TEXT) as u32, TEXT, Want::Logits)?;
        let (kv, scratch) = (&mut self.kv, &mut self.scratch);
        let output = model.forward_after(cx, (&self.batch, &self.own), kv, scratch, cancel)?;
        let next = output.logits(0).and_then(best);
        self.own.clear();
        self.own.extend_from_slice(output.hidden(0).unwrap_or_default());
        Ok(next)
    }

    /// Gives memory back, as [`crate::Context::trim`].
    pub(super) fn trim(&mut self, level: TrimLevel) -> Result<(), EngineError> {
        let run = self.engine.plan().head_options(&self.engine.0.options).0;
        self.scratch = model(&self.engine)?.scratch(&run)?;
        if level >= TrimLevel::Sequences {
            self.kv = model(&self.engine)?.kv_cache(*self.kv.options())?;
            self.forget()?;
        }
        Ok(())
    }
}

fn model(engine: &Engine) -> Result<&Model, EngineError> {
    engine.draft_head().ok_or(EngineError::NoLogits { row: 0 })
}
