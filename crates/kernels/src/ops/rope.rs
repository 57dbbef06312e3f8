//! Rotary position embedding: the angles in f64, the rotation in f32.
//!
//! Pair `i` of `n_rot / 2` turns by `position * frequency[i]`. With e = theta_base^(-2 i / n_rot) / freq_factors(i):
//!
//! ```text
//! frequency = scale * e                                    linear scaling (scale = 1 / factor), none for 1
//! frequency = scale * e * (1 - mix) + e * mix              YaRN, mix = ext_factor * (1 - clamp((i - low) / max(0.001, high - low), 0, 1))
//! low, high = floor, ceil of n_rot ln(n_ctx_orig / (2 pi beta)) / (2 ln theta_base) for beta_fast, beta_slow
//! cos, sin are multiplied by attn_factor, with YaRN also by 1 + 0.1 ln(1 / scale)
//! ```
//!
//! Source: YaRN (Peng et al. 2023, arXiv 2309.00071), as ggml's `rope_yarn` computes it.

use crate::simd::{Simd, entry};

/// Which elements of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopePairing {
    /// Elements `2 i` and `2 i + 1`: llama files, ggml's "norm".
    Adjacent,
    /// Elements `i` and `i + n_rot / 2`: qwen, gemma and others, ggml's "neox".
    Halves,
}

/// YaRN's parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Yarn {
    /// Share of the extrapolated angles: 1 unless a model says otherwise; 0 turns YaRN off.
    pub ext_factor: f32,
    /// Rotations per original context above which a pair is left unchanged; usually 32.
    pub beta_fast: f32,
    /// Rotations per original context below which a pair is fully interpolated; usually 1.
    pub beta_slow: f32,
    /// Context length that the model was first trained with.
    pub n_ctx_orig: u32,
}

/// The parameters of a model's rotary embedding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeSpec {
    /// Number of elements of a head that are rotated: even, at most the head's length.
    pub n_rot: usize,
    /// Base of the frequencies, 10,000 in the paper.
    pub theta_base: f32,
    /// Factor of the positions: 1 / factor of linear scaling or YaRN; 1 leaves them unchanged.
    pub scale: f32,
    /// Factor of cosine and sine (ggml's `attn_factor`); 1 leaves them unchanged.
    pub attn_factor: f32,
    /// YaRN's parameters, if the model uses it.
    pub yarn: Option<Yarn>,
}

/// Why a [`RopeTable`] cannot be made from a [`RopeSpec`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RopeError {
    /// The number of rotated elements is odd, but they are rotated in pairs.
    #[error("{0} rotated elements a head, expected an even number")]
    OddRotation(usize),
    /// A parameter has a value that gives no finite angles.
    #[error("rotary embedding: {name} is {value}, expected {expected}")]
    Parameter {
        /// Which one.
        name: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// There are fewer factors than pairs.
    #[error("{found} frequency factors, expected at least {expected}")]
    Factors {
        /// Pairs.
        expected: usize,
        /// Factors given.
        found: usize,
    },
    /// The memory for the frequencies cannot be reserved.
    #[error("cannot reserve {bytes} bytes for the frequencies of a rotary embedding")]
    Memory {
        /// Bytes of the frequencies.
        bytes: usize,
    },
}

/// Frequencies of one rotary embedding, from which the cosines and sines of a position are filled.
#[derive(Clone, Debug)]
pub struct RopeTable {
    frequencies: Vec<f64>,
    magnitude: f64,
}

