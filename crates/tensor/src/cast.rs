//! Casts bytes to blocks and back without a copy. This is the only file of the crate with `unsafe` code.
//!
//! Every block type is a `#[repr(C)]` struct of `u8` and `i8` arrays: it has alignment 1 and no padding, and every bit
//! pattern is valid. So `&[u8]` can be read as `&[Block]` wherever it starts, if its length is a multiple of the block's
//! size. The macro at the bottom implements [`Block`] for every format of the list and asserts the alignment at compile
//! time; the file of each block asserts its size.
#![allow(unsafe_code)]

use core::slice;

use crate::formats::*;
use crate::{CastError, DType, ShapeError};

mod sealed {
    pub trait Sealed {}
}

/// A block of a stored format: a plain struct of bytes that the bytes of a file can be cast to.
///
/// # Safety
/// An implementation must have alignment 1, no padding, no invalid bit patterns, no interior mutability, and a
/// size that is not 0. (The trait is sealed: only one macro of this crate implements it.)
pub unsafe trait Block: sealed::Sealed + Copy + Send + Sync + 'static {
    /// The element type.
    const DTYPE: DType;
    /// Number of elements in a block.
    const LEN: usize;
    /// The decoded values of a block: `[f32; Self::LEN]`.
    type Values: AsRef<[f32]> + AsMut<[f32]> + Copy + Send + Sync + 'static;
    /// Zeros for one block, to decode into.
    const ZEROS: Self::Values;

    /// Decodes the block. The values have the same bits as those of ggml's scalar reference.
    fn dequantize(&self, out: &mut Self::Values);

    /// Decodes consecutive blocks.
    ///
    /// ```
    /// use happy_tensor::{Block, BlockBF16};
    /// let mut out = [0.0; 2];
    /// BlockBF16::dequantize_blocks(BlockBF16::from_bytes(&[0x80, 0x3F, 0x00, 0xC0])?, &mut out).unwrap();
    /// assert_eq!(out, [1.0, -2.0]);
    /// # Ok::<(), happy_tensor::CastError>(())
    /// ```
    ///
    /// # Errors
    /// [`ShapeError::Elements`] if `out.len() != blocks.len() * LEN`; nothing is written then.
    fn dequantize_blocks(blocks: &[Self], out: &mut [f32]) -> Result<(), ShapeError>;

    /// Reads bytes as blocks, in place.
    ///
    /// # Errors
    /// [`CastError`] if the length is not a multiple of the block's size.
    ///
    /// ```
    /// use happy_tensor::{Block, BlockQ8_0};
    /// let bytes = [0u8; 68];
    /// assert_eq!(BlockQ8_0::from_bytes(&bytes)?.len(), 2);
    /// assert!(BlockQ8_0::from_bytes(&bytes[1..]).is_err());
    /// # Ok::<(), happy_tensor::CastError>(())
    /// ```
    fn from_bytes(bytes: &[u8]) -> Result<&[Self], CastError> {
        if !bytes.len().is_multiple_of(size_of::<Self>()) {
            return Err(CastError { dtype: Self::DTYPE, len: bytes.len() });
        }
        let n = bytes.len() / size_of::<Self>();
        // SAFETY: by the trait's contract `Self` has alignment 1 and no invalid bit patterns, and `n` blocks are
        // exactly the bytes of the borrowed slice, whose lifetime the result keeps.
        Ok(unsafe { slice::from_raw_parts(bytes.as_ptr().cast::<Self>(), n) })
    }

    /// Reads bytes as blocks that can be changed in place.
    ///
    /// ```
    /// use happy_tensor::{Block, BlockQ8_0};
    /// let mut bytes = [0u8; 34];
    /// BlockQ8_0::from_bytes_mut(&mut bytes)?[0].qs[0] = -1;
    /// assert_eq!(bytes[2], 255);
    /// # Ok::<(), happy_tensor::CastError>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes).
    fn from_bytes_mut(bytes: &mut [u8]) -> Result<&mut [Self], CastError> {
        if !bytes.len().is_multiple_of(size_of::<Self>()) {
            return Err(CastError { dtype: Self::DTYPE, len: bytes.len() });
        }
        let n = bytes.len() / size_of::<Self>();
        // SAFETY: as in `from_bytes`. The exclusive borrow carries over, and blocks have no padding, so that every
        // write through the result leaves all bytes initialized.
        Ok(unsafe { slice::from_raw_parts_mut(bytes.as_mut_ptr().cast::<Self>(), n) })
    }

    /// Returns the bytes of blocks, as a file stores them.
    ///
    /// ```
    /// use happy_tensor::{Block, BlockF16, Quantize};
    /// assert_eq!(BlockF16::as_bytes(&[BlockF16::quantize(&[1.0])]), [0x00, 0x3C]);
    /// ```
    fn as_bytes(blocks: &[Self]) -> &[u8] {
        // SAFETY: by the trait's contract `Self` has no padding, so all its bytes are initialized, and no
        // interior mutability. The size is that of the borrowed slice.
        unsafe { slice::from_raw_parts(blocks.as_ptr().cast::<u8>(), size_of_val(blocks)) }
    }
}

macro_rules! blocks {
    ($($dtype:ident $ty:ident $facts:tt)+) => {$(
        const _: () = assert!(align_of::<$ty>() == 1);

        impl sealed::Sealed for $ty {}

        // SAFETY: a `#[repr(C)]` struct of `u8`s and `i8`s, whose alignment of 1 is asserted above: it has no padding.
        unsafe impl Block for $ty {
            const DTYPE: DType = DType::$dtype;
            const LEN: usize = DType::$dtype.block_len();
            type Values = [f32; DType::$dtype.block_len()];
            const ZEROS: Self::Values = [0.0; DType::$dtype.block_len()];

            #[inline]
            fn dequantize(&self, out: &mut Self::Values) {
                $ty::dequantize(self, out);
            }

            fn dequantize_blocks(blocks: &[Self], out: &mut [f32]) -> Result<(), ShapeError> {
                let (chunks, rest) = out.as_chunks_mut::<{ DType::$dtype.block_len() }>();
                if chunks.len() != blocks.len() || !rest.is_empty() {
                    let found = chunks.len() * Self::LEN + rest.len();
                    let expected = blocks.len().saturating_mul(Self::LEN);
                    return Err(ShapeError::Elements { dtype: Self::DTYPE, expected, found });
                }
                for (block, chunk) in blocks.iter().zip(chunks) {
                    $ty::dequantize(block, chunk);
                }
                Ok(())
            }
        }
    )+

        /// Evaluates an expression in which a type name stands for the block type of a [`DType`] value.
        ///
        /// This turns a format that is known at run time into a generic call: `with_block!(dtype, B => f::<B>())`.
        ///
        /// ```
        /// use happy_tensor::{Block, DType, with_block};
        /// fn blocks(dtype: DType, bytes: &[u8]) -> Result<usize, happy_tensor::CastError> {
        ///     with_block!(dtype, B => B::from_bytes(bytes).map(|b| b.len()))
        /// }
        /// assert_eq!(blocks(DType::Q4_0, &[0; 36]), Ok(2));
        /// ```
        #[macro_export]
        macro_rules! with_block {
            ($value:expr, $b:ident => $body:expr) => {
                match $value {
                    $($crate::DType::$dtype => {
                        type $b = $crate::$ty;
                        $body
                    })+
                }
            };
        }
    };
}

for_each_format!(blocks);
