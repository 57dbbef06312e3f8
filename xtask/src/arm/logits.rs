//! The logits of the real models on emulated aarch64, compared with the native ones bit for bit.

use super::toolchain::Toolchain;
use super::{Cpu, emulated};
use crate::models::{MODELS, Model};
use crate::{Result, fetch, paths, process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// One prompt of twelve ordinary ids, valid in both vocabularies: long enough for a whole tile of the gemm kernels and a
/// remainder, short enough for an emulator.
const PROMPT: &str = "504 3575 282 4649 314 7042 30 378 3575 282 7158 314";

/// Emulated arithmetic is some hundred times slower.
const LIMIT: Duration = Duration::from_secs(900);

/// Runs `happy logits --full --sha256` natively and on each CPU; hands back the differences.
pub(super) fn compare(toolchain: &Toolchain, cpus: &[&Cpu], profile: &[(&str, &str)]) -> Result<Vec<String>> {
    let native = process::build_happy(profile)?;
    let foreign = toolchain.build_happy()?;
    let cases = paths::target().join("test-arm.cases");
    fs::write(&cases, format!("{PROMPT}\n")).map_err(|e| format!("cannot write {}: {e}", cases.display()))?;
    let mut failures = Vec::new();
    for model in MODELS {
        let file = fetch::fetch(model)?;
        let expected = hash(Command::new(&native), model, &file, &cases)?;
        println!("{:<11} {} logits, native: sha256 {expected}", "", model.name);
        for cpu in cpus {
            let start = Instant::now();
            let mut command = emulated(cpu);
            command.arg(&foreign);
            let verdict = match hash(command, model, &file, &cases) {
                Ok(found) if found == expected => "the same bits".to_owned(),
                Ok(found) => format!("sha256 {found}, natively {expected}"),
                Err(message) => message,
            };
            println!(
                "{:<11} {} logits: {verdict}, {:.0} s",
                cpu.name,
                model.name,
                start.elapsed().as_secs_f64()
            );
            if verdict != "the same bits" {
                failures.push(format!("{} logits on {}: {verdict}", model.name, cpu.name));
            }
        }
    }
    Ok(failures)
}

/// The hash that `happy logits` prints.
fn hash(mut happy: Command, model: &Model, file: &Path, cases: &Path) -> Result<String> {
    let out: PathBuf = paths::target().join("test-arm.logits");
    happy
        .args(["logits", "--full", "--sha256", "-m"])
        .arg(file)
        .arg("--tokens")
        .arg(cases)
        .arg("--out")
        .arg(&out);
    let done = process::run_within(&mut happy, LIMIT)?;
    if !done.success {
        return Err(format!(
            "`{}` failed ({}): {}",
            process::display(&happy),
            done.ending,
            done.stderr.trim()
        ));
    }
    find_hash(&done.stdout).ok_or_else(|| {
        format!("`happy logits --sha256` of {} printed no sha256, but: {}", model.name, done.stdout.trim())
    })
}

/// The first word of 64 hexadecimal digits.
fn find_hash(text: &str) -> Option<String> {
    let is_hash = |word: &&str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    text.split_whitespace().find(is_hash).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_found_among_words() {
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(find_hash(&format!("sha256 {hash}  out.bin\n")).as_deref(), Some(hash));
        assert_eq!(find_hash("no hash here abcdef"), None);
    }
}
