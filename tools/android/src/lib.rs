//! Building for Android, and checking what was built: `libhappy.so`, `happy`, and an app with them.
//!
//! | module | what it knows |
//! |---|---|
//! | `link` | the NDK ([`ndk`]), or stand-ins for it; the variables and flags for cargo |
//! | `elf` | the rules of Android's loader (`cargo xtask elf-check`) |
//! | `dist`, `apk` | the folder of files for an app, and a whole app |
//! | `archive` | zip archives with the same bytes for the same content |

#![forbid(unsafe_code)]

mod apk;
mod archive;
mod dist;
mod elf;
mod link;

pub use link::ndk;

use clap::{Parser, Subcommand};
use happy_tool_kit::outcome;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Libraries and apps for Android", version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build libhappy and happy, for Android or for this machine, and pack them with header, licenses and checksums
    Dist(dist::Args),
    /// Make an app with libhappy.so in it, with Debian's tools, and check it
    Apk(apk::Args),
    /// Check libraries and programs for Android: what they import, page size, interpreter and more
    ElfCheck(elf::Args),
    /// Write the table of what Android's libraries export, from a checkout of AOSP's bionic
    BionicSymbols(elf::maps::Args),
    /// A step of `cargo xtask test`
    #[command(subcommand, hide = true)]
    Step(Step),
}

#[derive(Subcommand)]
enum Step {
    Dist,
    Apk,
}

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    outcome::exit(match Cli::parse().command {
        Task::Dist(args) => dist::run(&args),
        Task::Apk(args) => apk::run(&args),
        Task::ElfCheck(args) => elf::run(&args),
        Task::BionicSymbols(args) => elf::maps::run(&args),
        Task::Step(Step::Dist) => return outcome::tell(&dist::step()),
        Task::Step(Step::Apk) => return outcome::tell(&apk::step()),
    })
}
