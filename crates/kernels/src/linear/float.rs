//! Float weights: F32, F16 and BF16 times f32 activations, the same code for every instruction set.
//!
//! ```text
//! y[r] = tree(lanes),  lanes[i % 16] = fma(w[r][i], x[i], lanes[i % 16]) for ascending i
//! ```
//!
//! Each output is a sum of its own, so the number of rows and tokens that are multiplied at a time changes no bit. A
//! tile of the gemm keeps the 16 lanes of each of its outputs in registers, and reads `R + T` vectors of a chunk of K
//! for `R * T` fused multiply-adds. AVX-512 has room for 4 x 6 outputs, the others for 2 x 3. All rows of a panel are
//! multiplied with one tile's tokens before the next tokens, so that both stay in the second-level cache.

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
    type Chunk: Copy;
    /// Returns whole chunks, and the bytes after them.
    fn chunks(w: &[u8]) -> (&[Self::Chunk], &[u8]);
    /// Returns a chunk that starts with `w` and ends with zeros.
    fn part(w: &[u8]) -> Self::Chunk;
    /// Loads 16 weights.
    fn load<S: Simd>(s: S, w: &Self::Chunk) -> S::V;
}

macro_rules! weight {
    ($block:ident, $bytes:literal, $load:ident) => {
        impl Weight for $block {
            type Chunk = [u8; $bytes];

            #[inline(always)]
            fn chunks(w: &[u8]) -> (&[Self::Chunk], &[u8]) {
                w.as_chunks()
            }
            #[inline(always)]
            fn part(w: &[u8]) -> Self::Chunk {
                let mut chunk = [0; $bytes];
                for (chunk, w) in chunk.iter_mut().zip(w) {
                    *chunk = *w;
                }
                chunk
            }
            #[inline(always)]
            fn load<S: Simd>(s: S, w: &Self::Chunk) -> S::V {
                s.$load(w)
            }
        }
    };
}

weight!(BlockF32, 64, load_f32_bytes);
weight!(BlockF16, 32, load_f16_bytes);
weight!(BlockBF16, 32, load_bf16_bytes);

/// Returns the lanes of the dot products of `R` weight rows with `T` tokens, which all have the same length.
///
/// `ahead` is called with the index of each chunk.
#[inline(always)]
fn lanes<S: Simd, W: Weight, const R: usize, const T: usize>(
    s: S,
    w: [&[u8]; R],
    x: [&[f32]; T],
    ahead: impl Fn(usize),
) -> [[S::V; T]; R] {
    let (mut weights, mut w_rest) = ([&[][..]; R], [&[][..]; R]);
    for r in 0..R {
        (weights[r], w_rest[r]) = W::chunks(w[r]);
    }
    let (mut tokens, mut x_rest) = ([&[][..]; T], [&[][..]; T]);
    for t in 0..T {
        (tokens[t], x_rest[t]) = x[t].as_chunks::<16>();
    }
    // All have the same length, so indices need no checks.
    let whole = tokens[0].len();
    for weights in &mut weights {
        *weights = &weights[..whole];
    }
    for tokens in &mut tokens {
        *tokens = &tokens[..whole];
    }
    let mut lanes = [[s.splat(0.0); T]; R];
    for i in 0..whole {
        ahead(i);
        let mut w = [s.splat(0.0); R];
        for r in 0..R {
            w[r] = W::load(s, &weights[r][i]);
        }
        for t in 0..T {
            let x = s.load(&tokens[t][i]);
            for r in 0..R {
                lanes[r][t] = s.fma(w[r], x, lanes[r][t]);
            }
        }
    }
    if !x_rest[0].is_empty() {
        let mut w = [s.splat(0.0); R];
        for r in 0..R {
            w[r] = W::load(s, &W::part(w_rest[r]));
        }
        for t in 0..T {
            let x = s.load_part(x_rest[t]);
            for r in 0..R {
                lanes[r][t] = s.fma(w[r], x, lanes[r][t]);
            }
        }
    }
    lanes
}

/// Rows that the gemv takes at a time.
const GEMV_ROWS: usize = 4;

/// Minimum distance in bytes of what is prefetched.
const AHEAD: usize = 16 << 10;

