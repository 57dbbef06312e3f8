//! Pooling: how the vector of a sentence is made of those of its tokens. It is read from sentence-transformers' `modules.json` and
//! the module that it names.

use crate::error::{ConvertError, printable, shown};
use crate::json::{Object, parse_optional};
use crate::pairs::Pairs;
use serde::Deserialize;
use std::path::{Component, Path};

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
    path: String,
}

/// llama.cpp's numbers of the kinds of pooling that are converted.
const MEAN: u32 = 1;
const CLS: u32 = 2;
const LAST: u32 = 3;

/// Adds `pooling_type`, if the folder specifies the pooling.
pub(crate) fn pairs(dir: &Path, pairs: &mut Pairs) -> Result<(), ConvertError> {
    let modules = dir.join("modules.json");
    for module in parse_optional::<Vec<Module>>(&modules)?.unwrap_or_default() {
        let last = module.kind.rsplit('.').next().unwrap_or_default();
        match last {
            "Pooling" => {
                let path = inside(dir, &module.path).ok_or_else(|| {
                    ConvertError::invalid(
                        &modules,
                        format!("path `{}`: expected a folder within this one", printable(&module.path)),
                    )
                })?;
                pairs.arch("pooling_type", kind(&Object::open(path.join("config.json"))?)?);
            }
            "Transformer" | "Normalize" => {}
            other => pairs.warn(format!("module `{}` of modules.json is left out", printable(other))),
        }
    }
    Ok(())
}

/// Joins a path to a folder. Returns `None` if it leads out of the folder.
fn inside(dir: &Path, path: &str) -> Option<std::path::PathBuf> {
    let path = Path::new(path);
    path.components().all(|c| matches!(c, Component::Normal(_))).then(|| dir.join(path))
}

fn kind(config: &Object) -> Result<u32, ConvertError> {
    const KINDS: [(&str, &str, u32); 3] = [
        ("pooling_mode_mean_tokens", "mean", MEAN),
        ("pooling_mode_cls_token", "cls", CLS),
        ("pooling_mode_lasttoken", "lasttoken", LAST),
    ];
    let mode = config.str("pooling_mode")?;
    for (key, name, kind) in KINDS {
        if config.bool(key)? == Some(true) || mode == Some(name) {
            return Ok(kind);
        }
    }
    let path = shown(&config.path);
    Err(ConvertError::unsupported(format!(
        "`{path}`: expected one of the pooling modes mean, cls and lasttoken"
    )))
}
