//! The workspace's packages, as far as tests on a device need them, and the test data of each.

use cargo_metadata::Target;
use happy_tool_kit::{Result, paths, process};
use std::path::{Path, PathBuf};

/// The corpora that the tests of a package read, which are archives of the selection in the repository.
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
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    has_lib: bool,
    has_bin: bool,
    /// The names of its integration tests.
    tests: Vec<String>,
    /// The ones that its `[package.metadata.device-test]` leaves out.
    needs_host: Vec<String>,
}

impl Package {
    fn of(package: &cargo_metadata::Package) -> Self {
        let targets = &package.targets;
        let leave_out = package.metadata["device-test"]["leave-out"].as_array().into_iter().flatten();
        Self {
            name: package.name.to_string(),
            folder: package.manifest_path.as_std_path().parent().unwrap_or(Path::new("")).to_owned(),
            has_lib: targets.iter().any(|t| t.is_lib() || t.is_rlib() || t.is_cdylib() || t.is_staticlib()),
            has_bin: targets.iter().any(Target::is_bin),
            // The ones that plain `cargo test` builds.
            tests: targets
                .iter()
                .filter(|t| t.is_test() && t.test && t.required_features.is_empty())
                .map(|t| t.name.clone())
                .collect(),
            needs_host: leave_out.filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
        }
    }

    /// Returns the target selection for `cargo test --no-run`.
    ///
    /// Integration tests of a package with a program start it by its path on the machine that built it, so they are not
    /// built. [`Package::left_out`] returns them.
    pub(crate) fn selection(&self) -> Vec<&str> {
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

    /// Returns the integration tests that cannot run on a device.
    pub(crate) fn left_out(&self) -> &[String] {
        if self.has_bin { &self.tests } else { &self.needs_host }
    }

    /// Returns the names of its corpora.
    pub(crate) fn corpora(&self) -> &'static [&'static str] {
        corpora(&self.name)
    }

    /// Returns its folder relative to the workspace's, with `/`.
    pub(crate) fn place(&self, workspace: &Path) -> String {
        place(&self.folder, workspace)
    }
}

/// Returns the names of a package's corpora.
pub(crate) fn corpora(package: &str) -> &'static [&'static str] {
    CORPORA.iter().find(|(name, _)| *name == package).map_or(&[], |(_, corpora)| corpora)
}

/// Returns `folder` relative to `workspace`, with `/`.
pub(crate) fn place(folder: &Path, workspace: &Path) -> String {
    let relative = folder.strip_prefix(workspace).unwrap_or(folder);
    relative.to_string_lossy().replace('\\', "/").trim_matches('/').to_owned()
}

/// Makes a path absolute, because cargo runs in the workspace's root and would resolve it differently from the caller.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// A workspace, from `cargo metadata`.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Its default members: here the crates, not the tools.
    pub(crate) packages: Vec<Package>,
}

impl Workspace {
    /// Reads the workspace of `manifest`, or ours.
    pub(crate) fn read(manifest: Option<&Path>) -> Result<Self> {
        let manifest =
            manifest.map(|path| absolute(path).map(|path| path.display().to_string())).transpose()?;
        let manifest = manifest.iter().flat_map(|path| ["--manifest-path", path]);
        let arguments: Vec<&str> = ["--no-deps"].into_iter().chain(manifest).collect();
        let metadata = process::metadata(&arguments)?;
        let packages = metadata.workspace_default_packages().into_iter().map(Package::of).collect();
        Ok(Self { root: metadata.workspace_root.into(), packages })
    }
}

/// Returns the archive of a corpus on this machine.
pub(crate) fn corpus(name: &str) -> PathBuf {
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

    /// Returns whether a file below `folder` contains this word.
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
            assert!(ffi.tests.contains(name), "{name} is not a test of happy-ffi: {:?}", ffi.tests);
            assert!(!selection.contains(&name.as_str()), "{selection:?}");
        }
        // They need a feature, so they are never built for a device.
        assert!(!selection.contains(&"jvm") && !selection.contains(&"kotlin"), "{selection:?}");
    }
}