impl RopeTable {
    /// Makes the table of `spec`. `factors` divide the frequencies (`rope_freqs`, long or short factors).
    ///
    /// # Errors
    /// If a parameter is out of its range, there are too few factors, or memory cannot be reserved.
    pub fn new(spec: &RopeSpec, factors: Option<&[f32]>) -> Result<Self, RopeError> {
        let RopeSpec { n_rot, theta_base, scale, attn_factor, yarn } = *spec;
        if !n_rot.is_multiple_of(2) {
            return Err(RopeError::OddRotation(n_rot));
        }
        let check = |name, value: f32, ok: bool, expected| {
            let value = f64::from(value);
            if ok && value.is_finite() {
                Ok(value)
            } else {
                Err(RopeError::Parameter { name, value, expected })
            }
        };
        let base = check("theta base", theta_base, theta_base > 0.0, "a positive number")?;
        let scale = check("position scale", scale, scale > 0.0, "a positive number")?;
        let mut magnitude = check("attention factor", attn_factor, true, "a finite number")?;
        let pairs = n_rot / 2;
        if let Some(found) = factors.map(<[f32]>::len).filter(|found| *found < pairs) {
            return Err(RopeError::Factors { expected: pairs, found });
        }
        let yarn = yarn.filter(|y| y.ext_factor != 0.0);
        let mut mix: Box<dyn Fn(usize) -> f64> = Box::new(|_| 0.0);
        if let Some(yarn) = yarn {
            check("theta base", theta_base, theta_base > 1.0, "a number above 1 with yarn")?;
            let fast = check("beta fast", yarn.beta_fast, yarn.beta_fast > 0.0, "a positive number")?;
            let slow = check("beta slow", yarn.beta_slow, yarn.beta_slow > 0.0, "a positive number")?;
            let ext = check("ext factor", yarn.ext_factor, true, "a finite number")?;
            check("original context", yarn.n_ctx_orig as f32, yarn.n_ctx_orig > 0, "a positive number")?;
            let correction = |beta: f64| {
                let rotations = f64::from(yarn.n_ctx_orig) / (beta * 2.0 * core::f64::consts::PI);
                n_rot as f64 * libm::log(rotations) / (2.0 * libm::log(base))
            };
            let low = libm::floor(correction(fast)).max(0.0);
            let high = libm::ceil(correction(slow)).min(n_rot as f64 - 1.0);
            mix =
                Box::new(move |i| ext * (1.0 - ((i as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0)));
            magnitude *= 1.0 + 0.1 * libm::log(1.0 / scale);
        }
        let mut frequencies = Vec::new();
        frequencies
            .try_reserve_exact(pairs)
            .map_err(|_| RopeError::Memory { bytes: pairs.saturating_mul(size_of::<f64>()) })?;
        for i in 0..pairs {
            let factor = factors.map_or(1.0, |f| f[i]);
            let factor = check("frequency factor", factor, factor != 0.0, "a number other than 0")?;
            let extrapolated = libm::pow(base, -2.0 * i as f64 / n_rot as f64) / factor;
            let mix = mix(i);
            frequencies.push(scale * extrapolated * (1.0 - mix) + extrapolated * mix);
        }
        Ok(Self { frequencies, magnitude })
    }

    /// Returns the number of bytes of heap that a table for `n_rot` elements takes.
    pub fn bytes(n_rot: usize) -> usize {
        (n_rot / 2).saturating_mul(size_of::<f64>())
    }

    /// Returns the number of rotated elements, which is the length of what [`RopeTable::fill`] writes.
    pub fn n_rot(&self) -> usize {
        2 * self.frequencies.len()
    }

    /// Fills `cos_sin`, `[2][n_rot / 2]`, with the cosines of `position`, then the sines, both scaled.
    ///
    /// # Panics
    /// If `cos_sin` has another length than [`RopeTable::n_rot`].
    pub fn fill(&self, position: u32, cos_sin: &mut [f32]) {
        assert_eq!(cos_sin.len(), self.n_rot(), "a cosine and a sine for every pair");
        let (cos, sin) = cos_sin.split_at_mut(self.frequencies.len());
        for ((cos, sin), frequency) in cos.iter_mut().zip(sin).zip(&self.frequencies) {
            let (s, c) = libm::sincos(f64::from(position) * frequency);
            *cos = (c * self.magnitude) as f32;
            *sin = (s * self.magnitude) as f32;
        }
    }
}

/// Rotates one pair: `(x0 cos - x1 sin, x0 sin + x1 cos)`.
#[inline(always)]
fn turn(x0: f32, x1: f32, cos: f32, sin: f32) -> (f32, f32) {
    (x0.mul_add(cos, -(x1 * sin)), x0.mul_add(sin, x1 * cos))
}

// Elementwise, so plain code gives the same bits however the compiler vectorizes it.
#[inline(always)]
fn rope_body<S: Simd>(_: S, x: &mut [f32], head_dim: usize, cos_sin: &[f32], pairing: RopePairing) {
    let pairs = cos_sin.len() / 2;
    debug_assert!(2 * pairs <= head_dim && x.len().is_multiple_of(head_dim.max(1)));
    let (cos, sin) = cos_sin.split_at(pairs);
    for head in x.chunks_exact_mut(head_dim.max(1)) {
        match pairing {
            RopePairing::Adjacent => {
                let pairs = head.as_chunks_mut::<2>().0.iter_mut();
                for (([x0, x1], cos), sin) in pairs.zip(cos).zip(sin) {
                    (*x0, *x1) = turn(*x0, *x1, *cos, *sin);
                }
            }
            RopePairing::Halves => {
                let (low, high) = head.split_at_mut(pairs);
                for (((x0, x1), cos), sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                    (*x0, *x1) = turn(*x0, *x1, *cos, *sin);
                }
            }
        }
    }
}

entry!(pub(super) fn rope(x: &mut [f32], head_dim: usize, cos_sin: &[f32], pairing: RopePairing) = rope_body);

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: RopeSpec =
        RopeSpec { n_rot: 8, theta_base: 10_000.0, scale: 1.0, attn_factor: 1.0, yarn: None };
    const YARN: Yarn = Yarn { ext_factor: 1.0, beta_fast: 32.0, beta_slow: 1.0, n_ctx_orig: 4096 };

