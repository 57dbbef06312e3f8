//! The reference: every quantised format in plain Rust, in the order that `docs/numerics.md` lays down.

use super::kernel::{ActKind, Acts, LinearKernel};
use super::panel::Panel;
use super::unit::Unit;
use crate::arch::scalar::Scalar;
use crate::isa::Isa;
use crate::pool::Columns;
use crate::simd::{Op, Simd};
use happy_tensor::{
    BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0,
    DType,
};

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
    fn of<U: Unit>(block: &U) -> Self {
        let mut q = [0; MAX_LEN];
        block.quants(&mut q[..U::LEN]);
        Self { q, scales: block.scales(), mins: block.mins(), d: block.d(), dmin: block.dmin() }
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

/// The blocks of `w`, which the caller proved to be whole rows.
#[inline(always)]
fn blocks<U: Unit>(w: &[u8]) -> &[U] {
    let whole = w.len() / size_of::<U>() * size_of::<U>();
    U::from_bytes(&w[..whole]).unwrap_or(&[])
}

fn gemv<U: Unit>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    run(
        #[inline(always)]
        || {
            let units = x.k / U::LEN;
            for (row, y) in blocks::<U>(w).chunks_exact(units).zip(y) {
                *y = row.iter().enumerate().fold(0.0, |acc, (u, block)| {
                    let sums = &x.sums[u * U::LEN / 16..(u + 1) * U::LEN / 16];
                    Unpacked::of(block).multiply_add::<U>(
                        &x.q[u * U::LEN..(u + 1) * U::LEN],
                        sums,
                        x.d[u],
                        acc,
                    )
                });
            }
        },
    );
}

fn gemm<U: Unit>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, _panel: &mut Panel) {
    run(
        #[inline(always)]
        || {
            let units = x.k / U::LEN;
            let width = y.width();
            for (r, row) in blocks::<U>(w).chunks_exact(units).take(width).enumerate() {
                for t in 0..x.rows {
                    y.row_mut(t)[r] = 0.0;
                }
                for (u, block) in row.iter().enumerate() {
                    let block = Unpacked::of(block);
                    for t in 0..x.rows {
                        let token = x.rows_range(t, 1);
                        let sums = &token.sums[u * U::LEN / 16..(u + 1) * U::LEN / 16];
                        let y = &mut y.row_mut(t)[r];
                        *y = block.multiply_add::<U>(
                            &token.q[u * U::LEN..(u + 1) * U::LEN],
                            sums,
                            token.d[u],
                            *y,
                        );
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
pub(crate) static KERNELS: [LinearKernel; 10] = [
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
];

const _: () = assert!(ActKind::Q8x256.unit() == MAX_LEN);
