//! Q3_K: 256 elements in 110 bytes (3.4375 bits per element), 16 sub-blocks of 16.
//!
//! ```text
//! |0  hmask: 32 bytes  31|32  qs: 64 bytes  95|96  scales: 12 bytes  107|108  d: f16  109|
//!
//! qs[32 h + l]:   bits 2 j .. 2 j + 2  low two bits of element 128 h + 32 j + l    (h < 2, j < 4, l < 32)
//! hmask[l]:       bit 4 h + j          third bit of element 128 h + 32 j + l
//! scales:         sixteen 6-bit scales with an offset of 32, see `scales_k3`
//!
//! x[i] = d * scale[i / 16] * (q[i] - 4)
//! ```

use super::two_bits::unpack_2;
use super::{dequantize_sub_blocks, f16_le, scales_k3};

/// A block of Q3_K.
///
/// ```
/// use happy_tensor::{BlockQ3K, Quantize};
/// let block = BlockQ3K::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], block.d() * f32::from(block.scales()[2]) * f32::from(block.quants()[40]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockQ3K {
    /// Third bits.
    pub hmask: [u8; 32],
    /// Low two bits per element.
    pub qs: [u8; 64],
    /// Packed 6-bit scales of the sub-blocks.
    pub scales: [u8; 12],
    /// Scale of the scales, f16.
    pub d: [u8; 2],
}

const _: () = assert!(size_of::<BlockQ3K>() == 110);

impl BlockQ3K {
    /// Scale of the scales.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d)
    }

    /// Scales of the 16 sub-blocks, -32..=31.
    #[inline]
    pub fn scales(&self) -> [i8; 16] {
        scales_k3(&self.scales)
    }

    /// Returns the integers, -4..=3.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        let mut q = unpack_2(&self.qs).map(|q| q as i8 - 4);
        for (bit, part) in q.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            for (q, m) in part.iter_mut().zip(&self.hmask) {
                *q += ((m >> bit & 1) << 2) as i8;
            }
        }
        q
    }

    /// Decodes the block.
    pub fn dequantize(&self, out: &mut [f32; 256]) {
        dequantize_sub_blocks(self.d(), self.scales(), &self.quants(), out);
    }
}
