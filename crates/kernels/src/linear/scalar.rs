//! The reference: every quantised format in plain Rust, in the order that `docs/numerics.md` lays down.

use super::kernel::{ActKind, Acts, LinearKernel};
use super::panel::Panel;
use super::source::Source;
use super::unit::Unit;
use crate::arch::scalar::Scalar;
use crate::isa::Isa;
use crate::pool::Columns;
use crate::simd::{Op, Simd};
use happy_tensor::*;

/// A closure that is compiled with fused multiply-add where the machine has it, as all scalar code is.
struct Body<F>(F);

impl<F: FnOnce()> Op for Body<F> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        (self.0)();
    }
}

fn run(body: impl FnOnce()) {
    Scalar::token().vectorize(Body(body));
}

/// The longest unit.
const MAX_LEN: usize = 256;

/// A unit taken apart once, to be multiplied with several tokens.
struct Unpacked {
    q: [i8; MAX_LEN],
    scales: [i8; 16],
    mins: [u8; 16],
    d: f32,
    dmin: f32,
}

impl Unpacked {
    #[inline(always)]
    fn of<U: Unit>(unit: &U) -> Self {
        let mut q = [0; MAX_LEN];
        unit.quants(&mut q[..U::LEN]);
        Self { q, scales: unit.scales(), mins: unit.mins(), d: unit.d(), dmin: unit.dmin() }
    }

    /// Adds the unit's part to `acc`: `a` are the activations of the unit, `sums` their sums of 16, `da` their scale.
    #[inline(always)]
    fn multiply_add<U: Unit>(&self, a: &[i8], sums: &[i16], da: f32, acc: f32) -> f32 {
        let sub_len = U::LEN / U::SUBS;
        let (mut isum, mut msum) = (0i32, 0i32);
        for s in 0..U::SUBS {
            let range = s * sub_len..(s + 1) * sub_len;
            let dot: i32 =
                self.q[range.clone()].iter().zip(&a[range]).map(|(&q, &a)| i32::from(q) * i32::from(a)).sum();
            isum += i32::from(self.scales[s]) * dot;
            if U::HAS_MIN {
                let sum: i32 =
                    sums[s * sub_len / 16..(s + 1) * sub_len / 16].iter().map(|&s| i32::from(s)).sum();
                msum += i32::from(self.mins[s]) * sum;
            }
        }
        let acc = (isum as f32).mul_add(self.d * da, acc);
        if U::HAS_MIN { (-(msum as f32)).mul_add(self.dmin * da, acc) } else { acc }
    }
}

/// Unit `u` of a row.
#[inline(always)]
fn unpacked<S: Source>(row: &[S], u: usize) -> Unpacked {
    Unpacked::of(&row[u / S::PARTS].unit(u % S::PARTS))
}

/// `acc` plus a unit times its activations: unit `u` of the row and of the token `x`.
#[inline(always)]
fn multiply_add<U: Unit>(unit: &Unpacked, u: usize, x: Acts<'_>, acc: f32) -> f32 {
    debug_assert!(x.kind == U::KIND);
    let at = u / U::REPEAT;
    let sums = &x.sums[at * U::LEN / 16..(at + 1) * U::LEN / 16];
    unit.multiply_add::<U>(&x.q[at * U::LEN..(at + 1) * U::LEN], sums, x.d[at], acc)
}

/// Checks that there are `rows` rows of weights for whole activations.
fn assert_fits<S: Source>(w: &[u8], x: Acts<'_>, rows: usize) {
    let row = (x.k / S::Unit::LEN).saturating_mul(S::Unit::REPEAT) / S::PARTS;
    x.assert_fits(S::Unit::KIND, w, rows, row.saturating_mul(size_of::<S>()));
}

fn gemv<S: Source>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    assert_fits::<S>(w, x, y.len());
    run(
        #[inline(always)]
        || {
            let units = x.k / S::Unit::LEN * S::Unit::REPEAT;
            for (row, y) in S::blocks(w).chunks_exact(units / S::PARTS).zip(y) {
                *y = (0..units).fold(0.0, |acc, u| multiply_add::<S::Unit>(&unpacked(row, u), u, x, acc));
            }
        },
    );
}

