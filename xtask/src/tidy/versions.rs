//! Checks that the version is the same in all files that hold it.

use super::{Tree, Violation};

/// Files outside the workspace that hold the version, and how its line begins. Cargo's packages inherit the version.
const COPIES: &[(&str, &str)] = &[
    ("bindings/flutter/pubspec.yaml", "version: "),
    ("bindings/flutter/example/pubspec.yaml", "version: "),
    ("bindings/flutter/android/build.gradle", "version = "),
    ("bindings/android/demo-apk/Cargo.toml", "version = "),
];

/// Returns the values of the lines of a text that begin with `key`, without quotes.
fn values<'a>(text: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| Some(line.strip_prefix(key)?.trim().trim_matches('"')))
}

/// Checks that the workspace's packages inherit its version, that dependencies on them name it, and that the other files repeat it.
pub(super) fn same(tree: &Tree) -> Vec<Violation> {
    let Some(manifest) = tree.text("Cargo.toml") else { return vec!["Cargo.toml: missing".into()] };
    let Some(version) = values(manifest, "version = ").next() else {
        return vec!["Cargo.toml: [workspace.package] has no version".into()];
    };
    let mut found = Vec::new();
    let named = format!("version = \"{version}\"");
    for line in
        manifest.lines().filter(|line| line.contains("{ path = \"crates/") && line.contains("version"))
    {
        if !line.contains(&named) {
            found.push(format!("Cargo.toml: `{line}`, expected {named}"));
        }
    }
    for package in &tree.packages {
        let path = format!("{}/Cargo.toml", package.dir);
        if tree.text(&path).is_some_and(|text| values(text, "version = ").next().is_some()) {
            found.push(format!("{path}: a version of its own, expected version.workspace = true"));
        }
    }
    for (path, key) in COPIES {
        let Some(text) = tree.text(path) else { continue };
        match values(text, key).next() {
            Some(copy) if copy == version => {}
            other => {
                found.push(format!("{path}: version {}, expected {version}", other.unwrap_or("missing")))
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::Package;
    use super::super::tests::tree;
    use super::same;

    const ROOT: &str = "[workspace.package]\nversion = \"1.2.3\"\n[workspace.dependencies]\na = { path = \"crates/a\", version = \"1.2.3\" }\n";

    #[test]
    fn copies_that_differ_are_caught() {
        let good = tree(&[
            ("Cargo.toml", ROOT),
            ("bindings/flutter/pubspec.yaml", "name: a\nversion: 1.2.3\n"),
            ("bindings/flutter/android/build.gradle", "version = \"1.2.3\"\n"),
        ]);
        assert_eq!(same(&good), [""; 0]);
        for (path, text) in [
            ("bindings/flutter/pubspec.yaml", "version: 1.2.2\n"),
            ("bindings/flutter/android/build.gradle", "group = \"a\"\n"),
        ] {
            let found = same(&tree(&[("Cargo.toml", ROOT), (path, text)]));
            assert!(found.len() == 1 && found[0].starts_with(path), "{found:?}");
        }
    }

    #[test]
    fn packages_and_dependencies_of_another_version_are_caught() {
        let root = ROOT.replacen("version = \"1.2.3\" }", "version = \"1.2.0\" }", 1);
        assert_eq!(same(&tree(&[("Cargo.toml", &root)])).len(), 1);
        let mut own =
            tree(&[("Cargo.toml", ROOT), ("crates/a/Cargo.toml", "[package]\nversion = \"1.2.3\"\n")]);
        own.packages.push(Package { dir: "crates/a".to_owned(), ..Package::default() });
        assert_eq!(same(&own).len(), 1);
        let mut inherits =
            tree(&[("Cargo.toml", ROOT), ("crates/a/Cargo.toml", "version.workspace = true\n")]);
        inherits.packages.push(Package { dir: "crates/a".to_owned(), ..Package::default() });
        assert_eq!(same(&inherits), [""; 0]);
        assert_eq!(same(&tree(&[])).len(), 1);
    }
}
