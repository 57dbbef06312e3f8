//! The exponential and its relatives: one polynomial each, written with fused multiply-adds.
//!
//! Every function maps 16 lanes, does the same operations in the same order on every instruction set, and keeps
//! within a few units in the last place of the true value (`tests/ops_suite.rs` holds the bounds).

use crate::simd::Simd;

/// 1.5 * 2^23: adding it rounds a float of magnitude below 2^22 to an integer, held in the low bits of the sum.
pub(crate) const MAGIC: f32 = 12_582_912.0;

const LOG2_E: f32 = core::f32::consts::LOG2_E;
/// ln 2 in two parts. The product of the first with an integer below 2^9 is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Below ln(2^-126) the result is 0, above ln(f32::MAX) infinity.
const EXP_LOW: f32 = -87.336_54;
const EXP_HIGH: f32 = 88.722_83;
/// Coefficients of (e^r - 1 - r) / r^2 on |r| <= ln(2) / 2, highest power first (Cephes, `expf`).
const EXP: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

#[inline(always)]
fn horner<S: Simd, const N: usize>(s: S, x: S::V, coefficients: [f32; N]) -> S::V {
    let mut sum = s.splat(coefficients[0]);
    for c in &coefficients[1..] {
        sum = s.fma(sum, x, s.splat(*c));
    }
    sum
}

/// e^x; 0 below -87.3 (no subnormal results), infinity above 88.7.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    if S::COMPACT { s.outline(x, exp_body) } else { exp_body(s, x) }
}

#[inline(always)]
fn exp_body<S: Simd>(s: S, x: S::V) -> S::V {
    // x = n ln 2 + r; n sits in the low bits of t
    let t = s.fma(x, s.splat(LOG2_E), s.splat(MAGIC));
    let n = s.sub(t, s.splat(MAGIC));
    let r = s.nfma(n, s.splat(LN_2_HIGH), x);
    let r = s.nfma(n, s.splat(LN_2_LOW), r);
    let p = horner(s, r, EXP);
    let p = s.add(s.fma(p, s.mul(r, r), r), s.splat(1.0));
    // times 2^n: n into the exponent; exact, because the result is a normal number wherever it is used
    let y = s.from_bits(s.add_i(s.to_bits(p), s.shl_i::<23>(s.to_bits(t))));
    let y = s.select_lt(x, s.splat(EXP_LOW), s.splat(0.0), y);
    s.select_lt(s.splat(EXP_HIGH), x, s.splat(f32::INFINITY), y)
}

/// e^x - 1, as precise near 0 as elsewhere.
#[inline(always)]
pub(crate) fn exp_m1<S: Simd>(s: S, x: S::V) -> S::V {
    if S::COMPACT { s.outline(x, exp_m1_body) } else { exp_m1_body(s, x) }
}

#[inline(always)]
fn exp_m1_body<S: Simd>(s: S, x: S::V) -> S::V {
    // the polynomial holds up to ln(2) / 2
    let near = s.fma(horner(s, x, EXP), s.mul(x, x), x);
    let far = s.sub(exp(s, x), s.splat(1.0));
    s.select_lt(abs(s, x), s.splat(0.34), near, far)
}

#[inline(always)]
pub(crate) fn neg<S: Simd>(s: S, x: S::V) -> S::V {
    s.mul(x, s.splat(-1.0))
}

#[inline(always)]
fn abs<S: Simd>(s: S, x: S::V) -> S::V {
    s.from_bits(s.and_i(s.to_bits(x), s.splat_i(0x7FFF_FFFF)))
}

/// Returns `magnitude`, which is not negative, with the sign of `x`.
#[inline(always)]
fn with_sign<S: Simd>(s: S, magnitude: S::V, x: S::V) -> S::V {
    s.from_bits(s.or_i(s.to_bits(magnitude), s.and_i(s.to_bits(x), s.splat_i(i32::MIN))))
}

/// x / (1 + e^(-k x)): silu for k = 1.
#[inline(always)]
pub(crate) fn silu<S: Simd>(s: S, x: S::V, k: f32) -> S::V {
    s.div(x, s.add(s.splat(1.0), exp(s, s.mul(x, s.splat(-k)))))
}

/// 1 / (1 + e^-x)
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    s.div(s.splat(1.0), s.add(s.splat(1.0), exp(s, neg(s, x))))
}

/// Coefficients of (ln(1 + f) - f + f^2 / 2) / f^3 for sqrt(1/2) <= 1 + f <= sqrt(2), highest power first (Cephes, `logf`).
const LOG: [f32; 9] = [
    7.037_683_6e-2,
    -1.151_461e-1,
    1.167_699_9e-1,
    -1.242_014_1e-1,
    1.424_932_3e-1,
    -1.666_805_8e-1,
    2.000_071_5e-1,
    -2.499_999_4e-1,
    3.333_333e-1,
];

