//! IQ4_NL and IQ4_XS: 4 bits that choose one of 16 values, which are closer together near zero.
//!
//! ```text
//! IQ4_NL, 32 elements in 18 bytes (4.5 bits per element):
//! |0  d: f16  1|2  qs: 16 bytes  17|
//!     qs[j]            element j in bits 0..4, element j + 16 in bits 4..8
//!     x[i] = d * LEVELS[i]
//!
//! IQ4_XS, 256 elements in 136 bytes (4.25 bits per element):
//! |0  d: f16  1|2  scales_h: u16  3|4  scales_l: 4 bytes  7|8  qs: 128 bytes  135|
//!     scale of sub-block b (32 elements): bits 0..4 nibble b of scales_l, bits 4..6 bits 2 b .. of scales_h, less 32
//!     qs               16 bytes a sub-block, as in IQ4_NL
//!     x[i] = d * scale * LEVELS[i]
//! ```

use super::words::map;
use super::{dequantize_sub_blocks, f16_le};

/// The 16 values. Like the levels of NF4, they follow the density of normally distributed weights. ggml's author fitted
/// them to the weights of models. They are not symmetric, and none of them is 0.
pub const IQ4_LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// A block of IQ4_NL.
///
/// ```
/// use happy_tensor::{BlockIQ4NL, Quantize};
/// let block = BlockIQ4NL::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 32];
/// block.dequantize(&mut x);
/// assert_eq!(x[20], f32::from(block.quants()[20]) * block.d());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockIQ4NL {
    /// Scale, f16.
    pub d: [u8; 2],
    /// Nibbles: elements 0..16 in bits 0..4, 16..32 in bits 4..8.
    pub qs: [u8; 16],
}

/// A block of IQ4_XS.
///
/// ```
/// use happy_tensor::{BlockIQ4XS, Quantize};
/// let block = BlockIQ4XS::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], block.d() * f32::from(block.scales()[1]) * f32::from(block.quants()[40]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockIQ4XS {
    /// Scale of the scales, f16.
    pub d: [u8; 2],
    /// High two bits of the scales, a little-endian u16.
    pub scales_h: [u8; 2],
    /// Low four bits of the scales.
    pub scales_l: [u8; 4],
    /// Nibbles, 16 bytes a sub-block.
    pub qs: [[u8; 16]; 8],
}

const _: () = assert!(size_of::<BlockIQ4NL>() == 18);
const _: () = assert!(size_of::<BlockIQ4XS>() == 136);

/// Looks up the values of 32 nibbles, the low ones first.
#[inline]
pub(super) fn look_up(levels: &[i8; 16], qs: &[u8; 16]) -> [i8; 32] {
    let mut q = [0; 32];
    let (lo, hi) = q.split_at_mut(16);
    for ((&b, lo), hi) in qs.iter().zip(lo).zip(hi) {
        *lo = levels[usize::from(b & 0xF)];
        *hi = levels[usize::from(b >> 4)];
    }
    q
}

impl BlockIQ4NL {
    /// Returns the scale.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d)
    }

    /// Returns the integers, of [`IQ4_LEVELS`].
    #[inline]
    pub fn quants(&self) -> [i8; 32] {
        look_up(&IQ4_LEVELS, &self.qs)
    }

    /// Decodes the block.
    #[inline]
    pub fn dequantize(&self, out: &mut [f32; 32]) {
        let d = self.d();
        for (o, q) in out.iter_mut().zip(self.quants()) {
            *o = d * f32::from(q);
        }
    }
}

impl BlockIQ4XS {
    /// Scale of the scales.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d)
    }

    /// Scales of the 8 sub-blocks, -32..=31.
    #[inline]
    pub fn scales(&self) -> [i8; 8] {
        let (low, high) = (u32::from_le_bytes(self.scales_l), u16::from_le_bytes(self.scales_h));
        map([0, 1, 2, 3, 4, 5, 6, 7], |b| {
            (low >> (4 * b) & 0xF) as i8 + ((high >> (2 * b) & 3) << 4) as i8 - 32
        })
    }

    /// Returns the integers, of [`IQ4_LEVELS`].
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        let mut q = [0; 256];
        for (q, qs) in q.as_chunks_mut::<32>().0.iter_mut().zip(&self.qs) {
            *q = look_up(&IQ4_LEVELS, qs);
        }
        q
    }

    /// Decodes the block.
    pub fn dequantize(&self, out: &mut [f32; 256]) {
        dequantize_sub_blocks(self.d(), self.scales(), &self.quants(), out);
    }
}
