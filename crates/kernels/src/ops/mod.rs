//! The operations of a transformer besides its matrices: normalization, rotary embedding, softmax, activations,
//! attention, expert routing, the scans of recurrent layers.
//!
//! [`Ops`] is a plain struct of functions for one instruction set; replace a field to override an operation. For finite
//! values, every operation gives the same bits on every instruction set: sums run over 16 lanes (element `i` in lane
//! `i % 16`) that a fixed tree adds, and each function has one polynomial.

mod activation;
pub mod attention;
mod elementwise;
mod math;
pub mod moe;
mod norm;
mod peak;
mod quantize;
pub mod rope;
pub mod scan;

pub use crate::activation::Activation;
pub use attention::{
    AttnPlan, AttnRow, AttnScratch, AttnSpec, CHUNK, KV_PAGE, KvBlock, KvData, KvLayer, PositionBias, TILE,
    Window, attention,
};
pub use moe::{Gating, RouteSpec, route};
pub use peak::FMAS;
pub use rope::{RopeError, RopePairing, RopeSpec, RopeTable, Yarn};

use crate::acts::ActKind;
use crate::pool::Columns;
use crate::simd::Simd;

/// The operations of one instruction set.
#[derive(Clone, Copy, Debug)]
pub struct Ops {
    /// `(kind, x, q, d, sums)`: quantizes one row, with the bits of [`happy_tensor::activation`]. Returns false if a
    /// value is not finite. For [`ActKind::F32`] it only checks that.
    pub quantize: fn(ActKind, &[f32], &mut [i8], &mut [f32], &mut [i16]) -> bool,
    /// `(x, weight, eps, y)`: y = x / sqrt(mean(x^2) + eps) * weight
    pub rms_norm: fn(&[f32], Option<&[f32]>, f32, &mut [f32]),
    /// `(x, weight, bias, eps, y)`: y = (x - mean) / sqrt(variance + eps) * weight + bias
    pub layer_norm: fn(&[f32], Option<&[f32]>, Option<&[f32]>, f32, &mut [f32]),
    /// `(x, head_dim, cos_sin, pairing)`: rotates the first `n_rot` elements of each head. `x` is `[heads][head_dim]`,
    /// `cos_sin` is `[2][n_rot / 2]` from [`RopeTable::fill`].
    pub rope: fn(&mut [f32], usize, &[f32], RopePairing),
    /// x = e^(x - max) / sum, in place
    pub softmax: fn(&mut [f32]),
    /// x += y
    pub add: fn(&mut [f32], &[f32]),
    /// x *= y
    pub mul: fn(&mut [f32], &[f32]),
    /// `(x, y, s)`: x = fma(y, s, x)
    pub add_scaled: fn(&mut [f32], &[f32], f32),
    /// x = e^x; 0 below -87.3
    pub exp: fn(&mut [f32]),
    /// x = ln(1 + e^x)
    pub softplus: fn(&mut [f32]),
    /// x *= s
    pub scale: fn(&mut [f32], f32),
    /// `(x, cap)`: x = cap tanh(x / cap)
    pub soft_cap: fn(&mut [f32], f32),
    /// x = activation(x)
    pub activate: fn(Activation, &mut [f32]),
    /// `(activation, gate, up)`: gate = activation(gate) * up
    pub glu: fn(Activation, &mut [f32], &[f32]),
    /// Returns whether no value is infinite or NaN.
    pub all_finite: fn(&[f32]) -> bool,
    /// Rounds to the nearest f16, ties to even.
    pub to_f16: fn(&[f32], &mut [u16]),
    /// Rotates the row of a head of keys or values in place, then quantizes it, for [`KvData::Q8_0`]. The row has a multiple
    /// of 32 channels, and a block for each 32 of them. What is not finite gets a scale of NaN.
    pub to_q8: fn(&mut [f32], &mut [KvBlock]),
    /// Widens f16.
    pub from_f16: fn(&[u16], &mut [f32]),
    /// Returns the index of the greatest value, the lowest index if there are several; `None` if there are no values,
    /// or only NaNs.
    pub argmax: fn(&[f32]) -> Option<usize>,
    /// Computes a short convolution of some channels, in place: see [`scan::Conv`]. The state is
    /// `[kernel - 1][channels]`.
    pub conv: fn(&scan::Conv<'_>, &mut Columns<'_>, &mut Columns<'_>),
    /// Runs the scan of Mamba over some channels: see [`scan::Mamba`]. The state is `[states][channels]`.
    pub mamba: fn(&scan::Mamba<'_>, &mut Columns<'_>, &mut Columns<'_>),
    /// Runs linear attention of one head: see [`scan::LinearAttention`].
    pub linear_attention: fn(&scan::LinearAttention<'_>, scan::State<'_>, &mut Columns<'_>),
    /// Runs the gated delta rule of one head: see [`scan::Delta`].
    pub delta: fn(&scan::Delta<'_>, scan::State<'_>, &mut Columns<'_>),
    /// Runs RWKV-6 of one head: see [`scan::Wkv6`].
    pub wkv6: fn(&scan::Wkv6<'_>, scan::State<'_>, &mut Columns<'_>),
    /// Runs RWKV-7 of one head: see [`scan::Wkv7`].
    pub wkv7: fn(&scan::Wkv7<'_>, scan::State<'_>, &mut Columns<'_>),
    /// Computes `turns` times [`FMAS`] fused multiply-adds that wait for nothing else, to measure the maximum speed of
    /// a core.
    pub fma_loop: fn(usize) -> f32,
    /// Runs one task of [`attention`].
    pub(crate) attend: fn(&attention::Task<'_>, &mut attention::Work, attention::Target<'_, '_>),
    /// Joins the chunks of one query.
    pub(crate) merge: fn(attention::Merge<'_>, &mut [f32]),
}

impl Ops {
    /// Returns the operations compiled for the instruction set of the token.
    pub(crate) fn new<S: Simd>(_token: S) -> Self {
        Self {
            quantize: quantize::quantize::<S>,
            rms_norm: norm::rms_norm::<S>,
            layer_norm: norm::layer_norm::<S>,
            rope: rope::rope::<S>,
            softmax: norm::softmax::<S>,
            add: elementwise::add::<S>,
            mul: elementwise::mul::<S>,
            add_scaled: elementwise::add_scaled::<S>,
            exp: elementwise::exp::<S>,
            softplus: elementwise::softplus::<S>,
            scale: elementwise::scale::<S>,
            soft_cap: elementwise::soft_cap::<S>,
            activate: activation::activate::<S>,
            glu: activation::glu::<S>,
            all_finite: elementwise::all_finite::<S>,
            to_f16: elementwise::to_f16::<S>,
            to_q8: attention::to_q8::<S>,
            from_f16: elementwise::from_f16::<S>,
            argmax: elementwise::argmax::<S>,
            conv: scan::conv::<S>,
            mamba: scan::mamba::<S>,
            linear_attention: scan::linear_attention::<S>,
            delta: scan::delta::<S>,
            wkv6: scan::wkv6::<S>,
            wkv7: scan::wkv7::<S>,
            fma_loop: peak::fma_loop::<S>,
            attend: attention::attend::<S>,
            merge: attention::merge::<S>,
        }
    }
}
