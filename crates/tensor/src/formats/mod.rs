//! The stored formats. Each file has one format or one family: the struct with a drawing of its layout, decoding, and
//! encoding if a formula defines it.
//!
//! Fields are named as in ggml and the literature. They are little-endian bytes with alignment 1. An f16 scale is a
//! `[u8; 2]`, with an accessor of the same name that returns an f32 (`block.d()`). Each integer format has `quants()`,
//! which returns the stored integers in element order, without their offset. So an element is `scale * quant`, plus or
//! minus the minimum if the format has one.

mod float;
mod fp4;
mod iq1;
mod iq2;
mod iq3;
mod iq4;
mod k_scales;
pub mod lattice;
mod one_two;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod q8_k;
pub(crate) mod search;
mod ternary;
mod two_bits;
mod words;

pub use fp4::FP4_LEVELS;
pub use iq4::IQ4_LEVELS;
pub(crate) use k_scales::{pack_scales_k3, pack_scales_mins_k4};
pub use k_scales::{scales_k3, scales_mins_k4};
pub(crate) use q5_0::pack_5;
pub use q8_k::{Q8_K_BYTES, quantize_q8_k};
pub(crate) use two_bits::pack_2;

use crate::Block;
use search::greatest_magnitude;

macro_rules! export_blocks {
    ($($dtype:ident $block:ident { in $file:ident, $($facts:tt)* })*) => { $(pub use $file::$block;)* };
}
for_each_format!(export_blocks);

/// Encoding of blocks.
///
/// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q1_0, Q2_0, TQ1_0, TQ2_0, MXFP4 and NVFP4 are encoded by a formula. Without weights, the
/// result has the same bytes as that of ggml's reference. For the K and IQ formats, a search looks for the least squared
/// error; it usually finds other bytes than ggml's.
///
/// ```
/// use happy_tensor::{Block, Quantize};
/// /// Returns the greatest error of encoding `x`.
/// fn worst<B: Quantize>(x: &B::Values) -> f32 {
///     let mut back = B::ZEROS;
///     B::quantize(x).dequantize(&mut back);
///     x.as_ref().iter().zip(back.as_ref()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
/// }
/// let x = std::array::from_fn(|i| i as f32 / 32.0);
/// assert!(worst::<happy_tensor::BlockQ8_0>(&x) < worst::<happy_tensor::BlockQ4_0>(&x));
/// ```
pub trait Quantize: Block {
    /// Encodes the values of one block.
    ///
    /// Values must be finite and small enough for the f16 fields: the scale of a block must not exceed 65504. Other values
    /// never cause a panic, but the decoded values are meaningless.
    fn quantize(x: &Self::Values) -> Self;

    /// Encodes the values of one block and minimizes the sum of squared errors, each multiplied by its weight in `w`.
    ///
    /// Weights must be finite and not negative. Formats without alternatives ignore them: floats, Q8_0, Q1_0, Q2_0, TQ1_0,
    /// TQ2_0, MXFP4 and NVFP4.
    fn quantize_weighted(x: &Self::Values, w: &Self::Values) -> Self {
        let _ = w;
        Self::quantize(x)
    }
}

/// Reads a little-endian f16 field.
#[inline]
fn f16_le(bytes: [u8; 2]) -> f32 {
    half::f16::from_le_bytes(bytes).to_f32()
}

/// Makes a little-endian f16 field of an f32, rounded to nearest, ties to even.
#[inline]
fn f16_le_from(x: f32) -> [u8; 2] {
    half::f16::from_f32(x).to_le_bytes()
}

/// Returns the reciprocal of a scale, or 0 for the scale 0, so that the block becomes zeros.
#[inline]
fn inverse(d: f32) -> f32 {
    if d != 0.0 { 1.0 / d } else { 0.0 }
}

/// Decodes a block with one scale: `q * d`.
#[inline]
fn dequantize_block<const N: usize>(d: f32, q: &[i8; N], out: &mut [f32; N]) {
    for (o, &q) in out.iter_mut().zip(q) {
        *o = f32::from(q) * d;
    }
}

/// Decodes a super-block of sub-blocks of equal length: `d * scale * q`.
fn dequantize_sub_blocks<const N: usize>(d: f32, scales: [i8; N], q: &[i8; 256], out: &mut [f32; 256]) {
    let subs = out.chunks_exact_mut(256 / N).zip(q.chunks_exact(256 / N));
    for ((out, q), scale) in subs.zip(scales) {
        let dl = d * f32::from(scale);
        for (o, &q) in out.iter_mut().zip(q) {
            *o = dl * f32::from(q);
        }
    }
}
