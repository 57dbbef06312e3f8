#![doc = include_str!("../README.md")]
//!
//! ## Differences from llama.cpp
//!
//! Names, order of work and edge cases follow llama.cpp (`src/llama-sampler.cpp`), except that:
//!
//! * every tie goes to the lower token id;
//! * softmax, entropy and all transcendental functions are computed in f64 by the `libm` crate, so that a seed gives the
//!   same tokens on every platform (the running sums of top-p, typical and infill stay in f32);
//! * the random generator is our own ([`Rng`]): one number per token for [`Dist`], Mirostat and adaptive-p, and a separate
//!   stream for XTC;
//! * a step that changes single logits always marks the list as unsorted (llama.cpp's logit bias does not);
//! * typical sampling takes `p ln p` as 0 if p is 0 (llama.cpp computes NaN, and then sorts with NaN keys);
//! * infill leaves nothing if it would insert an end token that an earlier step has excluded;
//! * parameters outside their range are errors.
#![forbid(unsafe_code)]

mod candidates;
mod error;
mod log_probs;
mod math;
mod parameters;
mod params;
mod pick;
mod reserve;
mod rng;
mod sampler;
mod state;
pub mod steps;
mod table;

pub use candidates::{Candidate, Candidates};
pub use error::SamplerError;
pub use log_probs::{LogProb, LogProbs};
pub use pick::{AdaptiveP, ClonePick, Dist, Greedy, Mirostat, MirostatVersion, Pick};
pub use rng::Rng;
pub use sampler::{Sampler, SamplerBuilder};
pub use state::SavedState;
pub use steps::{CloneStep, Step, StepParams};
pub use table::{Params, StepKind, StepSpec};

/// The id of a token: its index in the vocabulary, from 0.
pub type TokenId = u32;
