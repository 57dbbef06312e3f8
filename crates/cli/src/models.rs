//! Models by name, and the folders where they are kept.

use crate::error::{CliError, CliResult};
use crate::hub;
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

/// Returns the folder of models: `$HAPPY_MODELS`, or the platform's data directory.
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

/// Returns whether this is the name of a model and not a prompt: a known name, one of the hub, a file of the models folder, or a path that
/// ends with `.gguf`.
pub(crate) fn is_name(model: &str) -> bool {
    let is_path = || model.ends_with(".gguf") && !model.contains(char::is_whitespace);
    let is_known = || KNOWN.iter().any(|known| known.name == model) || in_folder(model).is_some();
    is_known() || hub::is_hub_name(model) || is_path()
}

/// Returns the file of a model that is given by path, by a known name, or by the name of a file in the models folder,
/// with or without `.gguf`.
pub(crate) fn resolve(model: impl AsRef<Path>) -> CliResult<PathBuf> {
    let path = model.as_ref();
    // A name is text; a path need not be.
    let Some(model) = path.to_str().filter(|_| !path.exists()) else { return Ok(path.to_owned()) };
    let known = KNOWN.iter().find(|known| known.name == model);
    if let Some(file) = known.and_then(|known| in_folder(known.file)).or_else(|| in_folder(model)) {
        return Ok(file);
    }
    if hub::is_hub_name(model) {
        return hub::find_or_pull(model);
    }
    if model.contains(['/', '\\']) {
        // Opening it reports why it does not exist.
        return Ok(path.to_owned());
    }
    let Some(folder) = folder() else {
        return Err(CliError::new(format!(
            "no file is called `{model}`, and there is no folder of models: set HAPPY_MODELS to one"
        )));
    };
    Err(CliError::new(match known {
        Some(known) => format!(
            "model `{model}` is not at `{}`: `happy list --names` lists models that `happy pull` downloads, `-m` takes the path of \
             a GGUF file too, and in a checkout `cargo xtask fetch-models {model}` puts this one there",
            folder.join(known.file).display()
        ),
        None => format!(
            "no file and no model is called `{model}`; the models folder `{}` has {}, and `happy list --names` lists models that \
             `happy pull` downloads",
            folder.display(),
            match names_in(&folder).as_slice() {
                [] => "no models".to_owned(),
                names => names.join(", "),
            }
        ),
    }))
}

/// Returns a model of the folder by its file name, with or without `.gguf`.
fn in_folder(name: &str) -> Option<PathBuf> {
    // A name must not lead out of the folder.
    if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
        return None;
    }
    let folder = folder()?;
    [name.to_owned(), format!("{name}.gguf")]
        .into_iter()
        .map(|name| folder.join(name))
        .find(|file| file.is_file())
}

/// Returns a note that names the models of the models folder; `None` if it has no models.
pub(crate) fn in_folder_note() -> Option<String> {
    let folder = folder()?;
    let names = names_in(&folder);
    let shown = || format!("`-m` also takes the models in `{}`: {}", folder.display(), names.join(", "));
    (!names.is_empty()).then(shown)
}

/// Returns the names of the models of a folder, sorted.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".gguf")?.to_owned()))
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}
