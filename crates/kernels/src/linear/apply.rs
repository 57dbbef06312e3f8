//! A single matrix: quantize it, multiply by it. A model plans its buffers and runs several matrices as one job
//! instead, with [`forward`](super::forward).

use super::{ActBuf, ActKinds, ActWidths, Linear, LinearError, Panels, WeightMatrix, forward};
use crate::{Ctx, Kernels, Mat, MatMut};
use happy_tensor::{Bytes, DType, RowError, quantize_row};

/// Buffers of [`Linear::apply`]. They grow when they are too small, and can serve many matrices.
#[derive(Debug, Default)]
pub struct Workspace {
    acts: ActBuf,
    panels: Panels,
    size: Size,
}

/// The sizes that the buffers have room for.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    rows: usize,
    widths: ActWidths,
    threads: usize,
    panel_bytes: usize,
}

/// Why a matrix cannot be multiplied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// Inputs and outputs do not have the same number of rows.
    #[error(
        "{x} inputs and {y} outputs for a matrix of {n_out} x {n_in}, expected {n_in} inputs and {n_out} outputs a row"
    )]
    Shape {
        /// Input values.
        x: usize,
        /// Output values.
        y: usize,
        /// Outputs of the matrix.
        n_out: usize,
        /// Inputs of the matrix.
        n_in: usize,
    },
    /// An input is infinite or not a number.
    #[error("an input is not finite")]
    NonFinite,
    /// The buffers cannot be reserved.
    #[error("cannot reserve buffers for {rows} rows of {n_in} inputs")]
    Memory {
        /// Rows of inputs.
        rows: usize,
        /// Inputs of a row.
        n_in: usize,
    },
}

impl Linear {
    /// Quantizes `n_out` rows of `n_in` weights each.
    ///
    /// # Errors
    /// If a row is not a whole number of blocks, `weights` is not `n_out` rows, or memory cannot be reserved.
    pub fn quantize(
        dtype: DType,
        n_out: usize,
        n_in: usize,
        weights: &[f32],
        kernels: &Kernels,
    ) -> Result<Self, LinearError> {
        let n_bytes = dtype.row_bytes(n_in)?.saturating_mul(n_out);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(n_bytes).map_err(|_| LinearError::Memory { bytes: n_bytes })?;
        bytes.resize(n_bytes, 0);
        quantize_row(dtype, weights, &mut bytes).map_err(|error| match error {
            RowError::Shape(shape) => LinearError::Shape(shape),
            _ => LinearError::Memory { bytes: n_bytes },
        })?;
        Self::new(WeightMatrix { dtype, n_out, n_in, bytes: Bytes::from(bytes) }, kernels)
    }

    /// Computes `y = W x + b` for each row of `x`, which is `[rows][n_in]`; `y` is `[rows][n_out]`.
    ///
    /// # Errors
    /// If the lengths of `x` and `y` do not fit, an input is not finite (matrices of floats do not check that), or the
    /// buffers cannot be reserved.
    pub fn apply(
        &self,
        cx: Ctx<'_>,
        x: &[f32],
        y: &mut [f32],
        workspace: &mut Workspace,
    ) -> Result<(), ApplyError> {
        let (n_in, n_out) = (self.n_in(), self.n_out());
        let rows = x.len() / n_in;
        if rows.checked_mul(n_in) != Some(x.len()) || rows.checked_mul(n_out) != Some(y.len()) {
            return Err(ApplyError::Shape { x: x.len(), y: y.len(), n_out, n_in });
        }
        let kinds = ActKinds::default().with(self.act_kind());
        workspace.grow(Size {
            rows,
            widths: kinds.up_to(n_in),
            threads: cx.pool.threads(),
            panel_bytes: self.panel_bytes(),
        })?;
        if !workspace.acts.set(cx, Mat::new(x, rows, n_in), kinds) {
            return Err(ApplyError::NonFinite);
        }
        forward(cx, &workspace.acts, &mut [(self, MatMut::new(y, rows, n_out))], &workspace.panels);
        Ok(())
    }
}

impl Workspace {
    fn grow(&mut self, wanted: Size) -> Result<(), ApplyError> {
        let memory = |_| ApplyError::Memory { rows: wanted.rows, n_in: wanted.widths.longest() };
        let old = self.size;
        let size = Size {
            rows: old.rows.max(wanted.rows),
            widths: old.widths.union(wanted.widths),
            threads: old.threads.max(wanted.threads),
            panel_bytes: old.panel_bytes.max(wanted.panel_bytes),
        };
        let more_rows = size.rows > old.rows;
        if more_rows || size.widths != old.widths {
            self.acts = ActBuf::new(size.rows, size.widths).map_err(memory)?;
        }
        if more_rows || size.threads > old.threads || size.panel_bytes > old.panel_bytes {
            self.panels = Panels::new(size.threads, size.rows, size.panel_bytes).map_err(memory)?;
        }
        self.size = size;
        Ok(())
    }
}