/// ln(1 + x) for 0 <= x <= 1.
#[inline(always)]
fn log_1p<S: Simd>(s: S, x: S::V) -> S::V {
    // 1 + x = (1 + f) 2^e, and f is exact
    let limit = s.splat(core::f32::consts::SQRT_2 - 1.0);
    let half = s.mul(s.sub(x, s.splat(1.0)), s.splat(0.5));
    let f = s.select_lt(limit, x, half, x);
    let e = s.select_lt(limit, x, s.splat(1.0), s.splat(0.0));
    let square = s.mul(f, f);
    let y = s.mul(s.mul(horner(s, f, LOG), square), f);
    let y = s.fma(e, s.splat(LN_2_LOW), y);
    let y = s.nfma(s.splat(0.5), square, y);
    s.fma(e, s.splat(LN_2_HIGH), s.add(f, y))
}

/// ln(1 + e^x) as max(x, 0) + ln(1 + e^-|x|).
#[inline(always)]
pub(crate) fn softplus<S: Simd>(s: S, x: S::V) -> S::V {
    if S::COMPACT { s.outline(x, softplus_body) } else { softplus_body(s, x) }
}

#[inline(always)]
fn softplus_body<S: Simd>(s: S, x: S::V) -> S::V {
    let e = exp(s, neg(s, abs(s, x)));
    s.add(s.max(x, s.splat(0.0)), log_1p(s, e))
}

/// Coefficients of (tanh(x) - x) / x^3 in x^2 for |x| < 0.625 (Cephes, `tanhf`).
const TANH: [f32; 5] = [-5.704_988_7e-3, 2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1];

/// tanh x: a polynomial for |x| < 0.625, else 1 - 2 / (e^2|x| + 1) with the sign of x.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    if S::COMPACT { s.outline(x, tanh_body) } else { tanh_body(s, x) }
}

#[inline(always)]
fn tanh_body<S: Simd>(s: S, x: S::V) -> S::V {
    let magnitude = abs(s, x);
    let square = s.mul(x, x);
    let small = s.fma(s.mul(horner(s, square, TANH), square), x, x);
    let e = exp(s, s.add(magnitude, magnitude));
    let large = s.sub(s.splat(1.0), s.div(s.splat(2.0), s.add(e, s.splat(1.0))));
    s.select_lt(magnitude, s.splat(0.625), small, with_sign(s, large, x))
}

/// The logarithm of erfc(z) e^(z^2) / t by powers of t = 1 / (1 + z / 2), highest first: Numerical Recipes, `erfcc`,
/// relative error below 1.2e-7.
const ERFC: [f32; 10] = [
    0.170_872_77,
    -0.822_152_23,
    1.488_515_9,
    -1.135_204,
    0.278_868_07,
    -0.186_288_06,
    0.096_784_18,
    0.374_091_96,
    1.000_023_7,
    -1.265_512_2,
];

/// x (1 + erf(x / sqrt 2)) / 2
#[inline(always)]
pub(crate) fn gelu_erf<S: Simd>(s: S, x: S::V) -> S::V {
    if S::COMPACT { s.outline(x, gelu_erf_body) } else { gelu_erf_body(s, x) }
}

#[inline(always)]
fn gelu_erf_body<S: Simd>(s: S, x: S::V) -> S::V {
    let z = s.mul(abs(s, x), s.splat(core::f32::consts::FRAC_1_SQRT_2));
    let t = s.div(s.splat(1.0), s.fma(z, s.splat(0.5), s.splat(1.0)));
    let e = exp(s, s.nfma(z, z, horner(s, t, ERFC)));
    // half of erfc(|x| / sqrt 2): the share of x that a negative x keeps and a positive one loses
    let tail = s.mul(s.splat(0.5), s.mul(t, e));
    s.select_lt(x, s.splat(0.0), s.mul(x, tail), s.nfma(x, tail, x))
}

/// sqrt(2 / pi)
const GELU_SCALE: f32 = 0.797_884_6;
const GELU_CUBIC: f32 = 0.044_715;

/// x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3), written as x / (1 + e^(-2 u)).
#[inline(always)]
pub(crate) fn gelu<S: Simd>(s: S, x: S::V) -> S::V {
    if S::COMPACT { s.outline(x, gelu_body) } else { gelu_body(s, x) }
}

#[inline(always)]
fn gelu_body<S: Simd>(s: S, x: S::V) -> S::V {
    let inner = s.fma(s.mul(x, x), s.splat(GELU_CUBIC), s.splat(1.0));
    let u = s.mul(s.mul(x, s.splat(-2.0 * GELU_SCALE)), inner);
    s.div(x, s.add(s.splat(1.0), exp(s, u)))
}
