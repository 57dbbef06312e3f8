//! Tests `happy serve` with unmodified clients from PyPI and npm and a real model, and with many clients at once.

#![forbid(unsafe_code)]

mod clients;
mod load;
mod server;

use clap::{Parser, Subcommand};
use happy_tool_kit::outcome::{self, Outcome};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Real clients against the server", version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install clients from PyPI and npm under target/clients, and run them and a browser against `happy serve` with smollm2
    TestClients,
    /// Measure a server under many clients at once: throughput, time to the first token, memory
    LoadTest(load::LoadArgs),
    /// A step of `cargo xtask test`
    #[command(subcommand, hide = true)]
    Step(Step),
}

#[derive(Subcommand)]
enum Step {
    TestClients,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Task::TestClients => outcome::exit(clients::run().and_then(|ended| match ended {
            Outcome::Passed => Ok(()),
            Outcome::Skipped(why) | Outcome::Unavailable(why) => Err(why),
        })),
        Task::LoadTest(args) => outcome::exit(load::run(&args)),
        Task::Step(Step::TestClients) => outcome::tell(&clients::run()),
    }
}
