//! Normalization of a row, and softmax.

use crate::ops::math;
use crate::simd::{Simd, entry};

/// Returns the sum of `f(x[i])` over a row: lanes, then the tree. `f` must map the zeros past the end to zero lanes, or
/// use the `mask` that it is given (1 for elements, 0 past the end).
#[inline(always)]
fn sum<S: Simd>(s: S, x: &[f32], f: impl Fn(S::V, S::V) -> S::V) -> f32 {
    let (whole, rest) = x.as_chunks::<16>();
    let mut lanes = s.splat(0.0);
    for x in whole {
        lanes = f(s.load(x), lanes);
    }
    if !rest.is_empty() {
        lanes = f(s.load_part(rest), lanes);
    }
    s.reduce_add(lanes)
}

/// Sets `y[i] = f(x[i], weight[i], bias[i])`, with ones and zeros if weight or bias are absent.
#[inline(always)]
fn apply<S: Simd>(
    s: S,
    x: &[f32],
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
    y: &mut [f32],
    f: impl Fn(S::V, S::V, S::V) -> S::V,
) {
    debug_assert_eq!(x.len(), y.len());
    debug_assert!(weight.is_none_or(|w| w.len() == x.len()) && bias.is_none_or(|b| b.len() == x.len()));
    let n = x.len().min(y.len());
    let (ones, zeros) = ([1.0; 16], [0.0; 16]);
    let (whole, rest) = x[..n].as_chunks::<16>();
    let (whole_y, rest_y) = y[..n].as_chunks_mut::<16>();
    let weights = weight.map(|w| w[..n].as_chunks::<16>());
    let biases = bias.map(|b| b[..n].as_chunks::<16>());
    for (i, (x, y)) in whole.iter().zip(whole_y).enumerate() {
        let w = weights.map_or(&ones, |w| &w.0[i]);
        let b = biases.map_or(&zeros, |b| &b.0[i]);
        s.store(f(s.load(x), s.load(w), s.load(b)), y);
    }
    if !rest.is_empty() {
        let w = weights.map_or(s.splat(1.0), |w| s.load_part(w.1));
        let b = biases.map_or(s.splat(0.0), |b| s.load_part(b.1));
        s.store_part(f(s.load_part(rest), w, b), rest_y);
    }
}

#[inline(always)]
fn rms_norm_body<S: Simd>(s: S, x: &[f32], weight: Option<&[f32]>, eps: f32, y: &mut [f32]) {
    let mean = sum(
        s,
        x,
        #[inline(always)]
        |x, lanes| s.fma(x, x, lanes),
    ) / x.len() as f32;
    let factor = s.splat(1.0 / (mean + eps).sqrt());
    apply(
        s,
        x,
        weight,
        None,
        y,
        #[inline(always)]
        |x, w, _| s.mul(s.mul(x, factor), w),
    );
}

/// Returns the sum of (x - mean)^2. The lanes past the end are filled with the mean, so that they add nothing.
#[inline(always)]
fn squared_deviations<S: Simd>(s: S, x: &[f32], mean: f32) -> f32 {
    let (whole, rest) = x.as_chunks::<16>();
    let mut last = [mean; 16];
    last[..rest.len()].copy_from_slice(rest);
    let mut lanes = s.splat(0.0);
    for x in whole.iter().chain([&last]) {
        let d = s.sub(s.load(x), s.splat(mean));
        lanes = s.fma(d, d, lanes);
    }
    s.reduce_add(lanes)
}

#[inline(always)]
fn layer_norm_body<S: Simd>(
    s: S,
    x: &[f32],
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
    eps: f32,
    y: &mut [f32],
) {
    let mean = sum(
        s,
        x,
        #[inline(always)]
        |x, lanes| s.add(x, lanes),
    ) / x.len() as f32;
    let variance = squared_deviations(s, x, mean) / x.len() as f32;
    let factor = s.splat(1.0 / (variance + eps).sqrt());
    apply(
        s,
        x,
        weight,
        bias,
        y,
        #[inline(always)]
        |x, w, b| s.fma(s.mul(s.sub(x, s.splat(mean)), factor), w, b),
    );
}

#[inline(always)]
fn softmax_body<S: Simd>(s: S, x: &mut [f32]) {
    let (whole, rest) = x.as_chunks_mut::<16>();
    let mut greatest = s.splat(f32::NEG_INFINITY);
    for x in &*whole {
        greatest = s.max(s.load(x), greatest);
    }
    let greatest = rest.iter().fold(s.reduce_max(greatest), |m, x| if *x > m { *x } else { m });
    let greatest = s.splat(greatest);
    let mut lanes = s.splat(0.0);
    for x in whole.iter_mut() {
        let e = math::exp(s, s.sub(s.load(x), greatest));
        lanes = s.add(lanes, e);
        s.store(e, x);
    }
    let mut last = [f32::NEG_INFINITY; 16];
    if !rest.is_empty() {
        last[..rest.len()].copy_from_slice(rest);
        let e = math::exp(s, s.sub(s.load(&last), greatest));
        lanes = s.add(lanes, e);
        s.store(e, &mut last);
    }
    let total = s.splat(s.reduce_add(lanes));
    for x in whole {
        s.store(s.div(s.load(x), total), x);
    }
    if !rest.is_empty() {
        s.store_part(s.div(s.load(&last), total), rest);
    }
}

entry!(pub(super) fn rms_norm(x: &[f32], weight: Option<&[f32]>, eps: f32, y: &mut [f32]) = rms_norm_body);
entry!(pub(super) fn layer_norm(
    x: &[f32],
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
    eps: f32,
    y: &mut [f32],
) = layer_norm_body);
entry!(pub(super) fn softmax(x: &mut [f32]) = softmax_body);