#[inline(always)]
fn gemv_body<S: Simd, W: Weight>(s: S, w: &[u8], x: Acts<'_>, y: &mut [f32]) {
    let chunk = size_of::<W::Chunk>();
    let row_bytes = x.k.saturating_mul(chunk / 16);
    x.assert_fits(ActKind::F32, w, y.len(), row_bytes);
    let row = |r: usize| &w[r * row_bytes..(r + 1) * row_bytes];
    let group_bytes = GEMV_ROWS * row_bytes;
    // Whole groups ahead, in the order of the file: four rows are four short streams that no prefetcher follows.
    let next = AHEAD.next_multiple_of(group_bytes.max(1));
    let (groups, rest) = y.as_chunks_mut::<GEMV_ROWS>();
    let first = groups.len() * GEMV_ROWS;
    for (g, y) in groups.iter_mut().enumerate() {
        let (mut rows, at) = ([w; GEMV_ROWS], g * group_bytes + next);
        for (i, slot) in rows.iter_mut().enumerate() {
            *slot = row(g * GEMV_ROWS + i);
        }
        let lanes = lanes::<S, W, GEMV_ROWS, 1>(
            s,
            rows,
            [x.x],
            #[inline(always)]
            |i| {
                for line in 0..GEMV_ROWS * chunk / 64 {
                    s.prefetch(w, at + GEMV_ROWS * chunk * i + 64 * line);
                }
            },
        );
        for (y, [lanes]) in y.iter_mut().zip(lanes) {
            *y = s.reduce_add(lanes);
        }
    }
    for (i, y) in rest.iter_mut().enumerate() {
        let [[lanes]] = lanes::<S, W, 1, 1>(s, [row(first + i)], [x.x], |_| ());
        *y = s.reduce_add(lanes);
    }
}

/// Rows that are multiplied with the same tokens, one tile after the other, before the next tokens.
const PANEL_ROWS: usize = 16;

/// Multiplies `R` rows from `first` on by tokens `t .. t + T`.
#[inline(always)]
fn tile<S: Simd, W: Weight, const R: usize, const T: usize>(
    s: S,
    w: &[u8],
    first: usize,
    x: Acts<'_>,
    t: usize,
    y: &mut Columns<'_>,
) {
    let row_bytes = x.k * size_of::<W::Chunk>() / 16;
    let (mut rows, mut tokens) = ([w; R], [x.x; T]);
    for (r, row) in rows.iter_mut().enumerate() {
        *row = &w[(first + r) * row_bytes..(first + r + 1) * row_bytes];
    }
    for (i, token) in tokens.iter_mut().enumerate() {
        *token = &x.x[(t + i) * x.k..(t + i + 1) * x.k];
    }
    let lanes = lanes::<S, W, R, T>(s, rows, tokens, |_| ());
    // A token's sums are next to each other; the trees of 16 sums cost little more than one tree.
    let mut sums = [0.0; 16];
    let mut trees = [s.splat(0.0); 16];
    for group in (0..T).step_by(16 / R) {
        for (at, tree) in trees.iter_mut().enumerate() {
            *tree = lanes[at % R][(group + at / R).min(T - 1)];
        }
        s.store(s.reduce_add_16(&trees), &mut sums);
        for (i, sums) in sums.chunks_exact(R).enumerate().take((T - group).min(16 / R)) {
            y.row_mut(t + group + i)[first..first + R].copy_from_slice(sums);
        }
    }
}

/// Multiplies the rows of a panel by tokens `t .. t + T`, in tiles of `R` rows.
#[inline(always)]
fn tokens<S: Simd, W: Weight, const R: usize, const T: usize>(
    s: S,
    w: &[u8],
    rows: core::ops::Range<usize>,
    x: Acts<'_>,
    t: usize,
    y: &mut Columns<'_>,
) -> usize {
    let whole = rows.len() / R * R;
    for r in (rows.start..rows.start + whole).step_by(R) {
        tile::<S, W, R, T>(s, w, r, x, t, y);
    }
    for r in rows.start + whole..rows.end {
        tile::<S, W, 1, T>(s, w, r, x, t, y);
    }
    T
}

#[inline(always)]
fn gemm_body<S: Simd, W: Weight>(s: S, w: &[u8], x: Acts<'_>, y: &mut Columns<'_>) {
    let width = y.width();
    x.assert_fits(ActKind::F32, w, width, x.k.saturating_mul(size_of::<W::Chunk>() / 16));
    for first in (0..width).step_by(PANEL_ROWS) {
        let rows = first..width.min(first + PANEL_ROWS);
        let mut t = 0;
        while t < x.rows {
            t += match x.rows - t {
                _ if S::FLOAT_TILE == (1, 1) => tokens::<S, W, 1, 1>(s, w, rows.clone(), x, t, y),
                6.. if S::FLOAT_TILE == (4, 6) => tokens::<S, W, 4, 6>(s, w, rows.clone(), x, t, y),
                3.. => tokens::<S, W, 2, 3>(s, w, rows.clone(), x, t, y),
                _ => tokens::<S, W, 4, 1>(s, w, rows.clone(), x, t, y),
            };
        }
    }
}

/// The kernel for weights `W` on an instruction set.
pub(crate) const fn kernel<P: Products, W: Weight + Block>() -> LinearKernel {
    LinearKernel {
        dtype: W::DTYPE,
        isa: P::ISA,
        gemv_name: const { &Name::new("gemv", W::DTYPE, GEMV_ROWS, 1, P::ISA) }.as_str(),
        gemm_name:
            const { &Name::new("gemm", W::DTYPE, P::Floats::FLOAT_TILE.0, P::Floats::FLOAT_TILE.1, P::ISA) }
                .as_str(),
        gemv: gemv::<P::Floats, W>,
        gemm: gemm::<P::Floats, W>,
        few: None,
        panel_rows: PANEL_ROWS,
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
