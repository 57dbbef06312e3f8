//! Unpacks blocks into the panel of the gemm: 16 rows side by side, 8 at a time.
//!
//! Everything in the panel is a 32-bit column of 8 rows (4 integers, a scale, two i16, an f32), so a single
//! transposition of 8 x 8 words serves all parts.

use super::decode::{Decode, is_signed, two_units};
use super::gemm::{Layout, Line, ROWS};
use super::gemv::scales;
use super::products::{RowProducts, X86Products};
use super::vector::V;
use core::arch::x86_64::__m256i;

/// Fills the panel with all units of 16 rows.
///
/// `next` is what follows the rows in the file. As many bytes of it as the rows have are prefetched, in file order,
/// whichever thread will unpack them.
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
            let (mut scales, mut other) = ([v.zero(); 16], [v.zero(); 8]);
            F::sub_columns(s, unit, &mut scales, &mut other);
            for i in 0..F::SUBS {
                v.store(scales[16 / F::SUBS * i], side(&mut sub_scales[i], half));
            }
            for (pair, line) in other.iter().zip(&mut *pairs) {
                v.store(*pair, side(line, half));
            }
        }
    }
}

/// Returns the part of a line that belongs to rows `8 half .. 8 half + 8`.
#[inline(always)]
fn side(line: &mut Line, half: usize) -> &mut [u8; 32] {
    &mut line.as_chunks_mut().0[half]
}

/// Returns integers as they are multiplied: unsigned, unless the instruction set multiplies signed bytes.
#[inline(always)]
pub(super) fn unsigned<I: RowProducts, F: Decode>(v: V, q: __m256i) -> __m256i {
    if is_signed::<F>() && !I::SIGNED { v.xor(q, v.splat8(-128)) } else { q }
}

/// Writes the integers of unit `part` of 8 rows.
#[inline(always)]
fn integers<I: X86Products, F: Decode>(s: I, unit: [&F; 8], part: usize, half: usize, quants: &mut [Line]) {
    let v = s.v();
    if F::SUBS == 1 {
        // The half that belongs to the other unit is filled with the integer that stands for 0.
        let zero = v.splat8(if is_signed::<F>() { 0 } else { F::OFFSET as i8 });
        let columns = F::columns(v, unit, part / F::REPEAT);
        for (j, (q, line)) in columns.into_iter().zip(quants).enumerate() {
            let q = if two_units::<F>() && j / 4 != part % 2 { zero } else { q };
            v.store(unsigned::<I, F>(v, q), side(line, half));
        }
        return;
    }
    F::each_word(
        v,
        unit,
        #[inline(always)]
        |i, j, q| v.store(unsigned::<I, F>(v, q), side(&mut quants[8 * i + j], half)),
    );
}
