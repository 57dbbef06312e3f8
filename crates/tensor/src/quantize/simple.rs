//! Q4_0 .. Q5_1 with weights, and IQ4_NL: blocks of 32 with one scale.

use super::{Levels, Range, affine, fit, round};
use crate::formats::*;
use half::f16;

/// Returns the stored scale, and the integers that fit it best.
pub(super) fn one_scale(levels: &impl Levels, x: &[f32; 32], w: &[f32; 32]) -> ([u8; 2], [i8; 32]) {
    let d = f16::from_f32(fit(levels, x, w));
    let mut q = [0; 32];
    let inverse = if d == f16::ZERO { 0.0 } else { 1.0 / d.to_f32() };
    levels.nearest(x, w, inverse, &mut q);
    (d.to_le_bytes(), q)
}

/// Returns the stored scale and minimum, which is added, and the integers that fit them best.
fn with_min(x: &[f32; 32], w: &[f32; 32], hi: i32) -> ([u8; 2], [u8; 2], [u8; 32]) {
    let (scale, min) = affine::fit(x, w, hi, false, true);
    let (d, m) = (f16::from_f32(scale), f16::from_f32(-min));
    let inverse = if d == f16::ZERO { 0.0 } else { 1.0 / d.to_f32() };
    let q = x.map(|x| round::nearest((x - m.to_f32()) * inverse).clamp(0, hi) as u8);
    (d.to_le_bytes(), m.to_le_bytes(), q)
}

/// Packs nibbles: elements 0..16 in bits 0..4, 16..32 in bits 4..8.
pub(super) fn nibbles(q: &[u8; 32]) -> [u8; 16] {
    std::array::from_fn(|j| q[j] | q[j + 16] << 4)
}

fn q4_0(x: &[f32; 32], w: &[f32; 32]) -> BlockQ4_0 {
    let (d, q) = one_scale(&Range::<-8, 7>::new(false), x, w);
    BlockQ4_0 { d, qs: nibbles(&q.map(|q| (q + 8) as u8)) }
}

fn q4_1(x: &[f32; 32], w: &[f32; 32]) -> BlockQ4_1 {
    let (d, m, q) = with_min(x, w, 15);
    BlockQ4_1 { d, m, qs: nibbles(&q) }
}

fn q5_0(x: &[f32; 32], w: &[f32; 32]) -> BlockQ5_0 {
    let (d, q) = one_scale(&Range::<-16, 15>::new(false), x, w);
    let (qh, qs) = pack_5(&q.map(|q| (q + 16) as u8));
    BlockQ5_0 { d, qh: qh.to_le_bytes(), qs }
}

fn q5_1(x: &[f32; 32], w: &[f32; 32]) -> BlockQ5_1 {
    let (d, m, q) = with_min(x, w, 31);
    let (qh, qs) = pack_5(&q);
    BlockQ5_1 { d, m, qh: qh.to_le_bytes(), qs }
}

macro_rules! simple {
    ($($block:ident: $weighted:ident;)*) => {$(
        impl Quantize for $block {
            fn quantize(x: &[f32; 32]) -> Self {
                Self::by_formula(x)
            }

            fn quantize_weighted(x: &[f32; 32], w: &[f32; 32]) -> Self {
                $weighted(x, w)
            }
        }
    )*};
}

simple! {
    BlockQ4_0: q4_0;
    BlockQ4_1: q4_1;
    BlockQ5_0: q5_0;
    BlockQ5_1: q5_1;
}
