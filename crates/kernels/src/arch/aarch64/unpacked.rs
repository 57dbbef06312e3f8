//! Formats that are not decoded in place: their blocks are unpacked to bytes and scales, a unit at a time.
//!
//! ```text
//! gemv, for each group of 4 rows, for each unit:
//!     unpack the unit of each row (portable code, see `linear::source`)
//!     isum of each row, summed into lanes;  acc = fma(isum, d * da, acc)
//! gemm: units are unpacked into the panel of `gemm`, whose tiles do the rest
//! ```

use super::decode::{Decode, same_shape};
use super::gemm::{Panels, panels};
use super::gemv::{add_min, add_scaled, scaled_sums, scales, sub_sums};
use super::panel::{self, ROWS, unit_len, unpack_4};
use super::products::ArmProducts;
use super::shape::{Wide, WideHalves, WideMin, WideSubs16, WideSubs16Min};
use super::vector::*;
use crate::acts::Acts;
use crate::linear::Panel;
use crate::linear::rows::Rows;
use crate::linear::source::Source;
use crate::linear::unit::{Half, Plain, PlainMin, Super, SuperMin, Unit};
use crate::pool::Columns;
use core::arch::aarch64::{float32x4_t, int8x16_t, int32x4_t};

macro_rules! unpacked {
    ($($unit:ty: $shape:ty, |$u:ident| min $min:expr, scales $scales:expr, mins $mins:expr;)*) => {$(
        #[allow(unused_variables)]
        impl Decode for $unit {
            type Unit = Self;
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
            fn min_bits(&self) -> u32 {
                let $u = self;
                f32::to_bits($min)
            }
            #[inline(always)]
            fn sub_scales(&self) -> int8x16_t {
                let $u = self;
                $scales
            }
            #[inline(always)]
            fn sub_mins(&self) -> int8x16_t {
                let $u = self;
                $mins
            }
        }

        const _: () = assert!(same_shape::<$unit>());
    )*};
}

unpacked! {
    Plain: Wide, |u| min 0.0, scales splat_i8(1), mins splat_i8(1);
    PlainMin: WideMin, |u| min u.m, scales splat_i8(1), mins splat_i8(1);
    Half: WideHalves, |u| min 0.0, scales splat_i8(1), mins splat_i8(1);
    Super: WideSubs16, |u| min 0.0, scales load_i8(&u.scales), mins splat_i8(1);
    SuperMin: WideSubs16Min, |u| min u.dmin, scales load_i8(&u.scales), mins signed(load(&u.mins));
}

/// Computes `y[r] = w[r] . x` for as many rows as `y` holds.
#[inline(always)]
pub(super) fn gemv<S: Source<Unit: Decode>, D: ArmProducts>(dot: D, w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    let rows = Rows::<S>::new(w, x, y.len());
    let (len, repeat) = (<S::Unit as Unit>::LEN, <S::Unit as Unit>::REPEAT);
    for (g, y) in y.chunks_mut(4).enumerate() {
        let mut acc = splat_f32(0.0);
        for u in 0..rows.units() {
            let at = u / repeat;
            let a = x.q[at * len..(at + 1) * len].as_chunks::<16>().0;
            let sums = &x.sums[at * len / 16..(at + 1) * len / 16];
            let row = 4 * g;
            let units =
                [rows.unit(row, u), rows.unit(row + 1, u), rows.unit(row + 2, u), rows.unit(row + 3, u)];
            let mut isum = [splat_i32(0); 4];
            for r in 0..4 {
                isum[r] = products(dot, &units[r], a);
            }
            let ([d, min], da) =
                (scales([&units[0], &units[1], &units[2], &units[3]], 0), splat_f32(x.d[at]));
            acc = add_scaled(acc, sums_of(isum), d, da);
            if const { <S::Unit as Unit>::HAS_MIN } {
                acc = add_min::<<S::Unit as Decode>::Shape>(acc, min_sums(&units, sums), min, da);
            }
        }
        let mut out = [0.0; 4];
        store_f32(&mut out, acc);
        y.copy_from_slice(&out[..y.len()]);
    }
}

/// Returns the sums of the activations times the minimums, with a row in each lane.
#[inline(always)]
fn min_sums<F: Decode>(units: &[F; 4], sums: &[i16]) -> float32x4_t {
    if const { F::SUBS == 1 } {
        let sum: i32 = sums.iter().map(|&s| i32::from(s)).sum();
        return splat_f32(sum as f32);
    }
    let sums = sub_sums::<F::Shape>(sums);
    let mut msum = [splat_i32(0); 4];
    for r in 0..4 {
        msum[r] = scaled_sums::<F>(units[r].sub_mins(), sums);
    }
    to_f32(sums_of(msum))
}

/// Returns a vector whose lanes add up to a unit's isum.
#[inline(always)]
fn products<F: Decode + Unit, D: ArmProducts>(dot: D, unit: &F, a: &[[i8; 16]]) -> int32x4_t {
    if const { <F as Unit>::SUBS == 1 } {
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

/// Computes `y.row_mut(t)[r] = w[r] . x[t]` for as many rows as `y` is wide.
pub(super) fn gemm<S: Source<Unit: Decode>, P: Panels>(
    w: &[u8],
    x: Acts<'_>,
    y: &mut Columns<'_>,
    panel: &mut Panel,
) {
    let rows = Rows::<S>::new(w, x, y.width());
    panels::<P::Of<<S::Unit as Decode>::Shape>, P>(x, y, panel, &|row, block, n, panel| {
        let repeat = <S::Unit as Unit>::REPEAT;
        fill(&rows, row, block * repeat, n * repeat, panel, P::PAIRS);
    });
}

/// Unpacks `n` units of 8 rows, from unit `first` on.
#[inline(never)]
fn fill<S: Source<Unit: Decode>>(
    rows: &Rows<'_, S>,
    row: usize,
    first: usize,
    n: usize,
    to: &mut [Bytes],
    pairs: bool,
) {
    let len = unit_len::<<S::Unit as Decode>::Shape>(pairs);
    for (u, unit) in to.chunks_exact_mut(len).enumerate().take(n) {
        let which = panel::Unit { part: 0, of_block: u % <S::Unit as Unit>::REPEAT, pairs };
        for half in 0..ROWS / 4 {
            let row = row + 4 * half;
            let [a, b, c, d] = [row, row + 1, row + 2, row + 3].map(|row| rows.unit(row, first + u));
            unpack_4([&a, &b, &c, &d], which, unit, half);
        }
    }
}
