//! Where the real models are.

use crate::{skip, variable};
use std::path::PathBuf;

/// Returns the folder of the real models: `$HAPPY_MODELS`, or `happy-phone-llm/models` in the platform's data
/// directory, where `cargo xtask fetch-models` puts them and `happy` looks for them. `None` if neither is known.
pub fn models_folder() -> Option<PathBuf> {
    if let Some(folder) = variable("HAPPY_MODELS") {
        return Some(folder);
    }
    let data = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        // As in the XDG specification, a relative path is ignored.
        variable("XDG_DATA_HOME")
            .filter(|folder| folder.is_absolute())
            .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
    };
    Some(data?.join("happy-phone-llm/models"))
}

/// Returns the path of a real model's file. If it does not exist, skips the calling test (see [`skip`]) and returns
/// `None`.
pub fn model(file: &str) -> Option<PathBuf> {
    let found = models_folder().map(|folder| folder.join(file)).filter(|path| path.is_file());
    if found.is_none() {
        skip(&format!("no model {file}: run `cargo xtask fetch-models`, or set HAPPY_MODELS to its folder"));
    }
    found
}
