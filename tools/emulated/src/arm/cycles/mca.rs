//! LLVM's model of a processor: how many cycles a straight line of instructions takes, if loads hit the first-level cache and all
//! branches are foreseen.

use happy_tool_kit::Result;
use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

/// A small core, a middle one and two big ones.
pub(super) const CORES: [&str; 4] = ["cortex-a510", "cortex-a715", "cortex-x2", "cortex-x4"];

const FEATURES: &str = "-mattr=+dotprod,+i8mm,+fullfp16,+bf16";

/// Cycles on each of [`CORES`].
pub(super) fn cycles(instructions: &[u32], llvm: &str) -> Result<Vec<u64>> {
    let assembly = disassemble(instructions, llvm)?;
    let mut all = Vec::new();
    for core in CORES {
        let mut command = Command::new(format!("llvm-mca{llvm}"));
        command.args([
            "-mtriple=aarch64",
            &format!("-mcpu={core}"),
            FEATURES,
            "-iterations=1",
            "-call-latency=1",
        ]);
        command.args(["-instruction-info=0", "-resource-pressure=0"]);
        let report = filter(&mut command, &assembly)?;
        let cycles = report.lines().find_map(|line| line.strip_prefix("Total Cycles:")?.trim().parse().ok());
        all.push(cycles.ok_or_else(|| format!("llvm-mca{llvm} told no cycles for {core}"))?);
    }
    Ok(all)
}

/// The instructions as assembly, a line each.
fn disassemble(instructions: &[u32], llvm: &str) -> Result<String> {
    let mut unique = instructions.to_vec();
    unique.sort_unstable();
    unique.dedup();
    let mut bytes = String::new();
    for opcode in &unique {
        for byte in opcode.to_le_bytes() {
            bytes += &format!("0x{byte:02x} ");
        }
        bytes.push('\n');
    }
    let mut command = Command::new(format!("llvm-mc{llvm}"));
    let text = filter(command.args(["--disassemble", "--triple=aarch64", "-mattr=+all"]), &bytes)?;
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('.')).collect();
    if lines.len() != unique.len() {
        return Err(format!("llvm-mc{llvm} knows {} of {} instructions", lines.len(), unique.len()));
    }
    let lines: HashMap<u32, &str> = unique.into_iter().zip(lines).collect();
    let mut assembly = String::new();
    for opcode in instructions {
        assembly += lines[opcode];
        assembly.push('\n');
    }
    Ok(assembly)
}

/// What a program writes that reads `input`.
fn filter(command: &mut Command, input: &str) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |e: std::io::Error| {
        format!("cannot run {name} (Debian's package llvm, or another --llvm-suffix): {e}")
    };
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(failed)?;
    let mut stdin = child.stdin.take();
    let output = thread::scope(|scope| {
        scope.spawn(move || stdin.take().map(|mut to| to.write_all(input.as_bytes())));
        child.wait_with_output()
    })
    .map_err(failed)?;
    if !output.status.success() {
        return Err(format!("{name} failed ({})", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{name} wrote bytes that are not UTF-8"))
}
