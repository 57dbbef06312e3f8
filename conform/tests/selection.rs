//! The selection in the repository is what `manifest.json` says, and small.

use happy_conform::make::{MAX_BYTES, Manifest};
use sha2::Digest;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/corpus")
}

fn manifest(folder: &Path) -> Manifest {
    let text = fs::read(folder.join("manifest.json")).expect("a manifest");
    serde_json::from_slice(&text).expect("a manifest")
}

#[test]
fn archives_are_those_of_the_manifest() {
    let mut total = 0;
    for entry in fs::read_dir(folder()).expect("a folder") {
        total += entry.and_then(|entry| entry.metadata()).expect("a file").len();
    }
    assert!(total <= MAX_BYTES, "{total} bytes, at most {MAX_BYTES}");
    let mut wrong = Vec::new();
    for (name, entry) in manifest(&folder()) {
        let bytes = fs::read(folder().join(format!("{name}.zip"))).expect("an archive");
        let found: String = sha2::Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        if found != entry.archive_sha256 {
            wrong.push(format!("{name}.zip: {found}, the manifest says {}", entry.archive_sha256));
        }
        if entry.full_sha256.is_empty() || entry.licenses.is_empty() {
            wrong.push(format!("{name}: no sources or no licenses"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where the full data are, they give these bytes again.
#[test]
fn the_full_data_give_the_same_selection() {
    let Some(full) = std::env::var_os("HAPPY_CONFORMANCE").map(PathBuf::from) else { return };
    let out = std::env::temp_dir().join(format!("happy-selection-{}", std::process::id()));
    let made = happy_conform::make::make(&full, &out).expect("a selection");
    fs::remove_dir_all(&out).expect("removed");
    let kept = manifest(&folder());
    let hashes = |manifest: &Manifest| -> Vec<String> {
        manifest.iter().map(|(name, entry)| format!("{name} {}", entry.archive_sha256)).collect()
    };
    assert_eq!(hashes(&made), hashes(&kept), "run `cargo xtask make-corpus` on the full data");
}
