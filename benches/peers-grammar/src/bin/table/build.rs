//! The probes: built with one feature each, so that nothing is linked but the peer.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use peers_grammar::Result;

/// A peer's programs, and what they cost.
pub struct Probe {
    /// Name and version.
    pub title: String,
    /// The program that answers every question.
    pub program: PathBuf,
    /// The program that only follows one text.
    pub small: PathBuf,
    /// Packages that the peer needs, without itself.
    pub dependencies: usize,
}

/// Builds both programs of a peer.
pub fn peer(name: &str) -> Result<Probe> {
    let tree = output(
        cargo().args(["tree", "--edges", "normal", "--prefix", "none"]).args(features(Some(name), false)),
    )?;
    // The first line is this package. Packages that appear again are marked.
    let packages: BTreeSet<&str> = tree.lines().skip(1).map(|line| line.trim_end_matches(" (*)")).collect();
    let own = packages.iter().find(|package| package.split(' ').next() == Some(name));
    let own = own.ok_or_else(|| format!("cargo tree does not list {name}"))?;
    Ok(Probe {
        title: own.split(" (").next().unwrap_or(own).replace(" v", " "),
        dependencies: packages.len() - 1,
        program: probe(Some(name), false)?,
        small: probe(Some(name), true)?,
    })
}

/// Builds a probe and puts it where the next one does not replace it.
pub fn probe(peer: Option<&str>, small: bool) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/probes");
    let name = format!("{}{}", peer.unwrap_or("nobody"), if small { "-small" } else { "" });
    eprintln!("building {name}");
    let mut command = cargo();
    command.args(["build", "--release", "--quiet", "--bin", "probe"]).args(features(peer, small));
    output(command.env("CARGO_TARGET_DIR", &folder))?;
    let kept = folder.join(name);
    fs::copy(folder.join("release/probe"), &kept)?;
    Ok(kept)
}

fn features(peer: Option<&str>, small: bool) -> Vec<String> {
    let names: Vec<&str> = peer.into_iter().chain(small.then_some("small")).collect();
    vec!["--no-default-features".into(), "--features".into(), names.join(",")]
}

fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn output(command: &mut Command) -> Result<String> {
    let out = command.stderr(Stdio::inherit()).output()?;
    if !out.status.success() {
        return Err(format!("{command:?}: {}", out.status).into());
    }
    Ok(String::from_utf8(out.stdout)?)
}
