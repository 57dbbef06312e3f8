//! `cargo xtask device-test` from end to end: the real `adb`, and phones of software that run aarch64 programs emulated.
//!
//! Run by `cargo xtask test device-test`, which sees to adb, qemu-aarch64 and the aarch64 toolchain; nothing here is skipped. Each
//! test has a phone of its own, and all share an adb server of their own, which is ended with the last.

#![forbid(unsafe_code)]

mod adbd;
mod cases;
mod runner;
mod support;
