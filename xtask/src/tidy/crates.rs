//! Checks on packages: which may depend on which, and what each crate must have.

use super::{Tree, Violation};

/// The packages among ours on which each of our packages may depend (all kinds of dependency).
///
/// Dependencies of library crates point down only: `gguf, tensor, tokenizer, sampler, grammar` -> `kernels` -> `model`
/// -> `engine` -> `cli, ffi`.
const LAYERS: &[(&str, &[&str])] = &[
    ("happy-gguf", &[]),
    ("happy-tensor", &[]),
    ("happy-sampler", &[]),
    ("happy-grammar", &[]),
    ("happy-chat", &[]),
    ("happy-machine", &[]),
    ("happy-governor", &["happy-machine"]),
    ("happy-tokenizer", &["happy-gguf"]),
    ("happy-quantize", &["happy-gguf", "happy-tensor"]),
    ("happy-convert", &["happy-gguf", "happy-tensor"]),
    ("happy-hub", &["happy-gguf"]),
    ("happy-kernels", &["happy-tensor"]),
    ("happy-model", &["happy-gguf", "happy-tensor", "happy-kernels"]),
    ("happy-engine", LIBRARIES_BELOW_ENGINE),
    (
        "happy-server",
        &[
            "happy-engine",
            "happy-gguf",
            "happy-hub",
            "happy-kernels",
            "happy-model",
            "happy-sampler",
            "happy-tensor",
        ],
    ),
    ("happy-cli", LIBRARIES),
    ("happy-ffi", LIBRARIES),
    ("happy-testkit", &[]),
    ("happy-conform", LIBRARIES),
    ("happy-benches", LIBRARIES),
    ("happy-tool-kit", &[]),
    ("happy-tool-bindings", &["happy-tool-kit"]),
    ("happy-tool-clients", &["happy-tool-kit"]),
    ("happy-tool-android", &["happy-tool-kit"]),
    ("happy-tool-emulated", &["happy-tool-kit"]),
    ("happy-tool-device", &["happy-tool-kit", "happy-tool-android", "happy-tool-emulated"]),
    ("xtask", &["happy-tool-kit"]),
];

const LIBRARIES_BELOW_ENGINE: &[&str] = &[
    "happy-chat",
    "happy-gguf",
    "happy-tensor",
    "happy-sampler",
    "happy-grammar",
    "happy-tokenizer",
    "happy-kernels",
    "happy-machine",
    "happy-governor",
    "happy-model",
];
const LIBRARIES: &[&str] = &[
    "happy-chat",
    "happy-gguf",
    "happy-tensor",
    "happy-sampler",
    "happy-grammar",
    "happy-tokenizer",
    "happy-kernels",
    "happy-machine",
    "happy-governor",
    "happy-quantize",
    "happy-convert",
    "happy-hub",
    "happy-model",
    "happy-engine",
    "happy-server",
];

/// The package on which any package's tests may depend, and on which these two packages, which are nothing but tests,
/// depend.
const TESTKIT: &str = "happy-testkit";
const TESTS_ALONE: &[&str] = &["happy-conform", "happy-benches"];

/// Dependencies that must be optional, because the crate is useful without them.
const OPTIONAL: &[(&str, &str)] = &[("happy-tokenizer", "happy-gguf")];

/// Checks that dependencies among our packages follow [`LAYERS`].
pub(super) fn layering(tree: &Tree) -> Vec<Violation> {
    let ours = |name: &str| tree.packages.iter().any(|package| package.name == name);
    let mut found = Vec::new();
    for package in &tree.packages {
        let place = format!("{}/Cargo.toml", package.dir);
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == package.name) else {
            found.push(format!(
                "{place}: package {} has no line in LAYERS of xtask/src/tidy/crates.rs: add one",
                package.name
            ));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| ours(&d.name)) {
            let tests = dependency.kind == "dev" || TESTS_ALONE.contains(&package.name.as_str());
            if dependency.name == TESTKIT && tests {
                continue;
            }
            if !allowed.contains(&dependency.name.as_str()) {
                found.push(format!(
                    "{place}: {} must not depend on {} ({} dependency); it may depend on: {}",
                    package.name,
                    dependency.name,
                    dependency.kind,
                    if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") }
                ));
            }
            let must_be_optional = OPTIONAL.contains(&(package.name.as_str(), dependency.name.as_str()));
            if must_be_optional && dependency.kind == "normal" && !dependency.optional {
                found.push(format!(
                    "{place}: {} must be an optional dependency of {}",
                    dependency.name, package.name
                ));
            }
        }
    }
    found
}

