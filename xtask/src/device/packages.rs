//! The workspace's packages, as far as testing them on a device goes, and the test data that each needs.

use crate::{Result, paths, process};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The corpora that the tests of a package read, archives of the selection in the repository.
const CORPORA: &[(&str, &[&str])] = &[
    ("happy-gguf", &["gguf"]),
    ("happy-kernels", &["quants"]),
    ("happy-tokenizer", &["tokenizer"]),
    ("happy-chat", &["chat-templates"]),
    ("happy-model", &["architectures"]),
    ("happy-engine", &["chat-templates", "grammar"]),
];

/// A package with tests.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    has_lib: bool,
    has_bin: bool,
    /// The names of its integration tests.
    tests: Vec<String>,
    /// Those of them that its `[package.metadata.device-test]` leaves out.
    needs_host: Vec<String>,
}

impl Package {
    /// The target selection for `cargo test --no-run`.
    ///
    /// Integration tests of a package with a program start it by its path on the machine that built it, so they are not
    /// built; [`Package::left_out`] names them.
    pub(super) fn selection(&self) -> Vec<&str> {
        match (self.has_lib, self.has_bin) {
            (true, true) => vec!["--lib", "--bins"],
            (false, true) => vec!["--bins"],
            (true, false) if self.needs_host.is_empty() => vec!["--lib", "--tests"],
            (false, false) if self.needs_host.is_empty() => vec!["--tests"],
            (has_lib, false) => {
                let tests = self.tests.iter().filter(|name| !self.needs_host.contains(name));
                let lib = has_lib.then_some("--lib");
                lib.into_iter().chain(tests.flat_map(|name| ["--test", name])).collect()
            }
        }
    }

    /// The integration tests that cannot run on a device.
    pub(super) fn left_out(&self) -> &[String] {
        if self.has_bin { &self.tests } else { &self.needs_host }
    }

    /// The names of its corpora.
    pub(super) fn corpora(&self) -> &'static [&'static str] {
        corpora(&self.name)
    }

    /// Its folder relative to the workspace's, with `/`.
    pub(super) fn place(&self, workspace: &Path) -> String {
        place(&self.folder, workspace)
    }
}

/// The names of a package's corpora.
pub(super) fn corpora(package: &str) -> &'static [&'static str] {
    CORPORA.iter().find(|(name, _)| *name == package).map_or(&[], |(_, corpora)| corpora)
}

/// `folder` relative to `workspace`, with `/`.
pub(super) fn place(folder: &Path, workspace: &Path) -> String {
    let relative = folder.strip_prefix(workspace).unwrap_or(folder);
    relative.to_string_lossy().replace('\\', "/").trim_matches('/').to_owned()
}

/// A path that cargo, which runs in the workspace's root, understands as the caller does.
pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// A workspace, as `cargo metadata` tells it.
pub(super) struct Workspace {
    pub(super) root: PathBuf,
    /// Its default members: here the crates, not the tools.
    pub(super) packages: Vec<Package>,
}

impl Workspace {
    /// The workspace of `manifest`, or ours.
    pub(super) fn read(manifest: Option<&Path>) -> Result<Self> {
        let mut command = process::cargo(&["metadata", "--no-deps", "--format-version", "1"]);
        if let Some(manifest) = manifest {
            command.arg("--manifest-path").arg(absolute(manifest)?);
        }
        let text = process::output(&mut command)?;
        let metadata: Value = serde_json::from_str(&text)
            .map_err(|e| format!("cargo metadata wrote JSON that cannot be read: {e}"))?;
        parse(&metadata)
            .ok_or_else(|| "cargo metadata has an unexpected form (format version 1 was asked for)".into())
    }
}

fn parse(metadata: &Value) -> Option<Workspace> {
    let defaults = metadata["workspace_default_members"].as_array()?;
    let mut packages = Vec::new();
    for package in metadata["packages"].as_array()? {
        if !defaults.contains(&package["id"]) {
            continue;
        }
        let targets = package["targets"].as_array()?;
        let is = |target: &Value, kinds: &[&str]| {
            target["kind"]
                .as_array()
                .is_some_and(|all| all.iter().any(|k| kinds.iter().any(|kind| k == kind)))
        };
        packages.push(Package {
            name: package["name"].as_str()?.to_owned(),
            folder: Path::new(package["manifest_path"].as_str()?).parent()?.to_owned(),
            has_lib: targets.iter().any(|t| is(t, &["lib", "rlib", "cdylib", "staticlib"])),
            has_bin: targets.iter().any(|t| is(t, &["bin"])),
            // Those that plain `cargo test` builds.
            tests: targets
                .iter()
                .filter(|t| is(t, &["test"]) && t["test"] == true && t["required-features"].is_null())
                .filter_map(|t| Some(t["name"].as_str()?.to_owned()))
                .collect(),
            needs_host: package["metadata"]["device-test"]["leave-out"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|name| Some(name.as_str()?.to_owned()))
                .collect(),
        });
    }
    Some(Workspace { root: metadata["workspace_root"].as_str()?.into(), packages })
}

/// The archive of a corpus on this machine.
pub(super) fn corpus(name: &str) -> PathBuf {
    paths::corpus().join(format!("{name}.zip"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_package_that_reads_corpora_has_them_listed() {
        let workspace = Workspace::read(None).expect("cargo metadata");
        assert!(workspace.packages.len() > 5, "{:?}", workspace.packages);
        let mut wrong = Vec::new();
        for package in &workspace.packages {
            let reads = !package.has_bin && mentions(&package.folder.join("tests"), "Corpus::");
            if reads == package.corpora().is_empty() {
                wrong.push(format!(
                    "{}: reads corpora: {reads}, listed: {:?}",
                    package.name,
                    package.corpora()
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Whether a file below `folder` has this word.
    fn mentions(folder: &Path, word: &str) -> bool {
        let Ok(entries) = fs::read_dir(folder) else { return false };
        entries.filter_map(|entry| Some(entry.ok()?.path())).any(|path| {
            if path.is_dir() {
                mentions(&path, word)
            } else {
                fs::read_to_string(&path).is_ok_and(|text| text.contains(word))
            }
        })
    }

    #[test]
    fn programs_tests_are_left_out_by_name() {
        let workspace = Workspace::read(None).expect("cargo metadata");
        let find = |name: &str| workspace.packages.iter().find(|p| p.name == name).expect("a crate");
        let (cli, gguf) = (find("happy-cli"), find("happy-gguf"));
        assert!(
            cli.left_out().iter().any(|name| name == "commands") && !cli.selection().contains(&"--tests")
        );
        assert!(gguf.left_out().is_empty() && gguf.selection().contains(&"--tests"));
        assert_eq!(gguf.place(&workspace.root), "crates/gguf");
    }

    #[test]
    fn tests_that_need_the_host_are_left_out_by_their_package() {
        let workspace = Workspace::read(None).expect("cargo metadata");
        let ffi = workspace.packages.iter().find(|p| p.name == "happy-ffi").expect("a crate");
        let selection = ffi.selection();
        assert!(
            selection.starts_with(&["--lib"]) && selection.ends_with(&["--test", "core", "--test", "memory"]),
            "{selection:?}"
        );
        for name in ffi.left_out() {
            assert!(ffi.tests.contains(name), "{name} is no test of happy-ffi: {:?}", ffi.tests);
            assert!(!selection.contains(&name.as_str()), "{selection:?}");
        }
        // They need a feature, so they are never built for a device.
        assert!(!selection.contains(&"jvm") && !selection.contains(&"kotlin"), "{selection:?}");
    }
}
