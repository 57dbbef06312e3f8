//! Q5_1: 32 elements in 24 bytes (6 bits per element).
//!
//! ```text
//! |0  d: f16  1|2  m: f16  3|4  qh: u32  7|8  qs: 16 bytes  23|
//!
//! qs[j]:  bits 0..4 of element j in bits 0..4,  of element j + 16 in bits 4..8
//! qh:     bit 4 of element i in bit i
//!
//! x[i] = d * q[i] + m
//! ```

use super::q5_0::{pack_5, unpack_5};
use super::{
    f16_le, f16_le_from, inverse,
    search::{integer_part, min_max},
    words::map,
};

/// A block of Q5_1.
///
/// ```
/// use happy_tensor::{BlockQ5_1, Quantize};
/// let block = BlockQ5_1::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 32];
/// block.dequantize(&mut x);
/// assert_eq!(x[20], f32::from(block.quants()[20]) * block.d() + block.m());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockQ5_1 {
    /// Scale, f16.
    pub d: [u8; 2],
    /// Minimum, f16; it is added.
    pub m: [u8; 2],
    /// The fifth bits, a little-endian u32: bit `i` belongs to element `i`.
    pub qh: [u8; 4],
    /// Low nibbles: elements 0..16 in bits 0..4, 16..32 in bits 4..8.
    pub qs: [u8; 16],
}

const _: () = assert!(size_of::<BlockQ5_1>() == 24);

impl BlockQ5_1 {
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

    /// Returns the fifth bits as one number.
    #[inline]
    pub fn qh(&self) -> u32 {
        u32::from_le_bytes(self.qh)
    }

    /// Returns the integers, 0..=31.
    #[inline]
    pub fn quants(&self) -> [i8; 32] {
        unpack_5(self.qh(), &self.qs).map(|q| q as i8)
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
impl BlockQ5_1 {
    /// The least value becomes 0, the greatest 31.
    pub(crate) fn by_formula(x: &[f32; 32]) -> Self {
        let (min, max) = min_max(x);
        let d = (max - min) / 31.0;
        let id = inverse(d);
        let (qh, qs) = pack_5(&map(*x, |v| integer_part((v - min) * id + 0.5, 31.0)));
        Self { d: f16_le_from(d), m: f16_le_from(min), qh: qh.to_le_bytes(), qs }
    }
}
