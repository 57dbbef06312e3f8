//! Float weights: F32, F16 and BF16 times f32 activations, the same code for every instruction set.
//!
//! ```text
//! y[r] = tree(lanes),  lanes[i % 16] = fma(w[r][i], x[i], lanes[i % 16]) for ascending i
//! ```
//!
//! Each output is its own sum, so that the number of rows and tokens taken at a time changes no bit.

use super::kernel::LinearKernel;
use super::name::Name;
use super::panel::Panel;
use super::products::Products;
use crate::acts::{ActKind, Acts};
use crate::pool::Columns;
use crate::simd::{Op, Simd};
use core::marker::PhantomData;
use happy_tensor::{Block, BlockBF16, BlockF16, BlockF32};

/// A float format.
pub(crate) trait Weight: Copy + 'static {
    /// Bytes of 16 weights.
    const BYTES: usize = 16 * size_of::<Self>();
    /// Loads 16 weights; `w` has [`Weight::BYTES`] bytes.
    fn load<S: Simd>(s: S, w: &[u8]) -> S::V;
}

macro_rules! weight {
    ($block:ident, $load:ident) => {
        impl Weight for $block {
            #[inline(always)]
            fn load<S: Simd>(s: S, w: &[u8]) -> S::V {
                w.first_chunk().map_or(s.splat(0.0), |w| s.$load(w))
            }
        }
    };
}

weight!(BlockF32, load_f32_bytes);
weight!(BlockF16, load_f16_bytes);
weight!(BlockBF16, load_bf16_bytes);

/// Dot products of `R` weight rows with `T` tokens.
#[inline(always)]
fn dots<S: Simd, W: Weight, const R: usize, const T: usize>(
    s: S,
    w: [&[u8]; R],
    x: [&[f32]; T],
) -> [[f32; T]; R] {
    let x = x.map(|x| x.as_chunks::<16>());
    let mut lanes = [[s.splat(0.0); T]; R];
    let whole = x[0].0.len();
    for i in 0..whole {
        let mut token = [s.splat(0.0); T];
        for (v, x) in token.iter_mut().zip(&x) {
            *v = s.load(&x.0[i]);
        }
        for (w, lanes) in w.iter().zip(&mut lanes) {
            let w = W::load(s, &w[i * W::BYTES..(i + 1) * W::BYTES]);
            for (x, lane) in token.iter().zip(lanes) {
                *lane = s.fma(w, *x, *lane);
            }
        }
    }
    if !x[0].1.is_empty() {
        let mut token = [s.splat(0.0); T];
        for (v, x) in token.iter_mut().zip(&x) {
            *v = s.load_part(x.1);
        }
        for (w, lanes) in w.iter().zip(&mut lanes) {
            let mut padded = [0; 64];
            let rest = &w[whole * W::BYTES..];
            padded[..rest.len()].copy_from_slice(rest);
            let w = W::load(s, &padded);
            for (x, lane) in token.iter().zip(lanes) {
                *lane = s.fma(w, *x, *lane);
            }
        }
    }
    let mut sums = [[0.0; T]; R];
    for (sums, lanes) in sums.iter_mut().zip(lanes) {
        for (sum, v) in sums.iter_mut().zip(lanes) {
            *sum = s.reduce_add(v);
        }
    }
    sums
}

/// Rows that the gemv takes at a time.
const GEMV_ROWS: usize = 4;

#[inline(always)]
fn gemv_body<S: Simd, W: Weight>(s: S, w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    let row_bytes = x.k.saturating_mul(W::BYTES / 16);
    x.assert_fits(ActKind::F32, w, y.len(), row_bytes);
    let row = |r: usize| &w[r * row_bytes..(r + 1) * row_bytes];
    let (groups, rest) = y.as_chunks_mut::<GEMV_ROWS>();
    let first = groups.len() * GEMV_ROWS;
    for (g, y) in groups.iter_mut().enumerate() {
        *y = dots::<S, W, GEMV_ROWS, 1>(s, core::array::from_fn(|i| row(g * GEMV_ROWS + i)), [x.x])
            .map(|[y]| y);
    }
    for (i, y) in rest.iter_mut().enumerate() {
        [[*y]] = dots::<S, W, 1, 1>(s, [row(first + i)], [x.x]);
    }
}