/// Checks that a published crate has a README and a description, and an example if it is a library.
pub(super) fn completeness(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for package in tree.packages.iter().filter(|package| package.published) {
        let dir = &package.dir;
        if tree.text(&format!("{dir}/README.md")).is_none_or(|text| text.lines().count() < 5) {
            found.push(format!("{dir}: no README.md of at least five lines"));
        }
        if package.description.as_deref().is_none_or(str::is_empty) {
            found.push(format!("{dir}/Cargo.toml: no description"));
        }
        let examples = format!("{dir}/examples/");
        if package.has_lib
            && !tree.files.keys().any(|path| path.starts_with(&examples) && path.ends_with(".rs"))
        {
            found.push(format!("{dir}: no example in examples/ that a stranger can run"));
        }
        let included = tree
            .text(&format!("{dir}/src/lib.rs"))
            .is_none_or(|text| text.contains("include_str!(\"../README.md\")"));
        if package.has_lib && !included {
            found.push(format!("{dir}/src/lib.rs: the README's code is not doctested (#![doc = include_str!(\"../README.md\")])"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::super::{Dependency, Package};
    use super::*;

    fn package(name: &str, dependencies: &[(&str, &str, bool)]) -> Package {
        Package {
            name: name.into(),
            dir: format!("crates/{name}"),
            description: Some("what it does".into()),
            published: true,
            has_lib: true,
            dependencies: dependencies
                .iter()
                .map(|(name, kind, optional)| Dependency {
                    name: (*name).into(),
                    kind: (*kind).into(),
                    optional: *optional,
                })
                .collect(),
        }
    }

    fn layers(packages: Vec<Package>) -> Vec<Violation> {
        layering(&Tree { packages, ..Tree::default() })
    }

    #[test]
    fn downwards_is_fine() {
        let packages = vec![
            package("happy-gguf", &[("thiserror", "normal", false)]),
            package("happy-tokenizer", &[("happy-gguf", "normal", true), ("happy-gguf", "dev", false)]),
            package("happy-tensor", &[]),
            package("happy-kernels", &[("happy-tensor", "normal", false)]),
        ];
        assert_eq!(layers(packages), [""; 0]);
    }

    #[test]
    fn upwards_and_sideways_are_caught() {
        for kind in ["normal", "dev", "build"] {
            let packages = vec![
                package("happy-tensor", &[("happy-kernels", kind, false)]),
                package("happy-kernels", &[]),
            ];
            let found = layers(packages);
            assert!(
                found.len() == 1 && found[0].contains("happy-tensor must not depend on happy-kernels"),
                "{found:?}"
            );
        }
        let found =
            layers(vec![package("xtask", &[("happy-gguf", "normal", false)]), package("happy-gguf", &[])]);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn an_optional_dependency_must_stay_optional() {
        let found = layers(vec![
            package("happy-tokenizer", &[("happy-gguf", "normal", false)]),
            package("happy-gguf", &[]),
        ]);
        assert!(found.len() == 1 && found[0].contains("optional"), "{found:?}");
    }

    #[test]
    fn a_new_package_needs_a_line() {
        let found = layers(vec![package("happy-vision", &[])]);
        assert!(found.len() == 1 && found[0].contains("LAYERS"), "{found:?}");
    }

    #[test]
    fn what_a_crate_owes_is_missed() {
        let mut full = tree(&[
            ("crates/happy-gguf/README.md", "1\n2\n3\n4\n5\n"),
            ("crates/happy-gguf/examples/show.rs", "//! shows\n"),
            ("crates/happy-gguf/src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n"),
        ]);
        full.packages = vec![package("happy-gguf", &[])];
        assert_eq!(completeness(&full), [""; 0]);
        for missing in ["crates/happy-gguf/README.md", "crates/happy-gguf/examples/show.rs"] {
            let mut part = Tree { files: full.files.clone(), packages: vec![package("happy-gguf", &[])] };
            part.files.remove(missing);
            assert_eq!(completeness(&part).len(), 1, "{missing}");
        }
        full.packages[0].description = None;
        assert!(completeness(&full)[0].contains("no description"));
        full.packages[0].published = false;
        assert_eq!(completeness(&full), [""; 0]);
    }

    #[test]
    fn a_readme_outside_the_doctests_is_caught() {
        let mut tree = tree(&[
            ("crates/happy-gguf/README.md", "1\n2\n3\n4\n5\n"),
            ("crates/happy-gguf/examples/show.rs", "//! shows\n"),
            ("crates/happy-gguf/src/lib.rs", "//! A crate.\n"),
        ]);
        tree.packages = vec![package("happy-gguf", &[])];
        assert!(completeness(&tree)[0].contains("not doctested"));
    }
}
