#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod imatrix;
mod mix;
mod overrides;
mod plan;
mod rows;
mod rules;
mod write;

pub use error::{QuantizeError, QuantizeErrorKind};
pub use imatrix::Imatrix;
pub use mix::Mix;
pub use overrides::Override;
pub use plan::{Plan, Quantizer, TensorPlan};
pub use write::{Progress, RunOptions};
