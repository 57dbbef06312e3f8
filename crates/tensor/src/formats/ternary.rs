//! TQ1_0 and TQ2_0: 256 elements that are -d, 0 or d.
//!
//! ```text
//! TQ1_0, 54 bytes (1.6875 bits per element): five trits per byte
//! |0  qs: 48 bytes  47|48  qh: 4 bytes  51|52  d: f16  53|
//!     qs[l]            elements 32 n + l                (n < 5, l < 32)
//!     qs[32 + l]       elements 160 + 16 n + l          (n < 5, l < 16)
//!     qh[l]            elements 240 + 4 n + l           (n < 4, l < 4)
//!
//!     A byte is a fraction of 256: b = ceil(256 v / 243), where v = 81 t0 + 27 t1 + 9 t2 + 3 t3 + t4. So trit n is
//!     floor(3 * (b 3^n mod 256) / 256), which needs no division.
//!
//! TQ2_0, 66 bytes (2.0625 bits per element):
//! |0  qs: 64 bytes  63|64  d: f16  65|
//!     qs[32 h + l]     bits 2 j .. 2 j + 2  element 128 h + 32 j + l    (h < 2, j < 4, l < 32)
//!
//! x[i] = d * (t[i] - 1)                      TQ2_0 can store t = 3, which encoders do not write
//! ```

use super::two_bits::{pack_2, unpack_2};
use super::words::map;
use super::{
    Quantize, dequantize_block, f16_le, f16_le_from, greatest_magnitude, inverse, search::round_away,
};

/// A block of TQ1_0.
///
/// ```
/// use happy_tensor::{BlockTQ1_0, Quantize};
/// let block = BlockTQ1_0::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], f32::from(block.quants()[40]) * block.d());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockTQ1_0 {
    /// Five trits per byte.
    pub qs: [u8; 48],
    /// Four trits per byte.
    pub qh: [u8; 4],
    /// Scale, f16.
    pub d: [u8; 2],
}

/// A block of TQ2_0.
///
/// ```
/// use happy_tensor::{BlockTQ2_0, Quantize};
/// let block = BlockTQ2_0::quantize(&std::array::from_fn(|i| i as f32 * 0.01 - 0.7));
/// let mut x = [0.0; 256];
/// block.dequantize(&mut x);
/// assert_eq!(x[40], f32::from(block.quants()[40]) * block.d());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BlockTQ2_0 {
    /// Two bits per element.
    pub qs: [u8; 64],
    /// Scale, f16.
    pub d: [u8; 2],
}

const _: () = assert!(size_of::<BlockTQ1_0>() == 54);
const _: () = assert!(size_of::<BlockTQ2_0>() == 66);

/// Unpacks trits and subtracts 1: trit 0 of every byte, then trit 1 of every byte, and so on.
#[inline]
fn unpack_trits<const BYTES: usize>(bytes: &[u8; BYTES], q: &mut [i8]) {
    let mut power = 1u8;
    for q in q.as_chunks_mut::<BYTES>().0 {
        for (q, b) in q.iter_mut().zip(bytes) {
            *q = ((u16::from(b.wrapping_mul(power)) * 3) >> 8) as i8 - 1;
        }
        power = power.wrapping_mul(3);
    }
}

/// The inverse: `trits[n * bytes.len() + l]` (0..=2) becomes trit `n` of byte `l`. Missing trits are 0.
fn pack_trits(trits: &[u8], bytes: &mut [u8]) {
    let stride = bytes.len();
    for (l, b) in bytes.iter_mut().enumerate() {
        let v = (0..5).fold(0u16, |v, n| 3 * v + u16::from(trits.get(n * stride + l).copied().unwrap_or(0)));
        *b = (v * 256).div_ceil(243) as u8;
    }
}

/// Returns the greatest magnitude, and the trit of each value: its quotient by that magnitude, rounded, plus 1.
fn trits(x: &[f32; 256]) -> (f32, [u8; 256]) {
    let d = greatest_magnitude(x);
    let id = inverse(d);
    (d, map(*x, |v| (round_away(v * id, 1.0) + 1) as u8))
}

impl BlockTQ1_0 {
    /// Returns the scale.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d)
    }

    /// Returns the integers, -1..=1.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        let mut q = [0; 256];
        let (five, four) = q.split_at_mut(240);
        let (first, second) = five.split_at_mut(160);
        if let (Some(long), Some(short)) = (self.qs.first_chunk::<32>(), self.qs.last_chunk::<16>()) {
            unpack_trits(long, first);
            unpack_trits(short, second);
        }
        unpack_trits(&self.qh, four);
        q
    }

    /// Decodes the block.
    pub fn dequantize(&self, out: &mut [f32; 256]) {
        dequantize_block(self.d(), &self.quants(), out);
    }
}

impl BlockTQ2_0 {
    /// Returns the scale.
    #[inline]
    pub fn d(&self) -> f32 {
        f16_le(self.d)
    }

    /// Returns the integers, -1..=2.
    #[inline]
    pub fn quants(&self) -> [i8; 256] {
        map(unpack_2(&self.qs), |q| q as i8 - 1)
    }

    /// Decodes the block.
    pub fn dequantize(&self, out: &mut [f32; 256]) {
        dequantize_block(self.d(), &self.quants(), out);
    }
}

impl Quantize for BlockTQ1_0 {
    /// The greatest magnitude becomes 1 or -1; halves round away from zero.
    fn quantize(x: &[f32; 256]) -> Self {
        let (d, trits) = trits(x);
        let mut block = Self { qs: [0; 48], qh: [0; 4], d: f16_le_from(d) };
        pack_trits(&trits[..160], &mut block.qs[..32]);
        pack_trits(&trits[160..240], &mut block.qs[32..]);
        pack_trits(&trits[240..], &mut block.qh);
        block
    }
}

impl Quantize for BlockTQ2_0 {
    /// The greatest magnitude becomes 1 or -1; halves round away from zero.
    fn quantize(x: &[f32; 256]) -> Self {
        let (d, trits) = trits(x);
        Self { qs: pack_2(&trits), d: f16_le_from(d) }
    }
}
