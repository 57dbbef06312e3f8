//! IQ2_XXS, IQ2_XS and IQ2_S: 256 elements. Each group of eight is a point from a lattice table, with signs.
//!
//! ```text
//! IQ2_XXS, 66 bytes (2.0625 bits per element):
//! |0  d: f16  1|2  qs: 8 x 8 bytes  65|       8 bytes for 32 elements: 4 numbers of points (8 bits each), then
//!                                             a u32: signs of 8 elements in bits 7 l .. 7 l + 7 (l < 4, see
//!                                             `lattice`), bits 28..32 scale
//! IQ2_XS, 74 bytes (2.3125 bits per element):
//! |0  d: f16  1|2  qs: 32 x u16  65|66  scales: 8 bytes  73|
//!                                             a u16 for 8 elements: bits 0..9 point, 9..16 signs
//! IQ2_S, 82 bytes (2.5625 bits per element):
//! |0  d: f16  1|2  qs: 32 bytes  33|34  signs: 32 bytes  65|66  qh: 8 bytes  73|74  scales: 8 bytes  81|
//!                                             point l of sub-block b (32 elements): bits 0..8 qs[4 b + l],
//!                                             bits 8..10 qh[b] bits 2 l ..; signs: all 8
//! scales[b]       elements 32 b .. 32 b + 16 in bits 0..4, 32 b + 16 .. 32 b + 32 in bits 4..8
//!
//! x[i] = d * (scale + 1/2) / 4 * point[i] * sign[i]
//!      = d/8 * (2 scale + 1) * q[i]           the accessors return these factors: all but d/8 are integers
//! ```

use super::lattice::{IQ2_S, IQ2_XS, IQ2_XXS, eight_signs, signed8};
use super::{dequantize_sub_blocks, f16_le};

/// A block of IQ2_XXS.
///
/// ```
/// use happy_tensor::{BlockIQ2XXS, Quantize};
/// let block = BlockIQ2XXS::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], block.d() * f32::from(block.scales()[2]) * f32::from(block.quants()[40]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockIQ2XXS {
    /// Scale of the scales, f16.
    pub d: [u8; 2],
    /// Points, signs and scales of 8 sub-blocks.
    pub qs: [[u8; 8]; 8],
}

/// A block of IQ2_XS.
///
/// ```
/// use happy_tensor::{BlockIQ2XS, Quantize};
/// let block = BlockIQ2XS::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], block.d() * f32::from(block.scales()[2]) * f32::from(block.quants()[40]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockIQ2XS {
    /// Scale of the scales, f16.
    pub d: [u8; 2],
    /// Points and signs, a little-endian u16 each.
    pub qs: [[u8; 2]; 32],
    /// Scales of 16 elements, 4 bits each.
    pub scales: [u8; 8],
}

/// A block of IQ2_S.
///
/// ```
/// use happy_tensor::{BlockIQ2S, Quantize};
/// let block = BlockIQ2S::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], block.d() * f32::from(block.scales()[2]) * f32::from(block.quants()[40]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockIQ2S {
    /// Scale of the scales, f16.
    pub d: [u8; 2],
    /// Low bits of the points.
    pub qs: [u8; 32],
    /// Signs, one bit per element.
    pub signs: [u8; 32],
    /// High bits of the points.
    pub qh: [u8; 8],
    /// Scales of 16 elements, 4 bits each.
    pub scales: [u8; 8],
}

const _: () = assert!(size_of::<BlockIQ2XXS>() == 66);
const _: () = assert!(size_of::<BlockIQ2XS>() == 74);
const _: () = assert!(size_of::<BlockIQ2S>() == 82);

/// `2 scale + 1` of each nibble, the low one first.
fn odd_scales(scales: [u8; 8]) -> [i8; 16] {
    let mut out = [0; 16];
    for (out, s) in out.as_chunks_mut::<2>().0.iter_mut().zip(scales) {
        *out = [(2 * (s & 0xF) + 1) as i8, (2 * (s >> 4) + 1) as i8];
    }
    out
}

/// Methods that the three formats have in common.
macro_rules! scaled {
    ($($block:ident),*) => {$(
        impl $block {
            /// Scale of the odd scales: an eighth of the stored one.
            #[inline]
            pub fn d(&self) -> f32 {
                f16_le(self.d) * 0.125
            }

            /// Decodes the block.
            pub fn dequantize(&self, out: &mut [f32; 256]) {
                dequantize_sub_blocks(self.d(), self.scales(), &self.quants(), out);
            }
        }
    )*};
}
scaled!(BlockIQ2XXS, BlockIQ2XS, BlockIQ2S);

impl BlockIQ2XXS {
    /// Returns the last four bytes of a sub-block as a number: the signs and the scale.
    fn signs_and_scale(qs: &[u8; 8]) -> u32 {
        let [.., a, b, c, d] = *qs;
        u32::from_le_bytes([a, b, c, d])
    }

    /// Returns the odd scales of 16 elements each, 1..=31.
    #[inline]
    pub fn scales(&self) -> [i8; 16] {
        let mut out = [0; 16];
        for (out, qs) in out.as_chunks_mut::<2>().0.iter_mut().zip(&self.qs) {
            *out = [(2 * (Self::signs_and_scale(qs) >> 28) + 1) as i8; 2];
        }
        out
    }

    /// Returns the integers: 8, 25 or 43 with a sign.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        let mut q = [0; 256];
        for (q, qs) in q.as_chunks_mut::<8>().0.as_chunks_mut::<4>().0.iter_mut().zip(&self.qs) {
            let signs = Self::signs_and_scale(qs);
            for (l, (q, &point)) in q.iter_mut().zip(qs).enumerate() {
                *q = signed8(&IQ2_XXS[usize::from(point)], eight_signs(signs >> (7 * l)));
            }
        }
        q
    }
}

impl BlockIQ2XS {
    /// Returns the odd scales of 16 elements each, 1..=31.
    #[inline]
    pub fn scales(&self) -> [i8; 16] {
        odd_scales(self.scales)
    }

    /// Returns the integers: 8, 25 or 43 with a sign.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        let mut q = [0; 256];
        for (q, &code) in q.as_chunks_mut::<8>().0.iter_mut().zip(&self.qs) {
            let code = u16::from_le_bytes(code);
            *q = signed8(&IQ2_XS[usize::from(code & 511)], eight_signs(u32::from(code >> 9)));
        }
        q
    }
}

impl BlockIQ2S {
    /// Returns the odd scales of 16 elements each, 1..=31.
    #[inline]
    pub fn scales(&self) -> [i8; 16] {
        odd_scales(self.scales)
    }

    /// Returns the integers: 8, 25 or 43 with a sign.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        let mut q = [0; 256];
        let groups = q.as_chunks_mut::<8>().0.iter_mut();
        for (i, (q, (&low, &signs))) in groups.zip(self.qs.iter().zip(&self.signs)).enumerate() {
            let high = self.qh[i / 4] >> (2 * (i % 4)) & 3;
            *q = signed8(&IQ2_S[usize::from(high) << 8 | usize::from(low)], signs);
        }
        q
    }
}
