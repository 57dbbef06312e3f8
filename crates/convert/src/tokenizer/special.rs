//! The ids of special tokens, the tokens around a text, and the chat template.

use super::file::TokenizerFile;
use crate::checkpoint::Checkpoint;
use crate::error::ConvertError;
use crate::json::{Object, read_optional};
use crate::pairs::Pairs;
use happy_gguf::{OwnedArray, OwnedValue};
use serde_json::Value;

/// The beginning of the keys in `tokenizer_config.json` (`bos_token`) and `config.json` (`bos_token_id`), and the key of a GGUF
/// file.
const ROLES: [(&str, &str); 6] = [
    ("bos", "tokenizer.ggml.bos_token_id"),
    ("eos", "tokenizer.ggml.eos_token_id"),
    ("unk", "tokenizer.ggml.unknown_token_id"),
    // The format spells it this way.
    ("sep", "tokenizer.ggml.seperator_token_id"),
    ("pad", "tokenizer.ggml.padding_token_id"),
    ("mask", "tokenizer.ggml.mask_token_id"),
];

/// The names in BERT's vocabularies, for folders whose files do not name the tokens.
const BERT_NAMES: [(&str, &str); 5] =
    [("cls", "[CLS]"), ("sep", "[SEP]"), ("unk", "[UNK]"), ("pad", "[PAD]"), ("mask", "[MASK]")];

/// Adds the metadata.
pub(crate) fn pairs(
    checkpoint: &Checkpoint,
    settings: Option<&Object>,
    file: &TokenizerFile,
    pairs: &mut Pairs,
) -> Result<(), ConvertError> {
    let map = Object::optional(checkpoint.dir.join("special_tokens_map.json"))?;
    let generation = Object::optional(checkpoint.dir.join("generation_config.json"))?;
    let text = |role: &str| {
        let key = format!("{role}_token");
        [settings, map.as_ref()].into_iter().flatten().find_map(|object| content(object.get(&key)?))
    };
    let is_bert = file.model.kind.as_deref() == Some("WordPiece");
    let default =
        |role: &str| BERT_NAMES.iter().find(|(known, _)| is_bert && *known == role).map(|(_, text)| *text);
    let id = |role: &str| {
        let by_text = text(role).or_else(|| default(role)).and_then(|text| file.id(text));
        by_text.or_else(|| ids(checkpoint.config.get(&format!("{role}_token_id"))?).next())
    };
    for (role, key) in ROLES {
        // BERT begins a text with `cls` and ends it with `sep`.
        let id = id(role).or_else(|| match role {
            "bos" => id("cls"),
            "eos" => id("sep"),
            "unk" => file.model.unk_token.as_deref().and_then(|text| file.id(text)),
            _ => None,
        });
        if let Some(id) = id {
            pairs.add(key, id);
        }
    }
    let ends = [generation.as_ref(), Some(&checkpoint.config)].into_iter().flatten();
    let mut ends: Vec<u32> = ends.filter_map(|object| object.get("eos_token_id")).flat_map(ids).collect();
    ends.sort_unstable();
    ends.dedup();
    if ends.len() > 1 {
        pairs.add("tokenizer.ggml.eos_token_ids", OwnedValue::Array(OwnedArray::packed(ends)));
    }
    around(settings, file, pairs)?;
    chat_template(checkpoint, settings, pairs)
}

/// Returns the text of a token, which is a string or an object with the text.
fn content(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

/// Returns the ids of a value, which is an id or a list of ids.
fn ids(value: &Value) -> impl Iterator<Item = u32> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(|value| value.as_u64()?.try_into().ok())
}

/// Adds whether a text begins and ends with special tokens. The post-processor decides; without one, the settings do.
fn around(settings: Option<&Object>, file: &TokenizerFile, pairs: &mut Pairs) -> Result<(), ConvertError> {
    let setting = |key| settings.map_or(Ok(None), |settings| settings.bool(key));
    let (mut bos, mut eos, mut sep) = (None, None, None);
    let parts = TokenizerFile::parts(&file.post_processor, "processors");
    for part in parts {
        match part.get("type").and_then(Value::as_str) {
            Some("TemplateProcessing") => {
                let single = part.get("single").and_then(Value::as_array);
                let is_special =
                    |piece: Option<&Value>| piece.is_some_and(|p| p.get("SpecialToken").is_some());
                let [first, last] = [single.and_then(|s| s.first()), single.and_then(|s| s.last())];
                (bos, eos) = (Some(is_special(first)), Some(is_special(last)));
            }
            Some("RobertaProcessing" | "BertProcessing") => {
                (bos, eos, sep) = (Some(true), Some(true), Some(true))
            }
            Some("ByteLevel") => (bos, eos) = (bos.or(Some(false)), eos.or(Some(false))),
            _ => {}
        }
    }
    let (bos, eos) = (bos.or(setting("add_bos_token")?), eos.or(setting("add_eos_token")?));
    for (key, value) in [("bos", bos), ("eos", eos), ("sep", sep)] {
        if let Some(value) = value {
            pairs.add(format!("tokenizer.ggml.add_{key}_token"), value);
        }
    }
    Ok(())
}

/// Adds the chat template, from the settings or from a file of its own. If there is a list of templates, it is the one named
/// `default`.
fn chat_template(
    checkpoint: &Checkpoint,
    settings: Option<&Object>,
    pairs: &mut Pairs,
) -> Result<(), ConvertError> {
    const KEY: &str = "tokenizer.chat_template";
    let path = checkpoint.dir.join("chat_template.jinja");
    if let Some(bytes) = read_optional(&path)? {
        let text = String::from_utf8(bytes).map_err(|e| ConvertError::invalid(&path, e.utf8_error()))?;
        pairs.add(KEY, text);
        return Ok(());
    }
    let own = Object::optional(checkpoint.dir.join("chat_template.json"))?;
    let template = |object: &Object| object.get("chat_template").cloned();
    match settings.and_then(template).or_else(|| own.as_ref().and_then(template)) {
        None => {}
        Some(Value::String(text)) => pairs.add(KEY, text),
        Some(Value::Array(list)) => {
            for item in &list {
                let field = |key: &str| item.get(key).and_then(Value::as_str);
                match (field("name"), field("template")) {
                    (Some("default"), Some(text)) => pairs.add(KEY, text),
                    (Some(name), Some(text))
                        if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') =>
                    {
                        pairs.add(format!("{KEY}.{name}"), text);
                    }
                    _ => pairs.warn("a chat template without a name is left out"),
                }
            }
        }
        Some(_) => pairs.warn("the chat template is left out, since it is neither a text nor a list"),
    }
    Ok(())
}
