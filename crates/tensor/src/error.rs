//! The errors of this crate: small enums and structs whose messages say what was expected and what was found.

use crate::DType;

/// A number of elements or bytes does not fit the format of a row or matrix.
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
        /// Elements in the row.
        elements: usize,
    },
    /// The size in bytes does not fit `usize`.
    #[error("{rows} rows of {elements} {dtype} elements: the size in bytes overflows usize")]
    Overflow {
        /// Element type of the matrix.
        dtype: DType,
        /// Number of rows.
        rows: usize,
        /// Elements in a row.
        elements: usize,
    },
    /// The two sides of a conversion hold different numbers of elements.
    #[error("the {dtype} side holds {expected} elements, the f32 side {found}")]
    Elements {
        /// Element type of the encoded side.
        dtype: DType,
        /// Elements that the encoded side holds.
        expected: usize,
        /// Elements of the f32 side.
        found: usize,
    },
}

/// Bytes that are not a whole number of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{len} bytes are not a whole number of {dtype} blocks: expected a multiple of {block}, found a remainder of {rest}",
    block = dtype.block_bytes(), rest = len % dtype.block_bytes()
)]
pub struct CastError {
    /// Format that was asked for.
    pub dtype: DType,
    /// Length of the bytes.
    pub len: usize,
}

/// Why a row could not be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The encoded side is not a whole number of blocks.
    #[error(transparent)]
    Cast(#[from] CastError),
    /// The two sides do not fit each other.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The f32 side of a newly made row could not be allocated.
    #[error("no memory for {elements} f32 values")]
    OutOfMemory {
        /// Elements that were asked for.
        elements: usize,
    },
}
