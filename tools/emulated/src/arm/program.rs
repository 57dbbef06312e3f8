//! Runs the program on emulated aarch64: its check of every kernel, and the logits of the real models, whose hashes
//! must be those in `fixtures/`.

use super::toolchain::Toolchain;
use super::{Cpu, TEST_LIMIT, emulated};
use happy_tool_kit::models::MODELS;
use happy_tool_kit::{Result, fetch, fixtures, process};
use std::path::Path;
use std::time::Instant;

/// What `happy cpu --check` prints for an instruction set whose kernels are right.
const RIGHT: &str = "the bits of scalar code";

/// Checks the kernels on each CPU, then runs `happy logits` for the fixtures' prompt there. Returns the failures.
pub(super) fn check(toolchain: &Toolchain, cpus: &[&Cpu]) -> Result<Vec<String>> {
    let happy = toolchain.build_happy()?;
    let mut failures = Vec::new();
    for cpu in cpus {
        failures.extend(kernels(&happy, cpu)?);
    }
    for model in MODELS {
        let (file, expected) = (fetch::fetch(model)?, fixtures::golden(model)?);
        for cpu in cpus {
            let start = Instant::now();
            let mut command = emulated(cpu);
            command.arg(&happy);
            let failure = match fixtures::hash(command, &file) {
                Ok(found) if found == expected => None,
                Ok(found) => Some(format!("sha256 {found}, expected {expected}")),
                Err(message) => Some(message),
            };
            let verdict = failure.as_deref().unwrap_or("as in fixtures/logits.txt");
            let seconds = start.elapsed().as_secs_f64();
            println!("{:<11} {} logits: {verdict}, {seconds:.0} s", cpu.name, model.name);
            failures.extend(failure.map(|why| format!("{} logits on {}: {why}", model.name, cpu.name)));
        }
    }
    Ok(failures)
}

/// Runs `happy cpu --check`: every kernel and operation on a small problem, compared with scalar code.
fn kernels(happy: &Path, cpu: &Cpu) -> Result<Vec<String>> {
    let done = process::run_within(emulated(cpu).arg(happy).args(["cpu", "--check"]), TEST_LIMIT)?;
    let mut failures: Vec<String> = cpu
        .require
        .iter()
        .filter(|isa| !is_right(&done.stdout, isa))
        .map(|isa| format!("happy cpu --check on {} does not say that {isa} gives {RIGHT}", cpu.name))
        .collect();
    if !done.success {
        let text = process::tail(&format!("{}{}", done.stdout, done.stderr), 40);
        failures.push(format!("happy cpu --check on {} ended with {}:\n{text}", cpu.name, done.ending));
    }
    if failures.is_empty() {
        println!("{:<11} happy cpu --check: {} give {RIGHT}", cpu.name, cpu.require.join(", "));
    }
    Ok(failures)
}

/// Returns whether the report has a line that begins with `isa` and says that it is right.
fn is_right(report: &str, isa: &str) -> bool {
    let mut lines = report.lines().filter_map(|line| line.split_once(' '));
    lines.any(|(name, verdict)| name == isa && verdict.trim() == RIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_or_wrong_instruction_set_is_not_right() {
        let report =
            "scalar    the bits of scalar code\nneon      the bits of scalar code\ndotprod   skipped: none\n";
        assert!(is_right(report, "neon"));
        for isa in ["dotprod", "avx2", "neo"] {
            assert!(!is_right(report, isa), "{isa}");
        }
        assert!(!is_right("neon      wrong: gemv", "neon"));
    }
}
