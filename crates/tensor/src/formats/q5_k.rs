//! Q5_K: 256 elements in 176 bytes (5.5 bits per element), 8 sub-blocks of 32.
//!
//! ```text
//! |0  d: f16  1|2  dmin: f16  3|4  scales: 12 bytes  15|16  qh: 32 bytes  47|48  qs: 128 bytes  175|
//!
//! scales:         eight 6-bit scales and minimums, see `scales_mins_k4`
//! qs[32 g + l]:   low four bits of element 64 g + l in bits 0..4, of 64 g + 32 + l in bits 4..8   (g < 4, l < 32)
//! qh[l]:          bit s: fifth bit of element 32 s + l    (s < 8)
//!
//! x[i] = d * scale[i / 32] * q[i] - dmin * min[i / 32]
//! ```

use super::q4_k::dequantize_k4;
use super::{f16_le, scales_mins_k4};

/// A block of Q5_K.
///
/// ```
/// use happy_tensor::{BlockQ5K, Quantize};
/// let block = BlockQ5K::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// let (scales, mins) = block.scales_mins();
/// let expected = block.d() * f32::from(scales[1]) * f32::from(block.quants()[40])
///     - block.dmin() * f32::from(mins[1]);
/// assert_eq!(x[40], expected);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockQ5K {
    /// Scale of the scales, f16.
    pub d: [u8; 2],
    /// Scale of the minimums, f16; minimums are subtracted.
    pub dmin: [u8; 2],
    /// Packed 6-bit scales and minimums of the sub-blocks.
    pub scales: [u8; 12],
    /// Fifth bits: bit `s` of byte `l` belongs to element `32 s + l`.
    pub qh: [u8; 32],
    /// Low nibbles.
    pub qs: [u8; 128],
}

const _: () = assert!(size_of::<BlockQ5K>() == 176);

impl BlockQ5K {
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

    /// Returns the integers, 0..=31.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        let mut q = [0; 256];
        let groups = q.as_chunks_mut::<64>().0.iter_mut().zip(self.qs.as_chunks::<32>().0);
        for (g, (group, qs)) in groups.enumerate() {
            let (lo, hi) = group.split_at_mut(32);
            for (((b, h), lo), hi) in qs.iter().zip(&self.qh).zip(lo).zip(hi) {
                *lo = ((b & 0xF) | (h >> (2 * g) & 1) << 4) as i8;
                *hi = ((b >> 4) | (h >> (2 * g + 1) & 1) << 4) as i8;
            }
        }
        q
    }

    /// Decodes the block.
    pub fn dequantize(&self, out: &mut [f32; 256]) {
        dequantize_k4(self.d(), self.dmin(), self.scales_mins(), &self.quants(), out);
    }
}
