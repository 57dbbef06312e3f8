//! The licences of what is linked in, which an app must show: gathered from the packages themselves.

use crate::{Result, process};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Files of a package that hold a licence start with one of these, in any case.
const NAMES: [&str; 5] = ["license", "licence", "copying", "notice", "unlicense"];

/// Cargo's view of the workspace and of everything that it depends on, for phones.
fn metadata() -> Result<Value> {
    let arguments = ["metadata", "--format-version", "1", "--filter-platform", "aarch64-linux-android"];
    let text = process::output(&mut process::cargo(&arguments))?;
    serde_json::from_str(&text).map_err(|e| format!("cargo metadata wrote JSON that cannot be read: {e}"))
}

/// Whether one of our packages has the feature.
pub(super) fn has_feature(package: &str, feature: &str) -> Result<bool> {
    let metadata = metadata()?;
    let found = metadata["packages"].as_array().into_iter().flatten().find(|p| p["name"] == package);
    found
        .map(|found| found["features"].get(feature).is_some())
        .ok_or_else(|| format!("the workspace has no package {package}"))
}

/// A text with the licence of every package of others that the packages `roots` link, each text once.
pub(super) fn third_party(roots: &[&str]) -> Result<String> {
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let by_id: BTreeMap<&str, &Value> =
        packages.iter().filter_map(|p| Some((p["id"].as_str()?, p))).collect();
    let mut list = BTreeMap::new();
    let mut texts = BTreeMap::<String, BTreeSet<String>>::new();
    for id in linked(&metadata, &by_id, roots) {
        let Some(package) = by_id.get(id) else { continue };
        // Packages without a source are those of this workspace.
        if package["source"].is_null() {
            continue;
        }
        let text = |key: &str| package[key].as_str().unwrap_or("unknown");
        let name = format!("{} {}", text("name"), text("version"));
        for licence in licence_files(Path::new(text("manifest_path")))? {
            texts.entry(licence).or_default().insert(name.clone());
        }
        list.insert(name, text("license"));
    }
    let mut out = String::from(
        "libhappy and happy contain the packages below, and Rust's standard library (MIT OR Apache-2.0).\n\n",
    );
    for (name, licence) in &list {
        out.push_str(&format!("{name}: {licence}\n"));
    }
    for (text, names) in &texts {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        out.push_str(&format!("\n{}\n{}\n\n{}\n", "=".repeat(80), names.join(", "), text.trim_end()));
    }
    Ok(out)
}

/// The packages that the roots link, found by walking the resolved graph; macros run while compiling, and leave nothing.
fn linked<'a>(metadata: &'a Value, packages: &BTreeMap<&str, &Value>, roots: &[&str]) -> BTreeSet<&'a str> {
    let nodes = metadata["resolve"]["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |id: &str| packages.get(id).and_then(|package| package["name"].as_str());
    let is_macro = |id: &str| {
        let targets = packages.get(id).and_then(|package| package["targets"].as_array());
        targets.is_some_and(|targets| {
            targets.iter().any(|t| t["kind"].as_array().is_some_and(|k| k.iter().any(|k| k == "proc-macro")))
        })
    };
    let ids = nodes.iter().filter_map(|node| node["id"].as_str());
    let mut waiting: Vec<&str> =
        ids.filter(|id| name(id).is_some_and(|name| roots.contains(&name))).collect();
    let mut found = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if is_macro(id) || !found.insert(id) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == id);
        for dependency in node.and_then(|node| node["deps"].as_array()).into_iter().flatten() {
            // A kind of null is that of the program itself, neither of its tests nor of its build script.
            let kinds = dependency["dep_kinds"].as_array();
            if kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
                && let Some(id) = dependency["pkg"].as_str()
            {
                waiting.push(id);
            }
        }
    }
    found
}

/// The texts beside a package's manifest.
fn licence_files(manifest: &Path) -> Result<Vec<String>> {
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
        let kind = |id: &str, kind: Option<&str>| serde_json::json!({"pkg": id, "dep_kinds": [{"kind": kind, "target": null}]});
        let metadata = serde_json::json!({
            "packages": [
                {"id": "app#1", "name": "app", "targets": [{"kind": ["bin"]}]},
                {"id": "other#1", "name": "other", "targets": [{"kind": ["bin"]}]},
                {"id": "used#1", "name": "used", "targets": [{"kind": ["lib"]}]},
                {"id": "below#1", "name": "below", "targets": [{"kind": ["lib"]}]},
                {"id": "derive#1", "name": "derive", "targets": [{"kind": ["proc-macro"]}]},
                {"id": "syn#1", "name": "syn", "targets": [{"kind": ["lib"]}]},
                {"id": "test#1", "name": "test", "targets": [{"kind": ["lib"]}]},
            ],
            "resolve": {"nodes": [
                {"id": "app#1", "deps": [kind("used#1", None), kind("derive#1", None), kind("test#1", Some("dev"))]},
                {"id": "other#1", "deps": [kind("syn#1", None)]},
                {"id": "used#1", "deps": [kind("below#1", None), kind("syn#1", Some("build"))]},
                {"id": "derive#1", "deps": [kind("syn#1", None)]},
                {"id": "below#1", "deps": [kind("used#1", None)]},
            ]},
        });
        let packages = metadata["packages"].as_array().expect("a list");
        let by_id = packages.iter().filter_map(|p| Some((p["id"].as_str()?, p))).collect();
        let found: Vec<&str> = linked(&metadata, &by_id, &["app"]).into_iter().collect();
        assert_eq!(found, ["app#1", "below#1", "used#1"]);
    }

    #[test]
    fn this_program_knows_what_it_is_made_of() {
        let text = third_party(&["xtask"]).expect("cargo knows");
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines.iter().any(|line| line.starts_with("object 0.") && line.contains("Apache-2.0")),
            "{text}"
        );
        assert!(
            lines.iter().all(|line| !line.starts_with("xtask ") && !line.starts_with("clap_derive ")),
            "{text}"
        );
        assert!(text.contains("Permission is hereby granted, free of charge"), "{text}");
        assert!(has_feature("happy-gguf", "mmap").expect("cargo knows"));
        assert!(!has_feature("happy-gguf", "teleport").expect("cargo knows"));
        assert!(has_feature("happy-nothing", "mmap").is_err());
    }
}
