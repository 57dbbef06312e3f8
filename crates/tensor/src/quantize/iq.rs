//! IQ1_S .. IQ4_XS: packs what the search found into the layouts of the formats.

use super::fit::{LANES, Sums};
use super::k::EVEN;
use super::simple::{nibbles, one_scale};
use super::{Fitted, Levels, Scales, lattice, round, super_block};
use crate::formats::lattice as tables;
use crate::formats::*;

/// Sub-scales `2 s + 1`, with `s` in 0..16.
const ODD: Scales = Scales { lo: 1, hi: 31, step: 2, ends: &[31, 29, 27], unit: 0.125 };
/// Sub-scales `2 s + 1`, with `s` in 0..8.
const ODD_8: Scales = Scales { lo: 1, hi: 15, step: 2, ends: &[14], unit: 0.125 };

/// Returns `s` of `2 s + 1`.
fn half(scale: i32) -> u8 {
    (scale / 2) as u8
}

/// Packs two 4-bit scales.
fn pair([a, b]: [i32; 2]) -> u8 {
    half(a) | half(b) << 4
}

/// Returns the number of a point. It is always found, since the search took it from the table, whose order is that of the codes:
/// the last coordinate counts most.
fn number<const N: usize>(points: tables::Points<N>, point: [i8; N]) -> u16 {
    points.binary_search_by(|p| p.iter().rev().cmp(point.iter().rev())).unwrap_or(0) as u16
}

/// Returns a byte whose bit `i` says that element `i` is negative.
fn signs(q: &[i8; 8]) -> u8 {
    q.iter().enumerate().map(|(i, q)| u8::from(*q < 0) << i).sum()
}

/// Splits the integers into groups of 8.
fn eights(q: &[i8; 256]) -> &[[i8; 8]] {
    q.as_chunks::<8>().0
}

/// Implements encoding without weights as encoding with equal weights.
macro_rules! evenly {
    () => {
        fn quantize(x: &Self::Values) -> Self {
            Self::quantize_weighted(x, &EVEN)
        }
    };
}

impl Quantize for BlockIQ2XXS {
    evenly!();

    fn quantize_weighted(x: &[f32; 256], w: &[f32; 256]) -> Self {
        let fitted: Fitted<8> = super_block(&lattice::iq2_xxs(), ODD, x, w);
        let mut qs = [[0; 8]; 8];
        for ((qs, q), scale) in qs.iter_mut().zip(eights(&fitted.q).as_chunks::<4>().0).zip(fitted.scales) {
            let mut word = u32::from(half(scale)) << 28;
            for (l, q) in q.iter().enumerate() {
                qs[l] = number(&tables::IQ2_XXS, q.map(i8::abs)) as u8;
                word |= u32::from(signs(q) & 127) << (7 * l);
            }
            qs[4..].copy_from_slice(&word.to_le_bytes());
        }
        Self { d: fitted.stored_d, qs }
    }
}

impl Quantize for BlockIQ2XS {
    evenly!();

    fn quantize_weighted(x: &[f32; 256], w: &[f32; 256]) -> Self {
        let fitted: Fitted<16> = super_block(&lattice::iq2_xs(), ODD, x, w);
        let mut qs = [[0; 2]; 32];
        for (qs, q) in qs.iter_mut().zip(eights(&fitted.q)) {
            let code = number(&tables::IQ2_XS, q.map(i8::abs)) | u16::from(signs(q) & 127) << 9;
            *qs = code.to_le_bytes();
        }
        Self { d: fitted.stored_d, qs, scales: pairs(&fitted.scales) }
    }
}

impl Quantize for BlockIQ2S {
    evenly!();

    fn quantize_weighted(x: &[f32; 256], w: &[f32; 256]) -> Self {
        let fitted: Fitted<16> = super_block(&lattice::iq2_s(), ODD, x, w);
        let scales = pairs(&fitted.scales);
        let mut block = Self { d: fitted.stored_d, qs: [0; 32], signs: [0; 32], qh: [0; 8], scales };
        for (i, q) in eights(&fitted.q).iter().enumerate() {
            let code = number(&tables::IQ2_S, q.map(i8::abs));
            block.qs[i] = code as u8;
            block.qh[i / 4] |= ((code >> 8) as u8) << (2 * (i % 4));
            block.signs[i] = signs(q);
        }
        block
    }
}

