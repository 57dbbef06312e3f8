//! The governor on phones in software: files, replayed traces, half an hour of heat, other programs.

mod closed_loop;
mod competitors;
#[path = "../phone/mod.rs"]
mod phone;
mod sysfs;
mod traces;
