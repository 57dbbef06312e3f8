//! Q4_0: 32 elements in 18 bytes (4.5 bits per element).
//!
//! ```text
//! |0  d: f16  1|2  qs: 16 bytes  17|      qs[j]:  bits 0..4 element j,  bits 4..8 element j + 16
//!
//! x[i] = d * (q[i] - 8)
//! ```

use super::{
    f16_le, f16_le_from, inverse,
    search::{integer_part, signed_max},
};

/// A block of Q4_0.
///
/// ```
/// use happy_tensor::{BlockQ4_0, Quantize};
/// let block = BlockQ4_0::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 32];
/// block.dequantize(&mut x);
/// assert_eq!(x[20], f32::from(block.quants()[20]) * block.d());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockQ4_0 {
    /// Scale, f16.
    pub d: [u8; 2],
    /// Nibbles: the low ones hold elements 0..16, the high ones 16..32.
    pub qs: [u8; 16],
}

const _: () = assert!(size_of::<BlockQ4_0>() == 18);

impl BlockQ4_0 {
    /// Returns the scale.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d)
    }

    /// Returns the integers, -8..=7.
    #[inline]
    pub fn quants(&self) -> [i8; 32] {
        let mut q = [0; 32];
        let (lo, hi) = q.split_at_mut(16);
        for ((&b, lo), hi) in self.qs.iter().zip(lo).zip(hi) {
            *lo = (b & 0xF) as i8 - 8;
            *hi = (b >> 4) as i8 - 8;
        }
        q
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

/// Encoding by a formula, without weights.
impl BlockQ4_0 {
    /// The value of greatest magnitude becomes -8 (`d = max / -8`), so that the whole asymmetric range is used.
    pub(crate) fn by_formula(x: &[f32; 32]) -> Self {
        let d = signed_max(x) / -8.0;
        let id = inverse(d);
        let encode = |v: f32| integer_part(v * id + 8.5, 15.0);
        let mut qs = [0; 16];
        let (lo, hi) = x.split_at(16);
        for ((q, &lo), &hi) in qs.iter_mut().zip(lo).zip(hi) {
            *q = encode(lo) | encode(hi) << 4;
        }
        Self { d: f16_le_from(d), qs }
    }
}
