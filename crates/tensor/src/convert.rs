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
    // Without a branch, so that rows are converted in vector registers. An f32's exponent is greater by 112.
    const BIAS: u32 = 112 << 23;
    const LEAST_NORMAL: u32 = 113 << 23;
    let magnitude = u32::from(bits & 0x7FFF) << 13;
    // A subnormal counts in steps of 2^-24: put into the fraction of 2^-14, and taken from it again. No operand is subnormal.
    let subnormal = (f32::from_bits(magnitude | LEAST_NORMAL) - f32::from_bits(LEAST_NORMAL)).to_bits();
    let normal = magnitude + BIAS;
    let quiet = if magnitude > 0x1F << 23 { 1 << 22 } else { 0 };
    let special = magnitude | 0xFF << 23 | quiet;
    let value = if magnitude < 1 << 23 { subnormal } else { normal };
    let value = if magnitude >= 0x1F << 23 { special } else { value };
    f32::from_bits(value | u32::from(bits & 0x8000) << 16)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_has_the_value_that_another_implementation_gives_it() {
        let wrong =
            (0..=u16::MAX).filter(|b| f16_to_f32(*b).to_bits() != f16::from_bits(*b).to_f32().to_bits());
        assert_eq!(wrong.collect::<Vec<_>>(), []);
    }
}
