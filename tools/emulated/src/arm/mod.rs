//! aarch64 without a phone: a cross toolchain for Debian, and tests under emulated CPUs.
//!
//! `setup-arm` installs what a bare Debian machine lacks; `test-arm` builds the tests of tensor, kernels, model and conform, runs those whose
//! results an instruction set decides on the first CPU of [`CPUS`], and lets the aarch64 `happy` check its kernels on each of them
//! and compare the logits of the real models with the fixtures. `arm-cycles` counts what kernels cost, `arm-verify` what
//! `happy verify` does.

pub(crate) mod count;
pub(crate) mod cycles;
mod program;
pub mod toolchain;

use crate::isa::Coverage;
use crate::suites;
use happy_tool_kit::outcome::Outcome;
use happy_tool_kit::process::Built;
use happy_tool_kit::{Result, paths, process};
use std::process::Command;
use std::time::{Duration, Instant};
use toolchain::Toolchain;

/// An emulated CPU, and what the kernel tests must cover on it.
struct Cpu {
    /// Its name in qemu.
    name: &'static str,
    /// Instruction sets whose kernels must run and not be skipped; the best one last.
    require: &'static [&'static str],
}

/// A CPU with everything that qemu supports; plain armv8.0; and a phone's big core with dot products but without matrix
/// products. The packages' tests run on the first, with the kernels of all three. That none of these uses an instruction
/// that a CPU lacks is shown by the program's own check, and by the logits of real models.
const CPUS: &[Cpu] = &[
    Cpu { name: "max", require: &["neon", "dotprod", "i8mm"] },
    Cpu { name: "cortex-a53", require: &["neon"] },
    Cpu { name: "cortex-a76", require: &["neon", "dotprod"] },
];

/// The packages whose tests run under emulation: all those that compute, and the corpora.
const PACKAGES: &[&str] = &["happy-tensor", "happy-kernels", "happy-model", "happy-conform"];

/// The corpora that run under emulation, by the names of tests in `conform/tests/corpora.rs`. The others are about text
/// and files, for which the instruction set does not matter.
const CORPORA: &[&str] = &["quants", "architectures"];

/// A test binary that runs longer than this under emulation is killed and counts as failed.
const TEST_LIMIT: Duration = Duration::from_secs(900);

/// Recipes of the architectures' test that run under emulation: each block of the forward pass once. The others would
/// use the same kernels.
const RECIPES: &str = "llama,gemma3,phi3,olmo2,stablelm,qwen2moe-moe,gpt-oss-moe";

/// Arguments of `test-arm`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Only this CPU, also for the packages' tests: max, cortex-a53 or cortex-a76 [default: all; the tests on max]
    #[arg(long)]
    cpu: Option<String>,
    /// Only the packages' tests, not `happy cpu --check` and the logits of the real models
    #[arg(long)]
    no_logits: bool,
}

/// `cargo xtask setup-arm`.
pub(crate) fn setup() -> Result<()> {
    if let Ok(found) = Toolchain::find() {
        println!("the aarch64 toolchain is set up: {}", found.describe());
        return Ok(());
    }
    let found = toolchain::install()?;
    println!("the aarch64 toolchain is set up: {}", found.describe());
    Ok(())
}

/// Runs the step of `cargo xtask test`: sets up what is missing if that is possible, else reports a skip.
pub(crate) fn step() -> Result<Outcome> {
    if Toolchain::find().is_err() {
        if let Err(reason) = toolchain::can_install() {
            return Ok(Outcome::Skipped(reason));
        }
        setup()?;
    }
    run(&Args::default()).map(|()| Outcome::Passed)
}

