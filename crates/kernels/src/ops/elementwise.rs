//! Operations on single elements: sums, products, scales, caps, conversions.

use crate::ops::math;
use crate::simd::{Simd, entry};

/// Sets `x[i] = f(x[i])`. `f` gets zeros in the lanes past the end.
#[inline(always)]
pub(super) fn map<S: Simd>(s: S, x: &mut [f32], f: impl Fn(S::V) -> S::V) {
    let (whole, rest) = x.as_chunks_mut::<16>();
    for x in whole {
        s.store(f(s.load(x)), x);
    }
    if !rest.is_empty() {
        s.store_part(f(s.load_part(rest)), rest);
    }
}

/// Does what [`map`] does, with one loop for the lanes past the end too: for long functions, whose code is then there once.
#[inline(always)]
pub(super) fn map_long<S: Simd>(s: S, x: &mut [f32], f: impl Fn(S::V) -> S::V) {
    let (whole, rest) = x.as_chunks_mut::<16>();
    let mut last = [0.0; 16];
    last[..rest.len()].copy_from_slice(rest);
    for i in 0..whole.len() + usize::from(!rest.is_empty()) {
        let x = whole.get_mut(i).unwrap_or(&mut last);
        s.store(f(s.load(x)), x);
    }
    rest.copy_from_slice(&last[..rest.len()]);
}

/// Sets `x[i] = f(x[i], y[i])` for the length of the shorter slice.
#[inline(always)]
pub(super) fn zip<S: Simd>(s: S, x: &mut [f32], y: &[f32], f: impl Fn(S::V, S::V) -> S::V) {
    debug_assert_eq!(x.len(), y.len());
    let n = x.len().min(y.len());
    let (whole, rest) = x[..n].as_chunks_mut::<16>();
    let (whole_y, rest_y) = y[..n].as_chunks::<16>();
    for (x, y) in whole.iter_mut().zip(whole_y) {
        s.store(f(s.load(x), s.load(y)), x);
    }
    if !rest.is_empty() {
        s.store_part(f(s.load_part(rest), s.load_part(rest_y)), rest);
    }
}

/// Does what [`zip`] does, like [`map_long`].
#[inline(always)]
pub(super) fn zip_long<S: Simd>(s: S, x: &mut [f32], y: &[f32], f: impl Fn(S::V, S::V) -> S::V) {
    debug_assert_eq!(x.len(), y.len());
    let n = x.len().min(y.len());
    let (whole, rest) = x[..n].as_chunks_mut::<16>();
    let (whole_y, rest_y) = y[..n].as_chunks::<16>();
    let [mut last, mut last_y] = [[0.0; 16]; 2];
    last[..rest.len()].copy_from_slice(rest);
    last_y[..rest.len()].copy_from_slice(rest_y);
    for i in 0..whole.len() + usize::from(!rest.is_empty()) {
        let (x, y) = (whole.get_mut(i).unwrap_or(&mut last), whole_y.get(i).unwrap_or(&last_y));
        s.store(f(s.load(x), s.load(y)), x);
    }
    rest.copy_from_slice(&last[..rest.len()]);
}

#[inline(always)]
fn add_body<S: Simd>(s: S, x: &mut [f32], y: &[f32]) {
    zip(
        s,
        x,
        y,
        #[inline(always)]
        |x, y| s.add(x, y),
    );
}

#[inline(always)]
fn mul_body<S: Simd>(s: S, x: &mut [f32], y: &[f32]) {
    zip(
        s,
        x,
        y,
        #[inline(always)]
        |x, y| s.mul(x, y),
    );
}

#[inline(always)]
fn add_scaled_body<S: Simd>(s: S, x: &mut [f32], y: &[f32], factor: f32) {
    zip(
        s,
        x,
        y,
        #[inline(always)]
        |x, y| s.fma(y, s.splat(factor), x),
    );
}

#[inline(always)]
fn scale_body<S: Simd>(s: S, x: &mut [f32], factor: f32) {
    map(
        s,
        x,
        #[inline(always)]
        |x| s.mul(x, s.splat(factor)),
    );
}

#[inline(always)]
fn exp_body<S: Simd>(s: S, x: &mut [f32]) {
    map_long(
        s,
        x,
        #[inline(always)]
        |x| math::exp(s, x),
    );
}

