//! The forward pass.
//!
//! ```text
//! start:   check the batch; take cache pages; x = embedding rows * scale; cos, sin of every position; a draft head joins x and hidden states
//! layers:  see `layer`, which shows a whole layer on one page
//! finish:  norm of the rows of which something is wanted; output matrix for those that want logits
//! ```
//!
//! After that, the cache has its new lengths. Every operation works on single rows, and sums have a fixed order. So a row's bits do not
//! depend on the other rows of the batch, on how a prompt is split into batches, or on the number of threads.

mod altup;
mod attention;
mod draft_head;
mod ends;
pub(crate) mod ffn;
pub(crate) mod lanes;
mod latent;
mod laurel;
pub(crate) mod mixer;
mod moe;
pub(crate) mod pass;
mod per_layer;
pub(crate) mod rows;
mod sparse;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use happy_kernels::{Cancel, Ctx, FpEnv};

use crate::batch::{Batch, Want};
use crate::error::{BatchError, ForwardError};
use crate::hook::{LayerHook, NoHook};
use crate::kv::{KvCache, Pages};
use crate::model::Model;
use crate::output::Output;
use crate::recurrent;
use crate::scratch::{AdaptScratch, Scratch};
use crate::spec::{LayerSpec, OutputKind};
use crate::weights::Ffn;
use pass::{Pass, Step, Watch};

/// How a pass ended without an error.
enum End {
    /// With results.
    Done,
    /// A hook ended it after this layer.
    Stopped(usize),
}

