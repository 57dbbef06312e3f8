//! Turns the hidden states of texts into embeddings and ranks; see [`crate::spec::HeadSpec`].

use std::sync::atomic::AtomicBool;

use happy_kernels::linear::{self, Linear};
use happy_kernels::{Ctx, FpEnv};

use crate::batch::Batch;
use crate::error::{BatchError, ForwardError};
use crate::forward::rows;
use crate::hook::NoHook;
use crate::kv::KvCache;
use crate::model::Model;
use crate::scratch::{Buf, Scratch};
use crate::spec::Pooling;
use crate::weights::kinds;

/// The vectors of a batch of texts, borrowed from the scratch: one per text, or one per token with [`Pooling::None`].
#[derive(Clone, Copy, Debug)]
pub struct Embeddings<'s> {
    values: &'s [f32],
    width: usize,
}

impl<'s> Embeddings<'s> {
    /// Returns the number of values in a vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the vectors, in the order of the batch.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'s [f32]> + use<'s> {
        self.values.chunks_exact(self.width)
    }
}

/// The place of the rows that the next step of the head reads.
#[derive(Clone, Copy)]
enum At {
    Hidden,
    Head(usize),
}

impl Model {
    /// Returns which hidden states a pooling reads: those of all tokens, their mean, or the first or last of each text. Pass it to
    /// [`Batch::push_text`].
    ///
    /// # Errors
    /// [`ForwardError::NoClassifier`] for [`Pooling::Rank`] and a model without a classifier.
    pub fn pooling_reads(&self, pooling: Pooling) -> Result<Pooling, ForwardError> {
        match (pooling, &self.spec().head.classifier) {
            (Pooling::Rank, Some(classifier)) => Ok(classifier.pooling),
            (Pooling::Rank, None) => {
                Err(ForwardError::NoClassifier { architecture: self.spec().architecture })
            }
            _ => Ok(pooling),
        }
    }

    /// Runs a batch of whole texts, one per sequence, and pools their hidden states. Fill the batch with [`Batch::push_text`] and
    /// the result of [`Model::pooling_reads`] for `pooling`.
    ///
    /// # Errors
    /// As for [`Model::forward_until`] and [`Model::pooling_reads`], and if the batch's rows want something else.
    pub fn embed<'s>(
        &self,
        cx: Ctx<'_>,
        batch: &Batch,
        kv: &mut KvCache,
        scratch: &'s mut Scratch,
        pooling: Pooling,
        cancel: &AtomicBool,
    ) -> Result<Embeddings<'s>, ForwardError> {
        let reads = self.pooling_reads(pooling)?;
        let wants = batch.groups().flat_map(|(_, rows)| {
            let n = rows.len();
            (0..n).map(move |i| reads.want(i, n))
        });
        if let Some(index) = wants.zip(batch.wants()).position(|(expected, found)| expected != *found) {
            return Err(BatchError::Pooling { index, pooling: reads.name() }.into());
        }
        let (found, planned) = (batch.n_outputs(), scratch.sizes.outputs);
        if found > planned {
            return Err(BatchError::TooLarge { what: "rows with results", found, planned }.into());
        }
        self.forward_until(cx, batch, kv, scratch, &mut NoHook, cancel)?;
        let _fp = FpEnv::enter();
        let mut rows = batch.len();
        if reads != Pooling::None {
            rows = batch.groups().count();
        }
        if reads == Pooling::Mean {
            self.means(cx, batch, &mut scratch.io.0);
        }
        let (at, width) = match pooling {
            Pooling::Rank => self.rank(cx, scratch, rows),
            _ => self.project(cx, scratch, rows),
        }
        .ok_or(ForwardError::NonFinite { layer: self.n_layers() })?;
        let values = scratch.head_input(at).values().get(..rows * width).unwrap_or(&[]);
        if !(cx.kernels.ops.all_finite)(values) {
            return Err(ForwardError::NonFinite { layer: self.n_layers() });
        }
        Ok(Embeddings { values, width })
    }

    /// Computes the mean of each text's rows in place: sums in ascending order, then one division. The mean of text `i` is written to
    /// row `i`, which is never after the text's first row.
    fn means(&self, cx: Ctx<'_>, batch: &Batch, hidden: &mut Buf) {
        let n_embd = self.n_embd();
        let values = hidden.take(batch.len() * n_embd);
        for (text, (_, rows)) in batch.groups().enumerate() {
            let count = rows.len() as f32;
            values.copy_within(rows.start * n_embd..(rows.start + 1) * n_embd, text * n_embd);
            for row in rows.skip(1) {
                let (sums, rest) = values.split_at_mut(row * n_embd);
                (cx.kernels.ops.add)(&mut sums[text * n_embd..][..n_embd], &rest[..n_embd]);
            }
            values[text * n_embd..][..n_embd].iter_mut().for_each(|x| *x /= count);
        }
    }

    /// Computes the projections of every row. Returns `None` if a value was not finite.
    fn project(&self, cx: Ctx<'_>, s: &mut Scratch, rows: usize) -> Option<(At, usize)> {
        let (mut at, mut width) = (At::Hidden, self.n_embd());
        for (spec, projection) in self.spec().head.projections.iter().zip(&self.weights().head.projections) {
            (at, width) = (multiply(cx, s, at, projection, (rows, width, spec.n_out))?, spec.n_out);
        }
        Some((at, width))
    }

    /// Computes the scores of every row. Returns `None` if a value was not finite.
    fn rank(&self, cx: Ctx<'_>, s: &mut Scratch, rows: usize) -> Option<(At, usize)> {
        let (mut at, mut width) = (At::Hidden, self.n_embd());
        let (spec, weights) =
            self.spec().head.classifier.as_ref().zip(self.weights().head.classifier.as_ref())?;
        if let (Some(hidden), Some(n)) = (&weights.hidden, spec.n_hidden) {
            (at, width) = (multiply(cx, s, at, hidden, (rows, width, n))?, n);
            (cx.kernels.ops.activate)(spec.activation, s.head_output(at).take(rows * width));
        }
        if let Some(norm) = &weights.norm {
            let (input, output, to) = step(&s.io.0, &mut s.head, at);
            rows::norm(cx, norm, input.mat(rows, width), output.mat_mut(rows, width));
            at = to;
        }
        if let (Some(output), Some(n)) = (&weights.output, spec.n_labels) {
            (at, width) = (multiply(cx, s, at, output, (rows, width, n))?, n);
        }
        if spec.softmax {
            s.head_output(at).take(rows * width).chunks_exact_mut(width).for_each(softmax);
        }
        Some((at, width))
    }
}

