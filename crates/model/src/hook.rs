//! Hooks: look at, change, or end the computation between layers.

use std::ops::ControlFlow;

use happy_kernels::MatMut;

/// Called after every layer.
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
    /// `hidden` is the residual stream after `layer`, a row of `n_embd` values for each token of the batch; it may be
    /// changed. `Break` ends the pass: [`Output::stopped`](crate::Output::stopped) tells, rows that want
    /// [`Hidden`](crate::Want::Hidden) get this residual stream, nobody gets logits, and the KV cache keeps the
    /// lengths it had.
    fn after_layer(&mut self, layer: usize, hidden: MatMut<'_>) -> ControlFlow<()>;

    /// Whether the hook needs every row after the last layer too. If not, rows that want nothing are left out there.
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