impl Model {
    /// Runs a batch: stores its keys and values in `kv`, and computes what its rows want.
    ///
    /// # Errors
    /// If the batch, the cache or the scratch does not fit, or a value is not finite. The cache's sequences are then as before.
    pub fn forward<'s>(
        &self,
        cx: Ctx<'_>,
        batch: &Batch,
        kv: &mut KvCache,
        scratch: &'s mut Scratch,
        hook: &mut dyn LayerHook,
    ) -> Result<Output<'s>, ForwardError> {
        self.forward_until(cx, batch, kv, scratch, hook, &AtomicBool::new(false))
    }

    /// Does the same as [`Model::forward`], unless `cancel` becomes true. The flag is checked before each task of the pool, and a task
    /// takes at most a few milliseconds on a slow core. After cancelling, the cache's sequences are as before the pass.
    ///
    /// # Errors
    /// As for [`Model::forward`], and [`ForwardError::Cancelled`].
    pub fn forward_until<'s>(
        &self,
        cx: Ctx<'_>,
        batch: &Batch,
        kv: &mut KvCache,
        scratch: &'s mut Scratch,
        hook: &mut dyn LayerHook,
        cancel: &AtomicBool,
    ) -> Result<Output<'s>, ForwardError> {
        self.pass(cx, (batch, &[]), kv, scratch, hook, cancel)
    }

    /// Runs a batch of a draft head ([`Loader::draft_head`](crate::Loader::draft_head)), like [`Model::forward_until`].
    ///
    /// `hidden` has `n_embd` values for each token: [`Output::hidden`] of the model at the position before it, or of the head if that position
    /// was a guess, too; zeros for the first token of a text. The logits of a token are for the one after it.
    ///
    /// # Errors
    /// As for [`Model::forward_until`], and if `hidden` has another number of values.
    pub fn forward_after<'s>(
        &self,
        cx: Ctx<'_>,
        (batch, hidden): (&Batch, &[f32]),
        kv: &mut KvCache,
        scratch: &'s mut Scratch,
        cancel: &AtomicBool,
    ) -> Result<Output<'s>, ForwardError> {
        self.pass(cx, (batch, hidden), kv, scratch, &mut NoHook, cancel)
    }

    fn pass<'s>(
        &self,
        cx: Ctx<'_>,
        (batch, hidden): (&Batch, &[f32]),
        kv: &mut KvCache,
        scratch: &'s mut Scratch,
        hook: &mut dyn LayerHook,
        cancel: &AtomicBool,
    ) -> Result<Output<'s>, ForwardError> {
        self.check(cx, batch, kv, scratch)?;
        let expected = if self.spec().draft_head.is_some() { batch.len() * self.n_embd() } else { 0 };
        if hidden.len() != expected {
            return Err(BatchError::Hidden { found: hidden.len(), expected }.into());
        }
        let _fp = FpEnv::enter();
        let cancel = Cancel::new(cancel);
        kv.prepare(batch)?;
        // Its matrices are read while the other buffers are written.
        let mut adapting = std::mem::take(&mut scratch.adapting);
        adapting.fill(batch);
        let end = self.run((cx.until(&cancel), &adapting), (batch, hidden), kv, scratch, hook);
        scratch.adapting = adapting;
        // Where a task was skipped, whatever was computed from its results means nothing.
        let end = if cancel.seen() { Err(ForwardError::Cancelled) } else { end };
        match end {
            Ok(End::Done) if !self.spec().whole_texts => kv.commit(batch),
            // nothing continues a whole text
            Ok(End::Done) => kv.roll_back(batch),
            Ok(End::Stopped(_)) | Err(_) => kv.roll_back(batch),
        }
        let stopped = match end? {
            End::Done => None,
            End::Stopped(layer) => Some(layer),
        };
        Ok(Output::new(scratch, stopped))
    }

    fn check(&self, cx: Ctx<'_>, batch: &Batch, kv: &KvCache, scratch: &Scratch) -> Result<(), ForwardError> {
        let sizes = &scratch.sizes;
        if sizes.model != self.id() || sizes.threads < cx.pool.threads() {
            return Err(ForwardError::Scratch);
        }
        kv.check(self.kv_layout())?;
        batch.check(self.spec().n_vocab, |sequence| kv.len(sequence))?;
        self.check_rows(batch)?;
        batch.check_adapters(self.id(), sizes.adapter_rank)?;
        let limits =
            [("tokens", batch.len(), sizes.rows), ("rows with logits", batch.n_logits(), sizes.outputs)];
        for (what, found, planned) in limits {
            if found > planned {
                return Err(BatchError::TooLarge { what, found, planned }.into());
            }
        }
        Ok(())
    }

    /// Checks positions and results against what the model has.
    fn check_rows(&self, batch: &Batch) -> Result<(), BatchError> {
        let spec = self.spec();
        if spec.output == OutputKind::None
            && let Some(index) = batch.wants().iter().position(|want| *want == Want::Logits)
        {
            return Err(BatchError::NoLogits { index });
        }
        let n = spec.n_ctx_train;
        let found = batch.positions().iter().position(|at| spec.learned_positions && *at >= n);
        match found {
            Some(index) => Err(BatchError::NotLearned { index, position: batch.positions()[index], n }),
            None => Ok(()),
        }
    }

    fn run(
        &self,
        (cx, adapting): (Ctx<'_>, &AdaptScratch),
        (batch, hidden): (&Batch, &[f32]),
        kv: &mut KvCache,
        s: &mut Scratch,
        hook: &mut dyn LayerHook,
    ) -> Result<End, ForwardError> {
        let long = self.spec().long_context_above().is_some_and(|n| kv.options().n_ctx > n as usize);
        let watched = hook.sees_values() || hook.sees_expert_inputs();
        let (all_rows, hook) = (hook.all_rows(), RefCell::new(hook));
        let watch = watched.then_some(&hook as &dyn Watch);
        let pass = Pass::new(self, (cx, adapting), batch, long, watch);
        ends::start(&pass, s);
        draft_head::join(&pass, hidden, s)?;
        per_layer::inputs(&pass, s)?;
        altup::start(&pass, s)?;
        let (mut pages, n_layers) = (kv.pages(), self.n_layers());
        // after it, no layer needs the rows of which nothing is wanted
        let last = self.spec().layers.iter().rposition(LayerSpec::stores).unwrap_or(n_layers);
        let mut n = batch.len();
        for index in 0..n_layers {
            if cx.cancelled() {
                return Err(ForwardError::Cancelled);
            }
            n = layer(pass.step(index, n), s, &mut pages, index == last && !all_rows)?;
            if n == 0 {
                return Ok(End::Done);
            }
            if cx.cancelled() {
                // A hook sees no unfinished values.
                return Err(ForwardError::Cancelled);
            }
            let after = hook.borrow_mut().after_layer(index, s.x.mat_mut(n, self.n_embd()));
            if let ControlFlow::Break(()) = after {
                ends::stop(&pass, s, n);
                return Ok(End::Stopped(index));
            }
        }
        altup::finish(&pass, s, n)?;
        ends::finish(&pass, s, n)?;
        Ok(End::Done)
    }
}

