//! NEON with matrix products of bytes, in tiles whose registers hold two tokens times two rows.
//!
//! ```text
//! pack the activations of 4 tokens once for all rows of the panel: pairs of tokens, 8 values each
//! for each 8 rows, for each unit:
//!     formats with sub-blocks, for each sub-block:  sum += tokens x rows;  isum += sum * (scale - next scale)
//!     others:                         isum = tokens x rows
//!     acc = fma(isum, d * da, acc);  acc = fma(-msum, dmin * da, acc)
//! ```
//!
//! `sum` is not reset within a unit. The part of earlier sub-blocks in it cancels, because scales are stored as
//! differences: `sum_0 s_0 + (sum_1 - sum_0) s_1 + .. = sum_0 (s_0 - s_1) + sum_1 (s_1 - s_2) + ..`. This is exact,
//! since lanes wrap.
//!
//! The minimums are bytes, but the sums of activations do not fit in bytes, so they are split into `64 high + low`. A
//! single token is multiplied by the kernels of [`Dotprod`], because a matrix product would waste half of its lanes.

use super::dotprod::Dotprod;
use super::gemm::{Panels, Place, copy, stretch_len};
use super::gemv::{add_min, add_scaled, sub_sums};
use super::neon::Neon;
use super::panel::{PairLayout, ROWS};
use super::shape::Shape;
use super::smmla::smmla;
use super::vector::*;
use super::{in_place, tile::Row};
use crate::acts::Acts;
use crate::arch::{missing, pretends_old};
use crate::isa::Isa;
use crate::kernels::IsaKernels;
use crate::linear::LinearKernel;
use crate::linear::products::Products;
use crate::linear::table::kernel_table;
use crate::ops::Ops;
use crate::pool::Columns;
use core::arch::aarch64::{float32x4_t, int8x16_t, int32x4_t};
use happy_tensor::DType;

/// The formats decoded in place, in the order of the list.
static LINEAR: [LinearKernel; DType::COUNT] = kernel_table!(I8mm, in place [
    Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2K Q3K Q4K Q5K Q6K Q1_0 Q2_0 IQ1S IQ1M IQ2XXS IQ2XS IQ2S IQ3XXS IQ3S IQ4NL IQ4XS TQ1_0 TQ2_0
    MXFP4 NVFP4
]);

/// Everything on this instruction set. It uses the float operations of NEON.
pub(crate) static KERNELS: IsaKernels = IsaKernels {
    isa: Isa::I8mm,
    ops: || I8mm::new().and_then(|_| Neon::new()).map(Ops::new),
    linear: &LINEAR,
};

/// Proof that the machine has `smmla`, besides NEON and `sdot`.
#[derive(Clone, Copy, Debug)]
pub(super) struct I8mm(());

impl I8mm {
    /// Returns the token if the machine has the instructions.
    #[inline(always)]
    pub(super) fn new() -> Option<Self> {
        let have = Dotprod::new().is_some() && std::arch::is_aarch64_feature_detected!("i8mm");
        (have && !pretends_old()).then_some(I8mm(()))
    }

    #[inline(always)]
    fn product(self, acc: int32x4_t, tokens: int8x16_t, rows: int8x16_t) -> int32x4_t {
        // SAFETY: an `I8mm` is made only if the processor has the feature.
        unsafe { smmla(acc, tokens, rows) }
    }

    /// Multiplies up to `2 P` tokens from `place` on, and returns their number.
    #[inline(never)]
    fn pairs<S: Shape, const P: usize>(
        self,
        place: Place,
        panel: &[Bytes],
        scratch: &mut [Bytes],
        x: Acts<'_>,
        y: &mut Columns<'_>,
    ) -> usize {
        let Place { t, row, unit, n } = place;
        let scratch = &mut scratch[..n * Packed::<S, P>::UNIT];
        pack::<S, P>(x, t, unit, scratch);
        let tokens = (x.rows - t).min(2 * P);
        for (i, panel) in panel.chunks_exact(panel.len() / Self::TILES).enumerate() {
            let first = row + ROWS * i;
            let width = y.width().saturating_sub(first).min(ROWS);
            if width == 0 {
                break;
            }
            let mut acc = [[[0.0; ROWS]; 2]; P];
            if unit > 0 {
                for (i, acc) in acc.as_flattened_mut().iter_mut().enumerate().take(tokens) {
                    copy(&y.row_mut(t + i)[first..][..width], acc);
                }
            }
            self.run(
                #[inline(always)]
                |s| tile::<S, P>(s, panel, scratch, &mut acc),
            );
            for (i, acc) in acc.as_flattened().iter().enumerate().take(tokens) {
                copy(acc, &mut y.row_mut(t + i)[first..][..width]);
            }
        }
        tokens
    }
}

