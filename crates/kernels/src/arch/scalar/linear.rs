//! The reference: every quantized format in plain Rust, in the order that `docs/numerics.md` lays down.

use super::Scalar;
use crate::acts::Acts;
use crate::isa::Isa;
use crate::linear::name::Name;
use crate::linear::products::Products;
use crate::linear::source::Source;
use crate::linear::table::kernel_table;
use crate::linear::unit::Unit;
use crate::linear::{LinearKernel, Panel};
use crate::mat::MatMut;
use crate::pool::Columns;
use crate::simd::{Op, Simd};
use happy_tensor::{Block, DType};

impl Products for Scalar {
    const ISA: Isa = Isa::Scalar;
    const TOKENS: usize = 1;
    type Floats = Scalar;

    #[inline(always)]
    fn proof() -> Self {
        <Scalar>::token()
    }

    #[inline(always)]
    fn run(self, body: impl FnOnce(Self)) {
        self.vectorize(Body(|| body(self)));
    }
}

/// A closure that is compiled with fused multiply-add if the machine has it, like all scalar code.
struct Body<F>(F);

impl<F: FnOnce()> Op for Body<F> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        (self.0)();
    }
}

/// All formats. No block is decoded in place, so this is the reference for the kernels that decode in place.
pub(crate) static LINEAR: [LinearKernel; DType::COUNT] = kernel_table!(Scalar, in place []);

/// The kernel of a quantized format.
pub(super) const fn unpacked<P: Products, B: Source + Block>() -> LinearKernel {
    LinearKernel {
        dtype: B::DTYPE,
        isa: P::ISA,
        gemv_name: const { &Name::new("gemv", B::DTYPE, 1, 1, P::ISA) }.as_str(),
        gemm_name: const { &Name::new("gemm", B::DTYPE, 1, P::TOKENS, P::ISA) }.as_str(),
        gemv: gemv::<B>,
        gemm: gemm::<B>,
        few: None,
        panel_rows: 16,
        panel_bytes: |_| 0,
    }
}

/// Returns `acc` plus the products of `unit`, unit `u` of the row, with its activations of the token `x`.
#[inline(always)]
fn multiply_add<U: Unit>(unit: &U, u: usize, x: Acts<'_>, acc: f32) -> f32 {
    debug_assert!(x.kind == U::KIND);
    let at = u / U::REPEAT;
    let a = &x.q[at * U::LEN..(at + 1) * U::LEN];
    let sums = &x.sums[at * U::LEN / 16..(at + 1) * U::LEN / 16];
    let (q, scales, mins) = (unit.quants(), unit.scales(), unit.mins());
    let sub_len = U::LEN / U::SUBS;
    let (mut isum, mut msum) = (0i32, 0i32);
    for s in 0..U::SUBS {
        let range = s * sub_len..(s + 1) * sub_len;
        let dot: i32 =
            q[range.clone()].iter().zip(&a[range]).map(|(&q, &a)| i32::from(q) * i32::from(a)).sum();
        isum += i32::from(scales[s]) * dot;
        if U::HAS_MIN {
            let sum: i32 = sums[s * sub_len / 16..(s + 1) * sub_len / 16].iter().map(|&s| i32::from(s)).sum();
            msum += i32::from(mins[s]) * sum;
        }
    }
    let acc = (isum as f32).mul_add(unit.d() * x.d[at], acc);
    if U::HAS_MIN { (-(msum as f32)).mul_add(unit.dmin() * x.d[at], acc) } else { acc }
}

fn gemv<S: Source>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    let width = y.len();
    multiply::<S>(w, x, &mut Columns::of(MatMut::new(y, 1, width)));
}

fn gemm<S: Source>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, _panel: &mut Panel) {
    multiply::<S>(w, x, y);
}

/// One function serves one token and many.
#[inline(never)]
fn multiply<S: Source>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>) {
    let per_row = (x.k / S::Unit::LEN).saturating_mul(S::Unit::REPEAT) / S::PARTS;
    x.check_fits(S::Unit::KIND, w, y.width(), per_row.saturating_mul(size_of::<S>()));
    let blocks = S::blocks(w);
    multiply_units::<S::Unit>(x, y, &|row, u| blocks[row * per_row + u / S::PARTS].unit(u % S::PARTS));
}

/// Multiplies `unit(row, u)`, unit `u` of each row. As the reference it need not be fast, so formats of one kind of unit share it.
#[inline(never)]
fn multiply_units<U: Unit>(x: Acts<'_>, y: &mut Columns<'_>, unit: &dyn Fn(usize, usize) -> U) {
    <Scalar>::proof().run(
        #[inline(always)]
        |_| {
            for r in 0..y.width() {
                for t in 0..x.rows {
                    y.row_mut(t)[r] = 0.0;
                }
                for u in 0..x.k / U::LEN * U::REPEAT {
                    let unit = unit(r, u);
                    for t in 0..x.rows {
                        let y = &mut y.row_mut(t)[r];
                        *y = multiply_add(&unit, u, x.rows_range(t, 1), *y);
                    }
                }
            }
        },
    );
}
