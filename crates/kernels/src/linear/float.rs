//! Float weights: F32, F16 and BF16 times f32 activations, the same code for every instruction set.
//!
//! ```text
//! y[r] = tree(lanes),  lanes[i % 16] = fma(w[r][i], x[i], lanes[i % 16]) for ascending i
//! ```
//!
//! Each output is its own sum, so that the number of rows and tokens taken at a time changes no bit.

use super::kernel::{ActKind, Acts, LinearKernel};
use super::panel::Panel;
use crate::isa::Isa;
use crate::pool::Columns;
use crate::simd::{Simd, entry};
use happy_tensor::DType;

/// A float format.
trait Weight {
    /// Bytes of 16 weights.
    const BYTES: usize;
    /// Loads 16 weights; `w` has [`Weight::BYTES`] bytes.
    fn load<S: Simd>(s: S, w: &[u8]) -> S::V;
}

macro_rules! weight {
    ($name:ident, $bytes:literal, $load:ident) => {
        struct $name;
        impl Weight for $name {
            const BYTES: usize = $bytes;
            #[inline(always)]
            fn load<S: Simd>(s: S, w: &[u8]) -> S::V {
                w.first_chunk().map_or(s.splat(0.0), |w| s.$load(w))
            }
        }
    };
}

weight!(F32, 64, load_f32_bytes);
weight!(F16, 32, load_f16_bytes);
weight!(BF16, 32, load_bf16_bytes);

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

macro_rules! format {
    ($name:ident, $gemv_body:ident, $gemm_body:ident, $gemv:ident, $gemm:ident) => {
        #[inline(always)]
        fn $gemv_body<S: Simd>(s: S, w: &[u8], x: Acts<'_>, y: &mut [f32]) {
            gemv_body::<S, $name>(s, w, x, y);
        }
        #[inline(always)]
        fn $gemm_body<S: Simd>(s: S, w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, _panel: &mut Panel) {
            gemm_body::<S, $name>(s, w, x, y);
        }
        entry!(fn $gemv(w: &[u8], x: Acts<'_>, y: &mut [f32]) = $gemv_body);
        entry!(fn $gemm(w: &[u8], x: Acts<'_>, y: &mut Columns<'_>, panel: &mut Panel) = $gemm_body);
    };
}

format!(F32, gemv_f32_body, gemm_f32_body, gemv_f32, gemm_f32);
format!(F16, gemv_f16_body, gemm_f16_body, gemv_f16, gemm_f16);
format!(BF16, gemv_bf16_body, gemm_bf16_body, gemv_bf16, gemm_bf16);

macro_rules! kernel {
    ($dtype:ident, $name:literal, $isa:ident, $isa_name:literal, $token:ty, $gemv:ident, $gemm:ident) => {
        LinearKernel {
            dtype: DType::$dtype,
            isa: Isa::$isa,
            gemv_name: concat!("gemv_", $name, "_f32_4x1_", $isa_name),
            gemm_name: concat!("gemm_", $name, "_f32_2x3_", $isa_name),
            gemv: $gemv::<$token>,
            gemm: $gemm::<$token>,
            panel_rows: 16,
            panel_bytes: |_| 0,
        }
    };
}

macro_rules! kernels {
    ($list:ident, $isa:ident, $isa_name:literal, $token:ty) => {
        /// The float formats.
        pub(crate) static $list: [LinearKernel; 3] = [
            kernel!(F32, "f32", $isa, $isa_name, $token, gemv_f32, gemm_f32),
            kernel!(F16, "f16", $isa, $isa_name, $token, gemv_f16, gemm_f16),
            kernel!(BF16, "bf16", $isa, $isa_name, $token, gemv_bf16, gemm_bf16),
        ];
    };
}

kernels!(SCALAR_KERNELS, Scalar, "scalar", crate::arch::scalar::Scalar);
#[cfg(target_arch = "x86_64")]
kernels!(AVX2_KERNELS, Avx2, "avx2", crate::arch::avx2::Avx2);
#[cfg(target_arch = "x86_64")]
kernels!(AVX512_KERNELS, Avx512, "avx512", crate::arch::avx512::Avx512);
#[cfg(target_arch = "aarch64")]
kernels!(NEON_KERNELS, Neon, "neon", crate::arch::neon::Neon);
