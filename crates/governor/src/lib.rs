//! How many threads, and how many tokens per second: a speed governor for language models on phones.
//!
//! A phone computes at full speed for some minutes. Then its own throttling takes the clock away, often by more than cooling needs, and threads
//! on little cores cost heat without adding speed. The governor watches what the engine does and what the system says, and decides
//! how to go on. It never changes a result: an engine whose bits depend neither on threads nor on time can follow it in the middle
//! of an answer.
//!
//! * [`Governor`]: the state machine. [`Governor::observe`] takes a [`Sample`] after each token and returns a [`Decision`].
//!   It has no clock, no thread and no file of its own: time is an argument, so that a recorded run can be replayed exactly.
//! * [`Config`]: settings, among them the [`Goal`] (as fast as can be sustained, a number of tokens per second, little energy).
//! * [`Source`]: where [`Readings`] come from. [`Sysfs`] reads Linux's and Android's files about cores and clocks; headroom, status and the
//!   battery saver are functions of Android's, which the app's own source calls. [`Monitor`] asks no more often than they allow.
//! * [`RateTable`]: what was measured, as a line of text for a cache.
//!
//! # What it deliberately doesn't do
//!
//! It sets no clocks and no affinity, which an app may not. It starts no threads and does not sleep: [`Decision::pause`] says for how
//! long the engine should. It does not look at prompts: tokens of a prompt cost something else than generated ones.
//!
//! # Pitfalls
//!
//! * Report only the time of computing as [`Sample::busy`]. A pause in it looks like a slow thread count.
//! * Pause after each token, not after many: see [`Decision::pause`].
//! * Ask Android for the headroom at most once per second; it answers NaN to more.
//! * A cached table belongs to a device, a version of its system and a class of models. Another model is measured anew.
//!
//! How it decides, and what that gains, is in the repository's `docs/governor.md`.
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
