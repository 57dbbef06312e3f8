//! The recurrent mixers: their weights, how these are loaded, and what the mixers compute. Each kind has a file of its own.
//!
//! ```text
//! scan:   y = mixer(normed rows), without its output matrix; advances the state     for all rows of the batch
//! out:    mixed = W_out y                                                            for the rows that are still needed
//! ```
//!
//! A convolution and a scan go through the batch run by run; a run is some consecutive rows of one sequence, with the state before them
//! and the state after them. Everything in between works on all rows of the batch at once.

mod channel_mix;
mod delta_net;
mod kda;
mod lightning;
mod mamba;
mod mamba2;
mod plamo2;
mod rwkv6;
mod rwkv7;
mod short_conv;

use std::ops::Range;

pub(crate) use channel_mix::ChannelMix;

use happy_kernels::linear::{self, Linear};
use happy_kernels::ops::Activation;
use happy_kernels::ops::scan::{Conv, MAX_CONV, State};
use happy_kernels::{Columns, Ctx, Mat, MatMut};

use crate::error::{ForwardError, LoadError};
use crate::forward::pass::Step;
use crate::forward::rows;
use crate::kv::Pages;
use crate::load::tensors::Tensors;
use crate::names;
use crate::reserve::collected;
use crate::scratch::Scratch;
use crate::spec::{Need, NormSpec, RecurrentKind, RecurrentSpec};
use crate::weights::{Norm, PartsNorm, kinds};

/// The recurrent mixer of a layer.
pub(crate) struct Recurrent {
    pub(crate) spec: RecurrentSpec,
    pub(crate) norm: Option<Norm>,
    block: Block,
    out: Linear,
    pub(crate) post_norm: Option<Norm>,
}

/// The weights of each kind.
#[allow(clippy::large_enum_variant, reason = "one a layer: a few hundred bytes against an allocation more")]
enum Block {
    ShortConv(short_conv::ShortConv),
    Mamba(mamba::Mamba),
    Mamba2(mamba2::Mamba2),
    Plamo2(plamo2::Plamo2),
    DeltaNet(delta_net::DeltaNet),
    Kda(kda::Kda),
    Lightning(lightning::Lightning),
    Rwkv6(rwkv6::Rwkv6),
    Rwkv7(rwkv7::Rwkv7),
}

impl Recurrent {
    /// Loads the mixer of layer `i`.
    #[inline(never)]
    pub(crate) fn load(
        t: &mut Tensors<'_>,
        n_embd: usize,
        spec: &RecurrentSpec,
        i: usize,
    ) -> Result<Self, LoadError> {
        let (block, out) = match &spec.kind {
            RecurrentKind::ShortConv(s) => {
                (Block::ShortConv(short_conv::ShortConv::load(t, n_embd, s, i)?), "shortconv.out_proj")
            }
            RecurrentKind::Mamba(s) => (Block::Mamba(mamba::Mamba::load(t, n_embd, s, i)?), "ssm_out"),
            RecurrentKind::Mamba2(s) => (Block::Mamba2(mamba2::Mamba2::load(t, n_embd, s, i)?), "ssm_out"),
            RecurrentKind::DeltaNet(s) => {
                (Block::DeltaNet(delta_net::DeltaNet::load(t, n_embd, s, i)?), "ssm_out")
            }
            RecurrentKind::Plamo2(s) => (Block::Plamo2(plamo2::Plamo2::load(t, n_embd, s, i)?), "ssm_out"),
            RecurrentKind::Kda(s) => (Block::Kda(kda::Kda::load(t, n_embd, s, i)?), names::ATTN_OUTPUT),
            RecurrentKind::Lightning(s) => {
                (Block::Lightning(lightning::Lightning::load(t, n_embd, s, i)?), names::ATTN_OUTPUT)
            }
            RecurrentKind::Rwkv6(s) => {
                (Block::Rwkv6(rwkv6::Rwkv6::load(t, n_embd, s, i)?), "time_mix_output")
            }
            RecurrentKind::Rwkv7(s) => {
                (Block::Rwkv7(rwkv7::Rwkv7::load(t, n_embd, s, i)?), "time_mix_output")
            }
        };
        Ok(Recurrent {
            spec: *spec,
            norm: t.opt_norm(i, spec.norm_name, spec.norm.as_ref(), n_embd)?,
            block,
            out: t.linear(i, out, spec.widths().y, n_embd, Need::Never)?,
            post_norm: t.opt_norm(i, names::ATTN_POST_NORM, spec.post_norm.as_ref(), n_embd)?,
        })
    }

