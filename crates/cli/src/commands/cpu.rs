//! `happy cpu`: shows what the processor has, which kernels are chosen for it, and how to choose others.

mod measure;

use crate::error::{CliError, CliResult};
use clap::Args;
use happy_kernels::isa::{IsaError, cpu_features};
use happy_kernels::{Isa, Kernels};
use happy_tensor::DType;
use serde_json::json;
use std::io::Write;

/// Options of `happy cpu`.
#[derive(Debug, Args)]
pub(crate) struct CpuArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Compare the kernels of every instruction set with scalar code on this machine
    #[arg(long, conflicts_with = "json")]
    check: bool,
    /// Measure what one core reads and computes at most, and what share of it each kernel reaches; run it on an idle machine
    #[arg(long, conflicts_with_all = ["json", "check"])]
    measure: bool,
}

/// The variables that choose instruction sets, and what they do.
const SWITCHES: [(&str, &str); 3] = [
    ("HAPPY_ISA", "use exactly this instruction set, like HAPPY_ISA=scalar"),
    ("HAPPY_DISABLE", "never use these, like HAPPY_DISABLE=avx512,avx2"),
    ("HAPPY_REQUIRE_ISA", "tests: not having this instruction set is a failure"),
];

/// Runs the command.
pub(crate) fn run(args: &CpuArgs) -> CliResult {
    // If a variable forbids it, that is the caller's mistake.
    let kernels = Kernels::detect().map_err(|e| CliError::usage(e.to_string()))?;
    if args.check {
        return check();
    }
    if args.measure {
        return measure::run(&kernels);
    }
    let features = cpu_features();
    let mut out = std::io::stdout().lock();
    if args.json {
        let value = json!({
            "architecture": std::env::consts::ARCH,
            "cores": cores(),
            "features": features.iter().map(|(n, yes)| ((*n).to_owned(), json!(yes))).collect::<serde_json::Map<_, _>>(),
            "instruction_sets": Isa::ALL.map(|isa| json!({
                "name": isa.name(),
                "available": isa.available().is_ok(),
                "why_not": isa.available().err().map(|e| e.to_string()),
            })),
            "chosen": kernels.isa.name(),
            "kernels": DType::ALL.map(|dtype| {
                let kernel = kernels.linear(dtype);
                json!({
                    "format": dtype.name(),
                    "gemv": kernel.gemv_name,
                    "few": kernel.few.map(|few| few.name),
                    "gemm": kernel.gemm_name,
                })
            }),
            "switches": SWITCHES.map(|(name, what)| json!({
                "variable": name, "effect": what, "value": variable(name),
            })),
        });
        serde_json::to_writer_pretty(&mut out, &value)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(out, "architecture      {}, {} cores for this process", std::env::consts::ARCH, cores())?;
    let names = |have: bool| {
        let names: Vec<_> = features.iter().filter(|(_, yes)| *yes == have).map(|(n, _)| *n).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(" ") }
    };
    writeln!(out, "features          {}", names(true))?;
    writeln!(out, "  not found       {}", names(false))?;
    writeln!(out, "instruction set   {}", kernels.isa)?;
    for isa in Isa::ALL {
        let state = match isa.available() {
            Ok(()) => "available".to_owned(),
            Err(error) => error.to_string(),
        };
        writeln!(out, "  {isa:<15} {state}")?;
    }
    writeln!(out, "kernels           one token, a few tokens, many tokens")?;
    for dtype in DType::ALL {
        let kernel = kernels.linear(dtype);
        let few = kernel.few.map_or("none for a few", |few| few.name);
        writeln!(out, "  {:<15} {}, {few}, {}", dtype.name(), kernel.gemv_name, kernel.gemm_name)?;
    }
    writeln!(out, "switches")?;
    for (name, what) in SWITCHES {
        let value = variable(name).map_or_else(|| "not set".to_owned(), |v| format!("now {v:?}"));
        writeln!(out, "  {name:<17} {what} ({value})")?;
    }
    Ok(())
}

/// Prints a line for each instruction set. Returns an error if one differs from scalar code.
fn check() -> CliResult {
    let mut wrong = Vec::new();
    let mut out = std::io::stdout().lock();
    for isa in Isa::ALL {
        let verdict = match Kernels::with_isa(isa).map(|kernels| happy_kernels::check(&kernels)) {
            Ok(Ok(())) => "the bits of scalar code".to_owned(),
            Ok(Err(mismatch)) => {
                wrong.push(isa.name());
                mismatch.to_string()
            }
            Err(error) => {
                wrong.extend(matches!(error, IsaError::Wrong { .. }).then_some(isa.name()));
                format!("skipped: {error}")
            }
        };
        writeln!(out, "{isa:<9} {verdict}")?;
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let (wrong, disable) = (wrong.join(", "), wrong.join(","));
    Err(CliError::new(format!("wrong results on this machine: {wrong}; set HAPPY_DISABLE={disable}")))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|v| v.to_string_lossy().into_owned())
}
