//! The licenses of everything that is linked in, which an app must show. They are collected from the packages
//! themselves.

use cargo_metadata::{DependencyKind, Metadata, Package, Target};
use happy_tool_kit::{Result, process};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Files of a package that hold a license start with one of these, in any case.
const NAMES: [&str; 5] = ["license", "licence", "copying", "notice", "unlicense"];

/// Returns cargo's metadata of the workspace and all its dependencies, for a target.
fn metadata(target: &str) -> Result<Metadata> {
    process::metadata(&["--filter-platform", target])
}

/// Returns whether one of our packages has the feature.
pub(super) fn has_feature(package: &str, feature: &str) -> Result<bool> {
    let metadata = metadata(PHONES)?;
    let found = metadata.packages.iter().find(|found| found.name == package);
    found
        .map(|found| found.features.contains_key(feature))
        .ok_or_else(|| format!("the workspace has no package {package}"))
}

/// The target of phones.
pub(super) const PHONES: &str = "aarch64-linux-android";

/// Returns a text with the license of every third-party package that the packages `roots` link on a target. Each text occurs once.
pub(super) fn third_party(roots: &[&str], target: &str) -> Result<String> {
    let metadata = metadata(target)?;
    let mut list = BTreeMap::new();
    let mut texts = BTreeMap::<String, BTreeSet<String>>::new();
    // Packages without a source are those of this workspace.
    for package in linked(&metadata, roots).into_iter().filter(|package| package.source.is_some()) {
        let name = format!("{} {}", package.name, package.version);
        for license in license_files(package.manifest_path.as_std_path())? {
            texts.entry(license).or_default().insert(name.clone());
        }
        list.insert(name, package.license.as_deref().unwrap_or("unknown"));
    }
    let mut out = String::from(
        "libhappy and happy contain the packages below, and Rust's standard library (MIT OR Apache-2.0).\n\n",
    );
    for (name, license) in &list {
        out.push_str(&format!("{name}: {license}\n"));
    }
    for (text, names) in &texts {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        out.push_str(&format!("\n{}\n{}\n\n{}\n", "=".repeat(80), names.join(", "), text.trim_end()));
    }
    Ok(out)
}

/// Returns the packages that the roots link, by walking the resolved graph. Procedural macros are left out, since they
/// only run while compiling.
fn linked<'a>(metadata: &'a Metadata, roots: &[&str]) -> Vec<&'a Package> {
    let packages: BTreeMap<_, _> = metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let nodes: BTreeMap<_, _> = nodes.map(|node| (&node.id, node)).collect();
    let is_root = |package: &&Package| roots.contains(&package.name.as_str());
    let mut waiting: Vec<_> = metadata.packages.iter().filter(is_root).map(|package| &package.id).collect();
    let mut found = BTreeMap::new();
    while let Some(id) = waiting.pop() {
        let Some(&package) = packages.get(id) else { continue };
        if package.targets.iter().any(Target::is_proc_macro) || found.insert(id, package).is_some() {
            continue;
        }
        for dependency in nodes.get(id).iter().flat_map(|node| &node.deps) {
            // Not the dependencies of its tests or of its build script.
            if dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal) {
                waiting.push(&dependency.pkg);
            }
        }
    }
    found.into_values().collect()
}

/// Returns the license texts beside a package's manifest.
fn license_files(manifest: &Path) -> Result<Vec<String>> {
    let folder = manifest.parent().unwrap_or(manifest);
    let entries = fs::read_dir(folder).map_err(|e| format!("cannot list {}: {e}", folder.display()))?;
    let mut texts = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if entry.path().is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            let bytes =
                fs::read(entry.path()).map_err(|e| format!("cannot read {}: {e}", entry.path().display()))?;
            texts.push(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"));
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_linked_is_walked() {
        let package = |name: &str, kind: &str| {
            serde_json::json!({
                "id": name, "name": name, "version": "1.0.0", "manifest_path": "/x/Cargo.toml", "dependencies": [], "features": {},
                "targets": [{"name": name, "kind": [kind], "crate_types": [], "src_path": "/x/lib.rs"}],
            })
        };
        let on = |name: &str, kind: Option<&str>| serde_json::json!({"name": name, "pkg": name, "dep_kinds": [{"kind": kind}]});
        let node = |name: &str, on: &[serde_json::Value]| serde_json::json!({"id": name, "deps": on, "dependencies": [], "features": []});
        let metadata = serde_json::json!({
            "packages": [
                package("app", "bin"), package("other", "bin"), package("used", "lib"), package("below", "lib"),
                package("derive", "proc-macro"), package("syn", "lib"), package("test", "lib"),
            ],
            "workspace_members": [], "workspace_root": "/x", "target_directory": "/x/target", "version": 1,
            "resolve": {"root": null, "nodes": [
                node("app", &[on("used", None), on("derive", None), on("test", Some("dev"))]),
                node("other", &[on("syn", None)]),
                node("used", &[on("below", None), on("syn", Some("build"))]),
                node("derive", &[on("syn", None)]),
                node("below", &[on("used", None)]),
            ]},
        });
        let metadata: Metadata = serde_json::from_value(metadata).expect("metadata");
        let found: Vec<&str> = linked(&metadata, &["app"]).iter().map(|found| found.name.as_str()).collect();
        assert_eq!(found, ["app", "below", "used"]);
    }

    #[test]
    fn this_program_knows_what_it_is_made_of() {
        let text = third_party(&["happy-tool-android"], PHONES).expect("cargo knows");
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines.iter().any(|line| line.starts_with("object 0.") && line.contains("Apache-2.0")),
            "{text}"
        );
        assert!(
            lines.iter().all(|line| !line.starts_with("happy-tool-") && !line.starts_with("clap_derive ")),
            "{text}"
        );
        assert!(text.contains("Permission is hereby granted, free of charge"), "{text}");
        assert!(has_feature("happy-gguf", "mmap").expect("cargo knows"));
        assert!(!has_feature("happy-gguf", "teleport").expect("cargo knows"));
        assert!(has_feature("happy-nothing", "mmap").is_err());
    }
}
