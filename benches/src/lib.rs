//! Shared inputs of the benchmarks.
#![forbid(unsafe_code)]
