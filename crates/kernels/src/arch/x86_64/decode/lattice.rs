//! IQ2_XS: eight integers at a time as a point of a table, and signs.

use super::{Decode, f16_bits, set_bits, signed_scales};
use crate::arch::x86_64::vector::V;
use crate::linear::source::Source;
use core::arch::x86_64::__m256i;
use happy_tensor::BlockIQ2XS;
use happy_tensor::formats::lattice::{IQ2_XS, eight_signs};

/// The signs of 8 integers for the 7 that are stored.
static SIGNS: [u8; 128] = {
    let mut signs = [0; 128];
    let mut seven = 0;
    while seven < 128 {
        signs[seven] = eight_signs(seven as u32);
        seven += 1;
    }
    signs
};

#[inline(always)]
fn code(bytes: [u8; 2]) -> usize {
    usize::from(u16::from_le_bytes(bytes))
}

/// The integers of four codes: points in the low 9 bits, signs in the others. No iterators: `zip` is not inlined here.
#[inline(always)]
fn points(v: V, codes: &[[u8; 2]; 4]) -> __m256i {
    let [a, b, c, d] = *codes;
    let [a, b, c, d] = [code(a), code(b), code(c), code(d)];
    let points = [&IQ2_XS[a & 511], &IQ2_XS[b & 511], &IQ2_XS[c & 511], &IQ2_XS[d & 511]];
    let signs = [SIGNS[a >> 9], SIGNS[b >> 9], SIGNS[c >> 9], SIGNS[d >> 9]];
    let minus = set_bits(v, u32::from_le_bytes(signs));
    v.sign8(v.load_i8_by_8(points), v.or(minus, v.splat8(1)))
}

impl Decode for BlockIQ2XS {
    type Unit = <Self as Source>::Unit;
    const OFFSET: u8 = 128;
    const MAX: i32 = 43;
    const D_FACTOR: f32 = 0.125;

    #[inline(always)]
    fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
        for (i, codes) in self.qs.as_chunks().0.iter().enumerate() {
            f(i, points(v, codes));
        }
    }
    #[inline(always)]
    fn d_min(&self) -> u32 {
        f16_bits(self.d)
    }
    #[inline(always)]
    fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
        let x = v.of_u64(i64::from_le_bytes(self.scales));
        let stored = v.and_128(v.low8_128(x, v.shr16_128::<4>(x)), v.splat8_128(0xF));
        let odd = v.or_128(v.shl16_128::<1>(stored), v.splat8_128(1));
        signed_scales(v, odd, i16::from(Self::OFFSET))
    }
}
