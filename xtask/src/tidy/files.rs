//! Checks on all files: text only, no registry hosts, and the documents that a project must have.

use super::{Tree, Violation};

/// The folder of generated models and goldens, which may be binary. Other files may not.
const BINARY_FOLDER: &str = "fixtures/";

/// Maximum size of a binary fixture, except for the selection of the conformance data, whose total size is limited.
const MAX_FIXTURE: usize = 256 << 10;
const CORPUS_FOLDER: &str = "fixtures/corpus/";
const MAX_CORPUS: usize = 16 << 20;

/// Hosts of package registries. A name in the tree would tie users to one, although there are mirrors. They are written
/// in two halves, so that this file does not name them either.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("proxy.golang", ".org"),
    concat!("deb.debian", ".org"),
    concat!("security.debian", ".org"),
    concat!("maven", ".org"),
];

/// The markers that git writes around the two sides of a merge.
const CONFLICT: &[&str] = &["<<<<<<< ", ">>>>>>> "];

/// Files that cargo writes with the registry's name.
const NAMES_REGISTRY: &[&str] = &["Cargo.lock"];

/// Files that must be in the root.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "deny.toml",
    ".ci/run",
];

/// Pairs of files with equal text, in two crates that must not depend on each other.
const TWINS: &[(&str, &str)] = &[("crates/chat/src/json/read.rs", "crates/grammar/src/json.rs")];

/// Checks that every file is UTF-8 without NUL bytes, except small fixtures and the selection of the conformance data.
pub(super) fn text_only(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut corpus = 0;
    for (path, bytes) in &tree.files {
        let is_text = std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0);
        if is_text {
            continue;
        }
        if !path.starts_with(BINARY_FOLDER) {
            found.push(format!("{path}: not a text file; generated binaries stand in {BINARY_FOLDER}, models outside the repository"));
        } else if path.starts_with(CORPUS_FOLDER) {
            corpus += bytes.len();
        } else if bytes.len() > MAX_FIXTURE {
            found.push(format!("{path}: a binary fixture of {} bytes, at most {MAX_FIXTURE}", bytes.len()));
        }
    }
    if corpus > MAX_CORPUS {
        found.push(format!("{CORPUS_FOLDER}: {corpus} bytes, at most {MAX_CORPUS}"));
    }
    found
}

/// Checks that no file names a package registry's host.
pub(super) fn registry_hosts(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.texts("") {
        if NAMES_REGISTRY.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if let Some(host) = REGISTRY_HOSTS.iter().find(|host| line.contains(**host)) {
                found.push(format!("{path}:{}: names the registry host {host}", number + 1));
            }
        }
    }
    found
}

/// Checks that no file contains both sides of a merge.
pub(super) fn conflicts(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.texts("") {
        let lines = text.lines().enumerate();
        let marked = lines.filter(|(_, line)| CONFLICT.iter().any(|mark| line.starts_with(mark)));
        found.extend(
            marked.map(|(number, line)| format!("{path}:{}: what git left of a merge: {line}", number + 1)),
        );
    }
    found
}

/// Checks that the root has its documents, and that the change log has an entry.
pub(super) fn documents(tree: &Tree) -> Vec<Violation> {
    let mut found: Vec<Violation> = DOCUMENTS
        .iter()
        .filter(|name| !tree.files.contains_key(**name))
        .map(|name| format!("{name}: missing"))
        .collect();
    if tree.text("CHANGELOG.md").is_some_and(|text| !text.lines().any(|line| line.starts_with("## "))) {
        found.push("CHANGELOG.md: no entry (a line that starts with `## `)".into());
    }
    found
}

/// Checks that the files of [`TWINS`] are equal.
pub(super) fn twins(tree: &Tree) -> Vec<Violation> {
    let differ = |(a, b): &&(&str, &str)| tree.files.get(*a) != tree.files.get(*b);
    let tell =
        |(a, b): &(&str, &str)| format!("{a}: differs from {b}; copy the one that is right over the other");
    TWINS.iter().filter(differ).map(tell).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn binaries_are_caught() {
        let mut tree = tree(&[("a.md", "fine: é"), ("nul.txt", "a\0b")]);
        tree.files.insert("model.gguf".into(), vec![0x47, 0x47, 0xff]);
        tree.files.insert("fixtures/small.gguf".into(), vec![0; 100]);
        tree.files.insert("fixtures/large.gguf".into(), vec![0; MAX_FIXTURE + 1]);
        let found = text_only(&tree);
        assert_eq!(found.len(), 3, "{found:?}");
        tree.files.insert("fixtures/corpus/a.zip".into(), vec![0; MAX_CORPUS]);
        assert_eq!(text_only(&tree).len(), 3);
        tree.files.insert("fixtures/corpus/b.zip".into(), vec![0; 1]);
        assert_eq!(text_only(&tree).len(), 4);
        assert!(found.iter().all(|line| !line.starts_with("a.md") && !line.starts_with("fixtures/small")));
    }

    #[test]
    fn every_registry_host_is_caught() {
        for host in REGISTRY_HOSTS {
            let text = format!("see https://{host}/project/x\n");
            assert_eq!(registry_hosts(&tree(&[("docs/a.md", &text)])).len(), 1, "{host}");
            assert_eq!(registry_hosts(&tree(&[("Cargo.lock", &text)])), [""; 0], "{host}");
        }
    }

    #[test]
    fn merge_conflicts_are_caught() {
        let found =
            conflicts(&tree(&[("a.md", "a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> 1a2b3c4 (docs: x)\n")]));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("a.md:2: "), "{found:?}");
        assert_eq!(conflicts(&tree(&[("a.md", "Title\n=======\n`<<<<<<< HEAD` is git's\n")])), [""; 0]);
    }

    #[test]
    fn twins_that_differ_are_caught() {
        for (a, b) in TWINS {
            assert_eq!(twins(&tree(&[(a, "//! a\n"), (b, "//! a\n")])), [""; 0]);
            for files in [&[(*a, "//! a\n"), (*b, "//! b\n")][..], &[(*a, "//! a\n")]] {
                let found = twins(&tree(files));
                assert!(found.len() == 1 && found[0].contains(a) && found[0].contains(b), "{found:?}");
            }
        }
    }

    #[test]
    fn missing_documents_are_caught() {
        let mut full: Vec<(&str, &str)> = DOCUMENTS.iter().map(|name| (*name, "text\n## 0.1.0\n")).collect();
        assert_eq!(documents(&tree(&full)), [""; 0]);
        for missing in 0..full.len() {
            let mut part = full.clone();
            part.remove(missing);
            assert_eq!(documents(&tree(&part)).len(), 1, "{}", full[missing].0);
        }
        full.retain(|(name, _)| *name != "CHANGELOG.md");
        full.push(("CHANGELOG.md", "# Changes\n"));
        assert!(documents(&tree(&full))[0].contains("no entry"));
    }
}
