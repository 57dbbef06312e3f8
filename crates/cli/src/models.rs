//! Models by name, and where they are kept.

use crate::error::{CliError, CliResult};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A model that `cargo xtask fetch-models` fetches.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
}

/// The models with names.
pub(crate) const KNOWN: [Known; 2] = [
    Known { name: "smollm2", file: "SmolLM2-135M-Instruct.Q4_1.gguf" },
    Known { name: "gemma3", file: "gemma-3-270m-q4_k_m.gguf" },
];

/// The folder that models are kept in: `$HAPPY_MODELS`, or the platform's data directory.
pub(crate) fn folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(folder) = variable("HAPPY_MODELS") {
        return Some(folder);
    }
    let data = if cfg!(target_os = "windows") {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")))
    };
    Some(data?.join("happy-phone-llm").join("models"))
}

/// The file of a model that is given by path or by name.
pub(crate) fn resolve(model: impl AsRef<OsStr>) -> CliResult<PathBuf> {
    let path = Path::new(model.as_ref());
    let Some(known) = KNOWN.iter().find(|k| path == Path::new(k.name)) else {
        return Ok(path.to_owned());
    };
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let model = known.name;
    let Some(folder) = folder() else {
        return Err(CliError::new(format!(
            "model `{model}` is kept in the folder that HAPPY_MODELS names, which is not set"
        )));
    };
    let file = folder.join(known.file);
    if file.is_file() {
        return Ok(file);
    }
    Err(CliError::new(format!(
        "model `{model}` is not at `{}`: run `cargo xtask fetch-models {model}`, or give the path of a GGUF file",
        file.display()
    )))
}
