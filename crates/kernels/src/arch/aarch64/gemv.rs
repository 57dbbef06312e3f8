//! One token: weights are read where their blocks lie, with four rows in the lanes of a vector.
//!
//! ```text
//! for each group of rows (8 for formats of 32, 4 for formats with sub-blocks):
//!     for each unit u:  prefetch the same place of the next group, in file order
//!         for each row: v = vector whose lanes add up to isum          (activations stay in registers or L1)
//!         isum = sums of four v, in lanes;  acc = fma(isum, d * da, acc);  acc = fma(-msum, dmin * da, acc)
//! ```

use super::decode::Decode;
use super::products::ArmProducts;
use super::shape::Shape;
use super::vector::*;
use crate::acts::Acts;
use crate::linear::source::Source;
use core::arch::aarch64::{float32x4_t, int8x16_t, int16x8_t, int32x4_t};
use core::hint::black_box;

/// Returns the number of rows of a group.
pub(super) const fn rows<F: Decode>() -> usize {
    if F::SUBS > 1 { 4 } else { 8 }
}

/// Returns the number of blocks of activations for one block of weights.
pub(super) const fn blocks_of_activations<F: Decode>() -> usize {
    <F as Decode>::PARTS / F::REPEAT
}

/// Computes `y[r] = w[r] . x` for as many rows as `y` holds.
#[inline(always)]
pub(super) fn gemv<F: Decode + Source, D: ArmProducts>(dot: D, w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    let units = x.d.len() / blocks_of_activations::<F>();
    x.assert_fits(F::KIND, w, y.len(), units.saturating_mul(size_of::<F>()));
    let blocks = F::blocks(w);
    let mut first = 0;
    while first < y.len() {
        first += if const { F::SUBS > 1 } {
            group::<F, D, 1>(dot, blocks, units, x, y, first)
        } else {
            group::<F, D, 2>(dot, blocks, units, x, y, first)
        };
    }
}

/// Computes up to `4 Q` rows of `y` from `first` on, and returns their number.
#[inline(always)]
fn group<F: Decode, D: ArmProducts, const Q: usize>(
    dot: D,
    blocks: &[F],
    units: usize,
    x: Acts<'_>,
    y: &mut [f32],
    first: usize,
) -> usize {
    // Rows past the end repeat the last one; their results are not stored.
    let last = y.len() - 1;
    let mut rows = [[&blocks[..0]; 4]; Q];
    for (i, row) in rows.as_flattened_mut().iter_mut().enumerate() {
        *row = &blocks[(first + i).min(last) * units..][..units];
    }
    // This hides from the compiler that the rows are evenly spaced. So it steps one pointer for each row, instead of
    // adding two numbers at each access.
    let mut rows = black_box(rows);
    for row in rows.as_flattened_mut() {
        *row = &row[..units];
    }
    let acc = if const { F::SUBS == 1 } {
        units_of_32::<F, D, Q>(dot, rows, x)
    } else {
        [units_of_256(dot, rows[0], x); Q]
    };
    let mut out = [[0.0; 4]; Q];
    for q in 0..Q {
        store_f32(&mut out[q], acc[q]);
    }
    let out = out.as_flattened();
    let n = out.len().min(y.len() - first);
    y[first..first + n].copy_from_slice(&out[..n]);
    n
}

/// Prefetches unit `u` of the group of rows that follows `rows`, as if its bytes were read in file order.
#[inline(always)]
fn prefetch_next<F: Decode, const Q: usize>(rows: &[[&[F]; 4]; Q], u: usize) {
    let group = 4 * Q * size_of_val(rows[0][0]);
    let start = rows[0][0].as_ptr().cast::<u8>().wrapping_add(group + u * 4 * Q * size_of::<F>());
    macro_rules! lines {
        ($($n:literal)*) => {$(
            if const { 64 * $n < 4 * Q * size_of::<F>() } {
                prefetch::<{ 64 * $n }>(start);
            }
        )*};
    }
    lines!(0 1 2 3 4 5 6 7 8 9 10 11 12 13);
}

