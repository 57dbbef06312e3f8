//! Errors about a sampler's parameters or its logits.

use crate::TokenId;

/// An error of building or running a sampler.
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
        /// The allowed range, as text.
        expected: &'static str,
        /// The value that was given.
        found: f64,
    },
    /// A step was built without something that it requires.
    #[error("{step} needs {what}")]
    Missing {
        /// The step.
        step: &'static str,
        /// What the step requires.
        what: &'static str,
    },
    /// A step name is unknown.
    #[error("unknown sampler {name:?}, expected one of {names}", names = crate::StepKind::NAMES.join(", "))]
    UnknownStep {
        /// The name that was given.
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
    /// The row of logits is empty.
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
        /// The number of steps in the chain.
        steps: usize,
    },
    /// Memory for the buffers was refused.
    #[error("out of memory for sampling buffers of {entries} entries")]
    OutOfMemory {
        /// The number of entries that were requested.
        entries: usize,
    },
}

/// Fails unless `ok`. The message names step, parameter, range and value.
pub(crate) fn check(
    ok: bool,
    step: &'static str,
    name: &'static str,
    expected: &'static str,
    found: impl Into<f64>,
) -> Result<(), SamplerError> {
    if ok { Ok(()) } else { Err(SamplerError::Parameter { step, name, expected, found: found.into() }) }
}
