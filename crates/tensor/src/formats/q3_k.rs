//! Q3_K: 256 elements in 110 bytes (3.4375 bits an element), 16 sub-blocks of 16.
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

use super::{f16_le, scales_k3};

/// A block of Q3_K.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockQ3K {
    /// Third bits.
    pub hmask: [u8; 32],
    /// Low two bits an element.
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

    /// The integers, -4..=3.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        let mut q = [0; 256];
        let halves = q.as_chunks_mut::<128>().0.iter_mut().zip(self.qs.as_chunks::<32>().0);
        for (h, (half, qs)) in halves.enumerate() {
            for (j, part) in half.as_chunks_mut::<32>().0.iter_mut().enumerate() {
                for ((q, b), m) in part.iter_mut().zip(qs).zip(&self.hmask) {
                    *q = ((b >> (2 * j) & 3) | (m >> (4 * h + j) & 1) << 2) as i8 - 4;
                }
            }
        }
        q
    }

    /// Decodes the block.
    pub fn dequantize(&self, out: &mut [f32; 256]) {
        let d = self.d();
        let quants = self.quants();
        let subs = out.as_chunks_mut::<16>().0.iter_mut().zip(quants.as_chunks::<16>().0);
        for ((out, q), sc) in subs.zip(self.scales()) {
            let dl = d * f32::from(sc);
            for (o, &q) in out.iter_mut().zip(q) {
                *o = dl * f32::from(q);
            }
        }
    }
}
