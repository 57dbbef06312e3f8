//! A loop of nothing but fused multiply-adds, which shows the most that a core can compute.

use crate::simd::{Simd, entry};

/// Registers of 16 lanes that are added to in turn: enough to hide the latency of an fma, few enough for 16 registers
/// of 8 lanes.
const CHAINS: usize = 6;

/// Number of fused multiply-adds of a turn.
pub const FMAS: usize = CHAINS * 16;

#[inline(always)]
fn fma_loop_body<S: Simd>(s: S, turns: usize) -> f32 {
    let (x, y) = (s.splat(core::hint::black_box(0.5)), s.splat(core::hint::black_box(1.0)));
    let mut sums = [s.splat(0.0); CHAINS];
    for _ in 0..turns {
        for sum in &mut sums {
            *sum = s.fma(*sum, x, y);
        }
    }
    let mut all = s.splat(0.0);
    for sum in sums {
        all = s.add(all, sum);
    }
    s.reduce_add(all)
}
entry!(pub(super) fn fma_loop(turns: usize) -> f32 = fma_loop_body);
