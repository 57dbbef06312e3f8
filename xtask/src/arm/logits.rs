//! The logits of the real models on emulated aarch64: their hashes are those of `fixtures/`.

use super::toolchain::Toolchain;
use super::{Cpu, emulated};
use crate::models::MODELS;
use crate::{Result, fetch, fixtures};
use std::time::Instant;

/// Runs `happy logits` for the fixtures' prompt on each CPU; hands back the differences.
pub(super) fn compare(toolchain: &Toolchain, cpus: &[&Cpu]) -> Result<Vec<String>> {
    let happy = toolchain.build_happy()?;
    let mut failures = Vec::new();
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
