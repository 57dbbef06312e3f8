//! What the machine and the system leave a process: memory and cores; see the crate's README below.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cpus;
pub mod memory;

pub use cpus::{Cpu, cpus, cpus_at, default_threads};
