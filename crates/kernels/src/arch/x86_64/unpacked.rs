//! Formats that are not decoded in place: their blocks are unpacked to bytes and scales, a unit at a time.
//!
//! ```text
//! gemv, for each group of 8 rows, for each unit:
//!     unpack the unit of each row (portable code, see `linear::source`)
//!     isum of each row, summed into lanes;  acc = fma(isum, d * da, acc)
//! gemm: units are unpacked into the panel of `gemm`, whose tiles do the rest; formats of one kind of unit share them
//! ```

use super::decode::{Decode, Prepared, even_odd, signed_scales};
use super::gemm::{Layout, Line, ROWS as PANEL_ROWS};
use super::gemv::{ROWS, sub_blocks};
use super::panel;
use super::products::X86Products;
use super::vector::{V, map};
use crate::acts::Acts;
use crate::linear::rows::Rows;
use crate::linear::source::Source;
use crate::linear::unit::{Half, Plain, PlainMin, Super, SuperMin};
use core::arch::x86_64::__m256i;

macro_rules! unpacked {
    ($($unit:ty: offset $offset:literal, max $max:literal, |$u:ident, $v:ident| min $min:expr, scales $scales:expr;)*) => {$(
        #[allow(unused_variables)]
        impl Decode for $unit {
            type Unit = Self;
            const OFFSET: u8 = $offset;
            const MAX: i32 = $max;
            const F32_SCALE: bool = true;

            #[inline(always)]
            fn each_32(&self, v: V, mut f: impl FnMut(usize, __m256i)) {
                for (i, q) in self.q.as_chunks::<32>().0.iter().enumerate() {
                    f(i, v.load_i8(q));
                }
            }
            #[inline(always)]
            fn d_min(&self) -> u32 {
                self.d.to_bits()
            }
            #[inline(always)]
            fn min(&self) -> u32 {
                let $u = self;
                f32::to_bits($min)
            }
            #[inline(always)]
            fn sub_scales(&self, $v: V) -> (__m256i, __m256i) {
                let $u = self;
                $scales
            }
        }
    )*};
}

// Integers with a minimum are not negative, so they are multiplied as unsigned bytes.
unpacked! {
    Plain: offset 128, max 128, |u, v| min 0.0, scales (v.splat16(1), v.zero());
    PlainMin: offset 0, max 127, |u, v| min u.m, scales (v.splat16(1), v.zero());
    Half: offset 128, max 128, |u, v| min 0.0, scales (v.splat16(1), v.zero());
    Super: offset 128, max 128, |u, v| min 0.0, scales signed_scales(v, v.load_i8_128(&u.scales), 128);
    SuperMin: offset 0, max 127, |u, v| min u.dmin,
        scales (v.widen_i8(even_odd(v, v.load_i8_128(&u.scales))), v.widen_u8(v.load_128(&u.mins)));
}

/// Prefetches what unit `u` of `N` rows of `w` from `first` on takes, as if the rows were read in the order of the
/// file.
#[inline(always)]
fn prefetch<S: Source, const N: usize>(v: V, w: &[u8], rows: &Rows<'_, S>, first: usize, u: usize) {
    if u.is_multiple_of(S::PARTS) {
        let at = (first * rows.units() + u * N) / S::PARTS * size_of::<S>();
        for line in 0..(N * size_of::<S>()).div_ceil(64) {
            v.prefetch(w, at + line * 64);
        }
    }
}

/// Fills the panel with 16 rows from `first` on. It has lines for all of their units.
#[inline(always)]
pub(super) fn fill<I: X86Products, S: Source<Unit: Decode>>(
    s: I,
    w: &[u8],
    rows: &Rows<'_, S>,
    first: usize,
    panel: &mut [Line],
) {
    let lines = panel.chunks_exact_mut(Layout::<I, S::Unit>::LINES);
    for (u, lines) in lines.enumerate().take(rows.units()) {
        prefetch::<S, PANEL_ROWS>(s.v(), w, rows, first + PANEL_ROWS, u);
        let mut at = [0; PANEL_ROWS];
        for (r, row) in at.iter_mut().enumerate() {
            *row = first + r;
        }
        let units = map(
            at,
            #[inline(always)]
            |row| rows.unit(row, u),
        );
        let mut refs = [&units[0]; PANEL_ROWS];
        for (slot, unit) in refs.iter_mut().zip(&units) {
            *slot = unit;
        }
        panel::unit::<I, S::Unit>(s, refs, 0, lines);
    }
}

/// See [`crate::linear::Gemv`].
#[inline(always)]
pub(super) fn gemv<I: X86Products, S: Source<Unit: Decode>>(s: I, w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    let v = s.v();
    let rows = Rows::<S>::new(w, x, y.len());
    for (g, y) in y.chunks_mut(ROWS).enumerate() {
        let mut acc = v.zero_f32();
        for u in 0..rows.units() {
            prefetch::<S, ROWS>(v, w, &rows, (g + 1) * ROWS, u);
            let at = u / <S::Unit as Decode>::REPEAT;
            let len = <S::Unit as Decode>::LEN;
            let a = x.q[at * len..(at + 1) * len].as_chunks::<32>().0;
            let sums = &x.sums[at * len / 16..(at + 1) * len / 16];
            let sub_sums = if let Some(sums) = sums.first_chunk() { v.load_i16(sums) } else { v.zero() };
            let ([mut isum, mut msum], [mut d, mut min]) = ([[v.zero(); ROWS]; 2], [[0; ROWS]; 2]);
            for r in 0..ROWS {
                let unit = rows.unit(g * ROWS + r, u);
                // SAFETY: nothing of a unit is prepared.
                (isum[r], msum[r]) = unsafe { sub_blocks(s, &unit, &Prepared::NONE, a, sub_sums) };
                (d[r], min[r]) = (unit.d_min(), unit.min());
            }
            let (d, da) = (v.of_bits(v.words(d)), v.splat_f32(x.d[at]));
            acc = v.fma(v.to_f32(v.sums8(isum)), v.mul(d, da), acc);
            if <S::Unit as Decode>::HAS_MIN {
                let min = v.mul(v.of_bits(v.words(min)), da);
                acc = if <S::Unit as Decode>::SUBS == 1 {
                    // The minimum is stored with the sign with which it is added.
                    let sum: i32 = sums.iter().map(|&s| i32::from(s)).sum();
                    v.fma(v.splat_f32(sum as f32), min, acc)
                } else {
                    v.nfma(v.to_f32(v.sums8(msum)), min, acc)
                };
            }
        }
        let mut out = [0.0; ROWS];
        v.store_f32(acc, &mut out);
        y.copy_from_slice(&out[..y.len()]);
    }
}