fn gemm<S: Source>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, _panel: &mut Panel) {
    assert_fits::<S>(w, x, y.width());
    run(
        #[inline(always)]
        || {
            let units = x.k / S::Unit::LEN * S::Unit::REPEAT;
            let width = y.width();
            for (r, row) in S::blocks(w).chunks_exact(units / S::PARTS).take(width).enumerate() {
                for t in 0..x.rows {
                    y.row_mut(t)[r] = 0.0;
                }
                for u in 0..units {
                    let unit = unpacked(row, u);
                    for t in 0..x.rows {
                        let y = &mut y.row_mut(t)[r];
                        *y = multiply_add::<S::Unit>(&unit, u, x.rows_range(t, 1), *y);
                    }
                }
            }
        },
    );
}

macro_rules! kernel {
    ($dtype:ident, $block:ty, $name:literal, $act:literal) => {
        LinearKernel {
            dtype: DType::$dtype,
            isa: Isa::Scalar,
            gemv_name: concat!("gemv_", $name, "_", $act, "_1x1_scalar"),
            gemm_name: concat!("gemm_", $name, "_", $act, "_1x1_scalar"),
            gemv: gemv::<$block>,
            gemm: gemm::<$block>,
            panel_rows: 16,
            panel_bytes: |_| 0,
        }
    };
}

/// Every quantised format.
pub(crate) static KERNELS: [LinearKernel; 25] = [
    kernel!(Q4_0, BlockQ4_0, "q4_0", "q8x32"),
    kernel!(Q4_1, BlockQ4_1, "q4_1", "q8x32"),
    kernel!(Q5_0, BlockQ5_0, "q5_0", "q8x32"),
    kernel!(Q5_1, BlockQ5_1, "q5_1", "q8x32"),
    kernel!(Q8_0, BlockQ8_0, "q8_0", "q8x32"),
    kernel!(Q2K, BlockQ2K, "q2_k", "q8x256"),
    kernel!(Q3K, BlockQ3K, "q3_k", "q8x256"),
    kernel!(Q4K, BlockQ4K, "q4_k", "q8x256"),
    kernel!(Q5K, BlockQ5K, "q5_k", "q8x256"),
    kernel!(Q6K, BlockQ6K, "q6_k", "q8x256"),
    kernel!(Q1_0, BlockQ1_0, "q1_0", "q8x32"),
    kernel!(Q2_0, BlockQ2_0, "q2_0", "q8x32"),
    kernel!(IQ1S, BlockIQ1S, "iq1_s", "q8x256"),
    kernel!(IQ1M, BlockIQ1M, "iq1_m", "q8x256"),
    kernel!(IQ2XXS, BlockIQ2XXS, "iq2_xxs", "q8x256"),
    kernel!(IQ2XS, BlockIQ2XS, "iq2_xs", "q8x256"),
    kernel!(IQ2S, BlockIQ2S, "iq2_s", "q8x256"),
    kernel!(IQ3XXS, BlockIQ3XXS, "iq3_xxs", "q8x256"),
    kernel!(IQ3S, BlockIQ3S, "iq3_s", "q8x256"),
    kernel!(IQ4NL, BlockIQ4NL, "iq4_nl", "q8x32"),
    kernel!(IQ4XS, BlockIQ4XS, "iq4_xs", "q8x256"),
    kernel!(TQ1_0, BlockTQ1_0, "tq1_0", "q8x256"),
    kernel!(TQ2_0, BlockTQ2_0, "tq2_0", "q8x256"),
    kernel!(MXFP4, BlockMXFP4, "mxfp4", "q8x32"),
    kernel!(NVFP4, BlockNVFP4, "nvfp4", "q8x32"),
];

const _: () = assert!(ActKind::Q8x256.unit() == MAX_LEN);
