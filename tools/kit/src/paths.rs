//! Where things are: the workspace, the models, the conformance data, the toolchains that xtask sets up.

use crate::Result;
use std::env;
use std::path::{Path, PathBuf};

/// Returns the workspace's root, two folders above this package's.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Returns cargo's target directory: `$CARGO_TARGET_DIR` or `target` in the root.
pub fn target() -> PathBuf {
    match path_var("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Returns the folder of the models: `$HAPPY_MODELS`, or `happy-phone-llm/models` in the platform's data directory.
///
/// The `happy` command looks for known names in the same place.
pub fn models() -> Result<PathBuf> {
    if let Some(dir) = path_var("HAPPY_MODELS") {
        return Ok(env::current_dir()
            .map_err(|e| format!("the current directory cannot be read: {e}"))?
            .join(dir));
    }
    let data = if cfg!(windows) {
        path_var("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        path_var("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        // As in the XDG specification, a relative path is ignored.
        path_var("XDG_DATA_HOME")
            .filter(|dir| dir.is_absolute())
            .or_else(|| path_var("HOME").map(|home| home.join(".local/share")))
    };
    let data = data.ok_or("no data directory: neither HAPPY_MODELS nor HOME is set; set HAPPY_MODELS=DIR to keep the models in DIR")?;
    Ok(data.join("happy-phone-llm").join("models"))
}

/// Returns the folder of the selected conformance data in the repository.
pub fn corpus() -> PathBuf {
    root().join("fixtures/corpus")
}

/// Returns the folder of the full conformance data, if `HAPPY_CONFORMANCE` names one.
pub fn full_corpus() -> Option<PathBuf> {
    path_var("HAPPY_CONFORMANCE")
}

/// Returns the folder of the aarch64 toolchain: `$HAPPY_ARM`, or `arm-toolchain` in the target directory.
pub fn arm_toolchain() -> PathBuf {
    path_var("HAPPY_ARM").unwrap_or_else(|| target().join("arm-toolchain"))
}

/// Returns whether this is CI (`CI=true` or `CI=1`), where skipping a test is a failure.
pub fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// Returns the path `full` as a person would type it: relative to the root if it is inside.
pub fn short(full: &Path) -> String {
    full.strip_prefix(root()).unwrap_or(full).display().to_string()
}

fn path_var(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