    #[test]
    fn plain_linear_and_factors() {
        let factors = [1.0, 2.0, 4.0, 8.0];
        for (scale, factors) in [(1.0, None), (0.25, None), (0.5, Some(&factors[..]))] {
            let table = RopeTable::new(&RopeSpec { scale, ..PLAIN }, factors).unwrap();
            let mut cos_sin = [0.0; 8];
            table.fill(1000, &mut cos_sin);
            for i in 0..4 {
                let e = 1.0 / [1.0, 10.0, 100.0, 1000.0][i] / f64::from(factors.map_or(1.0, |f| f[i]));
                let angle = 1000.0 * f64::from(scale) * e;
                assert!((f64::from(cos_sin[i]) - libm::cos(angle)).abs() < 1e-7, "{scale} {i}");
                assert!((f64::from(cos_sin[4 + i]) - libm::sin(angle)).abs() < 1e-7, "{scale} {i}");
            }
        }
    }

    #[test]
    fn yarn_leaves_fast_pairs_and_interpolates_slow_ones() {
        let spec = RopeSpec { n_rot: 64, scale: 0.25, yarn: Some(YARN), ..PLAIN };
        let table = RopeTable::new(&spec, None).unwrap();
        let plain = |i: usize| libm::pow(10_000.0, -2.0 * i as f64 / 64.0);
        // 64 ln(4096 / 64 pi) / (2 ln 10000) = 10.46.., for one rotation 22.5..
        assert_eq!(table.frequencies[10], plain(10));
        assert!((table.frequencies[31] / (0.25 * plain(31)) - 1.0).abs() < 1e-15);
        let mix = 1.0 - (16.0 - 10.0) / (23.0 - 10.0);
        let expected = 0.25 * plain(16) * (1.0 - mix) + plain(16) * mix;
        assert!((table.frequencies[16] / expected - 1.0).abs() < 1e-14);
        assert!((table.magnitude - (1.0 + 0.1 * libm::log(4.0))).abs() < 1e-14);
    }

    #[test]
    fn wrong_parameters_are_errors() {
        let cases = [
            (RopeSpec { n_rot: 7, ..PLAIN }, None, "even"),
            (RopeSpec { theta_base: 0.0, ..PLAIN }, None, "theta base"),
            (RopeSpec { scale: f32::NAN, ..PLAIN }, None, "position scale"),
            (RopeSpec { theta_base: 1.0, yarn: Some(YARN), ..PLAIN }, None, "yarn"),
            (RopeSpec { yarn: Some(Yarn { n_ctx_orig: 0, ..YARN }), ..PLAIN }, None, "original context"),
            (PLAIN, Some(&[1.0f32; 3][..]), "3 frequency factors, expected at least 4"),
            (PLAIN, Some(&[1.0, 0.0, 1.0, 1.0][..]), "frequency factor"),
        ];
        for (spec, factors, part) in cases {
            let message = RopeTable::new(&spec, factors).map_err(|e| e.to_string());
            assert!(message.as_ref().is_err_and(|m| m.contains(part)), "{message:?}, expected {part:?}");
        }
    }
}
