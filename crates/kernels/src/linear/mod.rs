//! Matrices of weights: `y = W x + b` for one token or many, on GGUF blocks where they lie.
//!
//! [`Linear`] is a weight matrix with its kernel, and [`ActBuf`] holds the activations in the forms that kernels take.
//! [`forward`] multiplies several matrices by the same activations as one job of the pool, and [`forward_glu`] adds the
//! gated activation of a feed-forward block.

mod acts_buf;
mod apply;
mod dispatch;
pub(crate) mod float;
pub(crate) mod kernel;
mod low_rank;
pub(crate) mod name;
pub(crate) mod panel;
pub(crate) mod products;
#[allow(dead_code, reason = "for formats that are not decoded in place")]
pub(crate) mod rows;
pub(crate) mod source;
pub(crate) mod table;
pub(crate) mod unit;

pub use crate::acts::{ActKind, Acts};
pub use acts_buf::{ActBuf, ActKinds, ActWidths};
pub use apply::{ApplyError, Workspace};
pub use dispatch::{Panels, forward, forward_each, forward_glu, forward_glu_each};
pub use kernel::{Few, FewKernel, Gemm, Gemv, LinearKernel};
pub use low_rank::{Adapting, Additions, Hidden, LowRank, Sets};
pub use panel::Panel;

use crate::Kernels;
use happy_tensor::{Bytes, DType, ShapeError};

/// A weight matrix: `n_out` rows of `n_in` weights, row after row.
#[derive(Clone, Debug)]
pub struct WeightMatrix {
    /// Format of the weights.
    pub dtype: DType,
    /// Number of rows, which is the number of outputs.
    pub n_out: usize,
    /// Number of weights in a row, which is the number of inputs.
    pub n_in: usize,
    /// The blocks, exactly `n_out` rows of them.
    pub bytes: Bytes,
}

/// Why a [`Linear`] cannot be made from weights and their shape.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinearError {
    /// The row length does not fit the format.
    #[error("a weight row: {0}")]
    Shape(ShapeError),
    /// The matrix has no elements.
    #[error("a weight matrix of {n_out} rows of {n_in} weights, expected at least one of each")]
    Empty {
        /// Rows.
        n_out: usize,
        /// Weights in a row.
        n_in: usize,
    },
    /// The bytes are not `n_out` rows.
    #[error("a weight matrix of {found} bytes, expected {expected} ({n_out} rows of {row_bytes} bytes)")]
    Size {
        /// Rows.
        n_out: usize,
        /// Bytes of a row.
        row_bytes: usize,
        /// Bytes of all rows.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The bias has another length than the output.
    #[error("a bias of {found} values, expected {expected}")]
    Bias {
        /// Outputs of the matrix.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// The rows cannot be divided evenly among the scales.
    #[error("{found} scales of a matrix of {n_out} rows, expected one, or one for each matrix of a stack")]
    Scales {
        /// Rows of the matrix, or of all matrices of the stack.
        n_out: usize,
        /// Scales given.
        found: usize,
    },
    /// The weights of an addition must be floats.
    #[error("weights of {found} in a low-rank addition, expected F32, F16 or BF16")]
    NotFloat {
        /// Format given.
        found: DType,
    },
    /// The memory for quantized weights or a bias cannot be reserved.
    #[error("cannot reserve {bytes} bytes for weights or a bias")]
    Memory {
        /// Bytes of the weights or of the bias.
        bytes: usize,
    },
}

impl From<ShapeError> for LinearError {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

/// A weight matrix bound to the kernel that multiplies it, with an optional bias.
///
/// A stack of matrices of the same shape (the experts of a layer) is one `Linear` with the rows of all of them;
/// [`Linear::rows`] picks one. So a stack costs as much memory as a single matrix.
#[derive(Debug)]
pub struct Linear {
    weights: WeightMatrix,
    row_bytes: usize,
    kernel: &'static LinearKernel,
    scales: Option<Scales>,
    bias: Option<Vec<f32>>,
    place: Option<Place>,
}

/// Factors of the products, each for the same number of rows.
#[derive(Debug)]
struct Scales {
    values: Vec<f32>,
    rows: usize,
}

impl Scales {
    /// Multiplies products of the rows from `first` on.
    fn apply(&self, scale: fn(&mut [f32], f32), first: usize, y: &mut [f32]) {
        let mut rest = y;
        let mut at = first;
        while !rest.is_empty() {
            let n = (self.rows - at % self.rows).min(rest.len());
            let (part, after) = rest.split_at_mut(n);
            if let Some(value) = self.values.get(at / self.rows) {
                scale(part, *value);
            }
            (rest, at) = (after, at + n);
        }
    }
}

/// Where a matrix comes from, so that [`LowRank`] additions find it.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Its number, or that of the matrix of which it is a part.
    matrix: u32,
    /// Its first row in that matrix.
    row: usize,
}

/// Consecutive rows of a [`Linear`], multiplied as a matrix of their own.
#[derive(Clone, Copy, Debug)]
pub struct LinearRows<'a> {
    linear: &'a Linear,
    first: usize,
    n_out: usize,
}

impl<'a> From<&'a Linear> for LinearRows<'a> {
    fn from(linear: &'a Linear) -> Self {
        Self { linear, first: 0, n_out: linear.n_out() }
    }
}

