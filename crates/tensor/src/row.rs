//! Rows of a format that is known at run time only, to and from f32.

use crate::formats::*;
use crate::{Block, DType, RowError, ShapeError};

/// Decodes a row (or any run of whole blocks) into `out`, bit-equal to ggml's scalar reference.
///
/// # Errors
/// [`RowError::Cast`] when `bytes` are not whole blocks, [`RowError::Shape`] when `out` does not have as many
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
/// # Errors
/// [`RowError::Cast`] when `bytes` are not whole blocks, [`RowError::OutOfMemory`] when the vector cannot be allocated.
pub fn dequantize_to_vec(dtype: DType, bytes: &[u8]) -> Result<Vec<f32>, RowError> {
    let elements = (bytes.len() / dtype.block_bytes()).saturating_mul(dtype.block_len());
    let mut out = Vec::new();
    out.try_reserve_exact(elements).map_err(|_| RowError::OutOfMemory { elements })?;
    out.resize(elements, 0.0);
    dequantize_row(dtype, bytes, &mut out)?;
    Ok(out)
}

/// Encodes a row into `out`, bit-equal to ggml's reference quantiser without importance weights, for F32, F16,
/// BF16 and Q4_0 .. Q8_0. Values must be finite and of a size that f16 scales can hold, see [`Quantize`].
///
/// # Errors
/// [`RowError::QuantizeUnsupported`] for the K formats, [`RowError::Cast`] and [`RowError::Shape`] as for
/// [`dequantize_row`].
pub fn quantize_row(dtype: DType, x: &[f32], out: &mut [u8]) -> Result<(), RowError> {
    match dtype {
        DType::F32 => encode::<BlockF32, 1>(x, out),
        DType::F16 => encode::<BlockF16, 1>(x, out),
        DType::BF16 => encode::<BlockBF16, 1>(x, out),
        DType::Q4_0 => encode::<BlockQ4_0, 32>(x, out),
        DType::Q4_1 => encode::<BlockQ4_1, 32>(x, out),
        DType::Q5_0 => encode::<BlockQ5_0, 32>(x, out),
        DType::Q5_1 => encode::<BlockQ5_1, 32>(x, out),
        DType::Q8_0 => encode::<BlockQ8_0, 32>(x, out),
        DType::Q1_0 => encode::<BlockQ1_0, 128>(x, out),
        DType::Q2_0 => encode::<BlockQ2_0, 64>(x, out),
        DType::TQ1_0 => encode::<BlockTQ1_0, 256>(x, out),
        DType::TQ2_0 => encode::<BlockTQ2_0, 256>(x, out),
        DType::MXFP4 => encode::<BlockMXFP4, 32>(x, out),
        DType::NVFP4 => encode::<BlockNVFP4, 64>(x, out),
        _ => Err(RowError::QuantizeUnsupported(dtype)),
    }
}

fn encode<B, const LEN: usize>(x: &[f32], out: &mut [u8]) -> Result<(), RowError>
where
    B: Quantize + Block<Values = [f32; LEN]>,
{
    let blocks = B::from_bytes_mut(out)?;
    let (values, rest) = x.as_chunks::<LEN>();
    if !rest.is_empty() || values.len() != blocks.len() {
        let expected = blocks.len().saturating_mul(LEN);
        return Err(ShapeError::Elements { dtype: B::DTYPE, expected, found: x.len() }.into());
    }
    for (block, values) in blocks.iter_mut().zip(values) {
        *block = B::quantize(values);
    }
    Ok(())
}
