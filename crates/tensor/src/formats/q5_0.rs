//! Q5_0: 32 elements in 22 bytes (5.5 bits per element).
//!
//! ```text
//! |0  d: f16  1|2  qh: u32  5|6  qs: 16 bytes  21|
//!
//! qs[j]:  bits 0..4 of element j in bits 0..4,  of element j + 16 in bits 4..8
//! qh:     bit 4 of element i in bit i
//!
//! x[i] = d * (q[i] - 16)
//! ```

use super::{
    f16_le, f16_le_from, inverse,
    search::{integer_part, signed_max},
    words::{ONES, map},
};

/// A block of Q5_0.
///
/// ```
/// use happy_tensor::{BlockQ5_0, Quantize};
/// let block = BlockQ5_0::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 32];
/// block.dequantize(&mut x);
/// assert_eq!(x[20], f32::from(block.quants()[20]) * block.d());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockQ5_0 {
    /// Scale, f16.
    pub d: [u8; 2],
    /// The fifth bits, a little-endian u32: bit `i` belongs to element `i`.
    pub qh: [u8; 4],
    /// Low nibbles: elements 0..16 in bits 0..4, 16..32 in bits 4..8.
    pub qs: [u8; 16],
}

const _: () = assert!(size_of::<BlockQ5_0>() == 22);

impl BlockQ5_0 {
    /// Returns the scale.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d)
    }

    /// Returns the fifth bits as one number.
    #[inline]
    pub fn qh(&self) -> u32 {
        u32::from_le_bytes(self.qh)
    }

    /// Returns the integers, -16..=15.
    #[inline]
    pub fn quants(&self) -> [i8; 32] {
        unpack_5(self.qh(), &self.qs).map(|q| q as i8 - 16)
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

/// Joins nibbles and fifth bits to 32 numbers, 0..=31, for Q5_0 and Q5_1.
#[inline]
pub(super) fn unpack_5(qh: u32, qs: &[u8; 16]) -> [u8; 32] {
    let mut q = [0; 32];
    let (lo, hi) = q.split_at_mut(16);
    for (j, ((&b, lo), hi)) in qs.iter().zip(lo).zip(hi).enumerate() {
        *lo = (b & 0xF) | ((qh >> j) as u8 & 1) << 4;
        *hi = (b >> 4) | ((qh >> (j + 16)) as u8 & 1) << 4;
    }
    q
}

/// The inverse of [`unpack_5`].
pub(crate) fn pack_5(q: &[u8; 32]) -> (u32, [u8; 16]) {
    let (lo, hi) = q.split_at(16);
    let mut qs = [0; 16];
    for ((b, &lo), &hi) in qs.iter_mut().zip(lo).zip(hi) {
        *b = (lo & 0xF) | (hi & 0xF) << 4;
    }
    let mut qh = 0;
    for (i, eight) in q.as_chunks::<8>().0.iter().enumerate() {
        // The fifth bit of byte `i` of the word becomes bit `56 + i` of the product.
        let fifth = u64::from_le_bytes(*eight) >> 4 & ONES;
        qh |= ((fifth.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32) << (8 * i);
    }
    (qh, qs)
}

/// Encoding by a formula, without weights.
impl BlockQ5_0 {
    /// The value of greatest magnitude becomes -16 (`d = max / -16`).
    pub(crate) fn by_formula(x: &[f32; 32]) -> Self {
        let d = signed_max(x) / -16.0;
        let id = inverse(d);
        let (qh, qs) = pack_5(&map(*x, |v| integer_part(v * id + 16.5, 31.0)));
        Self { d: f16_le_from(d), qh: qh.to_le_bytes(), qs }
    }
}
