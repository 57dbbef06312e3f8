//! Converts f32 to and from f16 and bf16. Values are rounded to nearest, ties to even; overflow becomes infinity, and NaNs
//! become quiet NaNs. Subnormal results are kept, whatever the CPU's flush-to-zero mode is.

use half::{bf16, f16};

/// Returns the bits of the f16 nearest to `x`. Magnitudes of 65520 and more become infinity.
///
/// ```
/// use happy_tensor::convert::{f16_from_f32, f16_to_f32};
/// assert_eq!(f16_from_f32(1.0), 0x3C00);
/// assert_eq!(f16_to_f32(f16_from_f32(65520.0)), f32::INFINITY);
/// ```
#[inline]
pub fn f16_from_f32(x: f32) -> u16 {
    f16::from_f32(x).to_bits()
}

/// Returns the value of f16 bits. This is exact.
///
/// ```
/// assert_eq!(happy_tensor::convert::f16_to_f32(0xC000), -2.0);
/// ```
#[inline]
pub fn f16_to_f32(bits: u16) -> f32 {
    f16::from_bits(bits).to_f32()
}

/// Returns the bits of the bf16 nearest to `x`.
///
/// ```
/// assert_eq!(happy_tensor::convert::bf16_from_f32(1.0), 0x3F80);
/// ```
#[inline]
pub fn bf16_from_f32(x: f32) -> u16 {
    bf16::from_f32(x).to_bits()
}

/// Returns the value of bf16 bits. This is exact.
///
/// ```
/// assert_eq!(happy_tensor::convert::bf16_to_f32(0xC000), -2.0);
/// ```
#[inline]
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}
