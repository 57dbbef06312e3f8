//! Token samplers for language models: composable steps over logits, in place.
//!
//! * [`Candidates`]: the tokens still in the race, in reused buffers. The candidate list is built only when a step
//!   needs one, so greedy decoding is a single pass over the logits and top-k a partial selection.
//! * [`Step`]: anything that removes candidates or changes their logits ([`steps`] has the usual ones; a program adds
//!   its own by implementing one method).
//! * [`Pick`]: how one token is taken out of what is left: [`Greedy`], [`Dist`] (a seeded random draw), [`Mirostat`],
//!   [`AdaptiveP`].
//! * [`Sampler`]: a chain of steps and a pick, built by [`Sampler::builder`] or from [`Params`].
//! * [`LogProbs`]: log-probabilities of the best tokens.
//!
//! Names, order of work and edge cases follow llama.cpp (`src/llama-sampler.cpp`), with these stated differences: every
//! tie goes to the lower token id; softmax, entropy and all transcendental functions are computed in f64 by the `libm`
//! crate (the running sums of top-p, typical and infill stay in f32), so that the same seed gives the same tokens on every
//! platform; the random generator is our own ([`Rng`]); a step that
//! changes single logits always marks the list as unsorted (llama.cpp's logit bias does not); typical sampling takes
//! `p ln p` as 0 where p is 0 (llama.cpp: NaN, after which the order is that of a sort with NaN keys); infill leaves nothing
//! where it would put an end token that an earlier step has excluded; parameters outside their range are errors.
//!
//! A seed's tokens are a contract of this crate: [`Rng`] for the random numbers, one number a token for [`Dist`], Mirostat and
//! adaptive-p, another stream for XTC. A change of the tokens of a seed is a breaking change.
//!
//! Nothing here panics on any input and nothing allocates per token once the buffers have grown to the vocabulary.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod candidates;
mod error;
mod log_probs;
mod math;
mod parameters;
mod params;
mod pick;
mod rng;
mod sampler;
pub mod steps;
mod table;

pub use candidates::{Candidate, Candidates};
pub use error::SamplerError;
pub use log_probs::{LogProb, LogProbs};
pub use pick::{AdaptiveP, ClonePick, Dist, Greedy, Mirostat, MirostatVersion, Pick};
pub use rng::Rng;
pub use sampler::{Sampler, SamplerBuilder};
pub use steps::{CloneStep, Step, StepParams};
pub use table::{Params, StepKind, StepSpec};

/// A token's number in the vocabulary, counted from 0.
pub type TokenId = u32;
