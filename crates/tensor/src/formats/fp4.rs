//! MXFP4 and NVFP4: 4-bit floats (E2M1) that share a scale of 8 bits.
//!
//! ```text
//! MXFP4, 32 elements in 17 bytes (4.25 bits per element; OCP Microscaling Formats 1.0):
//! |0  e: u8|1  qs: 16 bytes  16|
//!     qs[j]            element j in bits 0..4, element j + 16 in bits 4..8
//!     x[i] = 2^(e - 127) * E2M1[i]
//!
//! NVFP4, 64 elements in 36 bytes (4.5 bits per element), 4 sub-blocks of 16:
//! |0  d: 4 x u8  3|4  qs: 32 bytes  35|
//!     d[s]             scale of elements 16 s .. 16 s + 16: 4 bits of exponent with a bias of 7, 3 of mantissa, no
//!                      sign (bit 7 is ignored); 0x7F is 0
//!     qs[8 s + j]      element 16 s + j in bits 0..4, 16 s + 8 + j in bits 4..8
//!     x[i] = d[i / 16] * E2M1[i]
//!
//! E2M1 has one sign bit, two of exponent and one of mantissa: 0, 0.5, 1, 1.5, 2, 3, 4, 6. Twice these values are
//! integers, so the accessors return doubled values and halved scales.
//! ```

use super::iq4::look_up;
use super::words::{ONES, bytes8, map};
use super::{Quantize, greatest_magnitude};

/// Twice the values of E2M1.
pub const FP4_LEVELS: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// A block of MXFP4.
///
/// ```
/// use happy_tensor::{BlockMXFP4, Quantize};
/// let block = BlockMXFP4::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 32];
/// block.dequantize(&mut x);
/// assert_eq!(x[20], f32::from(block.quants()[20]) * block.d());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockMXFP4 {
    /// Exponent of the scale, biased by 127.
    pub e: u8,
    /// Nibbles: elements 0..16 in bits 0..4, 16..32 in bits 4..8.
    pub qs: [u8; 16],
}

/// A block of NVFP4.
///
/// ```
/// use happy_tensor::{BlockNVFP4, Quantize};
/// let block = BlockNVFP4::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 64];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], block.d()[2] * f32::from(block.quants()[40]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockNVFP4 {
    /// Scales of the sub-blocks.
    pub d: [u8; 4],
    /// Nibbles, 8 bytes a sub-block.
    pub qs: [[u8; 8]; 4],
}

const _: () = assert!(size_of::<BlockMXFP4>() == 17);
const _: () = assert!(size_of::<BlockNVFP4>() == 36);

impl BlockMXFP4 {
    /// Returns half the scale: 2^(e - 128), a subnormal f32 for `e` below 2.
    #[inline]
    pub fn d(&self) -> f32 {
        f32::from_bits(match self.e {
            0 => 1 << 21,
            e => u32::from(e - 1) << 23 | u32::from(e == 1) << 22,
        })
    }

    /// Returns the integers, of [`FP4_LEVELS`].
    #[inline]
    pub fn quants(&self) -> [i8; 32] {
        look_up(&FP4_LEVELS, &self.qs)
    }

    /// Decodes the block.
    #[inline]
    pub fn dequantize(&self, out: &mut [f32; 32]) {
        let d = self.d();
        for (o, q) in out.iter_mut().zip(self.quants()) {
            *o = f32::from(q) * d;
        }
    }
}

/// Looks up [`FP4_LEVELS`] of eight nibbles, one per byte.
///
/// The magnitudes 0 .. 7 stand for 0, 1, 2, 3, 4, 6, 8, 12. That is the number itself, plus 1 from 5 on, plus another 1
/// from 6 on, plus another 3 for 7. Adding `8 - n` to a magnitude carries into bit 3 if it is at least `n`.
#[inline]
fn levels8(nibbles: u64) -> u64 {
    let m = nibbles & (7 * ONES);
    let from = |n: u64| (m + (8 - n) * ONES) >> 3 & ONES;
    let level = m + from(5) + from(6) + 3 * from(7);
    // The bytes that are not 0 are negated like the points of `lattice`.
    let minus = nibbles >> 3 & from(1);
    (level ^ (0xFF * minus)) + minus
}

/// Returns half the value of an unsigned E4M3 scale.
#[inline]
fn half_e4m3(bits: u8) -> f32 {
    let (exponent, mantissa) = (bits >> 3 & 0xF, bits & 7);
    match (bits, exponent) {
        (0x7F, _) => 0.0,
        // half of 2^-9, the step of subnormal values
        (_, 0) => f32::from(mantissa) * f32::from_bits((127 - 10) << 23),
        _ => f32::from_bits((u32::from(exponent) + 127 - 8) << 23 | u32::from(mantissa) << 20),
    }
}

/// Returns the E4M3 bits nearest to `x`. Ties round up, and 448 is the greatest value.
fn e4m3_from(x: f32) -> u8 {
    if x <= 0.0 || x.is_nan() {
        return 0;
    }
    let x = x.min(448.0);
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127 + 7;
    if exponent <= 0 {
        return (x * 512.0 + 0.5).min(7.0) as u8;
    }
    if exponent >= 15 {
        return 0x7E;
    }
    // A mantissa that rounds up to 8 carries into the exponent, as it should.
    (exponent as u8) * 8 + (bits >> 20 & 7) as u8 + (bits >> 19 & 1) as u8
}

