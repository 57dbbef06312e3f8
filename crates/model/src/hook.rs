//! Hooks, which see, change or end the computation between layers.

use std::ops::ControlFlow;

use happy_kernels::MatMut;

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
