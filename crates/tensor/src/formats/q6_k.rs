//! Q6_K: 256 elements in 210 bytes (6.5625 bits per element), 16 sub-blocks of 16.
//!
//! ```text
//! |0  ql: 128 bytes  127|128  qh: 64 bytes  191|192  scales: 16 x i8  207|208  d: f16  209|
//!
//! element 128 h + 32 j + l    (h < 2, j < 4, l < 32):
//!   low four bits    ql[64 h + 32 (j % 2) + l], bits 4 (j / 2) ..
//!   high two bits    qh[32 h + l], bits 2 j ..
//!
//! x[i] = d * scales[i / 16] * (q[i] - 32)
//! ```

use super::f16_le;

/// A block of Q6_K.
///
/// ```
/// use happy_tensor::{BlockQ6K, Quantize};
/// let block = BlockQ6K::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], block.d() * f32::from(block.scales()[2]) * f32::from(block.quants()[40]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockQ6K {
    /// Low nibbles.
    pub ql: [u8; 128],
    /// High two bits per element.
    pub qh: [u8; 64],
    /// Scales of the sub-blocks.
    pub scales: [i8; 16],
    /// Scale of the scales, f16.
    pub d: [u8; 2],
}

const _: () = assert!(size_of::<BlockQ6K>() == 210);

impl BlockQ6K {
    /// Scale of the scales.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d)
    }

    /// Scales of the 16 sub-blocks, -128..=127.
    #[inline]
    pub fn scales(&self) -> [i8; 16] {
        self.scales
    }

    /// Returns the integers, -32..=31.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        let mut q = [0; 256];
        let halves = q.as_chunks_mut::<128>().0.iter_mut();
        let packed = self.ql.as_chunks::<64>().0.iter().zip(self.qh.as_chunks::<32>().0);
        for (half, (ql, qh)) in halves.zip(packed) {
            let (ql0, ql1) = ql.split_at(32);
            for (j, part) in half.as_chunks_mut::<32>().0.iter_mut().enumerate() {
                let ql = if j % 2 == 0 { ql0 } else { ql1 };
                for ((q, l), h) in part.iter_mut().zip(ql).zip(qh) {
                    *q = ((l >> (4 * (j / 2)) & 0xF) | (h >> (2 * j) & 3) << 4) as i8 - 32;
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
        for ((out, q), sc) in subs.zip(self.scales) {
            let dl = d * f32::from(sc);
            for (o, &q) in out.iter_mut().zip(q) {
                *o = dl * f32::from(q);
            }
        }
    }
}
