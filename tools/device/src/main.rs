//! Tests and programs on a phone, over `adb`: `cargo xtask device-test` and `cargo xtask device-run`.
//!
//! | module | what it knows |
//! |---|---|
//! | `device_test` | the run as a whole |
//! | `adb`, `complaint` | calls of adb with time limits; its complaints as sentences |
//! | `marker`, `folder`, `environment` | exit codes of programs; the folder on the device; the environment of a program there |
//! | `select` | which devices to use, and whether they are suitable |
//! | `target` | what is built, with which linker |
//! | `packages`, `suite`, `libtest`, `report` | the packages' tests |
//! | `checks`, `bench` | the checks besides them |
//! | `runner` | `cargo xtask device-run`: one program, for cargo |
//! | `interrupt` | Ctrl-C: the device is left clean |

#![forbid(unsafe_code)]

mod adb;
mod bench;
mod checks;
mod complaint;
mod device_test;
mod environment;
mod folder;
mod interrupt;
mod libtest;
mod marker;
mod packages;
mod report;
mod runner;
mod select;
mod suite;
mod target;

use clap::{Parser, Subcommand};
use happy_tool_kit::outcome;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Tests on phones, over adb", version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the tests of all crates, the corpora and the bit checks on a phone, over adb
    DeviceTest(device_test::Args),
    /// Run one program on a phone: a runner for cargo
    DeviceRun(runner::Args),
    /// A step of `cargo xtask test`
    #[command(subcommand, hide = true)]
    Step(Step),
}

#[derive(Subcommand)]
enum Step {
    DeviceTest,
}

fn main() -> ExitCode {
    outcome::exit(match Cli::parse().command {
        Task::DeviceTest(args) => device_test::run(&args),
        Task::DeviceRun(args) => match runner::run(&args) {
            Ok(code) => return code,
            Err(message) => Err(message),
        },
        Task::Step(Step::DeviceTest) => return outcome::tell(&device_test::step()),
    })
}