/// One layer of the model. Returns how many rows of the residual stream `x` go on: all of them, or, from the `last` one on
/// that stores something, those of which something is wanted.
fn layer(
    mut step: Step<'_>,
    s: &mut Scratch,
    pages: &mut Pages<'_>,
    last: bool,
) -> Result<usize, ForwardError> {
    altup::predict(&step, s)?; //                       x = what the residual streams predict of it, if there are several
    moe::score_early(&step, s)?; //                     scores = router x, for a router that reads the layer's input
    mixer::norm(&step, s); //                           normed = norm(x); x = normed * factor, in models that add to that
    laurel::branch(&step, s)?; //                       laurel = normed + norm(R (L normed))
    if let Some(w) = step.weights.recurrent() {
        recurrent::scan(&step, w, s, pages)?; //        y = mixer(normed), state = what follows
    }
    if let Some(w) = &step.weights.attention {
        match &w.latent {
            Some(l) => latent::project(&step, w, l, s)?, // q, k, v, of short rows, rotated
            None => {
                attention::project(&step, w, s)?; //    q, k, v = Wq normed, Wk normed, Wv normed
                attention::rotate(&step, w, s); //      q, k = rope(norm(q)), rope(norm(k))
            }
        }
        attention::store(&step, w, s, pages)?; //       cache = k, v
    }
    // a feed-forward half that looks at other rows needs all of them
    if last && step.weights.channel_mix().is_none() {
        step.cx = step.wanted;
        step.n = mixer::keep_wanted(&step, s); //       the other rows were needed for what the cache has of them
        if step.n == 0 {
            return Ok(0);
        }
    }
    if let Some(w) = &step.weights.attention {
        attention::attend(&step, w, s, pages); //       heads = attention(q, cache)
        attention::gate(&step, w, s); //                heads = norm(heads * act(gates))
        latent::values(&step, w, s)?; //                heads = Wv[head] heads, if the cache has the short rows
        attention::out(&step, w, s)?; //                mixed = Wo heads
    }
    if let Some(w) = step.weights.recurrent() {
        recurrent::out(&step, w, s)?; //                mixed = Wout y, added to attention's, if there is some
    }
    if step.weights.mixes() {
        mixer::add(&step, s); //                        x += norm(mixed)
        laurel::add(&step, s); //                       x = (x + laurel) / sqrt(2)
    }
    if let Some(ffn) = &step.weights.ffn {
        ffn::norm(&step, s); //                         normed = norm(x)
        match &ffn.block {
            Ffn::Elementwise(act) => ffn::elementwise(&step, s, *act), // ffn_out = act(normed)
            Ffn::Dense(mlp) => ffn::dense(&step, s, mlp)?, // ffn_out = down(act(gate normed) * up normed)
            Ffn::ChannelMix(mix) => mix.run(&step, s, pages)?, // ffn_out = sigmoid(r) * (value relu(key)^2)
            Ffn::Moe(moe) => moe::mixture(&step, s, moe)?, // ffn_out = weighted sum of the best experts' results
        }
        ffn::add(&step, ffn, s); //                     x += norm(ffn_out)
    }
    altup::correct(&step, s)?; //                       the streams take their part of what changed in x
    per_layer::add(&step, s)?; //                       x += norm(proj(gelu(gate x) * inputs of the layer))
    ffn::scale(&step, s); //                            x *= the layer's scale, or x += it times the embedding
    step.see("layer_output", s.x.mat(step.n, step.n_embd));
    check_finite(&step, s)?;
    Ok(step.n)
}

/// Float matrices do not quantize their input, which would find values that are not finite.
fn check_finite(step: &Step<'_>, s: &Scratch) -> Result<(), ForwardError> {
    let x = &s.x.values()[..step.n * step.n_embd];
    let finite = !step.has_float_matrices || (step.cx.kernels.ops.all_finite)(x);
    if finite { Ok(()) } else { Err(step.non_finite()) }
}
