//! Activation functions of feed-forward layers, alone and gated.

use crate::activation::Activation;
use crate::ops::elementwise::{map, map_long, zip, zip_long};
use crate::ops::math;
use crate::simd::{Simd, entry};

#[inline(always)]
fn activate_body<S: Simd>(s: S, activation: Activation, x: &mut [f32]) {
    match activation {
        Activation::Silu => map_long(
            s,
            x,
            #[inline(always)]
            |v| math::silu(s, v, 1.0),
        ),
        Activation::Gelu => map_long(
            s,
            x,
            #[inline(always)]
            |v| math::gelu(s, v),
        ),
        Activation::GeluErf => map_long(
            s,
            x,
            #[inline(always)]
            |v| math::gelu_erf(s, v),
        ),
        Activation::GeluQuick => map_long(
            s,
            x,
            #[inline(always)]
            |v| math::silu(s, v, 1.702),
        ),
        Activation::Relu => map(
            s,
            x,
            #[inline(always)]
            |v| relu(s, v),
        ),
        Activation::ReluSquared => map(
            s,
            x,
            #[inline(always)]
            |v| {
                let v = relu(s, v);
                s.mul(v, v)
            },
        ),
        Activation::Sigmoid => map_long(
            s,
            x,
            #[inline(always)]
            |v| math::sigmoid(s, v),
        ),
        Activation::Tanh => map_long(
            s,
            x,
            #[inline(always)]
            |v| math::tanh(s, v),
        ),
        Activation::Softplus => map_long(
            s,
            x,
            #[inline(always)]
            |v| math::softplus(s, v),
        ),
        Activation::Xielu { alpha_n, alpha_p, beta, eps } => map_long(
            s,
            x,
            #[inline(always)]
            |v| {
                let line = s.mul(v, s.splat(beta));
                let above = s.fma(s.mul(v, s.splat(alpha_p)), v, line);
                let power = math::exp_m1(s, s.min(v, s.splat(eps)));
                let below = s.fma(s.sub(power, v), s.splat(alpha_n), line);
                s.select_lt(s.splat(0.0), v, above, below)
            },
        ),
        Activation::SwigluClamped { limit } => map_long(
            s,
            x,
            #[inline(always)]
            |v| math::silu(s, s.min(v, s.splat(limit)), 1.0),
        ),
        Activation::SwigluOai { alpha, limit } => {
            map_long(
                s,
                x,
                #[inline(always)]
                |v| math::silu(s, s.min(v, s.splat(limit)), alpha),
            );
        }
    }
}

#[inline(always)]
fn relu<S: Simd>(s: S, x: S::V) -> S::V {
    s.max(x, s.splat(0.0))
}

#[inline(always)]
fn glu_body<S: Simd>(s: S, activation: Activation, gate: &mut [f32], up: &[f32]) {
    match activation {
        // The two that nearly every model uses take one pass.
        Activation::Silu if !S::COMPACT => zip(
            s,
            gate,
            up,
            #[inline(always)]
            |g, u| s.mul(math::silu(s, g, 1.0), u),
        ),
        Activation::Gelu if !S::COMPACT => zip(
            s,
            gate,
            up,
            #[inline(always)]
            |g, u| s.mul(math::gelu(s, g), u),
        ),
        Activation::SwigluClamped { limit } => zip_long(
            s,
            gate,
            up,
            #[inline(always)]
            |g, u| {
                let u = s.max(s.min(u, s.splat(limit)), s.splat(-limit));
                s.mul(math::silu(s, s.min(g, s.splat(limit)), 1.0), u)
            },
        ),
        Activation::SwigluOai { alpha, limit } => zip_long(
            s,
            gate,
            up,
            #[inline(always)]
            |g, u| {
                let g = math::silu(s, s.min(g, s.splat(limit)), alpha);
                let u = s.max(s.min(u, s.splat(limit)), s.splat(-limit));
                s.mul(g, s.add(u, s.splat(1.0)))
            },
        ),
        other => {
            activate::<S>(other, gate);
            zip(
                s,
                gate,
                up,
                #[inline(always)]
                |g, u| s.mul(g, u),
            );
        }
    }
}

entry!(pub(super) fn activate(activation: Activation, x: &mut [f32]) = activate_body);
entry!(pub(super) fn glu(activation: Activation, gate: &mut [f32], up: &[f32]) = glu_body);
