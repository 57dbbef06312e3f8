//! What can be wrong with a sampler's parameters or with the logits it is given.

use crate::TokenId;

/// Errors of building and running a sampler.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplerError {
    /// A parameter is outside its range.
    #[error("{step}: {name} must be {expected}, found {found}")]
    Parameter {
        /// The step, by its builder method's name.
        step: &'static str,
        /// The parameter's name.
        name: &'static str,
        /// The allowed range, in words.
        expected: &'static str,
        /// The value given.
        found: f64,
    },
    /// Something that a step cannot do without was not given.
    #[error("{step} needs {what}")]
    Missing {
        /// The step.
        step: &'static str,
        /// What it needs.
        what: &'static str,
    },
    /// There is no step of this name.
    #[error("unknown sampler {name:?}, expected one of {names}", names = crate::StepKind::NAMES.join(", "))]
    UnknownStep {
        /// What was given.
        name: String,
    },
    /// A logit is NaN or +inf (-inf is allowed: it excludes the token).
    #[error("logit of token {id} must be finite or -inf, found {value}")]
    NonFinite {
        /// The first token with such a logit.
        id: TokenId,
        /// Its logit.
        value: f32,
    },
    /// There are no logits at all.
    #[error("cannot sample from an empty row of logits")]
    Empty,
    /// There are more logits than a token id can number.
    #[error("cannot sample from {0} logits: a token id has 32 bits")]
    TooMany(usize),
    /// The steps left no token with a finite logit.
    #[error(
        "no token is left to pick from after {steps} sampling steps: every candidate was removed or excluded"
    )]
    NoCandidate {
        /// How many steps the chain has.
        steps: usize,
    },
    /// The buffers could not be allocated.
    #[error("out of memory for sampling buffers of {entries} entries")]
    OutOfMemory {
        /// Entries asked for.
        entries: usize,
    },
}

/// Fails unless `ok`; the message names step, parameter, range and value.
pub(crate) fn check(
    ok: bool,
    step: &'static str,
    name: &'static str,
    expected: &'static str,
    found: impl Into<f64>,
) -> Result<(), SamplerError> {
    if ok { Ok(()) } else { Err(SamplerError::Parameter { step, name, expected, found: found.into() }) }
}
