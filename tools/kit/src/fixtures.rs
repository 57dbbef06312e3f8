//! `cargo xtask fixtures`: writes the hashes in `fixtures/` that every machine's logits must have, and the references
//! of `happy verify`.

use crate::models::{MODELS, Model};
use crate::{Result, fetch, paths, process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A dozen tokens take a second natively and some minutes under emulation.
const LIMIT: Duration = Duration::from_secs(900);

/// `cargo xtask fixtures`.
pub fn run() -> Result<()> {
    let happy = process::build_happy()?;
    let mut text = String::from("# sha256 of the logits of prompt.txt; written by `cargo xtask fixtures`\n");
    for model in MODELS {
        let file = fetch::fetch(model)?;
        text += &format!("{} {}\n", model.name, hash(Command::new(&happy), &file)?);
        process::run(
            Command::new(&happy).arg("verify").arg(file).arg("--force").arg("--write").arg(reference(model)),
        )?;
    }
    fs::write(goldens(), text).map_err(|e| format!("cannot write {}: {e}", goldens().display()))?;
    println!("wrote {}", paths::short(&goldens()));
    Ok(())
}

/// Returns the file with which `happy verify` compares `model`.
pub fn reference(model: &Model) -> PathBuf {
    paths::root().join(format!("fixtures/verify-{}.json", model.name))
}

/// Returns the hash that the logits of `model` must have.
pub fn golden(model: &Model) -> Result<String> {
    let path = goldens();
    let text = fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    find(&text, model.name).ok_or_else(|| {
        format!("{} has no line for {}: run `cargo xtask fixtures`", path.display(), model.name)
    })
}

/// Returns the hash that `happy logits` prints for the fixtures' prompt. `happy` may be an emulator with its program.
pub fn hash(mut happy: Command, file: &Path) -> Result<String> {
    happy.args(["logits", "--full", "--sha256", "-m"]).arg(file);
    happy.arg("--tokens").arg(paths::root().join("fixtures/prompt.txt"));
    let done = process::run_within(&mut happy, LIMIT)?;
    if !done.success {
        let (command, reason) = (process::display(&happy), done.stderr.trim());
        return Err(format!("`{command}` failed ({}): {reason}", done.ending));
    }
    find_hash(&done.stdout).ok_or_else(|| {
        format!("`{}` printed no sha256, but: {}", process::display(&happy), done.stdout.trim())
    })
}

/// Returns the SHA-256 in what `happy logits --sha256` printed.
pub fn find_hash(text: &str) -> Option<String> {
    let is_hash = |word: &&str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    text.split_whitespace().find(is_hash).map(str::to_owned)
}

fn goldens() -> PathBuf {
    paths::root().join("fixtures/logits.txt")
}

/// Returns the second word of the line that begins with `name`.
fn find(text: &str, name: &str) -> Option<String> {
    let mut lines =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    lines.find(|(first, _)| *first == name).map(|(_, hash)| hash.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_found_by_name() {
        let text = "# gemma3 none\nsmollm2 12ab\ngemma3 34cd\n";
        assert_eq!(find(text, "gemma3").as_deref(), Some("34cd"));
        assert_eq!(find(text, "gemma"), None);
    }

    #[test]
    fn every_model_has_a_golden() {
        for model in MODELS {
            assert_eq!(golden(model).map(|hash| hash.len()), Ok(64));
        }
    }
}
