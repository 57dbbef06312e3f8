//! Generated sources: the C header from Rust, the Dart bindings from the C header, and the option classes and enums of
//! Java and Dart from the list of options and the C header. It also checks that the Kotlin sources compile.

#![forbid(unsafe_code)]

mod dart;
mod header;
mod kotlin;
mod options;

use clap::{Parser, Subcommand};
use happy_tool_kit::outcome;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The C header and the Dart bindings",
    version
)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write the C header of crates/ffi (--check: compare it with the sources)
    Header(header::Args),
    /// Write the option classes and enums of Java and Dart (--check: compare them with crates/ffi)
    Options(options::Args),
    /// Write the Dart bindings of crates/ffi/include/happy.h, or check them and the other Dart files
    Dart(dart::Args),
    /// A step of `cargo xtask test`
    #[command(subcommand, hide = true)]
    Step(Step),
}

#[derive(Subcommand)]
enum Step {
    Bindings,
    Kotlin,
}

fn main() -> ExitCode {
    outcome::exit(match Cli::parse().command {
        Task::Header(args) => header::run(&args),
        Task::Options(args) => options::run(&args),
        Task::Dart(args) => dart::run(&args),
        Task::Step(Step::Bindings) => return outcome::tell(&dart::step()),
        Task::Step(Step::Kotlin) => return outcome::tell(&kotlin::step()),
    })
}