impl Products for I8mm {
    const ISA: Isa = Isa::I8mm;
    const TOKENS: usize = 4;
    type Floats = Neon;

    #[inline(always)]
    fn proof() -> Self {
        match Self::new() {
            Some(token) => token,
            None => missing(),
        }
    }

    #[inline(always)]
    fn run(self, body: impl FnOnce(Self)) {
        #[target_feature(enable = "neon,dotprod,i8mm")]
        fn with_features(s: I8mm, body: impl FnOnce(I8mm)) {
            body(s);
        }
        // SAFETY: the token proves the features.
        unsafe { with_features(self, body) }
    }
}

impl Panels for I8mm {
    type Rows = Dotprod;
    type Of<S: Shape> = S::Narrow;
    const PAIRS: bool = true;
    const TILES: usize = 4;

    fn scratch_len<S: Shape>(k: usize) -> usize {
        stretch_len::<S>(k) * Packed::<S, 2>::UNIT
    }

    #[inline(always)]
    fn tokens<S: Shape>(
        self,
        place: Place,
        panel: &[Bytes],
        scratch: &mut [Bytes],
        x: Acts<'_>,
        y: &mut Columns<'_>,
    ) -> usize {
        match x.rows - place.t {
            3.. => self.pairs::<S, 2>(place, panel, scratch, x, y),
            _ => self.pairs::<S, 1>(place, panel, scratch, x, y),
        }
    }
}

/// Where the parts of a block of activations of `P` pairs of tokens begin, in vectors.
///
/// ```text
/// integers  [LEN / 8][P][2 tokens][8]            i8
/// da        [P][2 tokens][2]                     f32     each twice: once a row
/// sums      [P][2 tokens][2]                     f32     formats of 32 with a minimum
/// sums      [SUBS / 8][high, low][P][2][8]       i8      formats with sub-blocks and a minimum
/// ```
struct Packed<S, const P: usize>(core::marker::PhantomData<S>);

impl<S: Shape, const P: usize> Packed<S, P> {
    const D: usize = S::LEN / 8 * P;
    const SUMS: usize = Self::D + P;
    const UNIT: usize = Self::SUMS
        + match (S::HAS_MIN, S::SUBS) {
            (false, _) => 0,
            (true, 1) => P,
            (true, _) => S::SUBS / 8 * 2 * P,
        };
}

/// Packs the activations of tokens `t ..`, from block `first` on. Tokens past the end repeat the last one.
#[inline(always)]
fn pack<S: Shape, const P: usize>(x: Acts<'_>, t: usize, first: usize, packed: &mut [Bytes]) {
    let n = packed.len() / Packed::<S, P>::UNIT;
    let blocks = x.k / S::LEN;
    for p in 0..P {
        let token = |i: usize| {
            let from = (t + 2 * p + i).min(x.rows - 1) * blocks + first;
            let values = from * S::LEN..(from + n) * S::LEN;
            (
                S::quants(&x.q[values.clone()]),
                &x.d[from..from + n],
                S::sums(&x.sums[values.start / 16..values.end / 16]),
            )
        };
        let (a, b) = (token(0), token(1));
        let units = packed.chunks_exact_mut(Packed::<S, P>::UNIT);
        for ((packed, a), b) in units.zip(a.0).zip(b.0) {
            let (packed, _) = packed[..Packed::<S, P>::D].as_chunks_mut::<P>();
            let (packed, _) = packed.as_chunks_mut::<2>();
            for ((packed, a), b) in packed.iter_mut().zip(a.as_ref()).zip(b.as_ref()) {
                let (a, b) = (unsigned(load_i8(a)), unsigned(load_i8(b)));
                store(&mut packed[0][p], low_halves(a, b));
                store(&mut packed[1][p], high_halves(a, b));
            }
        }
        pack_numbers(a.1, b.1, packed, Packed::<S, P>::UNIT, Packed::<S, P>::D + p, load_f32, |d| d);
        let at = Packed::<S, P>::SUMS + p;
        if const { S::HAS_MIN && S::SUBS == 1 } {
            let four = |sums: &[S::Sums; 4]| {
                let mut all = [0; 8];
                for (all, sums) in all.as_chunks_mut::<2>().0.iter_mut().zip(sums) {
                    all.copy_from_slice(sums.as_ref());
                }
                to_f32(pair_sums(load_i16(&all)))
            };
            let one = |sums: S::Sums| {
                let sums = sums.as_ref();
                (i32::from(sums[0]) + i32::from(sums[1])) as f32
            };
            pack_numbers(a.2, b.2, packed, Packed::<S, P>::UNIT, at, four, one);
        } else if const { S::HAS_MIN } {
            let units = packed.chunks_exact_mut(Packed::<S, P>::UNIT);
            for ((packed, a), b) in units.zip(a.2).zip(b.2) {
                pack_sub_sums::<S, P>(a.as_ref(), b.as_ref(), &mut packed[at..]);
            }
        }
    }
}

