//! What the steps of a forward pass read, but never change.

use std::cell::RefCell;

use happy_kernels::linear::{Adapting, Linear};
use happy_kernels::{Ctx, Mat};

use crate::batch::Batch;
use crate::error::ForwardError;
use crate::hook::{ExpertInput, LayerHook, Value};
use crate::model::Model;
use crate::scratch::AdaptScratch;
use crate::spec::ModelSpec;
use crate::weights::{Layer, RelativeBias};

/// Takes the values that a hook wants to see. A trait, so that a pass does not depend on the hook's lifetime.
pub(super) trait Watch {
    fn see(&self, value: &Value<'_>);

    fn see_expert_input(&self, input: &ExpertInput<'_>);
}

impl Watch for RefCell<&mut dyn LayerHook> {
    fn see(&self, value: &Value<'_>) {
        // nothing else borrows it while a step runs
        if let Ok(mut hook) = self.try_borrow_mut()
            && hook.sees_values()
        {
            hook.on_value(value);
        }
    }

    fn see_expert_input(&self, input: &ExpertInput<'_>) {
        if let Ok(mut hook) = self.try_borrow_mut()
            && hook.sees_expert_inputs()
        {
            hook.on_expert_input(input);
        }
    }
}

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
    watch: Option<&'a dyn Watch>,
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
    watch: Option<&'a dyn Watch>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        model: &'a Model,
        (cx, adapting): (Ctx<'a>, &'a AdaptScratch),
        batch: &'a Batch,
        long: bool,
        watch: Option<&'a dyn Watch>,
    ) -> Self {
        let (rows, rank, hidden) = (batch.row_sets(), batch.adapter_rank(), &adapting.hidden);
        let adapters = (batch.n_sets() > 0).then_some(Adapting { sets: batch, rows, rank, hidden });
        let cx = cx.adapting(adapters);
        let (wanted, logits) = (cx.for_rows(&adapting.wanted), cx.for_rows(&adapting.logits));
        Pass { cx, model, batch, wanted, logits, long, watch }
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
        let watch = self.watch;
        Step { cx, wanted, model, layer, weights, relative, n_embd, n, has_float_matrices, watch }
    }

    /// Shows the hook a value outside of the layers, and the matrix that computed it, if one did.
    pub(super) fn see(&self, name: &'static str, matrix: Option<&Linear>, rows: Mat<'_>) {
        if let Some(watch) = self.watch {
            watch.see(&Value { layer: None, name, matrix, rows });
        }
    }
}

impl Step<'_> {
    /// Shows the hook the result of a step.
    pub(crate) fn see(&self, name: &'static str, rows: Mat<'_>) {
        self.show(name, None, rows);
    }

    /// Shows the hook the result of a matrix.
    pub(crate) fn see_product(&self, name: &'static str, matrix: &Linear, rows: Mat<'_>) {
        self.show(name, Some(matrix), rows);
    }

    /// Shows the hook what an expert's matrix is multiplied with.
    pub(super) fn see_expert_input(&self, matrix: &'static str, expert: usize, rows: Mat<'_>) {
        if let Some(watch) = self.watch.filter(|_| !self.cx.cancelled()) {
            watch.see_expert_input(&ExpertInput { layer: self.layer, matrix, expert, rows });
        }
    }

    fn show(&self, name: &'static str, matrix: Option<&Linear>, rows: Mat<'_>) {
        // Rows of a cancelled step are unfinished.
        if let Some(watch) = self.watch.filter(|_| !self.cx.cancelled()) {
            watch.see(&Value { layer: Some(self.layer), name, matrix, rows });
        }
    }

    /// Returns the error for a value that is infinite or not a number.
    pub(crate) fn non_finite(&self) -> ForwardError {
        ForwardError::NonFinite { layer: self.layer }
    }
}
