//! f32 to and from f16 and bf16: rounded to nearest, ties to even, overflow to infinity. Subnormal results are kept
//! whatever the flush-to-zero mode of the CPU is; NaNs stay NaNs (quiet).

use half::{bf16, f16};

/// The f16 bits nearest to `x`; magnitudes of 65520 and more become infinity.
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

/// The value of f16 bits (exact).
///
/// ```
/// assert_eq!(happy_tensor::convert::f16_to_f32(0xC000), -2.0);
/// ```
#[inline]
pub fn f16_to_f32(bits: u16) -> f32 {
    f16::from_bits(bits).to_f32()
}

/// The bf16 bits nearest to `x`.
///
/// ```
/// assert_eq!(happy_tensor::convert::bf16_from_f32(1.0), 0x3F80);
/// ```
#[inline]
pub fn bf16_from_f32(x: f32) -> u16 {
    bf16::from_f32(x).to_bits()
}

/// The value of bf16 bits (exact).
///
/// ```
/// assert_eq!(happy_tensor::convert::bf16_to_f32(0xC000), -2.0);
/// ```
#[inline]
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}