/// Returns unit `u` of four rows.
#[inline(always)]
fn units<F>(rows: [&[F]; 4], u: usize) -> [&F; 4] {
    [&rows[0][u], &rows[1][u], &rows[2][u], &rows[3][u]]
}

/// Returns `d` of unit `part` of four rows and the scale of their minimum, 0 without one.
#[inline(always)]
pub(super) fn scales<F: Decode>(b: [&F; 4], part: usize) -> [float32x4_t; 2] {
    if const { F::F32_SCALE } {
        let bits = [b[0].d_min_bits(), b[1].d_min_bits(), b[2].d_min_bits(), b[3].d_min_bits()];
        let mut min = splat_f32(0.0);
        if const { F::HAS_MIN } {
            min = f32_of_bits([b[0].min_bits(), b[1].min_bits(), b[2].min_bits(), b[3].min_bits()]);
        }
        [F::d_lanes(bits, part), min]
    } else if const { F::HAS_MIN } {
        f32_of_f16_pairs([b[0].d_min_bits(), b[1].d_min_bits(), b[2].d_min_bits(), b[3].d_min_bits()])
    } else {
        let bits = [b[0].d_min_bits(), b[1].d_min_bits(), b[2].d_min_bits(), b[3].d_min_bits()];
        let d = f32_of_f16([bits[0] as u16, bits[1] as u16, bits[2] as u16, bits[3] as u16]);
        let d = if const { F::D_FACTOR == 1.0 } { d } else { mul_f32(d, splat_f32(F::D_FACTOR)) };
        [d, splat_f32(0.0)]
    }
}

/// Returns `acc + isum * (d * da)`, rounded as in the reference.
#[inline(always)]
pub(super) fn add_scaled(acc: float32x4_t, isum: int32x4_t, d: float32x4_t, da: float32x4_t) -> float32x4_t {
    fma(acc, to_f32(isum), mul_f32(d, da))
}

/// Returns `acc - msum * (dmin * da)`, or `acc + ..` for formats whose minimum is added.
#[inline(always)]
pub(super) fn add_min<S: Shape>(
    acc: float32x4_t,
    msum: float32x4_t,
    dmin: float32x4_t,
    da: float32x4_t,
) -> float32x4_t {
    let dmin = mul_f32(dmin, da);
    if const { S::SUBS == 1 } { fma(acc, msum, dmin) } else { fms(acc, msum, dmin) }
}

/// Returns the two sums of a block of 32 activations, four times.
#[inline(always)]
pub(super) fn sums_of_32(sums: &[i16]) -> int16x8_t {
    splat_pair_i16(u32::from(sums[0] as u16) | u32::from(sums[1] as u16) << 16)
}

/// The activations of a unit of 32.
#[derive(Clone, Copy)]
struct Acts32 {
    q: [int8x16_t; 2],
    d: float32x4_t,
    /// A vector whose lanes add up to the bias times the sum of the activations.
    bias: int32x4_t,
    /// The sum of the activations, in every lane.
    sum: float32x4_t,
}

