//! Q2_K: 256 elements in 84 bytes (2.625 bits per element), 16 sub-blocks of 16.
//!
//! ```text
//! |0  scales: 16 bytes  15|16  qs: 64 bytes  79|80  d: f16  81|82  dmin: f16  83|
//!
//! scales[s]:      bits 0..4 scale, bits 4..8 minimum of sub-block s (elements 16 s .. 16 s + 16)
//! qs[32 h + l]:   bits 2 j .. 2 j + 2  element 128 h + 32 j + l    (h < 2, j < 4, l < 32)
//!
//! x[i] = d * scale[i / 16] * q[i] - dmin * min[i / 16]
//! ```

use super::f16_le;
use super::two_bits::unpack_2;

/// A block of Q2_K.
///
/// ```
/// use happy_tensor::{BlockQ2K, Quantize};
/// let block = BlockQ2K::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// let (scales, mins) = block.scales_mins();
/// let expected = block.d() * f32::from(scales[2]) * f32::from(block.quants()[40])
///     - block.dmin() * f32::from(mins[2]);
/// assert_eq!(x[40], expected);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockQ2K {
    /// Scale (low nibble) and minimum (high nibble) of each sub-block.
    pub scales: [u8; 16],
    /// Two bits per element.
    pub qs: [u8; 64],
    /// Scale of the scales, f16.
    pub d: [u8; 2],
    /// Scale of the minimums, f16; minimums are subtracted.
    pub dmin: [u8; 2],
}

const _: () = assert!(size_of::<BlockQ2K>() == 84);

impl BlockQ2K {
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

    /// Scales and minimums of the 16 sub-blocks, 0..=15.
    #[inline]
    pub fn scales_mins(&self) -> ([u8; 16], [u8; 16]) {
        (self.scales.map(|s| s & 0xF), self.scales.map(|s| s >> 4))
    }

    /// Returns the integers, 0..=3.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        unpack_2(&self.qs).map(|q| q as i8)
    }

    /// Decodes the block.
    pub fn dequantize(&self, out: &mut [f32; 256]) {
        let (d, dmin) = (self.d(), self.dmin());
        let (scales, mins) = self.scales_mins();
        let quants = self.quants();
        let subs = out.as_chunks_mut::<16>().0.iter_mut().zip(quants.as_chunks::<16>().0);
        for ((out, q), (sc, mn)) in subs.zip(scales.into_iter().zip(mins)) {
            let (dl, ml) = (d * f32::from(sc), dmin * f32::from(mn));
            for (o, &q) in out.iter_mut().zip(q) {
                *o = dl * f32::from(q) - ml;
            }
        }
    }
}