/// Packs 4-bit scales, two per byte.
fn pairs<const N: usize, const B: usize>(scales: &[i32; N]) -> [u8; B] {
    std::array::from_fn(|i| pair([scales[2 * i], scales[2 * i + 1]]))
}

impl Quantize for BlockIQ3XXS {
    evenly!();

    fn quantize_weighted(x: &[f32; 256], w: &[f32; 256]) -> Self {
        let scales = Scales { unit: 0.25, ..ODD };
        let fitted: Fitted<8> = super_block(&lattice::iq3_xxs(), scales, x, w);
        let mut block = Self { d: fitted.stored_d, qs: [0; 64], signs: [[0; 4]; 8] };
        for (qs, q) in block.qs.iter_mut().zip(fitted.q.as_chunks::<4>().0) {
            *qs = number(&tables::IQ3_XXS, q.map(i8::abs)) as u8;
        }
        let subs = eights(&fitted.q).as_chunks::<4>().0.iter().zip(fitted.scales);
        for (word, (q, scale)) in block.signs.iter_mut().zip(subs) {
            let signs = q.iter().enumerate().map(|(l, q)| u32::from(signs(q) & 127) << (7 * l));
            *word = (signs.sum::<u32>() | u32::from(half(scale)) << 28).to_le_bytes();
        }
        block
    }
}

impl Quantize for BlockIQ3S {
    evenly!();

    fn quantize_weighted(x: &[f32; 256], w: &[f32; 256]) -> Self {
        let scales = Scales { unit: 1.0, ..ODD };
        let fitted: Fitted<8> = super_block(&lattice::iq3_s(), scales, x, w);
        let mut block = Self {
            d: fitted.stored_d,
            qs: [0; 64],
            qh: [0; 8],
            signs: [0; 32],
            scales: pairs(&fitted.scales),
        };
        for (i, q) in fitted.q.as_chunks::<4>().0.iter().enumerate() {
            let code = number(&tables::IQ3_S, q.map(i8::abs));
            block.qs[i] = code as u8;
            block.qh[i / 8] |= ((code >> 8) as u8) << (i % 8);
        }
        for (s, q) in block.signs.iter_mut().zip(eights(&fitted.q)) {
            *s = signs(q);
        }
        block
    }
}

/// Returns the number of a point of IQ1, and whether it is shifted down.
fn shifted(q: &[i8; 8]) -> (u16, bool) {
    // -9, -1 and 7 are shifted down; -7, 1 and 9 are shifted up.
    let down = q[0].rem_euclid(8) == 7;
    let shift = if down { -1 } else { 1 };
    (number(&tables::IQ1, q.map(|q| q - shift)), down)
}

impl Quantize for BlockIQ1S {
    evenly!();

    fn quantize_weighted(x: &[f32; 256], w: &[f32; 256]) -> Self {
        let fitted: Fitted<8> = super_block(&lattice::iq1(32), ODD_8, x, w);
        let mut block = Self { d: fitted.stored_d, qs: [0; 32], qh: [[0; 2]; 8] };
        for (b, (q, scale)) in eights(&fitted.q).as_chunks::<4>().0.iter().zip(fitted.scales).enumerate() {
            let mut high = u16::from(half(scale)) << 12;
            for (l, q) in q.iter().enumerate() {
                let (code, down) = shifted(q);
                block.qs[4 * b + l] = code as u8;
                high |= code >> 8 << (3 * l) | u16::from(down) << 15;
            }
            block.qh[b] = high.to_le_bytes();
        }
        block
    }
}

impl Quantize for BlockIQ1M {
    evenly!();

    fn quantize_weighted(x: &[f32; 256], w: &[f32; 256]) -> Self {
        let fitted: Fitted<16> = super_block(&lattice::iq1(8), ODD_8, x, w);
        let mut block = Self { qs: [0; 32], qh: [0; 16], scales: [[0; 2]; 4] };
        for (i, q) in eights(&fitted.q).iter().enumerate() {
            let (code, down) = shifted(q);
            block.qs[i] = code as u8;
            block.qh[i / 2] |= ((code >> 8) as u8 | u8::from(down) << 3) << (4 * (i % 2));
        }
        let d = u16::from_le_bytes(fitted.stored_d);
        for (c, (word, scales)) in block.scales.iter_mut().zip(fitted.scales.as_chunks::<4>().0).enumerate() {
            let scales = scales.iter().enumerate().map(|(j, s)| u16::from(half(*s)) << (3 * j));
            *word = (scales.sum::<u16>() | (d >> (4 * c) & 0xF) << 12).to_le_bytes();
        }
        block
    }
}

