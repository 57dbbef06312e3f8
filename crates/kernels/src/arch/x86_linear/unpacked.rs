//! Formats without kernels of their own: their blocks are unpacked to bytes and scales, a unit at a time.
//!
//! ```text
//! gemv, for each group of 8 rows, for each unit:
//!     unpack the unit of each row (portable code, see `linear::source`)
//!     isum of each row, summed into lanes;  acc = fma(isum, d * da, acc)
//! gemm: units are unpacked into the panel of `gemm`, whose tiles do the rest; formats of one kind of unit share them
//! ```

use super::format::{Format, signed_scales};
use super::gemm::{Layout, Line, ROWS as PANEL_ROWS};
use super::gemv::sub_blocks;
use super::isa::Isa;
use super::unpack;
use super::vector::{V, map};
use crate::linear::kernel::Acts;
use crate::linear::source::{Half, Plain, Source, Super};
use crate::linear::unit::Unit;
use core::arch::x86_64::__m256i;

/// Rows of a group of the gemv.
const ROWS: usize = 8;

macro_rules! unpacked {
    ($($unit:ty),*) => {$(
        impl Format for $unit {
            const MAX: i32 = 128;
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
            fn sub_scales(&self, v: V) -> (__m256i, __m256i) {
                signed_scales(v, v.load_i8_128(&self.scales()), 128)
            }
        }
    )*};
}

unpacked!(Plain, Half, Super);

/// The rows of a matrix, and where units lie in them.
pub(super) struct Rows<'a, S> {
    w: &'a [u8],
    blocks: &'a [S],
    /// Blocks of a row.
    row: usize,
    last: usize,
}

impl<'a, S: Source<Unit: Format>> Rows<'a, S> {
    /// Rows `0 .. count` of `w`.
    #[inline(always)]
    pub(super) fn new(w: &'a [u8], x: Acts<'_>, count: usize) -> Self {
        let row = (x.k / S::Unit::LEN).saturating_mul(S::Unit::REPEAT) / S::PARTS;
        x.assert_fits(S::Unit::KIND, w, count, row.saturating_mul(size_of::<S>()));
        Self { w, blocks: S::blocks(w), row, last: count.saturating_sub(1) }
    }

    /// Unit `u` of a row. Rows beyond the last are the last again; their results are not stored.
    #[inline(always)]
    fn unit(&self, row: usize, u: usize) -> S::Unit {
        self.blocks[row.min(self.last) * self.row + u / S::PARTS].unit(u % S::PARTS)
    }

    /// Asks for what unit `u` takes in `N` rows from `first` on, as if they were read in the order of the file.
    #[inline(always)]
    fn prefetch<const N: usize>(&self, v: V, first: usize, u: usize) {
        if u.is_multiple_of(S::PARTS) {
            let at = (first * self.row + u / S::PARTS * N) * size_of::<S>();
            for line in 0..(N * size_of::<S>()).div_ceil(64) {
                v.prefetch(self.w, at + line * 64);
            }
        }
    }

    /// Fills the panel of 16 rows from `first` on, which has a line for each of their units.
    #[inline(always)]
    pub(super) fn fill<I: Isa>(&self, s: I, first: usize, panel: &mut [Line]) {
        let units = panel.chunks_exact_mut(Layout::<I, S::Unit>::LINES);
        for (u, lines) in units.enumerate().take(self.row * S::PARTS) {
            self.prefetch::<PANEL_ROWS>(s.v(), first + PANEL_ROWS, u);
            let mut rows = [0; PANEL_ROWS];
            for (r, row) in rows.iter_mut().enumerate() {
                *row = first + r;
            }
            let units = map(
                rows,
                #[inline(always)]
                |row| self.unit(row, u),
            );
            let mut refs = [&units[0]; PANEL_ROWS];
            for (slot, unit) in refs.iter_mut().zip(&units) {
                *slot = unit;
            }
            unpack::unit::<I, S::Unit>(s, refs, lines);
        }
    }
}

/// See [`crate::linear::Gemv`].
#[inline(always)]
pub(super) fn gemv<I: Isa, S: Source<Unit: Format>>(s: I, w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    let v = s.v();
    let rows = Rows::<S>::new(w, x, y.len());
    for (g, y) in y.chunks_mut(ROWS).enumerate() {
        let mut acc = v.zero_f32();
        for u in 0..rows.row * S::PARTS {
            rows.prefetch::<ROWS>(v, (g + 1) * ROWS, u);
            let at = u / S::Unit::REPEAT;
            let a = x.q[at * S::Unit::LEN..(at + 1) * S::Unit::LEN].as_chunks::<32>().0;
            let (mut isum, mut d) = ([v.zero(); ROWS], [0; ROWS]);
            for r in 0..ROWS {
                let unit = rows.unit(g * ROWS + r, u);
                (isum[r], _) = sub_blocks(s, &unit, a, v.zero());
                d[r] = unit.d_min();
            }
            let d = v.of_bits(v.words(d));
            acc = v.fma(v.to_f32(v.sums8(isum)), v.mul(d, v.splat_f32(x.d[at])), acc);
        }
        let mut out = [0.0; ROWS];
        v.store_f32(acc, &mut out);
        y.copy_from_slice(&out[..y.len()]);
    }
}