/// Multiplies formats of 32: the activations of a unit are two vectors, shared by all rows.
#[inline(always)]
fn units_of_32<F: Decode, D: ArmProducts, const Q: usize>(
    dot: D,
    rows: [[&[F]; 4]; Q],
    x: Acts<'_>,
) -> [float32x4_t; Q] {
    let blocks = rows[0][0].len();
    let n = blocks * blocks_of_activations::<F>();
    let (a, sums, da) = (&x.q.as_chunks::<32>().0[..n], &x.sums.as_chunks::<2>().0[..n], &x.d[..n]);
    let mut acc = [splat_f32(0.0); Q];
    let mut at = 0;
    for u in 0..blocks {
        prefetch_next(&rows, u);
        for i in 0..blocks_of_activations::<F>() {
            let (q, sums) = (a[at].as_chunks::<16>().0, sums_of_32(&sums[at]));
            let mut bias = splat_i32(0);
            if const { F::BIAS != 0 } {
                bias = mul_lo_i16(sums, first_two_i16(F::BIAS as i16));
            }
            let sum = to_f32(lane::<0>(pair_sums(sums)));
            let x = Acts32 { q: [load_i8(&q[0]), load_i8(&q[1])], d: splat_f32(da[at]), bias, sum };
            at += 1;
            acc[0] = unit_of_32(dot, acc[0], units(rows[0], u), i, x);
            if const { Q == 2 } {
                acc[Q - 1] = unit_of_32(dot, acc[Q - 1], units(rows[Q - 1], u), i, x);
            }
        }
    }
    acc
}

/// Adds the products with the `i`-th block of activations of four rows: of one unit, or of two units of 16.
#[inline(always)]
fn unit_of_32<F: Decode, D: ArmProducts>(
    dot: D,
    acc: float32x4_t,
    b: [&F; 4],
    i: usize,
    x: Acts32,
) -> float32x4_t {
    let mut isum = [x.bias; 4];
    if const { F::REPEAT == 2 } {
        const { assert!(F::REPEAT == 1 || F::BIAS == 0, "the sums of both halves") };
        for r in 0..4 {
            isum[r] = dot.dot16(b[r].group_of::<0>(2 * i), x.q[0]);
        }
        let acc = add_scaled(acc, sums_of(isum), scales(b, 2 * i)[0], x.d);
        for r in 0..4 {
            isum[r] = dot.dot16(b[r].group_of::<1>(2 * i + 1), x.q[1]);
        }
        return add_scaled(acc, sums_of(isum), scales(b, 2 * i + 1)[0], x.d);
    }
    for r in 0..4 {
        let w = [b[r].group_of::<0>(i), b[r].group_of::<1>(i)];
        isum[r] = if const { F::Shape::WIDE } {
            dot.dot32::<true>(x.bias, w, x.q)
        } else {
            dot.dot32::<false>(x.bias, w, x.q)
        };
    }
    let [d, dmin] = scales(b, i);
    let acc = add_scaled(acc, sums_of(isum), d, x.d);
    if const { F::HAS_MIN } { add_min::<F::Shape>(acc, x.sum, dmin, x.d) } else { acc }
}

/// Returns a vector whose lanes add up to the sum of products of 32 weights.
#[inline(always)]
fn dot32<F: Decode, D: ArmProducts>(dot: D, w: [int8x16_t; 2], x: [int8x16_t; 2]) -> int32x4_t {
    let zero = splat_i32(0);
    if const { F::Shape::WIDE } { dot.dot32::<true>(zero, w, x) } else { dot.dot32::<false>(zero, w, x) }
}

/// Multiplies formats with sub-blocks: a unit is 256 values with scales of their own, and its rows are multiplied one
/// after the other.
#[inline(always)]
fn units_of_256<F: Decode, D: ArmProducts>(dot: D, rows: [&[F]; 4], x: Acts<'_>) -> float32x4_t {
    let n = rows[0].len();
    let (a, sums, da) = (&x.q.as_chunks::<256>().0[..n], &x.sums.as_chunks::<16>().0[..n], &x.d[..n]);
    let mut acc = splat_f32(0.0);
    for u in 0..n {
        prefetch_next(&[rows], u);
        let sums = sub_sums::<F::Shape>(&sums[u]);
        let da = splat_f32(da[u]);
        let b = units(rows, u);
        let mut isum = [splat_i32(0); 4];
        for r in 0..4 {
            isum[r] = unit_of_256(dot, b[r], &a[u], sums);
        }
        let [d, dmin] = scales(b, 0);
        acc = add_scaled(acc, sums_of(isum), d, da);
        if const { F::HAS_MIN } {
            let mut msum = [splat_i32(0); 4];
            for r in 0..4 {
                msum[r] = scaled_sums::<F>(b[r].sub_mins(), sums);
            }
            acc = add_min::<F::Shape>(acc, to_f32(sums_of(msum)), dmin, da);
        }
    }
    acc
}

