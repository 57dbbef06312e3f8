//! Q2_K .. Q6_K: packs what the search found into the layouts of the formats.

use super::affine::{self, Limits};
use super::{Fitted, Range, Scales, super_block};
use crate::formats::*;
use half::f16;

/// Equal weights.
pub(super) const EVEN: [f32; 256] = [1.0; 256];

/// Packs the low four bits of integers: byte `32 g + l` holds elements `64 g + l` and `64 g + 32 + l`.
fn pack_4(q: &[u8; 256]) -> [u8; 128] {
    let mut qs = [0; 128];
    for (qs, q) in qs.as_chunks_mut::<32>().0.iter_mut().zip(q.as_chunks::<64>().0) {
        let (lo, hi) = q.split_at(32);
        for ((b, lo), hi) in qs.iter_mut().zip(lo).zip(hi) {
            *b = (lo & 0xF) | (hi & 0xF) << 4;
        }
    }
    qs
}

impl Quantize for BlockQ2K {
    fn quantize(x: &[f32; 256]) -> Self {
        Self::search(x, &EVEN, true)
    }

    fn quantize_weighted(x: &[f32; 256], w: &[f32; 256]) -> Self {
        Self::search(x, w, false)
    }
}

impl BlockQ2K {
    /// `even` means that all weights are 1.
    fn search(x: &[f32; 256], w: &[f32; 256], even: bool) -> Self {
        let fitted = affine::super_block::<16>(Limits { q: 3, scale: 15, even }, x, w);
        Self {
            scales: std::array::from_fn(|s| fitted.scales[s] | fitted.mins[s] << 4),
            qs: pack_2(&fitted.q),
            d: f16::from_f32(fitted.d).to_le_bytes(),
            dmin: f16::from_f32(fitted.dmin).to_le_bytes(),
        }
    }
}

impl Quantize for BlockQ3K {
    fn quantize(x: &[f32; 256]) -> Self {
        Self::search(x, &EVEN, true)
    }

    fn quantize_weighted(x: &[f32; 256], w: &[f32; 256]) -> Self {
        Self::search(x, w, false)
    }
}

impl BlockQ3K {
    /// `even` means that all weights are 1.
    fn search(x: &[f32; 256], w: &[f32; 256], even: bool) -> Self {
        let scales = Scales { lo: -32, hi: 31, step: 1, ends: &[-32, -31, -30, 31], unit: 1.0 };
        let fitted: Fitted<16> = super_block(&Range::<-4, 3>::new(even), scales, x, w);
        let q = fitted.q.map(|q| (q + 4) as u8);
        let mut hmask = [0; 32];
        for (bit, q) in q.as_chunks::<32>().0.iter().enumerate() {
            for (b, q) in hmask.iter_mut().zip(q) {
                *b |= (q >> 2) << bit;
            }
        }
        let scales = pack_scales_k3(&fitted.scales.map(|s| (s + 32) as u8));
        Self { hmask, qs: pack_2(&q), scales, d: fitted.stored_d }
    }
}

impl Quantize for BlockQ4K {
    fn quantize(x: &[f32; 256]) -> Self {
        Self::search(x, &EVEN, true)
    }

    fn quantize_weighted(x: &[f32; 256], w: &[f32; 256]) -> Self {
        Self::search(x, w, false)
    }
}

impl BlockQ4K {
    /// `even` means that all weights are 1.
    fn search(x: &[f32; 256], w: &[f32; 256], even: bool) -> Self {
        let fitted = affine::super_block::<8>(Limits { q: 15, scale: 63, even }, x, w);
        Self {
            d: f16::from_f32(fitted.d).to_le_bytes(),
            dmin: f16::from_f32(fitted.dmin).to_le_bytes(),
            scales: pack_scales_mins_k4(&fitted.scales, &fitted.mins),
            qs: pack_4(&fitted.q),
        }
    }
}

impl Quantize for BlockQ5K {
    fn quantize(x: &[f32; 256]) -> Self {
        Self::search(x, &EVEN, true)
    }

    fn quantize_weighted(x: &[f32; 256], w: &[f32; 256]) -> Self {
        Self::search(x, w, false)
    }
}

impl BlockQ5K {
    /// `even` means that all weights are 1.
    fn search(x: &[f32; 256], w: &[f32; 256], even: bool) -> Self {
        let fitted = affine::super_block::<8>(Limits { q: 31, scale: 63, even }, x, w);
        let mut qh = [0; 32];
        for (bit, q) in fitted.q.as_chunks::<32>().0.iter().enumerate() {
            for (b, q) in qh.iter_mut().zip(q) {
                *b |= (q >> 4) << bit;
            }
        }
        Self {
            d: f16::from_f32(fitted.d).to_le_bytes(),
            dmin: f16::from_f32(fitted.dmin).to_le_bytes(),
            scales: pack_scales_mins_k4(&fitted.scales, &fitted.mins),
            qh,
            qs: pack_4(&fitted.q),
        }
    }
}

impl Quantize for BlockQ6K {
    fn quantize(x: &[f32; 256]) -> Self {
        Self::search(x, &EVEN, true)
    }

    fn quantize_weighted(x: &[f32; 256], w: &[f32; 256]) -> Self {
        Self::search(x, w, false)
    }
}

impl BlockQ6K {
    /// `even` means that all weights are 1.
    fn search(x: &[f32; 256], w: &[f32; 256], even: bool) -> Self {
        let scales = Scales { lo: -128, hi: 127, step: 1, ends: &[-128, -127, 127], unit: 1.0 };
        let fitted: Fitted<16> = super_block(&Range::<-32, 31>::new(even), scales, x, w);
        let (mut ql, mut qh) = ([0; 128], [0; 64]);
        for (i, q) in fitted.q.map(|q| (q + 32) as u8).into_iter().enumerate() {
            let (h, j, l) = (i / 128, i / 32 % 4, i % 32);
            ql[64 * h + 32 * (j % 2) + l] |= (q & 0xF) << (4 * (j / 2));
            qh[32 * h + l] |= (q >> 4) << (2 * j);
        }
        Self { ql, qh, scales: fitted.scales.map(|s| s as i8), d: fitted.stored_d }
    }
}