/// Tokens that the gemm takes at a time, and rows.
const GEMM_TOKENS: usize = 3;
const GEMM_ROWS: usize = 2;

#[inline(always)]
fn gemm_rows<S: Simd, W: Weight, const R: usize>(
    s: S,
    w: [&[u8]; R],
    first: usize,
    x: Acts<'_>,
    y: &mut Columns<'_>,
) {
    let token = |t: usize| &x.x[t * x.k..(t + 1) * x.k];
    let mut t = 0;
    while t + GEMM_TOKENS <= x.rows {
        let sums = dots::<S, W, R, GEMM_TOKENS>(s, w, core::array::from_fn(|i| token(t + i)));
        for i in 0..GEMM_TOKENS {
            for (y, sums) in y.row_mut(t + i)[first..].iter_mut().zip(sums) {
                *y = sums[i];
            }
        }
        t += GEMM_TOKENS;
    }
    while t < x.rows {
        let sums = dots::<S, W, R, 1>(s, w, [token(t)]);
        for (y, [sum]) in y.row_mut(t)[first..].iter_mut().zip(sums) {
            *y = sum;
        }
        t += 1;
    }
}

#[inline(always)]
fn gemm_body<S: Simd, W: Weight>(s: S, w: &[u8], x: Acts<'_>, y: &mut Columns<'_>) {
    let row_bytes = x.k.saturating_mul(W::BYTES / 16);
    x.assert_fits(ActKind::F32, w, y.width(), row_bytes);
    let row = |r: usize| &w[r * row_bytes..(r + 1) * row_bytes];
    let whole = y.width() / GEMM_ROWS * GEMM_ROWS;
    for r in (0..whole).step_by(GEMM_ROWS) {
        gemm_rows::<S, W, GEMM_ROWS>(s, core::array::from_fn(|i| row(r + i)), r, x, y);
    }
    for r in whole..y.width() {
        gemm_rows::<S, W, 1>(s, [row(r)], r, x, y);
    }
}

/// The kernel for weights `W` on an instruction set.
pub(crate) const fn kernel<P: Products, W: Weight + Block>() -> LinearKernel {
    LinearKernel {
        dtype: W::DTYPE,
        isa: P::ISA,
        gemv_name: const { &Name::new("gemv", W::DTYPE, GEMV_ROWS, 1, P::ISA) }.as_str(),
        gemm_name: const { &Name::new("gemm", W::DTYPE, GEMM_ROWS, GEMM_TOKENS, P::ISA) }.as_str(),
        gemv: gemv::<P::Floats, W>,
        gemm: gemm::<P::Floats, W>,
        panel_rows: 16,
        panel_bytes: |_| 0,
    }
}

struct GemvOf<'a, W>(&'a [u8], Acts<'a>, &'a mut [f32], PhantomData<W>);

impl<W: Weight> Op for GemvOf<'_, W> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        gemv_body::<S, W>(s, self.0, self.1, self.2);
    }
}

struct GemmOf<'a, 'y, W>(&'a [u8], Acts<'a>, &'a mut Columns<'y>, PhantomData<W>);

impl<W: Weight> Op for GemmOf<'_, '_, W> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        gemm_body::<S, W>(s, self.0, self.1, self.2);
    }
}

fn gemv<S: Simd, W: Weight>(w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    S::token().vectorize(GemvOf::<W>(w, x, y, PhantomData));
}

fn gemm<S: Simd, W: Weight>(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, _panel: &mut Panel) {
    S::token().vectorize(GemmOf::<W>(w, x, y, PhantomData));
}
