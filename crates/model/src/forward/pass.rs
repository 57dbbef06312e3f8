//! What the steps of a forward pass read and never change.

use happy_kernels::Ctx;

use crate::batch::Batch;
use crate::error::ForwardError;
use crate::model::Model;
use crate::spec::ModelSpec;
use crate::weights::{Layer, RelativeBias};

/// A forward pass.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) cx: Ctx<'a>,
    pub(super) model: &'a Model,
    pub(super) batch: &'a Batch,
    /// Whether to use the rotary factors for long contexts.
    pub(super) long: bool,
}

/// One layer of a forward pass.
#[derive(Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) cx: Ctx<'a>,
    pub(crate) model: &'a ModelSpec,
    /// Index of the layer.
    pub(crate) layer: usize,
    pub(crate) weights: &'a Layer,
    /// Tables of biases by distance that layers refer to.
    pub(super) relative: &'a [RelativeBias],
    /// Width of the residual stream.
    pub(crate) n_embd: usize,
    /// Rows of the residual stream that the layer works on.
    pub(crate) n: usize,
    /// Whether a matrix of the model takes its input unquantized.
    pub(super) has_float_matrices: bool,
}

impl<'a> Pass<'a> {
    /// A layer whose first step works on `n` rows.
    pub(super) fn step(&self, layer: usize, n: usize) -> Step<'a> {
        let (model, weights) = (self.model.spec(), self.model.weights());
        let (relative, weights) = (&*weights.relative, &weights.layers[layer]);
        let has_float_matrices = self.model.has_float_matrices();
        Step { cx: self.cx, model, layer, weights, relative, n_embd: model.n_embd, n, has_float_matrices }
    }
}

impl Step<'_> {
    /// The error for a value that is infinite or not a number.
    pub(crate) fn non_finite(&self) -> ForwardError {
        ForwardError::NonFinite { layer: self.layer }
    }
}
