//! The forward pass.
//!
//! ```text
//! check the batch; take cache pages; x = embedding rows * scale; cos, sin of every position
//! for each layer: attention block, feed-forward block, hook, cancel flag
//!     in the last layer, rows that nobody asked for are dropped once their K and V are stored
//! norm of the rows that are wanted; output matrix for those that want logits; commit the cache's new lengths
//! ```
//!
//! Every operation works on single rows, and sums have a fixed order, so a row's bits do not depend on the other rows
//! of the batch, on how a prompt is cut into batches, or on the number of threads.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use happy_kernels::linear;
use happy_kernels::ops::AttnRow;
use happy_kernels::{Cancel, Ctx, FpEnv, MatMut};

use crate::batch::{Batch, Want};
use crate::error::{BatchError, ForwardError};
use crate::hook::LayerHook;
use crate::kv::{KvCache, Pages};
use crate::model::Model;
use crate::output::Output;
use crate::rows;
use crate::scratch::{OutputRow, Scratch};
use crate::weights::kinds;

/// What stays the same during a pass.
pub(crate) struct Pass<'a> {
    pub(crate) model: &'a Model,
    pub(crate) cx: Ctx<'a>,
    pub(crate) batch: &'a Batch,
    /// Use the rotary factors for long contexts.
    pub(crate) long: bool,
    /// Rows of the whole batch.
    pub(crate) n_rows: usize,
}

/// How a pass ended without an error.
enum End {
    /// With results.
    Done,
    /// A hook ended it after this layer.
    Stopped(usize),
}

impl Model {
    /// Runs a batch: stores its keys and values in `kv` and computes what its rows want.
    ///
    /// # Errors
    /// A batch or cache that does not fit, or values that are not finite. The cache's sequences are then as before.
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

    /// The same, until `cancel` becomes true. The flag is looked at before each task of the pool: a task takes a few
    /// milliseconds on a slow core at most. The cache's sequences are then as before the pass.
    ///
    /// # Errors
    /// As [`Model::forward`], and [`ForwardError::Cancelled`].
    pub fn forward_until<'s>(
        &self,
        cx: Ctx<'_>,
        batch: &Batch,
        kv: &mut KvCache,
        scratch: &'s mut Scratch,
        hook: &mut dyn LayerHook,
        cancel: &AtomicBool,
    ) -> Result<Output<'s>, ForwardError> {
        self.check(cx, batch, kv, scratch)?;
        let _fp = FpEnv::enter();
        let cancel = Cancel::new(cancel);
        kv.prepare(batch)?;
        let end = self.run(cx.until(&cancel), batch, kv, scratch, hook);
        // Where a task was skipped, whatever was computed from its results means nothing.
        let end = if cancel.seen() { Err(ForwardError::Cancelled) } else { end };
        match end {
            Ok(End::Done) => kv.commit(batch),
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
        let limits =
            [("tokens", batch.len(), sizes.rows), ("rows with results", batch.n_outputs(), sizes.outputs)];
        for (what, found, planned) in limits {
            if found > planned {
                return Err(BatchError::TooLarge { what, found, planned }.into());
            }
        }
        Ok(())
    }

    fn run(
        &self,
        cx: Ctx<'_>,
        batch: &Batch,
        kv: &mut KvCache,
        s: &mut Scratch,
        hook: &mut dyn LayerHook,
    ) -> Result<End, ForwardError> {
        let long = self.spec().long_context_above().is_some_and(|n| kv.options().n_ctx > n as usize);
        let pass = Pass { model: self, cx, batch, long, n_rows: batch.len() };
        pass.start(s);
        pass.layers(s, &mut kv.pages(), hook)
    }
}