    /// Returns every matrix of the mixer.
    pub(crate) fn linears(&self) -> impl Iterator<Item = &Linear> {
        let list: [Option<&Linear>; 4] = match &self.block {
            Block::ShortConv(b) => [Some(&b.input), None, None, None],
            Block::Mamba(b) => [Some(&b.input), Some(&b.x), Some(&b.dt), None],
            Block::Mamba2(b) => [Some(&b.input), None, None, None],
            Block::DeltaNet(b) => [Some(&b.qkv), Some(&b.z), Some(&b.beta), b.alpha.as_ref()],
            Block::Plamo2(b) => [Some(&b.input), Some(&b.x), Some(&b.dt), None],
            Block::Lightning(b) => [Some(&b.qkv), Some(&b.gate), None, None],
            Block::Kda(_) | Block::Rwkv6(_) | Block::Rwkv7(_) => [None; 4],
        };
        let (kda, rwkv6, rwkv7) = match &self.block {
            Block::Kda(b) => (Some(b), None, None),
            Block::Rwkv6(b) => (None, Some(b), None),
            Block::Rwkv7(b) => (None, None, Some(b)),
            _ => (None, None, None),
        };
        let many = kda.into_iter().flat_map(|b| b.linears());
        let many = many.chain(rwkv6.into_iter().flat_map(|b| b.linears()));
        let many = many.chain(rwkv7.into_iter().flat_map(|b| b.linears()));
        list.into_iter().flatten().chain(many).chain([&self.out])
    }
}

/// Computes `y = mixer(normed)` and the states after the batch.
pub(crate) fn scan(
    step: &Step<'_>,
    w: &Recurrent,
    s: &mut Scratch,
    pages: &mut Pages<'_>,
) -> Result<(), ForwardError> {
    match &w.block {
        Block::ShortConv(b) => b.scan(step, s, pages)?,
        Block::Mamba(b) => b.scan(step, s, pages)?,
        Block::Mamba2(b) => b.scan(step, s, pages)?,
        Block::DeltaNet(b) => b.scan(step, s, pages)?,
        Block::Plamo2(b) => b.scan(step, s, pages)?,
        Block::Kda(b) => b.scan(step, s, pages)?,
        Block::Lightning(b) => b.scan(step, s, pages)?,
        Block::Rwkv6(b) => b.scan(step, s, pages)?,
        Block::Rwkv7(b) => b.scan(step, s, pages)?,
    }
    step.see("mixer_scan", s.recurrent.y.mat(step.n, w.spec.widths().y));
    if step.cx.cancelled() { Err(ForwardError::Cancelled) } else { Ok(()) }
}

/// Computes `mixed = W_out y`, or beside attention `mixed += W_out y`.
pub(crate) fn out(step: &Step<'_>, w: &Recurrent, s: &mut Scratch) -> Result<(), ForwardError> {
    let (cx, n, n_embd) = (step.cx, step.n, step.n_embd);
    if !s.acts.set(cx, s.recurrent.y.mat(n, w.spec.widths().y), kinds([&w.out])) {
        return Err(step.non_finite());
    }
    if step.weights.attention.is_none() {
        linear::forward(cx, &s.acts, &mut [(&w.out, s.inner.mixed_mut(n, n_embd))], &s.panels);
        step.see_product("mixer_output", &w.out, s.inner.mixed(n, n_embd));
        return Ok(());
    }
    linear::forward(cx, &s.acts, &mut [(&w.out, s.io.post_normed_mut(n, n_embd))], &s.panels);
    step.see_product("mixer_output", &w.out, s.io.post_normed(n, n_embd));
    rows::add_residual(cx, s.inner.mixed_mut(n, n_embd), s.io.post_normed(n, n_embd), None);
    Ok(())
}

/// Matrices, each with the place of its result.
type Products<'a, 'm> = &'a mut [(&'a Linear, MatMut<'m>)];

