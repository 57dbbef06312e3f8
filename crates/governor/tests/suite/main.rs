//! The governor on simulated phones: files, replayed traces, half an hour of heat, other programs.

mod closed_loop;
mod competitors;
#[path = "../phone/mod.rs"]
mod phone;
mod sysfs;
mod traces;
