//! IQ1_S and IQ1_M: 256 elements. Each group of eight is a point from a table of {-1, 0, 1}^8, shifted by an eighth.
//!
//! ```text
//! IQ1_S, 50 bytes (1.5625 bits per element):
//! |0  d: f16  1|2  qs: 32 bytes  33|34  qh: 8 x u16  49|
//!     point l of sub-block b (32 elements): bits 0..8 qs[4 b + l], bits 8..11 qh[b] bits 3 l .. 3 l + 3
//!     qh[b]            bits 12..15 scale of the sub-block, bit 15 shift: 0 up, 1 down
//!
//! IQ1_M, 56 bytes (1.75 bits per element):
//! |0  qs: 32 bytes  31|32  qh: 16 bytes  47|48  scales: 4 x u16  55|
//!     point i (8 elements): bits 0..8 qs[i], bits 8..11 qh[i / 2] bits 4 (i % 2) .. + 3;
//!     bit 4 (i % 2) + 3 of qh[i / 2]: its shift
//!     scales[c]        bits 3 j .. 3 j + 3 (j < 4): scale of elements 64 c + 16 j .. + 16;
//!                      bits 12..16: nibble c of d, an f16 in four pieces
//!
//! x[i] = d * (2 scale + 1) * (point[i] + 1/8)      (- 1/8 if shifted down)
//!      = d/8 * (2 scale + 1) * q[i],  q[i] = 8 point[i] + 1  (- 1 if shifted down)
//! ```

use super::lattice::IQ1;
use super::words::{ONES, add8, bytes8, map, word8};
use super::{dequantize_sub_blocks, f16_le};

/// A block of IQ1_S.
///
/// ```
/// use happy_tensor::{BlockIQ1S, Quantize};
/// let block = BlockIQ1S::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], block.d() * f32::from(block.scales()[1]) * f32::from(block.quants()[40]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockIQ1S {
    /// Scale of the scales, f16.
    pub d: [u8; 2],
    /// Low bits of the points.
    pub qs: [u8; 32],
    /// High bits of the points, scale and shift of 8 sub-blocks, a little-endian u16 each.
    pub qh: [[u8; 2]; 8],
}

/// A block of IQ1_M.
///
/// ```
/// use happy_tensor::{BlockIQ1M, Quantize};
/// let block = BlockIQ1M::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], block.d() * f32::from(block.scales()[2]) * f32::from(block.quants()[40]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockIQ1M {
    /// Low bits of the points.
    pub qs: [u8; 32],
    /// High bits of the points, and their shifts.
    pub qh: [u8; 16],
    /// Scales of 16 elements, and the pieces of `d`; a little-endian u16 each.
    pub scales: [[u8; 2]; 4],
}

const _: () = assert!(size_of::<BlockIQ1S>() == 50);
const _: () = assert!(size_of::<BlockIQ1M>() == 56);

/// Looks up a point, in eighths, and shifts it.
#[inline]
fn shifted(high: u16, low: u8, down: bool) -> [i8; 8] {
    let shift = if down { u64::MAX } else { ONES };
    bytes8(add8(word8(&IQ1[usize::from(high & 7) << 8 | usize::from(low)]), shift))
}

impl BlockIQ1S {
    /// Scale of the odd scales: an eighth of the stored one.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d) * 0.125
    }

    /// Returns the odd scales of 32 elements each, 1..=15.
    #[inline]
    pub fn scales(&self) -> [i8; 8] {
        map(self.qh, |h| (2 * (u16::from_le_bytes(h) >> 12 & 7) + 1) as i8)
    }

    /// Returns the integers: -9, -7, -1, 1, 7 or 9.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        let mut q = [0; 256];
        for (i, (q, &low)) in q.as_chunks_mut::<8>().0.iter_mut().zip(&self.qs).enumerate() {
            let h = u16::from_le_bytes(self.qh[i / 4]);
            *q = shifted(h >> (3 * (i % 4)), low, h >> 15 == 1);
        }
        q
    }

    /// Decodes the block.
    pub fn dequantize(&self, out: &mut [f32; 256]) {
        dequantize_sub_blocks(self.d(), self.scales(), &self.quants(), out);
    }
}

impl BlockIQ1M {
    /// Scale of the odd scales: an eighth of the stored one.
    #[inline]
    pub fn d(&self) -> f32 {
        let [a, b, c, d] = map(self.scales, |s| u16::from_le_bytes(s) >> 12);
        f16_le((a | b << 4 | c << 8 | d << 12).to_le_bytes()) * 0.125
    }

    /// Returns the odd scales of 16 elements each, 1..=15.
    #[inline]
    pub fn scales(&self) -> [i8; 16] {
        let mut out = [0; 16];
        for (out, s) in out.as_chunks_mut::<4>().0.iter_mut().zip(self.scales) {
            let s = u16::from_le_bytes(s);
            *out = map([0, 3, 6, 9], |at| (2 * (s >> at & 7) + 1) as i8);
        }
        out
    }

    /// Returns the integers: -9, -7, -1, 1, 7 or 9.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        let mut q = [0; 256];
        for (i, (q, &low)) in q.as_chunks_mut::<8>().0.iter_mut().zip(&self.qs).enumerate() {
            let h = self.qh[i / 2] >> (4 * (i % 2));
            *q = shifted(u16::from(h), low, h >> 3 & 1 == 1);
        }
        q
    }

    /// Decodes the block.
    pub fn dequantize(&self, out: &mut [f32; 256]) {
        dequantize_sub_blocks(self.d(), self.scales(), &self.quants(), out);
    }
}
