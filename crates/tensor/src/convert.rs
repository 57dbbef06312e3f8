//! f32 to and from f16 and bf16: rounded to nearest, ties to even, overflow to infinity. Subnormal results are kept
//! whatever the flush-to-zero mode of the CPU is; NaNs stay NaNs (quiet).

use half::{bf16, f16};

/// The f16 bits nearest to `x`; magnitudes of 65520 and more become infinity.
#[inline]
pub fn f16_from_f32(x: f32) -> u16 {
    f16::from_f32(x).to_bits()
}

/// The value of f16 bits (exact).
#[inline]
pub fn f16_to_f32(bits: u16) -> f32 {
    f16::from_bits(bits).to_f32()
}

/// The bf16 bits nearest to `x`.
#[inline]
pub fn bf16_from_f32(x: f32) -> u16 {
    bf16::from_f32(x).to_bits()
}

/// The value of bf16 bits (exact).
#[inline]
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}
