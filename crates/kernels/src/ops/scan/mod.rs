//! Recurrent layers: scans that go through the positions of one sequence one after the other, with a state in f32.
//!
//! ```text
//! conv               y = act(bias + sum over j of w[j] x[position - kernel + 1 + j])
//! mamba              h = h e^(dt a) + (dt x) b;                                   y = d x + sum over states of h c
//! linear_attention   S = S decay + k v;                                           y = S^T (scale q)
//! delta              S = S decay; S = S + k beta (v - S^T k);                     y = S^T (scale q)
//! wkv6               y = (S + bonus k v)^T r;                                     S = S decay + k v
//! wkv7               S = S decay + k v + b (S^T a);                               y = S^T r
//! ```
//!
//! Every lane of a register is a different channel of the output, and sums over keys or states have one accumulator, in
//! ascending order. So the bits do not depend on the instruction set, on the pieces that threads take, or on how many
//! positions a call has: one call of n rows does what n calls of one row do.

mod conv;
mod delta;
mod linear;
mod mamba;
mod wkv7;

pub use conv::{Conv, MAX_CONV};
pub use delta::Delta;
pub use linear::{LinearAttention, Wkv6};
pub use mamba::Mamba;
pub use wkv7::Wkv7;

pub(super) use conv::conv;
pub(super) use delta::delta;
pub(super) use linear::{linear_attention, wkv6};
pub(super) use mamba::mamba;
pub(super) use wkv7::wkv7;

use crate::simd::Simd;

/// The state of a head, `[keys][channels]`.
#[derive(Debug)]
pub struct State<'a> {
    /// The state before the first row, which is not changed; if `None`, `after` holds it. Reading it in its own place
    /// saves a copy.
    pub before: Option<&'a [f32]>,
    /// The state after the last row.
    pub after: &'a mut [f32],
}

impl<'a> State<'a> {
    /// Makes a state that is changed in place.
    pub fn in_place(state: &'a mut [f32]) -> Self {
        Self { before: None, after: state }
    }

    /// Returns the cells of each key, `n` channels each: those before `row`, if they are not in `after`, and those of
    /// `after`.
    #[inline(always)]
    fn keys(&mut self, row: usize, n: usize) -> impl Iterator<Item = (Option<&[f32]>, &mut [f32])> {
        let before = self.before.filter(|_| row == 0).unwrap_or(&[]);
        let mut before = before.chunks_exact(n);
        self.after.chunks_exact_mut(n).map(move |after| (before.next(), after))
    }
}

/// The channels of a register: all 16, or the first few.
trait Width: Copy {
    fn load<S: Simd>(self, s: S, x: &[f32]) -> S::V;
    fn store<S: Simd>(self, s: S, v: S::V, y: &mut [f32]);
}

/// 16 channels.
#[derive(Clone, Copy)]
struct Whole;

/// The last channels, fewer than 16.
#[derive(Clone, Copy)]
struct Part(usize);

impl Width for Whole {
    #[inline(always)]
    fn load<S: Simd>(self, s: S, x: &[f32]) -> S::V {
        match x.first_chunk() {
            Some(x) => s.load(x),
            None => s.load_part(x),
        }
    }

    #[inline(always)]
    fn store<S: Simd>(self, s: S, v: S::V, y: &mut [f32]) {
        if let Some(y) = y.first_chunk_mut() {
            s.store(v, y);
        }
    }
}

impl Width for Part {
    #[inline(always)]
    fn load<S: Simd>(self, s: S, x: &[f32]) -> S::V {
        s.load_part(&x[..self.0])
    }

    #[inline(always)]
    fn store<S: Simd>(self, s: S, v: S::V, y: &mut [f32]) {
        s.store_part(v, &mut y[..self.0]);
    }
}

/// What a scan computes for some channels.
trait Scan<S: Simd> {
    /// Runs all positions of the channels from `column` on: `N` registers of `width`. Their part of the state is small
    /// enough to stay in the nearest cache from one position to the next.
    fn channels<W: Width, const N: usize>(&mut self, s: S, column: usize, width: W);
}

/// Runs all `n` channels: four registers at a time, which hide the latency of a sum, then what is left.
#[inline(always)]
fn each_channel<S: Simd>(s: S, n: usize, scan: &mut impl Scan<S>) {
    let mut column = 0;
    if S::COMPACT {
        while column < n {
            scan.channels::<Part, 1>(s, column, Part(16.min(n - column)));
            column += 16;
        }
        return;
    }
    while n - column >= 64 {
        scan.channels::<Whole, 4>(s, column, Whole);
        column += 64;
    }
    if n - column >= 32 {
        scan.channels::<Whole, 2>(s, column, Whole);
        column += 32;
    }
    if n - column >= 16 {
        scan.channels::<Whole, 1>(s, column, Whole);
        column += 16;
    }
    if column < n {
        scan.channels::<Part, 1>(s, column, Part(n - column));
    }
}

/// Returns `N` registers of a key's cells from `column` on: from `before` for the first row, else from `cells`.
#[inline(always)]
fn cells<S: Simd, W: Width, const N: usize>(
    s: S,
    width: W,
    before: Option<&[f32]>,
    cells: &[f32],
    column: usize,
) -> [S::V; N] {
    registers(s, width, &before.unwrap_or(cells)[column..])
}

/// Returns the first channels of `x` in `N` registers.
#[inline(always)]
fn registers<S: Simd, W: Width, const N: usize>(s: S, width: W, x: &[f32]) -> [S::V; N] {
    let mut out = [s.splat(0.0); N];
    for (i, v) in out.iter_mut().enumerate() {
        *v = width.load(s, &x[16 * i..]);
    }
    out
}

/// Writes `N` registers of channels.
#[inline(always)]
fn write<S: Simd, W: Width, const N: usize>(s: S, width: W, v: [S::V; N], y: &mut [f32]) {
    for (i, v) in v.into_iter().enumerate() {
        width.store(s, v, &mut y[16 * i..]);
    }
}
