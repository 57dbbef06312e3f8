#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cpus;
pub mod memory;

pub use cpus::{Cpu, cpus, cpus_at, default_threads};
