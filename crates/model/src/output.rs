//! The result of a forward pass.

use crate::batch::Want;
use crate::scratch::{OutputRow, Scratch};

/// The logits and hidden states of the tokens of which they were wanted. They are borrowed from the scratch.
#[derive(Clone, Copy)]
pub struct Output<'a> {
    scratch: &'a Scratch,
    stopped: Option<usize>,
}

impl<'a> Output<'a> {
    pub(crate) fn new(scratch: &'a Scratch, stopped: Option<usize>) -> Self {
        Output { scratch, stopped }
    }

    fn row(&self, index: usize) -> Option<&'a OutputRow> {
        let outputs = &self.scratch.outputs;
        outputs.get(outputs.binary_search_by_key(&index, |o| o.index).ok()?)
    }

    /// Returns the `n_vocab` logits of token `index` of the batch, if it wanted [`Want::Logits`] and no hook stopped the pass.
    pub fn logits(&self, index: usize) -> Option<&'a [f32]> {
        let n = self.scratch.sizes.n_vocab;
        let row = self.row(index).filter(|row| row.want == Want::Logits && self.stopped.is_none())?;
        let slot = row.slot;
        self.scratch.logits.values().get(slot * n..(slot + 1) * n)
    }

    /// Returns the hidden state of token `index` of the batch, if it wanted [`Want::Hidden`] or [`Want::Logits`]: `n_embd` values after the
    /// last norm, or the residual stream if a hook stopped the pass.
    pub fn hidden(&self, index: usize) -> Option<&'a [f32]> {
        let n = self.scratch.sizes.n_embd;
        let slot = self.row(index)?.slot;
        self.scratch.io.0.values().get(slot * n..(slot + 1) * n)
    }

    /// Returns the indices of the batch's tokens that want logits, ascending.
    pub fn logits_indices(&self) -> impl Iterator<Item = usize> + 'a {
        self.scratch.outputs.iter().filter(|o| o.want == Want::Logits).map(|o| o.index)
    }

    /// Returns the layer after which a hook stopped the pass, if one did.
    pub fn stopped(&self) -> Option<usize> {
        self.stopped
    }
}

impl Scratch {
    /// Returns the outputs of the last pass, for a caller that could not keep the [`Output`] itself. They mean something only if that
    /// pass succeeded and no hook stopped it.
    pub fn output(&self) -> Output<'_> {
        Output::new(self, None)
    }
}
