//! From blocks to the panel of the gemm: 16 rows side by side, 8 at a time.
//!
//! All of the panel is 32-bit columns of 8 rows (4 integers, a scale, two i16, an f32), so one transposition of 8 x 8
//! words makes all of it.

use super::decode::{Decode, is_signed, two_units};
use super::gemm::{Layout, Line, ROWS};
use super::gemv::scales;
use super::products::X86Products;
use super::vector::{V, map};
use core::arch::x86_64::__m256i;

/// Fills the panel with all units of 16 rows.
///
/// `next` is what follows the rows in the file; as much of it is asked for, in its order, whoever will unpack it.
#[inline(always)]
pub(super) fn fill<I: X86Products, F: Decode>(s: I, rows: [&[F]; ROWS], next: &[u8], panel: &mut [Line]) {
    let v = s.v();
    let blocks = rows[0].len();
    for (b, lines) in panel.chunks_exact_mut(Layout::<I, F>::LINES * F::PARTS).enumerate().take(blocks) {
        let at = b * ROWS * size_of::<F>();
        if at < next.len() {
            for line in 0..(ROWS * size_of::<F>()).div_ceil(64) {
                v.prefetch(next, at + line * 64);
            }
        }
        let mut blocks = [&rows[0][b]; ROWS];
        for (block, row) in blocks.iter_mut().zip(rows) {
            *block = &row[b];
        }
        for (part, lines) in lines.chunks_exact_mut(Layout::<I, F>::LINES).enumerate() {
            unit::<I, F>(s, blocks, part, lines);
        }
    }
}

/// Fills the lines of unit `part` of the blocks of 16 rows.
#[inline(always)]
pub(super) fn unit<I: X86Products, F: Decode>(s: I, units: [&F; ROWS], part: usize, lines: &mut [Line]) {
    let v = s.v();
    let (quants, rest) = lines.split_at_mut(Layout::<I, F>::QUANTS);
    let (sub_scales, rest) = rest.split_at_mut(Layout::<I, F>::SCALES);
    let (pairs, d) = rest.split_at_mut(Layout::<I, F>::PAIRS);
    for half in 0..2 {
        let mut unit = [units[0]; 8];
        unit.copy_from_slice(&units[8 * half..8 * half + 8]);
        integers(s, unit, part, half, quants);
        let (dw, min) = scales(v, unit, part);
        v.store_f32_bytes(dw, side(&mut d[0], half));
        if F::HAS_MIN {
            v.store_f32_bytes(min, side(&mut d[1], half));
        }
        if F::SUBS > 1 {
            sub_blocks(s, unit, half, sub_scales, pairs);
        }
    }
}

/// The part of a line that belongs to rows `8 half .. 8 half + 8`.
#[inline(always)]
fn side(line: &mut Line, half: usize) -> &mut [u8; 32] {
    &mut line.as_chunks_mut().0[half]
}

/// Stores words `0 .. 8` of 8 rows as parts of lines that are `stride` apart.
#[inline(always)]
fn put(v: V, rows: [__m256i; 8], half: usize, stride: usize, lines: &mut [Line]) {
    for (x, line) in v.transpose(rows).into_iter().zip(lines.iter_mut().step_by(stride)) {
        v.store(x, side(line, half));
    }
}

/// The integers of unit `part` of 8 rows.
#[inline(always)]
fn integers<I: X86Products, F: Decode>(s: I, unit: [&F; 8], part: usize, half: usize, quants: &mut [Line]) {
    let v = s.v();
    let unsigned = |q| if is_signed::<F>() && !I::SIGNED { v.xor(q, v.splat8(-128)) } else { q };
    if F::SUBS == 1 {
        let rows = map(
            unit,
            #[inline(always)]
            |block| {
                let q = block.group(v, part / F::REPEAT);
                if !two_units::<F>() {
                    return unsigned(q);
                }
                // The other unit's half is what stands for 0.
                let zero = v.splat8(if is_signed::<F>() { 0 } else { F::OFFSET as i8 });
                unsigned(if part.is_multiple_of(2) {
                    v.blend32::<0b1111_0000>(q, zero)
                } else {
                    v.blend32::<0b1111_0000>(zero, q)
                })
            },
        );
        return put(v, rows, half, 1, quants);
    }
    let mut rows = [[v.zero(); 8]; 8];
    for (r, block) in unit.into_iter().enumerate() {
        block.each_32(
            v,
            #[inline(always)]
            |i, q| rows[i][r] = unsigned(q),
        );
    }
    for (rows, lines) in rows.into_iter().zip(quants.chunks_exact_mut(8)) {
        put(v, rows, half, 1, lines);
    }
}

/// The scales of the sub-blocks, and the pairs that go with sums of activations.
#[inline(always)]
fn sub_blocks<I: X86Products, F: Decode>(
    s: I,
    unit: [&F; 8],
    half: usize,
    sub_scales: &mut [Line],
    pairs: &mut [Line],
) {
    let v = s.v();
    let (mut scales, mut other) = ([v.zero(); 8], [v.zero(); 8]);
    for r in 0..8 {
        (scales[r], other[r]) = unit[r].sub_scales(v);
    }
    let low = map(
        scales,
        #[inline(always)]
        |x| s.scale_lanes(v.widen_i16(v.low_half(x))),
    );
    if F::LEN / F::SUBS == 32 {
        put(v, low, half, 1, sub_scales);
    } else {
        let high = map(
            scales,
            #[inline(always)]
            |x| s.scale_lanes(v.widen_i16(v.high_half::<1>(x))),
        );
        put(v, low, half, 2, sub_scales);
        put(v, high, half, 2, &mut sub_scales[1..]);
    }
    if Layout::<I, F>::PAIRS > 0 {
        put(v, other, half, 1, pairs);
    }
}