impl<'a> LinearRows<'a> {
    /// Returns the number of outputs.
    pub fn n_out(&self) -> usize {
        self.n_out
    }

    /// Returns the form that the activations must have.
    pub fn act_kind(&self) -> ActKind {
        self.linear.act_kind()
    }

    /// Returns the bytes of the rows from `first` to the last.
    fn bytes_from(&self, first: usize) -> &'a [u8] {
        let bytes = self.linear.row_bytes;
        &self.linear.weights.bytes[(self.first + first) * bytes..(self.first + self.n_out) * bytes]
    }

    /// Returns the bias of the rows from `first` on.
    fn bias_from(&self, first: usize) -> Option<&'a [f32]> {
        self.linear.bias.as_deref().map(|bias| &bias[self.first + first..self.first + self.n_out])
    }
}

/// Copies a few numbers.
fn copied(values: &[f32]) -> Result<Vec<f32>, LinearError> {
    let mut own = Vec::new();
    own.try_reserve_exact(values.len()).map_err(|_| LinearError::Memory { bytes: size_of_val(values) })?;
    own.extend_from_slice(values);
    Ok(own)
}

impl Linear {
    /// Binds `weights` to the kernel that `kernels` has for their format.
    ///
    /// # Errors
    /// If shape, format and bytes do not agree.
    pub fn new(weights: WeightMatrix, kernels: &Kernels) -> Result<Self, LinearError> {
        let WeightMatrix { dtype, n_out, n_in, ref bytes } = weights;
        if n_out == 0 || n_in == 0 {
            return Err(LinearError::Empty { n_out, n_in });
        }
        let row_bytes = dtype.row_bytes(n_in)?;
        let expected = row_bytes.saturating_mul(n_out);
        if bytes.len() != expected {
            return Err(LinearError::Size { n_out, row_bytes, expected, found: bytes.len() });
        }
        Ok(Self { kernel: kernels.linear(dtype), weights, row_bytes, scales: None, bias: None, place: None })
    }

    /// Sets scales of the product: `y = s W x`, before additions and a bias. `scales` has one number for all rows, or
    /// one for each matrix of a stack. The values are copied.
    ///
    /// # Errors
    /// If the rows cannot be divided evenly among the scales, or memory for them cannot be reserved.
    pub fn with_scales(mut self, scales: &[f32]) -> Result<Self, LinearError> {
        let n_out = self.weights.n_out;
        if scales.is_empty() || !n_out.is_multiple_of(scales.len()) {
            return Err(LinearError::Scales { n_out, found: scales.len() });
        }
        self.scales = Some(Scales { values: copied(scales)?, rows: n_out / scales.len() });
        Ok(self)
    }

    /// Adds a bias: `y = W x + b`. The values are copied.
    ///
    /// # Errors
    /// If it does not have one value for each output, or its memory cannot be reserved.
    pub fn with_bias(mut self, bias: &[f32]) -> Result<Self, LinearError> {
        if bias.len() != self.weights.n_out {
            return Err(LinearError::Bias { expected: self.weights.n_out, found: bias.len() });
        }
        self.bias = Some(copied(bias)?);
        Ok(self)
    }

    /// Marks this as the rows from `row` on of the caller's matrix number `matrix`, so that [`Additions`] to that
    /// matrix apply.
    #[must_use]
    pub fn placed(self, matrix: u32, row: usize) -> Self {
        Self { place: Some(Place { matrix, row }), ..self }
    }

    /// Returns the number that [`Linear::placed`] gave it.
    pub fn matrix(&self) -> Option<u32> {
        self.place.map(|place| place.matrix)
    }

    /// Returns rows `first .. first + n_out` as a matrix: expert `e` of a stack is `rows(e * n_out, n_out)`.
    ///
    /// # Panics
    /// If the matrix has fewer rows: shapes are the program's own, never a file's.
    pub fn rows(&self, first: usize, n_out: usize) -> LinearRows<'_> {
        let end = first.checked_add(n_out);
        assert!(
            end.is_some_and(|end| end <= self.n_out()),
            "{n_out} rows from row {first} of a matrix of {}",
            self.n_out()
        );
        LinearRows { linear: self, first, n_out }
    }

    /// Returns the number of outputs.
    pub fn n_out(&self) -> usize {
        self.weights.n_out
    }

    /// Returns the number of inputs.
    pub fn n_in(&self) -> usize {
        self.weights.n_in
    }

    /// Returns the format of the weights.
    pub fn dtype(&self) -> DType {
        self.weights.dtype
    }

    /// Returns the number of bytes of the weights.
    pub fn weight_bytes(&self) -> usize {
        self.weights.bytes.len()
    }

    /// Returns the form that the activations must have.
    pub fn act_kind(&self) -> ActKind {
        ActKind::of(self.weights.dtype)
    }

    /// Returns the kernel, for reports.
    pub fn kernel(&self) -> &'static LinearKernel {
        self.kernel
    }

    /// Returns the number of bytes of [`Panel`] that a job with this matrix needs.
    pub fn panel_bytes(&self) -> usize {
        (self.kernel.panel_bytes)(self.weights.n_in)
    }
}
