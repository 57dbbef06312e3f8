//! The tests on machines other than this one: aarch64 under qemu, AVX-512 with emulated intrinsics, 32-bit and
//! big-endian systems.
//!
//! [`toolchain`] builds for aarch64, including phones. [`isa`] reads which instruction sets a test program covered.

#![forbid(unsafe_code)]

mod arm;
mod avx512;
mod foreign;
pub mod isa;
mod suites;

pub use arm::toolchain;

use clap::{Parser, Subcommand};
use happy_tool_kit::outcome;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Tests on emulated machines", version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Make this Debian machine able to build and emulate aarch64
    SetupArm,
    /// Run the tests of what computes on emulated aarch64, and `happy` on three CPUs
    TestArm(arm::Args),
    /// Count the instructions and cycles of the kernels for aarch64, ours and llama.cpp's
    ArmCycles(arm::cycles::Args),
    /// Verify a model on emulated aarch64, and count the instructions
    ArmVerify(arm::count::Args),
    /// Run the kernels for AVX-512 by emulated intrinsics, on any machine with AVX2
    TestAvx512,
    /// Make this machine able to build for i686 and s390x, and to emulate them (Debian)
    SetupForeign,
    /// Run the tests of gguf and tensor with 32-bit addresses (i686) and with the other byte order (s390x)
    TestForeign(foreign::Args),
    /// A step of `cargo xtask test`
    #[command(subcommand, hide = true)]
    Step(Step),
}

#[derive(Subcommand)]
enum Step {
    TestAvx512,
    TestArm,
    TestForeign,
}

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    outcome::exit(match Cli::parse().command {
        Task::SetupArm => arm::setup(),
        Task::TestArm(args) => arm::run(&args),
        Task::ArmCycles(args) => arm::cycles::run(&args),
        Task::ArmVerify(args) => arm::count::run(&args),
        Task::TestAvx512 => avx512::run(),
        Task::SetupForeign => foreign::setup(),
        Task::TestForeign(args) => foreign::run(&args),
        Task::Step(Step::TestAvx512) => return outcome::tell(&avx512::step()),
        Task::Step(Step::TestArm) => return outcome::tell(&arm::step()),
        Task::Step(Step::TestForeign) => return outcome::tell(&foreign::step()),
    })
}
