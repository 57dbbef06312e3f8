//! Q4_1: 32 elements in 20 bytes (5 bits per element).
//!
//! ```text
//! |0  d: f16  1|2  m: f16  3|4  qs: 16 bytes  19|      qs[j]:  bits 0..4 element j,  bits 4..8 element j + 16
//!
//! x[i] = d * q[i] + m
//! ```

use super::{
    f16_le, f16_le_from, inverse,
    search::{integer_part, min_max},
};

/// A block of Q4_1.
///
/// ```
/// use happy_tensor::{BlockQ4_1, Quantize};
/// let block = BlockQ4_1::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 32];
/// block.dequantize(&mut x);
/// assert_eq!(x[20], f32::from(block.quants()[20]) * block.d() + block.m());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockQ4_1 {
    /// Scale, f16.
    pub d: [u8; 2],
    /// Minimum, f16; it is added.
    pub m: [u8; 2],
    /// Nibbles: the low ones hold elements 0..16, the high ones 16..32.
    pub qs: [u8; 16],
}

const _: () = assert!(size_of::<BlockQ4_1>() == 20);

impl BlockQ4_1 {
    /// Returns the scale.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d)
    }

    /// Returns the minimum, which is added.
    #[inline]
    pub fn m(&self) -> f32 {
        f16_le(self.m)
    }

    /// Returns the integers, 0..=15.
    #[inline]
    pub fn quants(&self) -> [i8; 32] {
        let mut q = [0; 32];
        let (lo, hi) = q.split_at_mut(16);
        for ((&b, lo), hi) in self.qs.iter().zip(lo).zip(hi) {
            *lo = (b & 0xF) as i8;
            *hi = (b >> 4) as i8;
        }
        q
    }

    /// Decodes the block.
    #[inline]
    pub fn dequantize(&self, out: &mut [f32; 32]) {
        let (d, m) = (self.d(), self.m());
        for (o, q) in out.iter_mut().zip(self.quants()) {
            *o = f32::from(q) * d + m;
        }
    }
}

/// Encoding by a formula, without weights.
impl BlockQ4_1 {
    /// The least value becomes 0, the greatest 15.
    pub(crate) fn by_formula(x: &[f32; 32]) -> Self {
        let (min, max) = min_max(x);
        let d = (max - min) / 15.0;
        let id = inverse(d);
        let encode = |v: f32| integer_part((v - min) * id + 0.5, 15.0);
        let mut qs = [0; 16];
        let (lo, hi) = x.split_at(16);
        for ((q, &lo), &hi) in qs.iter_mut().zip(lo).zip(hi) {
            *q = encode(lo) | encode(hi) << 4;
        }
        Self { d: f16_le_from(d), m: f16_le_from(min), qs }
    }
}
