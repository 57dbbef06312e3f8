//! The errors of this crate. Their messages say what was expected and what was found.

use crate::DType;

/// A number of elements or bytes does not fit a row or matrix of a given format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A row is not a whole number of blocks.
    #[error(
        "a row of {elements} elements is not a whole number of {dtype} blocks: expected a multiple of {block}, found a remainder of {rest}",
        block = dtype.block_len(), rest = elements % dtype.block_len()
    )]
    NotWholeBlocks {
        /// Element type of the row.
        dtype: DType,
        /// Number of elements in the row.
        elements: usize,
    },
    /// The size in bytes does not fit in `usize`.
    #[error("{rows} rows of {elements} {dtype} elements: the size in bytes overflows usize")]
    Overflow {
        /// Element type of the matrix.
        dtype: DType,
        /// Number of rows.
        rows: usize,
        /// Number of elements in a row.
        elements: usize,
    },
    /// The two sides of a conversion hold different numbers of elements.
    #[error("the {dtype} side has {expected} elements, but the f32 side has {found}")]
    Elements {
        /// Element type of the encoded side.
        dtype: DType,
        /// Number of elements on the encoded side.
        expected: usize,
        /// Number of elements on the f32 side.
        found: usize,
    },
}

/// A number of bytes is not a whole number of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{len} bytes are not a whole number of {dtype} blocks: expected a multiple of {block}, found a remainder of {rest}",
    block = dtype.block_bytes(), rest = len % dtype.block_bytes()
)]
pub struct CastError {
    /// The requested format.
    pub dtype: DType,
    /// The number of bytes.
    pub len: usize,
}

/// Why a row could not be decoded or encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The encoded side is not a whole number of blocks.
    #[error(transparent)]
    Cast(#[from] CastError),
    /// The encoded side and the f32 side have different numbers of elements.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The vector for the decoded values could not be allocated.
    #[error("no memory for {elements} f32 values")]
    OutOfMemory {
        /// Number of values that needed memory.
        elements: usize,
    },
}
