//! Hooks, which see, change or end the computation between layers.

use std::ops::ControlFlow;

use happy_kernels::linear::Linear;
use happy_kernels::{Mat, MatMut};

/// A hook that is called after every layer.
///
/// ```
/// use std::ops::ControlFlow;
/// use happy_kernels::MatMut;
/// use happy_model::LayerHook;
///
/// /// Stops the forward pass after layer 3.
/// struct StopAtThree;
/// impl LayerHook for StopAtThree {
///     fn after_layer(&mut self, layer: usize, _hidden: MatMut<'_>) -> ControlFlow<()> {
///         if layer == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
///     }
/// }
/// ```
pub trait LayerHook {
    /// Called with the residual stream after `layer`, which has a row of `n_embd` values per token of the batch. The hook may change
    /// it.
    ///
    /// `Break` ends the pass. [`Output::stopped`](crate::Output::stopped) then returns the layer, rows that want
    /// [`Hidden`](crate::Want::Hidden) get this residual stream, there are no logits, and the sequences of the KV cache keep their
    /// lengths.
    fn after_layer(&mut self, layer: usize, hidden: MatMut<'_>) -> ControlFlow<()>;

    /// Returns whether the hook needs every row after the last layers, too. If not, rows of which nothing is wanted are left out
    /// there. The default is true.
    fn all_rows(&self) -> bool {
        true
    }

    /// Returns whether [`on_value`](Self::on_value) is to be called. The default is false.
    fn sees_values(&self) -> bool {
        false
    }

    /// Called with the result of every step inside the layers, before the next step reads it. The order, the names and the bits
    /// are the same on every device.
    fn on_value(&mut self, value: &Value<'_>) {
        let _ = value;
    }

    /// Returns whether [`on_expert_input`](Self::on_expert_input) is to be called. The default is false.
    fn sees_expert_inputs(&self) -> bool {
        false
    }

    /// Called with the rows that the matrices of an expert are about to be multiplied with. Experts that no row chose are not shown.
    fn on_expert_input(&mut self, input: &ExpertInput<'_>) {
        let _ = input;
    }
}

/// What matrices of an expert are multiplied with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ExpertInput<'a> {
    /// The layer of the mixture.
    pub layer: usize,
    /// The matrix's tensor, without layer and `.weight`: `ffn_up_exps` or `ffn_down_exps`; `ffn_up_chexps` or `ffn_down_chexps` of the
    /// small experts of groups; `ffn_up_shexp` or `ffn_down_shexp` of the shared expert, whatever its tensors are called. The gate
    /// matrix reads the same rows as the up matrix, and is not named.
    pub matrix: &'static str,
    /// The index of the expert's matrix in its tensor; 0 for the shared expert.
    pub expert: usize,
    /// A row for each token that chose the expert.
    pub rows: Mat<'a>,
}

/// A result on the way from tokens to logits.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Value<'a> {
    /// The layer that computed it; `None` before the first layer and after the last.
    pub layer: Option<usize>,
    /// What it is. The result of a matrix has the name of the matrix's tensor, such as `ffn_down`; a name may come several times
    /// in a layer, such as `mixer_input` of several matrices.
    pub name: &'static str,
    /// The matrix that computed it, if one did. A gated activation has that of its second matrix.
    pub matrix: Option<&'a Linear>,
    /// A row for each token, or for several results of a token.
    pub rows: Mat<'a>,
}

/// No hook.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHook;

impl LayerHook for NoHook {
    fn after_layer(&mut self, _layer: usize, _hidden: MatMut<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn all_rows(&self) -> bool {
        false
    }
}
