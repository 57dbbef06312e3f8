//! The causal short convolution of each channel.

use super::{Part, Whole, Width};
use crate::mat::Mat;
use crate::ops::math;
use crate::pool::Columns;
use crate::simd::{Simd, entry};

/// Maximum number of positions that a convolution sees.
pub const MAX_CONV: usize = 16;

/// A convolution over some channels.
#[derive(Clone, Copy, Debug)]
pub struct Conv<'a> {
    /// `[kernel][channels]`, the weight of the oldest position first; `kernel` is 1 to [`MAX_CONV`].
    pub weight: Mat<'a>,
    /// `[channels]`; `None` for a convolution without bias.
    pub bias: Option<&'a [f32]>,
    /// Whether SiLU is applied to the result.
    pub silu: bool,
}

/// Computes `x[row] = act(bias + sum over j of weight[j] * input[row - kernel + 1 + j])` in place. Inputs before row 0
/// are those of `state`, `[kernel - 1][channels]`, the oldest first. Afterwards the state holds the last inputs.
#[inline(always)]
fn conv_body<S: Simd>(s: S, conv: &Conv<'_>, state: &mut Columns<'_>, x: &mut Columns<'_>) {
    // The kernel sizes of known models are compiled separately, so that weights and window stay in registers.
    match conv.weight.rows() {
        3 if !S::COMPACT => each::<S, 3>(s, conv, state, x),
        4 if !S::COMPACT => each::<S, 4>(s, conv, state, x),
        _ => each::<S, MAX_CONV>(s, conv, state, x),
    }
}

/// Computes all channels of a kernel of `K` positions, or of at most that many if `K` is [`MAX_CONV`].
#[inline(always)]
fn each<S: Simd, const K: usize>(s: S, conv: &Conv<'_>, state: &mut Columns<'_>, x: &mut Columns<'_>) {
    let n = conv.weight.cols();
    let mut column = 0;
    if S::COMPACT {
        while column < n {
            channels::<S, Part, K>(s, conv, state, x, column, Part(16.min(n - column)));
            column += 16;
        }
        return;
    }
    while n - column >= 16 {
        channels::<S, Whole, K>(s, conv, state, x, column, Whole);
        column += 16;
    }
    if column < n {
        channels::<S, Part, K>(s, conv, state, x, column, Part(n - column));
    }
}

#[inline(always)]
fn channels<S: Simd, W: Width, const K: usize>(
    s: S,
    conv: &Conv<'_>,
    state: &mut Columns<'_>,
    x: &mut Columns<'_>,
    column: usize,
    width: W,
) {
    let kernel = if K < MAX_CONV { K } else { conv.weight.rows().min(MAX_CONV) };
    let last = kernel.saturating_sub(1);
    let [mut window, mut weights] = [[s.splat(0.0); K]; 2];
    for (j, weight) in weights.iter_mut().enumerate().take(kernel) {
        *weight = width.load(s, &conv.weight.row(j)[column..]);
    }
    for (j, input) in window.iter_mut().enumerate().take(last) {
        *input = width.load(s, &state.row_mut(j)[column..]);
    }
    let bias = conv.bias.map_or(s.splat(0.0), |bias| width.load(s, &bias[column..]));
    for row in 0..x.rows() {
        let cell = &mut x.row_mut(row)[column..];
        window[last] = width.load(s, cell);
        let mut sum = bias;
        for (weight, input) in weights.iter().zip(&window).take(kernel) {
            sum = s.fma(*weight, *input, sum);
        }
        if conv.silu {
            sum = math::silu(s, sum, 1.0);
        }
        width.store(s, sum, cell);
        for j in 0..last {
            window[j] = window[j + 1];
        }
    }
    for (j, input) in window.iter().enumerate().take(last) {
        width.store(s, *input, &mut state.row_mut(j)[column..]);
    }
}

entry!(pub(crate) fn conv(conv: &Conv<'_>, state: &mut Columns<'_>, x: &mut Columns<'_>) = conv_body);
