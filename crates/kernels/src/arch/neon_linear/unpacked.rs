//! Formats without kernels of their own: their blocks are unpacked to bytes and scales, a unit at a time.
//!
//! ```text
//! gemv, for each group of 4 rows, for each unit:
//!     unpack the unit of each row (portable code, see `linear::source`)
//!     isum of each row, summed into lanes;  acc = fma(isum, d * da, acc)
//! gemm: units are unpacked into the panel of `gemm`, whose tiles do the rest
//! ```

use super::dot::Dot;
use super::format::Format;
use super::gemm::panels;
use super::gemv::add_scaled;
use super::panel::{Layout, ROWS, unpack_4};
use super::shape::{Shape, Wide, WideHalves, WideSubs16};
use super::vec::*;
use crate::linear::source::{Half, Plain, Source, Super};
use crate::linear::unit::Unit;
use crate::linear::{Acts, Panel};
use crate::pool::Columns;
use core::arch::aarch64::{int8x16_t, int32x4_t};

macro_rules! unpacked {
    ($($unit:ty: $shape:ty),*) => {$(
        impl Format for $unit {
            type Shape = $shape;
            const F32_SCALE: bool = true;

            #[inline(always)]
            fn group<const G: usize>(&self) -> int8x16_t {
                load_i8(&self.q.as_chunks::<16>().0[G])
            }
            #[inline(always)]
            fn d_min_bits(&self) -> u32 {
                self.d.to_bits()
            }
            #[inline(always)]
            fn sub_scales(&self) -> int8x16_t {
                load_i8(&self.scales())
            }
        }

        const _: () = {
            assert!(<$shape as Shape>::LEN == <$unit as Unit>::LEN);
            assert!(<$shape as Shape>::SUBS == <$unit as Unit>::SUBS);
            assert!(<$shape as Shape>::REPEAT == <$unit as Unit>::REPEAT);
        };
    )*};
}

unpacked!(Plain: Wide, Half: WideHalves, Super: WideSubs16);

/// The rows of a matrix, and where units lie in them.
struct Rows<'a, S> {
    blocks: &'a [S],
    row_blocks: usize,
    last: usize,
}

impl<'a, S: Source> Rows<'a, S> {
    #[inline(always)]
    fn new(w: &'a [u8], x: Acts<'_>, count: usize) -> Self {
        let row_blocks = (x.k / S::Unit::LEN).saturating_mul(S::Unit::REPEAT) / S::PARTS;
        x.assert_fits(S::Unit::KIND, w, count, row_blocks.saturating_mul(size_of::<S>()));
        Self { blocks: S::blocks(w), row_blocks, last: count.saturating_sub(1) }
    }

    /// Unit `u` of a row. Rows beyond the last are the last again; their results are not stored.
    #[inline(always)]
    fn unit(&self, row: usize, u: usize) -> S::Unit {
        self.blocks[row.min(self.last) * self.row_blocks + u / S::PARTS].unit(u % S::PARTS)
    }
}

/// `y[r] = w[r] . x`, for as many rows as `y` holds.
#[inline(always)]
pub(super) fn gemv<S: Source<Unit: Format>, D: Dot>(dot: D, w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    let rows = Rows::<S>::new(w, x, y.len());
    let units = x.k / S::Unit::LEN * S::Unit::REPEAT;
    for (g, y) in y.chunks_mut(4).enumerate() {
        let mut acc = splat_f32(0.0);
        for u in 0..units {
            let at = u / S::Unit::REPEAT;
            let a = x.q[at * S::Unit::LEN..(at + 1) * S::Unit::LEN].as_chunks::<16>().0;
            let (mut isum, mut d) = ([splat_i32(0); 4], [0; 4]);
            for r in 0..4 {
                let unit = rows.unit(4 * g + r, u);
                isum[r] = products(dot, &unit, a);
                d[r] = unit.d_min_bits();
            }
            acc = add_scaled(acc, sums_of(isum), f32_of_bits(d), splat_f32(x.d[at]));
        }
        let mut out = [0.0; 4];
        store_f32(&mut out, acc);
        y.copy_from_slice(&out[..y.len()]);
    }
}

/// A vector whose lanes add up to a unit's isum.
#[inline(always)]
fn products<F: Format, D: Dot>(dot: D, unit: &F, a: &[[i8; 16]]) -> int32x4_t {
    if const { F::SUBS == 1 } {
        let w = [unit.group::<0>(), unit.group::<1>()];
        return dot.dot32::<true>(splat_i32(0), w, [load_i8(&a[0]), load_i8(&a[1])]);
    }
    let scales = unit.scales();
    let mut isum = splat_i32(0);
    macro_rules! groups {
        ($($g:literal)*) => {$(
            let sums = dot.dot16(unit.group::<$g>(), load_i8(&a[$g]));
            isum = mla_i32(isum, sums, splat_i32(i32::from(scales[$g])));
        )*};
    }
    groups!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    isum
}

/// `y.row_mut(t)[r] = w[r] . x[t]`, for as many rows as `y` is wide.
#[inline(always)]
pub(super) fn gemm<S: Source<Unit: Format>, D: Dot>(
    dot: D,
    w: &[u8],
    x: Acts<'_>,
    y: &mut Columns<'_>,
    panel: &mut Panel,
) {
    let rows = Rows::<S>::new(w, x, y.width());
    panels::<S::Unit, D>(dot, x, y, panel, |row, block, n, panel| {
        fill(&rows, row, block * S::Unit::REPEAT, n * S::Unit::REPEAT, panel);
    });
}

/// Unpacks `n` units of 8 rows, from unit `first` on.
#[inline(never)]
fn fill<S: Source<Unit: Format>>(
    rows: &Rows<'_, S>,
    row: usize,
    first: usize,
    n: usize,
    panel: &mut [Bytes],
) {
    let unit_len = Layout::<<S::Unit as Format>::Shape>::UNIT;
    for (u, unit) in panel.chunks_exact_mut(unit_len).enumerate().take(n) {
        for half in 0..ROWS / 4 {
            let row = row + 4 * half;
            let [a, b, c, d] = [row, row + 1, row + 2, row + 3].map(|row| rows.unit(row, first + u));
            unpack_4([&a, &b, &c, &d], unit, half);
        }
    }
}
