//! A worker's scratch for unpacked weights.

/// Alignment of a panel's start: a cache line, and the widest vector.
const ALIGN: usize = 64;

/// Maximum number of weight rows in a panel.
pub(crate) const PANEL_MAX_ROWS: usize = 32;

/// Scratch into which the gemm of one worker unpacks weight rows. Its size is planned beforehand.
#[derive(Debug, Default)]
pub struct Panel {
    weights: Vec<u8>,
    outputs: Vec<f32>,
}

impl Panel {
    /// Makes a panel with room for `weight_bytes` of unpacked weights and for `outputs` results that wait for their
    /// partner (the `up` half of a gated activation).
    ///
    /// # Errors
    /// If the memory cannot be reserved.
    pub fn new(weight_bytes: usize, outputs: usize) -> Result<Self, std::collections::TryReserveError> {
        let mut panel = Self::default();
        if weight_bytes > 0 {
            let bytes = weight_bytes.saturating_add(ALIGN);
            panel.weights.try_reserve_exact(bytes)?;
            panel.weights.resize(bytes, 0);
        }
        panel.outputs.try_reserve_exact(outputs)?;
        panel.outputs.resize(outputs, 0.0);
        Ok(panel)
    }

    /// Returns the number of bytes that [`Panel::new`] reserves.
    pub(crate) fn bytes(weight_bytes: usize, outputs: usize) -> usize {
        let weights = if weight_bytes > 0 { weight_bytes.saturating_add(ALIGN) } else { 0 };
        weights.saturating_add(outputs.saturating_mul(size_of::<f32>()))
    }

    /// Returns the first `len` bytes, aligned to 64.
    ///
    /// # Panics
    /// If the panel is smaller than that.
    pub fn bytes_mut(&mut self, len: usize) -> &mut [u8] {
        let start = self.weights.as_ptr().align_offset(ALIGN);
        &mut self.weights[start..start + len]
    }

    /// Takes out the output scratch, so that it can be written while the panel is in use. Return it with
    /// [`Panel::give_outputs`].
    pub(crate) fn take_outputs(&mut self) -> Vec<f32> {
        std::mem::take(&mut self.outputs)
    }

    pub(crate) fn give_outputs(&mut self, outputs: Vec<f32>) {
        self.outputs = outputs;
    }
}