/// Multiplies the mixer's input by several matrices.
fn project(
    step: &Step<'_>,
    input: Mat<'_>,
    (acts, panels): (&mut linear::ActBuf, &linear::Panels),
    out: Products<'_, '_>,
) -> Result<(), ForwardError> {
    if !acts.set(step.cx, input, kinds(out.iter().map(|(w, _)| *w))) {
        return Err(step.non_finite());
    }
    linear::forward(step.cx, acts, out, panels);
    out.iter().for_each(|(w, product)| step.see_product("mixer_input", w, product.as_ref()));
    Ok(())
}

/// The state before a run. A scan of heads reads its part in place; other scans copy their part, each task for itself.
#[derive(Clone, Copy)]
struct Before<'a>(Option<&'a [f32]>);

impl<'a> Before<'a> {
    /// Returns the values from `first` on, or zeros where the sequence begins, as a state that is going to be written to `after`.
    fn state(self, first: usize, after: &'a mut [f32]) -> State<'a> {
        let before = self.0.and_then(|before| before.get(first..first + after.len()));
        if before.is_none() {
            after.fill(0.0);
        }
        State { before, after }
    }

    /// Copies the values from `first` on, or zeros where the sequence begins, to `part` of the state after the rows.
    fn copy(self, first: usize, part: &mut [f32]) {
        match self.0.and_then(|before| before.get(first..first + part.len())) {
            Some(before) => part.copy_from_slice(before),
            None => part.fill(0.0),
        }
    }

    /// Does the same for the columns from `first` on of a state whose rows have `width` values.
    fn copy_columns(self, first: usize, width: usize, part: &mut Columns<'_>) {
        for row in 0..part.rows() {
            self.copy(row * width + first, part.row_mut(row));
        }
    }
}

/// Calls `f(rows, before, after)` for every run of the batch, with the part `range` of the layer's state before the rows, and the place for
/// the same part after them. At first, that place holds leftovers of an earlier use.
fn each_state(
    step: &Step<'_>,
    pages: &mut Pages<'_>,
    range: Range<usize>,
    mut f: impl FnMut(Range<usize>, Before<'_>, &mut [f32]),
) {
    for run in 0..pages.n_state_runs() {
        if step.cx.cancelled() {
            return;
        }
        let Some(run) = pages.state_run(step.layer, run) else { return };
        let Some(after) = run.after.get_mut(range.clone()) else { return };
        f(run.rows, Before(run.before.and_then(|before| before.get(range.clone()))), after);
    }
}

/// The number of channels that one task works on.
const CONV_CHANNELS: usize = 256;

/// A causal convolution. Its weights are stored position by position.
struct ConvWeights {
    /// `[kernel][channels]`
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    kernel: usize,
    channels: usize,
    silu: bool,
}

impl ConvWeights {
    /// Loads `{part}.weight`, `[kernel, channels]`, and its bias.
    fn load(
        t: &mut Tensors<'_>,
        i: usize,
        part: &str,
        (kernel, channels): (usize, usize),
        bias: Need,
        silu: bool,
    ) -> Result<Self, LoadError> {
        let weight = t.vector(&names::block(i, part, "weight"), &[kernel, channels])?;
        let weight = transposed(&weight, channels, kernel)?;
        let bias = t.opt_vector(bias, &names::block(i, part, "bias"), &[channels])?;
        Ok(ConvWeights { weight, bias, kernel, channels, silu })
    }

    /// Returns the number of f32 values in its state.
    fn elements(&self) -> usize {
        (self.kernel - 1) * self.channels
    }

    /// Convolves the columns of `x` from `first` on, in place. The convolution's state is the first part of the layer's state.
    fn run(&self, step: &Step<'_>, pages: &mut Pages<'_>, mut x: MatMut<'_>, first: usize) {
        let (kernel, channels) = (self.kernel, self.channels);
        let weight = Mat::new(&self.weight, kernel, channels);
        let (cx, causal) = (step.cx, step.model.causal);
        each_state(step, pages, 0..self.elements(), |rows, before, state| {
            let state = MatMut::new(state, kernel - 1, channels);
            let mut x = x.rows_range_mut(rows);
            let x = x.columns_mut(first..first + channels);
            step.cx.pool.for_each_columns2(
                (state, CONV_CHANNELS),
                (x, CONV_CHANNELS),
                &|piece, state, x, _| {
                    if cx.cancelled() {
                        return;
                    }
                    let columns = piece * CONV_CHANNELS..piece * CONV_CHANNELS + x.width();
                    before.copy_columns(columns.start, channels, state);
                    let bias = self.bias.as_deref().map(|bias| &bias[columns.clone()]);
                    let conv = Conv { weight: weight.columns(columns), bias, silu: self.silu };
                    (cx.kernels.ops.conv)(&conv, state, x);
                    if !causal {
                        center(cx, &conv, kernel / 2, state, x);
                    }
                },
            );
        });
        step.see("mixer_conv", x.as_ref().columns(first..first + channels));
    }
}

/// Turns the results of a causal convolution into those of one that sees `half` positions on either side: moves each result up by `half`
/// rows, and computes the last ones with zeros past the end.
fn center(cx: Ctx<'_>, conv: &Conv<'_>, half: usize, state: &mut Columns<'_>, x: &mut Columns<'_>) {
    let (rows, width) = (x.rows(), x.width());
    let mut past = [0.0; MAX_CONV / 2 * CONV_CHANNELS];
    let past = &mut past[..half * width];
    (cx.kernels.ops.conv)(conv, state, &mut Columns::of(MatMut::new(past, half, width)));
    let mut moved = [0.0; CONV_CHANNELS];
    for row in 0..rows {
        match (row + half).checked_sub(rows) {
            Some(after) => x.row_mut(row).copy_from_slice(&past[after * width..(after + 1) * width]),
            None => {
                moved[..width].copy_from_slice(x.row_mut(row + half));
                x.row_mut(row).copy_from_slice(&moved[..width]);
            }
        }
    }
}

/// Returns the transpose of a matrix `[rows][cols]`.
fn transposed(x: &[f32], rows: usize, cols: usize) -> Result<Vec<f32>, LoadError> {
    let items = (0..cols).flat_map(|c| x.iter().skip(c).step_by(cols.max(1)).take(rows).copied());
    Ok(collected(x.len(), items)?)
}

/// Computes `x = e^(a * x)` for every row, which has one value for each head.
fn decays(cx: Ctx<'_>, a: &[f32], x: MatMut<'_>) {
    let ops = &cx.kernels.ops;
    rows::each_row(cx, x, &|_, row, _| {
        (ops.mul)(row, a);
        (ops.exp)(row);
    });
}

/// Computes `x = softplus(x + bias)` for every row.
fn steps(cx: Ctx<'_>, bias: &[f32], x: MatMut<'_>) {
    let ops = &cx.kernels.ops;
    rows::each_row(cx, x, &|_, row, _| {
        (ops.add)(row, bias);
        (ops.softplus)(row);
    });
}

/// Computes `y *= act(gate)`, and overwrites the gates.
fn gate(cx: Ctx<'_>, act: Activation, mut gate: MatMut<'_>, y: MatMut<'_>) {
    let ops = &cx.kernels.ops;
    rows::each_row(cx, gate.reborrow(), &|_, row, _| (ops.activate)(act, row));
    let gate = gate.as_ref();
    rows::each_row(cx, y, &|i, row, _| (ops.mul)(row, gate.row(i)));
}

/// Loads the norm of a row's parts, whose weights are in the tensor `part`, `[width, parts]`.
fn parts_norm(
    t: &mut Tensors<'_>,
    i: usize,
    part: &str,
    spec: &NormSpec,
    (width, parts): (usize, usize),
) -> Result<PartsNorm, LoadError> {
    // some converters leave out `.weight`
    let (name, short) = (names::block(i, part, "weight"), format!("blk.{i}.{part}"));
    let name = if !t.has(&name) && t.has(&short) { short } else { name };
    let weight = match spec.weighted {
        true => Some(t.vector(&name, &[width, parts])?),
        false => None,
    };
    let norm = Norm { kind: spec.kind, eps: spec.eps, weight, bias: None };
    Ok(PartsNorm { norm, width, after_rope: false })
}