#[inline(always)]
fn softplus_body<S: Simd>(s: S, x: &mut [f32]) {
    map_long(
        s,
        x,
        #[inline(always)]
        |x| math::softplus(s, x),
    );
}

#[inline(always)]
pub(super) fn cap<S: Simd>(s: S, x: S::V, cap: f32) -> S::V {
    s.mul(math::tanh(s, s.div(x, s.splat(cap))), s.splat(cap))
}

#[inline(always)]
fn soft_cap_body<S: Simd>(s: S, x: &mut [f32], c: f32) {
    map_long(
        s,
        x,
        #[inline(always)]
        |x| cap(s, x, c),
    );
}

#[inline(always)]
fn all_finite_body<S: Simd>(s: S, x: &[f32]) -> bool {
    let (whole, rest) = x.as_chunks::<16>();
    let clear = s.splat_i(0x7FFF_FFFF);
    let mut greatest = s.splat_i(0);
    for x in whole {
        greatest = s.max_i(greatest, s.and_i(s.to_bits(s.load(x)), clear));
    }
    greatest = s.max_i(greatest, s.and_i(s.to_bits(s.load_part(rest)), clear));
    s.reduce_max_i(greatest) < f32::INFINITY.to_bits() as i32
}

#[inline(always)]
fn to_f16_body<S: Simd>(s: S, x: &[f32], y: &mut [u16]) {
    debug_assert_eq!(x.len(), y.len());
    let n = x.len().min(y.len());
    let (whole, rest) = x[..n].as_chunks::<16>();
    let (whole_y, rest_y) = y[..n].as_chunks_mut::<16>();
    for (x, y) in whole.iter().zip(whole_y) {
        s.store_f16(s.load(x), y);
    }
    let mut lanes = [0; 16];
    s.store_f16(s.load_part(rest), &mut lanes);
    for (y, lane) in rest_y.iter_mut().zip(lanes) {
        *y = lane;
    }
}

#[inline(always)]
fn from_f16_body<S: Simd>(s: S, x: &[u16], y: &mut [f32]) {
    debug_assert_eq!(x.len(), y.len());
    let n = x.len().min(y.len());
    let (whole, rest) = x[..n].as_chunks::<16>();
    let (whole_y, rest_y) = y[..n].as_chunks_mut::<16>();
    for (x, y) in whole.iter().zip(whole_y) {
        s.store(s.load_f16(x), y);
    }
    let mut lanes = [0; 16];
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = *x;
    }
    s.store_part(s.load_f16(&lanes), rest_y);
}

#[inline(always)]
fn argmax_body<S: Simd>(s: S, x: &[f32]) -> Option<usize> {
    let (whole, rest) = x.as_chunks::<16>();
    let mut greatest = s.splat(f32::NEG_INFINITY);
    for x in whole {
        greatest = s.max(s.load(x), greatest);
    }
    let greatest = rest.iter().fold(s.reduce_max(greatest), |m, x| if *x > m { *x } else { m });
    x.iter().position(|x| *x == greatest)
}

entry!(pub(super) fn add(x: &mut [f32], y: &[f32]) = add_body);
entry!(pub(super) fn mul(x: &mut [f32], y: &[f32]) = mul_body);
entry!(pub(super) fn add_scaled(x: &mut [f32], y: &[f32], factor: f32) = add_scaled_body);
entry!(pub(super) fn exp(x: &mut [f32]) = exp_body);
entry!(pub(super) fn softplus(x: &mut [f32]) = softplus_body);
entry!(pub(super) fn scale(x: &mut [f32], factor: f32) = scale_body);
entry!(pub(super) fn soft_cap(x: &mut [f32], c: f32) = soft_cap_body);
entry!(pub(super) fn all_finite(x: &[f32]) -> bool = all_finite_body);
entry!(pub(super) fn to_f16(x: &[f32], y: &mut [u16]) = to_f16_body);
entry!(pub(super) fn from_f16(x: &[u16], y: &mut [f32]) = from_f16_body);
entry!(pub(super) fn argmax(x: &[f32]) -> Option<usize> = argmax_body);
