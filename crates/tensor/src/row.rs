//! Decodes and encodes rows whose format is known only at run time.

use crate::{Block, DType, Quantize, RowError, ShapeError};

/// Decodes a row, or any run of whole blocks, into `out`. The values have the same bits as those of ggml's scalar
/// reference.
///
/// # Errors
/// [`RowError::Cast`] if `bytes` is not a whole number of blocks, [`RowError::Shape`] if `out` does not have as many
/// elements as they hold. Nothing is written then.
///
/// ```
/// use happy_tensor::{DType, dequantize_row};
/// let mut out = [0.0; 2];
/// dequantize_row(DType::BF16, &[0x80, 0x3F, 0x00, 0xC0], &mut out)?;
/// assert_eq!(out, [1.0, -2.0]);
/// # Ok::<(), happy_tensor::RowError>(())
/// ```
pub fn dequantize_row(dtype: DType, bytes: &[u8], out: &mut [f32]) -> Result<(), RowError> {
    with_block!(dtype, B => Ok(B::dequantize_blocks(B::from_bytes(bytes)?, out)?))
}

/// Decodes a row into a new vector.
///
/// ```
/// use happy_tensor::{DType, dequantize_to_vec};
/// assert_eq!(dequantize_to_vec(DType::F16, &[0x00, 0x3C, 0x00, 0xC0])?, [1.0, -2.0]);
/// # Ok::<(), happy_tensor::RowError>(())
/// ```
///
/// # Errors
/// [`RowError::Cast`] if `bytes` is not a whole number of blocks, [`RowError::OutOfMemory`] if the vector cannot be
/// allocated.
pub fn dequantize_to_vec(dtype: DType, bytes: &[u8]) -> Result<Vec<f32>, RowError> {
    let elements = (bytes.len() / dtype.block_bytes()).saturating_mul(dtype.block_len());
    let mut out = Vec::new();
    out.try_reserve_exact(elements).map_err(|_| RowError::OutOfMemory { elements })?;
    out.resize(elements, 0.0);
    dequantize_row(dtype, bytes, &mut out)?;
    Ok(out)
}

/// Encodes a row, or any run of whole blocks, into `out`.
///
/// Values must be finite and small enough for f16 scales; see [`Quantize`], also for how each format is encoded.
///
/// # Errors
/// [`RowError::Cast`] if `out` is not a whole number of blocks, [`RowError::Shape`] if `x` does not have as many elements
/// as they hold. Nothing is written then.
///
/// ```
/// use happy_tensor::{DType, dequantize_to_vec, quantize_row};
/// let x: Vec<f32> = (0..256).map(|i| (i * 37 % 64 - 32) as f32 / 64.0).collect();
/// let mut bytes = [0; 144];
/// quantize_row(DType::Q4K, &x, &mut bytes)?;
/// let back = dequantize_to_vec(DType::Q4K, &bytes)?;
/// assert!(x.iter().zip(&back).all(|(a, b)| (a - b).abs() < 0.04));
/// # Ok::<(), happy_tensor::RowError>(())
/// ```
pub fn quantize_row(dtype: DType, x: &[f32], out: &mut [u8]) -> Result<(), RowError> {
    with_block!(dtype, B => {
        for_blocks::<B>(x, out, |block, x, _| *block = B::quantize(x))
    })
}

/// Encodes a row and minimizes the sum of squared errors, each multiplied by the element's weight.
///
/// `importance` has one weight per element; the columns of an importance matrix are such weights. Weights must be finite
/// and not negative. See [`Quantize::quantize_weighted`].
///
/// ```
/// use happy_tensor::{DType, dequantize_to_vec, quantize_row_weighted};
/// let x: Vec<f32> = (0..32).map(|i| (i * 7 % 32) as f32 - 12.3).collect();
/// let (mut importance, mut bytes) = ([0.01; 32], [0; 18]);
/// importance[3] = 100.0;
/// quantize_row_weighted(DType::Q4_0, &x, &importance, &mut bytes)?;
/// assert!((dequantize_to_vec(DType::Q4_0, &bytes)?[3] - x[3]).abs() < 0.1);
/// # Ok::<(), happy_tensor::RowError>(())
/// ```
///
/// # Errors
/// As for [`quantize_row`]. [`ShapeError::Elements`] also if `importance` is not as long as `x`.
pub fn quantize_row_weighted(
    dtype: DType,
    x: &[f32],
    importance: &[f32],
    out: &mut [u8],
) -> Result<(), RowError> {
    if importance.len() != x.len() {
        return Err(ShapeError::Elements { dtype, expected: x.len(), found: importance.len() }.into());
    }
    with_block!(dtype, B => {
        for_blocks::<B>(x, out, |block, x, at| {
            let mut w = B::ZEROS;
            w.as_mut().copy_from_slice(&importance[at..at + B::LEN]);
            *block = B::quantize_weighted(x, &w);
        })
    })
}

/// Calls `f` for each block of `out` with its values and the index of the first of them.
fn for_blocks<B: Block>(
    x: &[f32],
    out: &mut [u8],
    mut f: impl FnMut(&mut B, &B::Values, usize),
) -> Result<(), RowError> {
    let blocks = B::from_bytes_mut(out)?;
    let expected = blocks.len().saturating_mul(B::LEN);
    if x.len() != expected {
        return Err(ShapeError::Elements { dtype: B::DTYPE, expected, found: x.len() }.into());
    }
    let mut values = B::ZEROS;
    for (i, (block, x)) in blocks.iter_mut().zip(x.chunks_exact(B::LEN)).enumerate() {
        values.as_mut().copy_from_slice(x);
        f(block, &values, i * B::LEN);
    }
    Ok(())
}