/// Packs a number of each unit for two tokens, as `[a, a, b, b]` at place `at` of units of `len` vectors.
///
/// `four` computes the numbers of four units, and `one` that of each unit that is left.
#[inline(always)]
fn pack_numbers<T: Copy>(
    a: &[T],
    b: &[T],
    packed: &mut [Bytes],
    len: usize,
    at: usize,
    four: impl Fn(&[T; 4]) -> float32x4_t,
    one: impl Fn(T) -> f32,
) {
    let ((fours_a, a), (fours_b, b)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut units = packed.chunks_exact_mut(4 * len);
    for ((units, a), b) in units.by_ref().zip(fours_a).zip(fours_b) {
        let (a, b) = (four(a), four(b));
        let (a_low, a_high) = (low_words_twice(a), high_words_twice(a));
        let (b_low, b_high) = (low_words_twice(b), high_words_twice(b));
        store(&mut units[at], low_halves(a_low, b_low));
        store(&mut units[len + at], high_halves(a_low, b_low));
        store(&mut units[2 * len + at], low_halves(a_high, b_high));
        store(&mut units[3 * len + at], high_halves(a_high, b_high));
    }
    for ((unit, &a), &b) in units.into_remainder().chunks_exact_mut(len).zip(a).zip(b) {
        let (a, b) = (bytes_of_f32(splat_f32(one(a))), bytes_of_f32(splat_f32(one(b))));
        store(&mut unit[at], low_halves(a, b));
    }
}

/// Packs the sums of the sub-blocks of a pair of tokens.
#[inline(always)]
fn pack_sub_sums<S: Shape, const P: usize>(a: &[i16], b: &[i16], packed: &mut [Bytes]) {
    let (a, b) = (sub_sums::<S>(a), sub_sums::<S>(b));
    for i in 0..S::SUBS / 8 {
        let high = low_bytes(shr_i16::<6>(a[i]), shr_i16::<6>(b[i]));
        let low = and(unsigned(low_bytes(a[i], b[i])), splat_u8(63));
        store(&mut packed[2 * i * P], unsigned(high));
        store(&mut packed[(2 * i + 1) * P], low);
    }
}

/// Adds 8 rows times `P` pairs of tokens to `y`.
#[inline(always)]
fn tile<S: Shape, const P: usize>(dot: I8mm, panel: &[Bytes], packed: &[Bytes], y: &mut [[Row; 2]; P]) {
    let mut acc = [[splat_f32(0.0); 4]; P];
    for p in 0..P {
        acc[p] = to_pairs(&y[p]);
    }
    let units = panel.chunks_exact(PairLayout::<S>::UNIT * S::REPEAT);
    for (units, a) in units.zip(packed.chunks_exact(Packed::<S, P>::UNIT)) {
        for (u, unit) in units.chunks_exact(PairLayout::<S>::UNIT).enumerate() {
            let n = S::VALUES / 8 * P;
            let isum = products::<S, P>(dot, unit, &a[u * n..][..n]);
            for i in 0..4 {
                let d = load_f32_bytes(&unit[PairLayout::<S>::D + i]);
                for p in 0..P {
                    let da = load_f32_bytes(&a[Packed::<S, P>::D + p]);
                    acc[p][i] = add_scaled(acc[p][i], isum[p][i], d, da);
                }
            }
            if const { S::HAS_MIN } {
                add_mins::<S, P>(dot, unit, a, &mut acc);
            }
        }
    }
    for p in 0..P {
        from_pairs(acc[p], &mut y[p]);
    }
}

/// Returns the integer sums of a unit: `[pair of tokens][pair of rows]`.
#[inline(always)]
fn products<S: Shape, const P: usize>(dot: I8mm, unit: &[Bytes], a: &[Bytes]) -> [[int32x4_t; 4]; P] {
    let mut sum = [[splat_i32(0); 4]; P];
    let mut isum = sum;
    let steps = PairLayout::<S>::STEPS / 4;
    let chunks = unit[..PairLayout::<S>::D].chunks_exact(PairLayout::<S>::CHUNK);
    for (chunk, a) in chunks.zip(a.chunks_exact(steps * P)) {
        for step in 0..steps {
            let mut rows = [splat_i8(0); 4];
            for i in 0..4 {
                rows[i] = signed(load(&chunk[4 * step + i]));
            }
            for p in 0..P {
                let tokens = signed(load(&a[P * step + p]));
                for i in 0..4 {
                    sum[p][i] = dot.product(sum[p][i], tokens, rows[i]);
                }
            }
            // The end of a sub-block: of 16 values, or of 32.
            if S::SUBS == 16 && step % 2 == 1 || S::SUBS == 8 && step == 3 {
                let at = PairLayout::<S>::STEPS + if S::SUBS == 16 { step / 2 * 4 } else { 0 };
                for i in 0..4 {
                    let change = words_of_bytes(load(&chunk[at + i]));
                    for p in 0..P {
                        isum[p][i] = mla_i32(isum[p][i], sum[p][i], change);
                    }
                }
            }
        }
    }
    if const { S::SUBS == 1 } { sum } else { isum }
}

/// Adds the minimums times the sums of the activations.
#[inline(always)]
fn add_mins<S: Shape, const P: usize>(
    dot: I8mm,
    unit: &[Bytes],
    a: &[Bytes],
    acc: &mut [[float32x4_t; 4]; P],
) {
    for i in 0..4 {
        let dmin = load_f32_bytes(&unit[PairLayout::<S>::DMIN + i]);
        for p in 0..P {
            let da = load_f32_bytes(&a[Packed::<S, P>::D + p]);
            let msum = if const { S::SUBS == 1 } {
                load_f32_bytes(&a[Packed::<S, P>::SUMS + p])
            } else {
                let mut sum = splat_i32(0);
                for (part, shift) in [(0, true), (1, false)] {
                    for j in 0..S::SUBS / 8 {
                        let mins = signed(load(&unit[PairLayout::<S>::MINS + 4 * j + i]));
                        let sums = signed(load(&a[Packed::<S, P>::SUMS + (2 * j + part) * P + p]));
                        sum = dot.product(sum, sums, mins);
                    }
                    if shift {
                        sum = shl_i32::<6>(sum);
                    }
                }
                to_f32(sum)
            };
            acc[p][i] = add_min::<S>(acc[p][i], msum, dmin, da);
        }
    }
}

/// Returns the results of two tokens as pairs: two rows of one token, then the same rows of the other.
#[inline(always)]
fn to_pairs(y: &[Row; 2]) -> [float32x4_t; 4] {
    let mut out = [splat_f32(0.0); 4];
    for half in 0..2 {
        let token = |t: usize| bytes_of_f32(load_f32(&y[t].as_chunks().0[half]));
        out[2 * half] = f32_of_bytes(low_halves(token(0), token(1)));
        out[2 * half + 1] = f32_of_bytes(high_halves(token(0), token(1)));
    }
    out
}

/// Reverses [`to_pairs`].
#[inline(always)]
fn from_pairs(v: [float32x4_t; 4], y: &mut [Row; 2]) {
    for half in 0..2 {
        let (a, b) = (bytes_of_f32(v[2 * half]), bytes_of_f32(v[2 * half + 1]));
        store_f32(&mut y[0].as_chunks_mut().0[half], f32_of_bytes(low_halves(a, b)));
        store_f32(&mut y[1].as_chunks_mut().0[half], f32_of_bytes(high_halves(a, b)));
    }
}

#[inline(always)]
fn load_f32_bytes(x: &Bytes) -> float32x4_t {
    f32_of_bytes(load(x))
}
