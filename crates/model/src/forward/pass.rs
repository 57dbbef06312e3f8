//! What the steps of a forward pass read, but never change.

use happy_kernels::Ctx;
use happy_kernels::linear::Adapting;

use crate::batch::Batch;
use crate::error::ForwardError;
use crate::model::Model;
use crate::scratch::AdaptScratch;
use crate::spec::ModelSpec;
use crate::weights::{Layer, RelativeBias};

/// A forward pass.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) cx: Ctx<'a>,
    pub(super) model: &'a Model,
    pub(super) batch: &'a Batch,
    /// `cx` for the rows of which something is wanted; `logits` is for those of which logits are wanted. Fewer rows mean another list of
    /// adapters.
    pub(super) wanted: Ctx<'a>,
    pub(super) logits: Ctx<'a>,
    /// Whether to use the rotary factors for long contexts.
    pub(super) long: bool,
}

/// One layer of a forward pass.
#[derive(Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) cx: Ctx<'a>,
    /// `cx` for the rows of which something is wanted.
    pub(super) wanted: Ctx<'a>,
    pub(crate) model: &'a ModelSpec,
    /// The index of the layer.
    pub(crate) layer: usize,
    pub(crate) weights: &'a Layer,
    /// The tables of biases by distance to which layers refer.
    pub(super) relative: &'a [RelativeBias],
    /// The width of the residual stream.
    pub(crate) n_embd: usize,
    /// How many rows of the residual stream the layer works on.
    pub(crate) n: usize,
    /// Whether some matrix of the model takes its input without quantization.
    pub(super) has_float_matrices: bool,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        model: &'a Model,
        (cx, adapting): (Ctx<'a>, &'a AdaptScratch),
        batch: &'a Batch,
        long: bool,
    ) -> Self {
        let (rows, rank, hidden) = (batch.row_sets(), batch.adapter_rank(), &adapting.hidden);
        let adapters = (batch.n_sets() > 0).then_some(Adapting { sets: batch, rows, rank, hidden });
        let cx = cx.adapting(adapters);
        let (wanted, logits) = (cx.for_rows(&adapting.wanted), cx.for_rows(&adapting.logits));
        Pass { cx, model, batch, wanted, logits, long }
    }

    /// Returns `cx` for `n` rows: all of them, or those of which something is wanted.
    pub(super) fn cx_of(&self, n: usize) -> Ctx<'a> {
        if n == self.batch.len() { self.cx } else { self.wanted }
    }

    /// Returns a layer whose first step works on `n` rows.
    pub(super) fn step(&self, layer: usize, n: usize) -> Step<'a> {
        let (model, weights) = (self.model.spec(), self.model.weights());
        let (relative, weights) = (&*weights.relative, &weights.layers[layer]);
        let has_float_matrices = self.model.has_float_matrices();
        let (cx, wanted, n_embd) = (self.cx_of(n), self.wanted, model.n_embd);
        Step { cx, wanted, model, layer, weights, relative, n_embd, n, has_float_matrices }
    }
}

impl Step<'_> {
    /// Returns the error for a value that is infinite or not a number.
    pub(crate) fn non_finite(&self) -> ForwardError {
        ForwardError::NonFinite { layer: self.layer }
    }
}
