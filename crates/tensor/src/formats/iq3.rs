//! IQ3_XXS and IQ3_S: 256 elements. Each group of four is a point from a lattice table, with signs.
//!
//! ```text
//! IQ3_XXS, 98 bytes (3.0625 bits per element):
//! |0  d: f16  1|2  qs: 64 bytes  65|66  signs: 8 x u32  97|
//!     qs[i]            point of elements 4 i .. 4 i + 4
//!     signs[b]         bits 7 l .. 7 l + 7 (l < 4): signs of elements 32 b + 8 l .. + 8, see `lattice`;
//!                      bits 28..32: scale of elements 32 b .. 32 b + 32
//!     x[i] = d * (scale + 1/2) / 2 * point[i] * sign[i]  =  d/4 * (2 scale + 1) * q[i]
//!
//! IQ3_S, 110 bytes (3.4375 bits per element):
//! |0  d: f16  1|2  qs: 64 bytes  65|66  qh: 8 bytes  73|74  signs: 32 bytes  105|106  scales: 4 bytes  109|
//!     point of elements 4 i .. 4 i + 4: bits 0..8 qs[i], bit 8 is bit i % 8 of qh[i / 8]
//!     signs            one bit per element
//!     scales[c]        elements 64 c .. 64 c + 32 in bits 0..4, 64 c + 32 .. 64 c + 64 in bits 4..8
//!     x[i] = d * (2 scale + 1) * point[i] * sign[i]  =  d * (2 scale + 1) * q[i]
//! ```

use super::lattice::{IQ3_S, IQ3_XXS, eight_signs, signed4};
use super::words::map;
use super::{dequantize_sub_blocks, f16_le};

/// A block of IQ3_XXS.
///
/// ```
/// use happy_tensor::{BlockIQ3XXS, Quantize};
/// let block = BlockIQ3XXS::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], block.d() * f32::from(block.scales()[1]) * f32::from(block.quants()[40]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockIQ3XXS {
    /// Scale of the scales, f16.
    pub d: [u8; 2],
    /// Points.
    pub qs: [u8; 64],
    /// Signs and scales of 8 sub-blocks, a little-endian u32 each.
    pub signs: [[u8; 4]; 8],
}

/// A block of IQ3_S.
///
/// ```
/// use happy_tensor::{BlockIQ3S, Quantize};
/// let block = BlockIQ3S::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], block.d() * f32::from(block.scales()[1]) * f32::from(block.quants()[40]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockIQ3S {
    /// Scale of the scales, f16.
    pub d: [u8; 2],
    /// Low bits of the points.
    pub qs: [u8; 64],
    /// High bits of the points.
    pub qh: [u8; 8],
    /// Signs, one bit per element.
    pub signs: [u8; 32],
    /// Scales of 8 sub-blocks, 4 bits each.
    pub scales: [u8; 4],
}

const _: () = assert!(size_of::<BlockIQ3XXS>() == 98);
const _: () = assert!(size_of::<BlockIQ3S>() == 110);

impl BlockIQ3XXS {
    /// Scale of the odd scales: a quarter of the stored one.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d) * 0.25
    }

    /// Returns the odd scales of 32 elements each, 1..=31.
    #[inline]
    pub fn scales(&self) -> [i8; 8] {
        map(self.signs, |s| (2 * (u32::from_le_bytes(s) >> 28) + 1) as i8)
    }

    /// Returns the integers: 4, 12 .. 52, 62 with a sign.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        let mut q = [0; 256];
        let subs = q.as_chunks_mut::<4>().0.as_chunks_mut::<8>().0;
        for (q, (points, signs)) in subs.iter_mut().zip(self.qs.as_chunks::<8>().0.iter().zip(&self.signs)) {
            let signs = u32::from_le_bytes(*signs);
            for (i, (q, &point)) in q.iter_mut().zip(points).enumerate() {
                let eight = eight_signs(signs >> (7 * (i / 2)));
                *q = signed4(&IQ3_XXS[usize::from(point)], eight >> (4 * (i % 2)));
            }
        }
        q
    }

    /// Decodes the block.
    pub fn dequantize(&self, out: &mut [f32; 256]) {
        dequantize_sub_blocks(self.d(), self.scales(), &self.quants(), out);
    }
}

impl BlockIQ3S {
    /// Scale of the odd scales.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d)
    }

    /// Returns the odd scales of 32 elements each, 1..=31.
    #[inline]
    pub fn scales(&self) -> [i8; 8] {
        let mut out = [0; 8];
        for (out, s) in out.as_chunks_mut::<2>().0.iter_mut().zip(self.scales) {
            *out = [(2 * (s & 0xF) + 1) as i8, (2 * (s >> 4) + 1) as i8];
        }
        out
    }

    /// Returns the integers: 1, 3 .. 15 with a sign.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        let mut q = [0; 256];
        for (i, (q, &low)) in q.as_chunks_mut::<4>().0.iter_mut().zip(&self.qs).enumerate() {
            let high = self.qh[i / 8] >> (i % 8) & 1;
            let signs = self.signs[i / 2] >> (4 * (i % 2));
            *q = signed4(&IQ3_S[usize::from(high) << 8 | usize::from(low)], signs);
        }
        q
    }

    /// Decodes the block.
    pub fn dequantize(&self, out: &mut [f32; 256]) {
        dequantize_sub_blocks(self.d(), self.scales(), &self.quants(), out);
    }
}
