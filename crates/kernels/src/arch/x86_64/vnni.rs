//! Products of 8 rows with the VNNI instructions on 256 bits, which AVX-512 and AVX-VNNI have in different encodings.

use super::decode::{Decode, is_signed};
use super::panel::unsigned;
use super::products::{RowProducts, pair, word};
use super::vector::{V, map};
use crate::linear::products::Products;
use core::arch::x86_64::__m256i;

/// An instruction set with VNNI on 256 bits.
pub(super) trait Vnni: Products {
    /// The 256-bit instructions.
    fn registers(self) -> V;
    /// Adds four products of u8 in `w` and i8 in `a` to each i32 of `acc`, which wraps.
    fn dot4_256(self, acc: __m256i, w: __m256i, a: __m256i) -> __m256i;
    /// Adds two products of i16 to each i32 of `acc`, which wraps.
    fn dot2_256(self, acc: __m256i, w: __m256i, a: __m256i) -> __m256i;
}

/// Returns 8 vectors of sums of four products each.
#[inline(always)]
fn dots<S: Vnni, F: Decode>(s: S, q: [__m256i; 8], a: __m256i) -> [__m256i; 8] {
    let v = s.v();
    map(
        q,
        #[inline(always)]
        |q| s.dot4_256(v.zero(), if is_signed::<F>() { v.xor(q, v.splat8(-128)) } else { q }, a),
    )
}

impl<S: Vnni> RowProducts for S {
    const SUM_MAX: i32 = i32::MAX;
    const SIGNED: bool = false;

    #[inline(always)]
    fn v(self) -> V {
        self.registers()
    }

    #[inline(always)]
    fn dots8<F: Decode>(self, q: [__m256i; 8], a: __m256i) -> __m256i {
        self.v().sums8(dots::<S, F>(self, q, a))
    }

    #[inline(always)]
    fn dots8_joined<F: Decode>(self, q: [[__m256i; 2]; 4], a: [__m256i; 2], sums: [i16; 2]) -> __m256i {
        const { assert!(!F::JOINED || F::OFFSET.is_multiple_of(4), "a quarter of it in each of four lanes") };
        let v = self.v();
        let first = match F::OFFSET {
            0 => v.zero(),
            offset => self.add_pairs8(v.zero(), v.splat16(-i16::from(offset / 4)), sums),
        };
        let p = map(
            q,
            #[inline(always)]
            |[low, high]| {
                let sum = self.dot4_256(first, unsigned::<Self, F>(v, low), a[0]);
                self.dot4_256(sum, unsigned::<Self, F>(v, high), a[1])
            },
        );
        v.quad(p, V::add32)
    }

    #[inline(always)]
    fn dots8_halves<F: Decode>(self, q: [__m256i; 8], a: __m256i) -> [__m256i; 2] {
        let v = self.v();
        let [x, y] = v.quads(dots::<S, F>(self, q, a), V::add32);
        [v.halves::<0x20>(x, y), v.halves::<0x31>(x, y)]
    }

    #[inline(always)]
    fn scaled_dot(self, acc: __m256i, q: __m256i, a: __m256i, scale: __m256i) -> __m256i {
        self.dot2_256(acc, self.v().madd_u8_i8(q, a), scale)
    }

    #[inline(always)]
    fn full_dot(self, acc: __m256i, q: __m256i, a: __m256i) -> __m256i {
        self.dot4_256(acc, q, a)
    }

    #[inline(always)]
    fn dots_of_words<F: Decode, const N: usize>(
        self,
        acc: __m256i,
        w: &[__m256i; N],
        a: &[[i8; 4]; N],
    ) -> __m256i {
        let mut acc = acc;
        for j in 0..N {
            acc = self.dot4_256(acc, w[j], self.v().splat32(word(a[j])));
        }
        acc
    }

    #[inline(always)]
    fn scaled_dots_of_words<F: Decode, const N: usize>(
        self,
        acc: __m256i,
        w: &[__m256i; N],
        a: &[[i8; 4]; N],
        scale: __m256i,
    ) -> __m256i {
        let v = self.v();
        v.add32(acc, v.mul32(self.dots_of_words::<F, N>(v.zero(), w, a), scale))
    }

    #[inline(always)]
    fn add_pairs8(self, acc: __m256i, pairs: __m256i, sums: [i16; 2]) -> __m256i {
        self.dot2_256(acc, pairs, self.v().splat32(pair(sums)))
    }

    #[inline(always)]
    fn scale_lanes(self, scales: __m256i) -> __m256i {
        scales
    }
}