/// The 16 levels of the IQ4 formats.
struct Table;

/// Greatest magnitude of a doubled value that matters: beyond it is the first or the last level.
const WIDEST: f32 = 256.0;

/// The level for each doubled value, rounded up: the middles between levels are multiples of a half.
static LEVEL_OF: [i8; 512] = {
    let (mut table, mut i) = ([0; 512], 0);
    while i < 512 {
        let mut n = 0;
        while n < 15 && i as i32 - 255 > IQ4_LEVELS[n] as i32 + IQ4_LEVELS[n + 1] as i32 {
            n += 1;
        }
        table[i] = IQ4_LEVELS[n];
        i += 1;
    }
    table
};

/// Returns the level nearest to `v`.
#[inline]
fn level(v: f32) -> i8 {
    let up = round::within(2.0 * v - 0.5, -WIDEST, WIDEST - 1.0);
    LEVEL_OF[(up as i32 + 256) as usize & 511]
}

impl Levels for Table {
    const SIGNED: bool = true;
    const NEAR: &[f32] = &[1.0, 0.985, 0.99, 0.995, 1.005, 1.01, 1.015, 1.02];

    fn sums(&self, x: &[f32], w: &[f32], inverses: &[f32; LANES]) -> Sums {
        let (mut xq, mut qq) = ([0.0; LANES], [0.0; LANES]);
        for (&x, &w) in x.iter().zip(w) {
            let q = inverses.map(|inverse| f32::from(level(x * inverse)));
            for l in 0..LANES {
                xq[l] += w * x * q[l];
                qq[l] += w * q[l] * q[l];
            }
        }
        Sums { xq, qq }
    }

    fn nearest(&self, x: &[f32], _w: &[f32], inverse: f32, q: &mut [i8]) {
        for (q, x) in q.iter_mut().zip(x) {
            *q = level(x * inverse);
        }
    }

    fn steps(&self) -> &[f32] {
        &[
            -140.0, -133.0, -127.0, -121.0, -115.0, -110.0, -104.0, -98.0, 92.0, 98.0, 104.0, 110.0, 113.0,
            117.0, 121.0, 127.0,
        ]
    }
}

/// Returns the numbers of levels.
fn numbers(q: &[i8; 32]) -> [u8; 32] {
    q.map(|q| IQ4_LEVELS.iter().position(|level| *level == q).unwrap_or(0) as u8)
}

impl Quantize for BlockIQ4NL {
    fn quantize(x: &[f32; 32]) -> Self {
        Self::quantize_weighted(x, &[1.0; 32])
    }

    fn quantize_weighted(x: &[f32; 32], w: &[f32; 32]) -> Self {
        let (d, q) = one_scale(&Table, x, w);
        Self { d, qs: nibbles(&numbers(&q)) }
    }
}

impl Quantize for BlockIQ4XS {
    evenly!();

    fn quantize_weighted(x: &[f32; 256], w: &[f32; 256]) -> Self {
        let scales = Scales { lo: -32, hi: 31, step: 1, ends: &[-32, -31, -30, 31], unit: 1.0 };
        let fitted: Fitted<8> = super_block(&Table, scales, x, w);
        let (mut low, mut high, mut qs) = (0u32, 0u16, [[0; 16]; 8]);
        for (b, (q, scale)) in fitted.q.as_chunks::<32>().0.iter().zip(fitted.scales).enumerate() {
            let scale = (scale + 32) as u16;
            low |= u32::from(scale & 0xF) << (4 * b);
            high |= (scale >> 4) << (2 * b);
            qs[b] = nibbles(&numbers(q));
        }
        Self { d: fitted.stored_d, scales_h: high.to_le_bytes(), scales_l: low.to_le_bytes(), qs }
    }
}
