//! Shared inputs of the benchmarks, and the place where the code of the top README is tested: this package sees every
//! crate.
#![forbid(unsafe_code)]

/// The README's code.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