/// Computes `output = matrix input` for rows of this many columns. Returns the place of the output, or `None` if a value was not
/// finite.
fn multiply(
    cx: Ctx<'_>,
    s: &mut Scratch,
    at: At,
    matrix: &Linear,
    (rows, n_in, n_out): (usize, usize, usize),
) -> Option<At> {
    let Scratch { io, head, acts, panels, .. } = s;
    let (input, output, to) = step(&io.0, head, at);
    if !acts.set(cx, input.mat(rows, n_in), kinds([matrix])) {
        return None;
    }
    linear::forward(cx, acts, &mut [(matrix, output.mat_mut(rows, n_out))], panels);
    Some(to)
}

/// Turns scores into probabilities. Exponentials and their sum are f64, in ascending order, and each quotient is rounded once.
fn softmax(scores: &mut [f32]) {
    let greatest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp = |x: f32| libm::exp(f64::from(x) - f64::from(greatest));
    let sum: f64 = scores.iter().map(|x| exp(*x)).sum();
    scores.iter_mut().for_each(|x| *x = (exp(*x) / sum) as f32);
}

impl Scratch {
    /// Returns the input of the next step of the head.
    fn head_input(&self, at: At) -> &Buf {
        match at {
            At::Hidden => &self.io.0,
            At::Head(i) => &self.head[i & 1],
        }
    }

    /// Returns the same for changes.
    fn head_output(&mut self, at: At) -> &mut Buf {
        match at {
            At::Hidden => &mut self.io.0,
            At::Head(i) => &mut self.head[i & 1],
        }
    }
}

/// Returns the input of a step of the head, its output, and the place of the output.
fn step<'a>(hidden: &'a Buf, [a, b]: &'a mut [Buf; 2], at: At) -> (&'a Buf, &'a mut Buf, At) {
    match at {
        At::Hidden => (hidden, a, At::Head(0)),
        At::Head(0) => (a, b, At::Head(1)),
        At::Head(_) => (b, a, At::Head(0)),
    }
}