/// `cargo xtask test-arm`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let cpus = match &args.cpu {
        None => CPUS.iter().collect::<Vec<_>>(),
        Some(name) => vec![CPUS.iter().find(|cpu| cpu.name == name).ok_or_else(|| {
            format!(
                "unknown CPU '{name}': expected one of {}",
                CPUS.iter().map(|c| c.name).collect::<Vec<_>>().join(", ")
            )
        })?],
    };
    let toolchain = Toolchain::find()?;
    println!("toolchain: {}", toolchain.describe());
    let binaries = toolchain.build_tests(PACKAGES)?;
    if binaries.is_empty() {
        return Err(format!("cargo built no test binary for {}", PACKAGES.join(", ")));
    }
    let mut failures = cpus.first().map_or(Ok(Vec::new()), |cpu| test_on(cpu, &binaries))?;
    if !args.no_logits {
        failures.extend(program::check(&toolchain, &cpus)?);
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(format!("{} failure(s) under emulation:\n  {}", failures.len(), failures.join("\n  ")))
}

/// Runs the test binaries on one CPU, prints what they covered, and returns the failures.
fn test_on(cpu: &Cpu, binaries: &[Built]) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    let mut coverage = Coverage::default();
    let start = Instant::now();
    let mut tests = 0;
    for binary in binaries {
        let mut command = emulated(cpu);
        command
            .arg(&binary.executable)
            .arg("--nocapture")
            .args(if binary.target == "corpora" { CORPORA } else { &[] })
            .current_dir(&binary.package_dir)
            .env("CARGO_MANIFEST_DIR", &binary.package_dir)
            .env_remove("HAPPY_CONFORMANCE")
            .args(suites::without_slow())
            .envs(suites::LESS)
            .envs([("HAPPY_RECIPES", RECIPES)])
            .envs(cpu.require.last().map(|best| ("HAPPY_REQUIRE_ISA", best)));
        let begun = Instant::now();
        let done = process::run_within(&mut command, TEST_LIMIT)?;
        println!(
            "{:<11} {:>5.0} s  {} of {}",
            cpu.name,
            begun.elapsed().as_secs_f64(),
            binary.target,
            paths::short(&binary.package_dir)
        );
        coverage.read(&done.stdout);
        tests += passed_tests(&done.stdout);
        if !done.success {
            let tail = process::tail(&format!("{}{}", done.stdout, done.stderr), 40);
            eprintln!("--- {} on {}: {}\n{tail}", binary.target, cpu.name, done.ending);
            failures.push(format!(
                "{} of {} on {}: {}",
                binary.target,
                paths::short(&binary.package_dir),
                cpu.name,
                done.ending
            ));
        }
    }
    for isa in cpu.require.iter().filter(|isa| !coverage.ran(isa)) {
        failures.push(format!(
            "no test on {} ran a kernel for {isa}, which this CPU has (expected a line `isa: {isa} ran`)",
            cpu.name
        ));
    }
    println!(
        "{:<11} {tests:>5} tests in {} binaries passed, {} failure(s), {:.0} s; isa: {coverage}",
        cpu.name,
        binaries.len(),
        failures.len(),
        start.elapsed().as_secs_f64()
    );
    println!(
        "{:<11} not run, since emulated they take too long: {}, formats whose encoding searches",
        cpu.name,
        suites::SLOW.join(", ")
    );
    Ok(failures)
}

/// Returns the command of the emulator for one CPU; the binary and its arguments follow.
fn emulated(cpu: &Cpu) -> Command {
    let mut command = Command::new("qemu-aarch64");
    command.args(["-cpu", cpu.name]);
    command
}

/// Returns the sum of the counts in lines `test result: ok. 12 passed; ...`.
pub(crate) fn passed_tests(stdout: &str) -> usize {
    stdout
        .lines()
        .filter(|line| line.starts_with("test result:"))
        .filter_map(|line| line.split(" passed").next()?.rsplit(' ').next()?.parse::<usize>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_are_summed() {
        let text = "running 2 tests\ntest result: ok. 12 passed; 0 failed\nx\ntest result: FAILED. 3 passed; 1 failed\n";
        assert_eq!(passed_tests(text), 15);
        assert_eq!(passed_tests(""), 0);
    }
}
