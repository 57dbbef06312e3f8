#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod config;
mod decision;
mod energy;
mod governor;
mod heat;
mod meter;
mod pace;
mod sample;
mod source;
mod survey;
mod table;

pub use config::{Config, ConfigError, Goal};
pub use decision::{Decision, Reason};
pub use governor::Governor;
pub use sample::{Readings, Sample, ThermalStatus};
pub use source::{Core, Monitor, Source, Sysfs};
pub use table::{RateTable, TableError};