/// Returns the sums of the activations of each sub-block; only the first vector is used if there are 8.
#[inline(always)]
pub(super) fn sub_sums<S: Shape>(sums: &[i16]) -> [int16x8_t; 2] {
    let sums = sums.as_chunks::<8>().0;
    let (lo, hi) = (load_i16(&sums[0]), load_i16(&sums[1]));
    if const { S::SUBS == 8 } { [pair_add_i16(lo, hi), hi] } else { [lo, hi] }
}

/// Returns a vector whose lanes add up to the sum of `v[s] * sums[s]` over the sub-blocks.
#[inline(always)]
pub(super) fn scaled_sums<F: Decode>(v: int8x16_t, sums: [int16x8_t; 2]) -> int32x4_t {
    let lo = widen_lo_i8(v);
    let sum = mla_hi_i16(mul_lo_i16(lo, sums[0]), lo, sums[0]);
    if const { F::SUBS == 8 } {
        return sum;
    }
    let hi = widen_hi_i8(v);
    mla_hi_i16(mla_lo_i16(sum, hi, sums[1]), hi, sums[1])
}

/// Returns a vector whose lanes add up to a unit's isum.
#[inline(always)]
fn unit_of_256<F: Decode, D: ArmProducts>(dot: D, b: &F, a: &[i8; 256], sums: [int16x8_t; 2]) -> int32x4_t {
    let packed = b.sub_scales();
    let (lo, hi) = (widen_lo_i8(packed), widen_hi_i8(packed));
    let scales = [widen_lo_i16(lo), widen_hi_i16(lo), widen_lo_i16(hi), widen_hi_i16(hi)];
    let a = a.as_chunks::<16>().0;
    let mut isum = splat_i32(0);
    if const { F::BIAS != 0 } {
        isum = mul_i32(scaled_sums::<F>(packed, sums), splat_i32(F::BIAS));
    }
    macro_rules! quarter {
        ($s:literal, $g0:literal, $g1:literal, $g2:literal, $g3:literal) => {
            if const { F::SUBS == 16 } {
                isum = mla_lane0(isum, dot.dot16(b.group::<$g0>(), load_i8(&a[$g0])), scales[$s]);
                isum = mla_lane1(isum, dot.dot16(b.group::<$g1>(), load_i8(&a[$g1])), scales[$s]);
                isum = mla_lane2(isum, dot.dot16(b.group::<$g2>(), load_i8(&a[$g2])), scales[$s]);
                isum = mla_lane3(isum, dot.dot16(b.group::<$g3>(), load_i8(&a[$g3])), scales[$s]);
            } else {
                let (w, x) = ([b.group::<$g0>(), b.group::<$g1>()], [load_i8(&a[$g0]), load_i8(&a[$g1])]);
                let first = dot32::<F, D>(dot, w, x);
                let (w, x) = ([b.group::<$g2>(), b.group::<$g3>()], [load_i8(&a[$g2]), load_i8(&a[$g3])]);
                let second = dot32::<F, D>(dot, w, x);
                if $s % 2 == 0 {
                    isum = mla_lane1(mla_lane0(isum, first, scales[$s / 2]), second, scales[$s / 2]);
                } else {
                    isum = mla_lane3(mla_lane2(isum, first, scales[$s / 2]), second, scales[$s / 2]);
                }
            }
        };
    }
    quarter!(0, 0, 1, 2, 3);
    quarter!(1, 4, 5, 6, 7);
    quarter!(2, 8, 9, 10, 11);
    quarter!(3, 12, 13, 14, 15);
    isum
}
