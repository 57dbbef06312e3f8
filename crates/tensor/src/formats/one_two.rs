//! Q1_0 and Q2_0: one or two bits per element, and one scale.
//!
//! ```text
//! Q1_0, 128 elements in 18 bytes (1.125 bits per element):
//! |0  d: f16  1|2  qs: 16 bytes  17|      bit i % 8 of qs[i / 8]: element i is d (1) or -d (0)
//!
//! Q2_0, 64 elements in 18 bytes (2.25 bits per element):
//! |0  d: f16  1|2  qs: 16 bytes  17|      bits 2 (i % 4) .. of qs[i / 4]: element i is d * (bits - 1), so -d .. 2 d
//! ```

use super::words::{ONES, add8, byte_masks, bytes8};
use super::{Quantize, dequantize_block, f16_le, f16_le_from, greatest_magnitude, inverse};

/// A block of Q1_0.
///
/// ```
/// use happy_tensor::{BlockQ1_0, Quantize};
/// let block = BlockQ1_0::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 128];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], f32::from(block.quants()[40]) * block.d());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockQ1_0 {
    /// Scale, f16.
    pub d: [u8; 2],
    /// One bit per element.
    pub qs: [u8; 16],
}

/// A block of Q2_0.
///
/// ```
/// use happy_tensor::{BlockQ2_0, Quantize};
/// let block = BlockQ2_0::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 64];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], f32::from(block.quants()[40]) * block.d());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockQ2_0 {
    /// Scale, f16.
    pub d: [u8; 2],
    /// Two bits per element.
    pub qs: [u8; 16],
}

const _: () = assert!(size_of::<BlockQ1_0>() == 18);
const _: () = assert!(size_of::<BlockQ2_0>() == 18);

/// Collects all integers, 32 at a time.
#[inline]
fn parts<const N: usize>(part: impl Fn(usize) -> [i8; 32]) -> [i8; N] {
    let mut q = [0; N];
    for (i, q) in q.as_chunks_mut().0.iter_mut().enumerate() {
        *q = part(i);
    }
    q
}

impl BlockQ1_0 {
    /// Returns the scale.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d)
    }

    /// Returns integers `32 part .. 32 part + 32`, -1 or 1.
    ///
    /// # Panics
    /// If `part` is not below 4.
    #[inline]
    pub fn quants_of(&self, part: usize) -> [i8; 32] {
        let mut q = [0; 32];
        for (q, &bits) in q.as_chunks_mut().0.iter_mut().zip(&self.qs.as_chunks::<4>().0[part]) {
            *q = bytes8(!byte_masks(bits) | ONES);
        }
        q
    }

    /// Returns the integers, -1 or 1.
    #[inline]
    pub fn quants(&self) -> [i8; 128] {
        parts(|part| self.quants_of(part))
    }

    /// Decodes the block.
    #[inline]
    pub fn dequantize(&self, out: &mut [f32; 128]) {
        dequantize_block(self.d(), &self.quants(), out);
    }
}

impl BlockQ2_0 {
    /// Returns the scale.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d)
    }

    /// Returns integers `32 part .. 32 part + 32`, -1..=2.
    ///
    /// # Panics
    /// If `part` is not below 2.
    #[inline]
    pub fn quants_of(&self, part: usize) -> [i8; 32] {
        let mut q = [0; 32];
        for (q, &bits) in
            q.as_chunks_mut().0.iter_mut().zip(self.qs.as_chunks::<2>().0[4 * part..4 * part + 4].iter())
        {
            // Field `i` moves from bit `2 i` to byte `i`.
            let four = |b: u64| (b | b << 6 | b << 12 | b << 18) & 0x0303_0303;
            let [low, high] = [four(u64::from(bits[0])), four(u64::from(bits[1]))];
            *q = bytes8(add8(low | high << 32, u64::MAX));
        }
        q
    }

    /// Returns the integers, -1..=2.
    #[inline]
    pub fn quants(&self) -> [i8; 64] {
        parts(|part| self.quants_of(part))
    }

    /// Decodes the block.
    #[inline]
    pub fn dequantize(&self, out: &mut [f32; 64]) {
        dequantize_block(self.d(), &self.quants(), out);
    }
}

impl Quantize for BlockQ1_0 {
    /// Stores the signs and the mean magnitude, which is the scale with the least squared error. Zeros count as positive.
    fn quantize(x: &[f32; 128]) -> Self {
        let sum = x.iter().fold(0.0f32, |sum, v| sum + v.abs());
        let mut qs = [0; 16];
        for (b, x) in qs.iter_mut().zip(x.as_chunks::<8>().0) {
            for (i, &v) in x.iter().enumerate() {
                *b |= u8::from(v >= 0.0) << i;
            }
        }
        Self { d: f16_le_from(sum / 128.0), qs }
    }
}

impl Quantize for BlockQ2_0 {
    /// The greatest magnitude becomes 1 or -1, and no value becomes 2. The format is meant for weights that were trained in it.
    fn quantize(x: &[f32; 64]) -> Self {
        let d = greatest_magnitude(x);
        let id = inverse(d);
        let mut qs = [0; 16];
        for (b, x) in qs.iter_mut().zip(x.as_chunks::<4>().0) {
            for (i, &v) in x.iter().enumerate() {
                *b |= (((v * id).round().clamp(-1.0, 1.0) as i8 + 1) as u8) << (2 * i);
            }
        }
        Self { d: f16_le_from(d), qs }
    }
}
