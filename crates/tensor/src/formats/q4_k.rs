//! Q4_K: 256 elements in 144 bytes (4.5 bits per element), 8 sub-blocks of 32.
//!
//! ```text
//! |0  d: f16  1|2  dmin: f16  3|4  scales: 12 bytes  15|16  qs: 128 bytes  143|
//!
//! scales:         eight 6-bit scales and minimums, see `scales_mins_k4`
//! qs[32 g + l]:   bits 0..4 element 64 g + l,  bits 4..8 element 64 g + 32 + l    (g < 4, l < 32)
//!
//! x[i] = d * scale[i / 32] * q[i] - dmin * min[i / 32]
//! ```

use super::{f16_le, scales_mins_k4};

/// A block of Q4_K.
///
/// ```
/// use happy_tensor::{BlockQ4K, Quantize};
/// let block = BlockQ4K::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// let (scales, mins) = block.scales_mins();
/// let expected = block.d() * f32::from(scales[1]) * f32::from(block.quants()[40])
///     - block.dmin() * f32::from(mins[1]);
/// assert_eq!(x[40], expected);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockQ4K {
    /// Scale of the scales, f16.
    pub d: [u8; 2],
    /// Scale of the minimums, f16; minimums are subtracted.
    pub dmin: [u8; 2],
    /// Packed 6-bit scales and minimums of the sub-blocks.
    pub scales: [u8; 12],
    /// Nibbles.
    pub qs: [u8; 128],
}

const _: () = assert!(size_of::<BlockQ4K>() == 144);

impl BlockQ4K {
    /// Scale of the scales.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d)
    }

    /// Scale of the minimums, which are subtracted.
    #[inline]
    pub fn dmin(&self) -> f32 {
        f16_le(self.dmin)
    }

    /// Scales and minimums of the 8 sub-blocks, 0..=63.
    #[inline]
    pub fn scales_mins(&self) -> ([u8; 8], [u8; 8]) {
        scales_mins_k4(&self.scales)
    }

    /// Returns the integers, 0..=15.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        let mut q = [0; 256];
        for (group, qs) in q.as_chunks_mut::<64>().0.iter_mut().zip(self.qs.as_chunks::<32>().0) {
            let (lo, hi) = group.split_at_mut(32);
            for ((b, lo), hi) in qs.iter().zip(lo).zip(hi) {
                *lo = (b & 0xF) as i8;
                *hi = (b >> 4) as i8;
            }
        }
        q
    }

    /// Decodes the block.
    pub fn dequantize(&self, out: &mut [f32; 256]) {
        dequantize_k4(self.d(), self.dmin(), self.scales_mins(), &self.quants(), out);
    }
}

/// Decodes Q4_K and Q5_K, which differ only in the width of the integers.
pub(super) fn dequantize_k4(
    d: f32,
    dmin: f32,
    (scales, mins): ([u8; 8], [u8; 8]),
    quants: &[i8; 256],
    out: &mut [f32; 256],
) {
    let subs = out.as_chunks_mut::<32>().0.iter_mut().zip(quants.as_chunks::<32>().0);
    for ((out, q), (sc, mn)) in subs.zip(scales.into_iter().zip(mins)) {
        let (d1, m1) = (d * f32::from(sc), dmin * f32::from(mn));
        for (o, &q) in out.iter_mut().zip(q) {
            *o = d1 * f32::from(q) - m1;
        }
    }
}