impl Pass<'_> {
    /// Embeddings, rotary angles, the lists of rows and of wanted rows.
    fn start(&self, s: &mut Scratch) {
        let (spec, weights) = (self.model.spec(), self.model.weights());
        let (cx, batch, n) = (self.cx, self.batch, self.n_rows);
        rows::each_row(cx, s.x.mat_mut(n, spec.n_embd), &|i, row, _| {
            // the token is below the vocabulary's size and the tensor's shape was checked
            if weights.embedding.row(batch.tokens()[i], row).is_err() {
                row.fill(f32::NAN);
            }
            if let Some(scale) = spec.embedding_scale {
                (cx.kernels.ops.scale)(row, scale);
            }
        });
        let mut rest = s.cos_sin.take(n * s.sizes.cos_sin);
        for rope in &weights.ropes {
            let table = rope.table(self.long);
            let (part, other) = rest.split_at_mut(n * table.n_rot());
            rest = other;
            rows::each_row(cx, MatMut::new(part, n, table.n_rot()), &|i, row, _| {
                table.fill(batch.positions()[i], row)
            });
        }
        s.attn_rows.clear();
        for (sequence, rows) in batch.groups() {
            s.attn_rows.extend(rows.map(|i| AttnRow { position: batch.positions()[i], sequence }));
        }
        s.outputs.clear();
        let (mut logits, mut hidden) = (0, 0);
        for (index, want) in batch.wants().iter().enumerate() {
            let slot = match want {
                Want::Nothing => continue,
                Want::Logits => &mut logits,
                Want::Hidden => &mut hidden,
            };
            s.outputs.push(OutputRow { index, want: *want, slot: *slot });
            *slot += 1;
        }
    }

    fn layers(
        &self,
        s: &mut Scratch,
        pages: &mut Pages<'_>,
        hook: &mut dyn LayerHook,
    ) -> Result<End, ForwardError> {
        let n_layers = self.model.spec().layers.len();
        let all_rows = hook.all_rows();
        let mut n = self.n_rows;
        for layer in 0..n_layers {
            if self.cx.cancelled() {
                return Err(ForwardError::Cancelled);
            }
            let last = layer + 1 == n_layers && !all_rows;
            n = self.attention_block(s, pages, layer, last)?;
            if n == 0 {
                return Ok(End::Done);
            }
            self.ffn_block(s, layer, n)?;
            self.check_finite(s, layer, n)?;
            if self.cx.cancelled() {
                // A hook sees no unfinished values.
                return Err(ForwardError::Cancelled);
            }
            let hidden = s.x.mat_mut(n, self.model.spec().n_embd);
            if let ControlFlow::Break(()) = hook.after_layer(layer, hidden) {
                self.stop(s, n);
                return Ok(End::Stopped(layer));
            }
        }
        self.finish(s, n)?;
        Ok(End::Done)
    }

    /// Float matrices do not quantise their input, where values that are not finite would be noticed.
    fn check_finite(&self, s: &Scratch, layer: usize, n: usize) -> Result<(), ForwardError> {
        let n_embd = self.model.spec().n_embd;
        let finite =
            !self.model.has_float_matrices() || (self.cx.kernels.ops.all_finite)(&s.x.values()[..n * n_embd]);
        if finite { Ok(()) } else { Err(ForwardError::NonFinite { layer }) }
    }

    /// The row of `x` that holds an output: all rows of the batch are there, or only those that are wanted.
    fn row_of(&self, output: usize, row: &OutputRow, n: usize) -> usize {
        if n == self.n_rows { row.index } else { output }
    }

    /// The residual stream as it is, for the rows that want a hidden state.
    fn stop(&self, s: &mut Scratch, n: usize) {
        let n_embd = self.model.spec().n_embd;
        let count = s.outputs.iter().filter(|o| o.want == Want::Hidden).count();
        let hidden = s.hidden.take(count * n_embd);
        for (i, o) in s.outputs.iter().enumerate().filter(|(_, o)| o.want == Want::Hidden) {
            let x = self.row_of(i, o, n) * n_embd;
            hidden[o.slot * n_embd..(o.slot + 1) * n_embd].copy_from_slice(&s.x.values()[x..x + n_embd]);
        }
    }

    /// The last norm, and the output matrix for rows that want logits.
    fn finish(&self, s: &mut Scratch, n: usize) -> Result<(), ForwardError> {
        let (spec, weights, cx) = (self.model.spec(), self.model.weights(), self.cx);
        let (n_embd, n_vocab, n_layers) = (spec.n_embd, spec.n_vocab, spec.layers.len());
        let n_hidden = s.outputs.iter().filter(|o| o.want == Want::Hidden).count();
        let n_logits = s.outputs.len() - n_hidden;
        let x = s.x.mat(n, n_embd);
        for (want, count, buf) in
            [(Want::Logits, n_logits, &mut s.io.0), (Want::Hidden, n_hidden, &mut s.hidden)]
        {
            let outputs = &s.outputs;
            // the slots of a want ascend with the rows
            let from = |slot: usize| {
                let found = outputs.iter().enumerate().filter(|(_, o)| o.want == want).nth(slot);
                found.map_or(0, |(i, o)| self.row_of(i, o, n))
            };
            if count > 0 {
                rows::norm_from(cx, &weights.output_norm, x, &from, buf.mat_mut(count, n_embd));
            }
        }
        let non_finite = ForwardError::NonFinite { layer: n_layers };
        if !(cx.kernels.ops.all_finite)(&s.hidden.take(n_hidden * n_embd)[..]) {
            return Err(non_finite);
        }
        if n_logits == 0 {
            return Ok(());
        }
        if !s.acts.set(cx, s.io.normed(n_logits, n_embd), kinds([&weights.output])) {
            return Err(non_finite);
        }
        let logits = s.logits.mat_mut(n_logits, n_vocab);
        linear::forward(cx, &s.acts, &mut [(&weights.output, logits)], &s.panels);
        let finite = AtomicBool::new(true);
        cx.pool.for_each_chunk(s.logits.take(n_logits * n_vocab), 1 << 14, &|_, chunk, _| {
            if cx.cancelled() {
                return;
            }
            if let Some(scale) = spec.logit_scale {
                (cx.kernels.ops.scale)(chunk, scale);
            }
            if let Some(cap) = spec.final_soft_cap {
                (cx.kernels.ops.soft_cap)(chunk, cap);
            }
            if !(cx.kernels.ops.all_finite)(chunk) {
                finite.store(false, Ordering::Relaxed);
            }
        });
        if finite.into_inner() { Ok(()) } else { Err(non_finite) }
    }
}
