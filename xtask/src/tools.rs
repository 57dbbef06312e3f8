//! The commands whose code is in packages of their own under `tools`. These are built when they are first used.

use crate::skips;
use happy_tool_kit::outcome::{self, Outcome};
use happy_tool_kit::{Result, process};
use std::ffi::OsString;
use std::process::ExitCode;

/// A command of `cargo xtask`, the package that has it, and its line in the help.
struct Command {
    name: &'static str,
    package: &'static str,
    about: &'static str,
}

pub(crate) const ANDROID: &str = "happy-tool-android";
pub(crate) const BINDINGS: &str = "happy-tool-bindings";
pub(crate) const CLIENTS: &str = "happy-tool-clients";
pub(crate) const DEVICE: &str = "happy-tool-device";
pub(crate) const EMULATED: &str = "happy-tool-emulated";

/// The packages.
pub(crate) const PACKAGES: &[&str] = &[ANDROID, BINDINGS, CLIENTS, DEVICE, EMULATED];

const fn command(name: &'static str, package: &'static str, about: &'static str) -> Command {
    Command { name, package, about }
}

const COMMANDS: &[Command] = &[
    command("header", BINDINGS, "Write the C header of crates/ffi (--check: compare it with the sources)"),
    command(
        "dart",
        BINDINGS,
        "Write the Dart bindings of the C header (--check: compare, and check all Dart files)",
    ),
    command(
        "options",
        BINDINGS,
        "Write the option classes of Java and Dart (--check: compare them with the list)",
    ),
    command("test-clients", CLIENTS, "Run clients from PyPI and npm against `happy serve` with a real model"),
    command("load-test", CLIENTS, "Measure a server under many clients at once"),
    command("setup-arm", EMULATED, "Make this Debian machine able to build and emulate aarch64"),
    command(
        "test-arm",
        EMULATED,
        "Run the tests of what computes on emulated aarch64, and `happy` on three CPUs",
    ),
    command(
        "arm-cycles",
        EMULATED,
        "Count the instructions and cycles of the kernels for aarch64, ours and llama.cpp's",
    ),
    command("arm-verify", EMULATED, "Verify a model on emulated aarch64, and count the instructions"),
    command(
        "test-avx512",
        EMULATED,
        "Run the kernels for AVX-512 by emulated intrinsics, on any machine with AVX2",
    ),
    command(
        "setup-foreign",
        EMULATED,
        "Make this machine able to build for i686 and s390x, and to emulate them (Debian)",
    ),
    command(
        "test-foreign",
        EMULATED,
        "Run the tests of gguf and tensor with 32-bit addresses and the other byte order",
    ),
    command(
        "device-test",
        DEVICE,
        "Run the tests of all crates, the corpora and the bit checks on a phone, over adb",
    ),
    command("device-run", DEVICE, "Run one program on a phone: a runner for cargo"),
    command("dist", ANDROID, "Build libhappy and happy, for Android or for this machine, and pack them"),
    command("apk", ANDROID, "Make an app with libhappy.so in it, with Debian's tools, and check it"),
    command(
        "elf-check",
        ANDROID,
        "Check libraries and programs for Android: imports, page size, interpreter and more",
    ),
    command(
        "bionic-symbols",
        ANDROID,
        "Write the table of what Android's libraries export, from AOSP's bionic",
    ),
];

/// Returns the list of these commands, for the help.
pub(crate) fn help() -> String {
    let lines = COMMANDS.iter().map(|c| format!("  {:<16}{}\n", c.name, c.about));
    format!("Commands in packages of their own, built when first used:\n{}", lines.collect::<String>())
}

/// Runs the command that is named first in `arguments`. On Unix the tool replaces this process, so that its exit code,
/// signals and Ctrl-C are its own.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    take_place(&mut outcome::tool(package_of(arguments)?, arguments))
}

/// Returns the package of the command that is named first in `arguments`.
pub(crate) fn package_of(arguments: &[OsString]) -> Result<&'static str> {
    let name = arguments.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let known = COMMANDS.iter().find(|command| command.name == name).map(|command| command.package);
    known.ok_or_else(|| format!("unknown command '{name}': `cargo xtask --help` lists them"))
}

#[cfg(unix)]
fn take_place(command: &mut std::process::Command) -> Result<ExitCode> {
    let why = std::os::unix::process::CommandExt::exec(command);
    Err(format!("cannot start `{}`: {why}", process::display(command)))
}

#[cfg(not(unix))]
fn take_place(command: &mut std::process::Command) -> Result<ExitCode> {
    let status =
        command.status().map_err(|why| format!("cannot start `{}`: {why}", process::display(command)))?;
    // A program that was killed has no exit code.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Runs a tool's step of `cargo xtask test`.
pub(crate) fn step(package: &str, name: &str) -> Result<Outcome> {
    outcome::ask(outcome::tool(package, ["step", name]).envs([skips::variable()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_in_the_workspace_and_every_command_in_one() {
        let metadata = process::metadata(&["--no-deps"]).expect("cargo metadata");
        for name in PACKAGES {
            assert!(metadata.packages.iter().any(|package| package.name == name), "{name}");
            assert!(
                !metadata.workspace_default_packages().iter().any(|package| package.name == name),
                "{name}"
            );
        }
        let ours = metadata.packages.iter().filter(|package| package.name.starts_with("happy-tool-"));
        assert_eq!(ours.count(), PACKAGES.len() + 1, "each tool and the kit");
        for command in COMMANDS {
            assert!(
                PACKAGES.contains(&command.package) && help().contains(command.about),
                "{}",
                command.name
            );
        }
        let unknown = run(&["no-such".into()]);
        assert!(unknown.is_err_and(|e| e.contains("unknown command 'no-such'")));
    }
}
