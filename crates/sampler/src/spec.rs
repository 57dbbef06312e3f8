//! A step as data, for programs that read chains from somewhere.

use crate::steps::{
    Dry, DynamicTemperature, LogitBias, MinP, Penalties, Temperature, TopK, TopNSigma, TopP, Typical, Xtc,
};
use crate::{SamplerError, Step, TokenId};

/// A step and its parameters. Fields are llama.cpp's, and so is their meaning: numbers below 0 turn a step off where
/// that is not said otherwise.
///
/// With the feature `serde` it can be read from objects like `{"type": "top_p", "p": 0.9, "min_keep": 1}`; `min_keep`
/// and `seed` may be left out and are 0 then.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "type", rename_all = "snake_case", deny_unknown_fields))]
#[non_exhaustive]
pub enum StepSpec {
    /// [`TopK`].
    TopK {
        /// How many stay.
        k: i64,
    },
    /// [`TopP`].
    TopP {
        /// Probability of what stays.
        p: f32,
        /// How many stay at least.
        #[cfg_attr(feature = "serde", serde(default))]
        min_keep: usize,
    },
    /// [`MinP`].
    MinP {
        /// Share of the best one's probability.
        p: f32,
        /// How many stay at least.
        #[cfg_attr(feature = "serde", serde(default))]
        min_keep: usize,
    },
    /// [`Typical`].
    Typical {
        /// Probability of what stays.
        p: f32,
        /// How many stay at least.
        #[cfg_attr(feature = "serde", serde(default))]
        min_keep: usize,
    },
    /// [`Temperature`]. Below 0 is like 0: only the best token.
    Temp {
        /// The temperature.
        t: f32,
    },
    /// [`DynamicTemperature`].
    TempExt {
        /// The middle of the range. Below 0 is like 0.
        t: f32,
        /// Half the range.
        delta: f32,
        /// Exponent of the normalised entropy.
        exponent: f32,
    },
    /// [`Xtc`].
    Xtc {
        /// The chance that it happens.
        probability: f32,
        /// What a top choice has at least.
        threshold: f32,
        /// How many stay at least.
        #[cfg_attr(feature = "serde", serde(default))]
        min_keep: usize,
        /// Seed of the chance.
        #[cfg_attr(feature = "serde", serde(default))]
        seed: u64,
    },
    /// [`TopNSigma`].
    TopNSigma {
        /// Standard deviations.
        n: f32,
    },
    /// [`Penalties`].
    Penalties {
        /// Tokens to look back.
        last_n: i64,
        /// Divisor of logits above 0.
        repeat: f32,
        /// Subtracted for each occurrence.
        freq: f32,
        /// Subtracted once.
        present: f32,
    },
    /// [`Dry`].
    Dry {
        /// Penalty of the shortest repetition.
        multiplier: f32,
        /// Growth with each token more.
        base: f32,
        /// Longest repetition without a penalty.
        allowed_length: i64,
        /// Tokens to look back.
        last_n: i64,
        /// Token sequences that end a repetition.
        #[cfg_attr(feature = "serde", serde(default))]
        breakers: Vec<Vec<TokenId>>,
    },
    /// [`LogitBias`].
    LogitBias {
        /// What is added to the logits of single tokens.
        bias: Vec<(TokenId, f32)>,
    },
}

impl StepSpec {
    /// The step.
    ///
    /// # Errors
    /// A parameter outside its range, or no memory for the step's history.
    pub fn build(&self) -> Result<Box<dyn Step>, SamplerError> {
        fn boxed<S: Step + 'static>(step: Result<S, SamplerError>) -> Result<Box<dyn Step>, SamplerError> {
            step.map(|s| Box::new(s) as Box<dyn Step>)
        }
        let count = |n: i64| usize::try_from(n.max(0)).unwrap_or(usize::MAX);
        match self {
            Self::TopK { k } => boxed(Ok(TopK::new(count(*k)))),
            Self::TopP { p, min_keep } => boxed(TopP::new(*p, *min_keep)),
            Self::MinP { p, min_keep } => boxed(MinP::new(*p, *min_keep)),
            Self::Typical { p, min_keep } => boxed(Typical::new(*p, *min_keep)),
            Self::Temp { t } => boxed(Temperature::new(at_least_0(*t))),
            Self::TempExt { t, delta, exponent } => {
                boxed(DynamicTemperature::new(at_least_0(*t), at_least_0(*delta), *exponent))
            }
            Self::Xtc { probability, threshold, min_keep, seed } => {
                boxed(Xtc::new(*probability, *threshold, *min_keep, *seed))
            }
            Self::TopNSigma { n } => boxed(TopNSigma::new(at_least_0(*n))),
            Self::Penalties { last_n, repeat, freq, present } => {
                boxed(Penalties::new(count(*last_n), *repeat, *freq, *present))
            }
            Self::Dry { multiplier, base, allowed_length, last_n, breakers } => boxed(Dry::new(
                *multiplier,
                *base,
                count(*allowed_length),
                count(*last_n),
                breakers.iter().cloned(),
            )),
            Self::LogitBias { bias } => boxed(LogitBias::new(bias.iter().copied())),
        }
    }
}

/// 0 for numbers below it; NaN stays, and is refused by the step.
fn at_least_0(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}