impl BlockNVFP4 {
    /// Returns half the scales of the sub-blocks.
    #[inline]
    pub fn d(&self) -> [f32; 4] {
        map(self.d, half_e4m3)
    }

    /// Returns half the scale of sub-block `part`.
    ///
    /// # Panics
    /// If `part` is not below 4.
    #[inline]
    pub fn d_of(&self, part: usize) -> f32 {
        half_e4m3(self.d[part])
    }

    /// Returns the integers of sub-block `part`, of [`FP4_LEVELS`].
    ///
    /// # Panics
    /// If `part` is not below 4.
    #[inline]
    pub fn quants_of(&self, part: usize) -> [i8; 16] {
        let w = u64::from_le_bytes(self.qs[part]);
        let mut q = [0; 16];
        let (lo, hi) = q.split_at_mut(8);
        lo.copy_from_slice(&bytes8(levels8(w & (0xF * ONES))));
        hi.copy_from_slice(&bytes8(levels8(w >> 4 & (0xF * ONES))));
        q
    }

    /// Returns the integers, of [`FP4_LEVELS`].
    #[inline]
    pub fn quants(&self) -> [i8; 64] {
        let mut q = [0; 64];
        for (part, q) in q.as_chunks_mut().0.iter_mut().enumerate() {
            *q = self.quants_of(part);
        }
        q
    }

    /// Decodes the block.
    #[inline]
    pub fn dequantize(&self, out: &mut [f32; 64]) {
        let q = self.quants();
        let subs = out.as_chunks_mut::<16>().0.iter_mut().zip(q.as_chunks::<16>().0);
        for ((out, q), d) in subs.zip(self.d()) {
            for (o, &q) in out.iter_mut().zip(q) {
                *o = f32::from(q) * d;
            }
        }
    }
}

/// Returns the number of the level nearest to `x` if the levels are scaled by `d`; the lower number of two equally near.
fn nearest(x: f32, d: f32) -> u8 {
    let mut best = (x.abs(), 0);
    for (i, level) in FP4_LEVELS.into_iter().enumerate() {
        let error = (f32::from(level) * d - x).abs();
        if error < best.0 {
            best = (error, i as u8);
        }
    }
    best.1
}

/// Packs nibbles: those of the first half of the values as low ones, those of the second half as high ones.
fn pack(x: &[f32], qs: &mut [u8], nibble: impl Fn(f32) -> u8) {
    let (lo, hi) = x.split_at(qs.len());
    for ((b, &lo), &hi) in qs.iter_mut().zip(lo).zip(hi) {
        *b = nibble(lo) | nibble(hi) << 4;
    }
}

/// The middles between the magnitudes of [`FP4_LEVELS`].
const MIDDLES: [f32; 7] = [0.5, 1.5, 2.5, 3.5, 5.0, 7.0, 10.0];

impl Quantize for BlockMXFP4 {
    /// The scale is the power of two for which the greatest magnitude becomes at least 4 and less than 8. The greatest
    /// level is 6. The specification recommends this.
    fn quantize(x: &[f32; 32]) -> Self {
        // The exponent of a float is the floor of its logarithm.
        let e = ((greatest_magnitude(x).to_bits() >> 23) as u8).saturating_sub(2);
        let mut block = Self { e, qs: [0; 16] };
        // A power of two, so that these products are exact, and so is what `nearest` compares: the result is the same.
        let middles = MIDDLES.map(|middle| middle * block.d());
        pack(x, &mut block.qs, |x| {
            let magnitude: u8 = middles.iter().map(|middle| u8::from(x.abs() > *middle)).sum();
            // Zero has no sign.
            magnitude | u8::from(x < 0.0 && magnitude > 0) << 3
        });
        block
    }
}

impl Quantize for BlockNVFP4 {
    /// The greatest magnitude of a sub-block becomes 6.
    fn quantize(x: &[f32; 64]) -> Self {
        let mut block = Self { d: [0; 4], qs: [[0; 8]; 4] };
        for ((x, d), qs) in x.as_chunks::<16>().0.iter().zip(&mut block.d).zip(&mut block.qs) {
            *d = e4m3_from(greatest_magnitude(x) / 6.0);
            pack(x, qs, |x| nearest(x, half_e4m3(*d)));
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Comparing with the middles gives what comparing with the levels does, also at the middles and for the least scale.
    #[test]
    fn middles_choose_the_nearest_level() {
        for scale in [1.0, 2.0f32.powi(-100), 2.0f32.powi(-126), 2.0f32.powi(100)] {
            let x: [f32; 32] = std::array::from_fn(|i| scale * (i as f32 - 16.0) / 2.0);
            for shift in [0, 1, u32::MAX] {
                let x = x.map(|x| f32::from_bits(x.to_bits().wrapping_add(shift)));
                let block = BlockMXFP4::quantize(&x);
                let expected = x.map(|x| FP4_LEVELS[usize::from(nearest(x, block.d()))]);
                assert_eq!(block.quants(), expected, "{scale:e} {shift}");
            }
        }
    }
}
