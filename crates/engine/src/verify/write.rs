//! A reference as JSON: an entry a line, so that two files can be compared by eye.

use super::text::rendering_json;
use super::{NUMERICS, Reference, read};
use crate::EngineError;
use crate::reserve::{refused, text_of};
use serde_json::{Value as Json, json};
use std::fmt::{self, Display};

impl Reference {
    /// The reference as JSON: see `docs/verify.md`.
    ///
    /// # Errors
    /// If memory cannot be had, or the text is larger than [`Reference::MAX_BYTES`].
    pub fn to_json(&self) -> Result<String, EngineError> {
        let text = text_of(&Written(self), "a verification file")?;
        if text.len() > Self::MAX_BYTES { Err(refused(text.len(), "a verification file")) } else { Ok(text) }
    }
}

struct Written<'a>(&'a Reference);

/// Writes an array with an item a line.
fn list(f: &mut fmt::Formatter<'_>, key: &str, items: impl Iterator<Item = Json>) -> fmt::Result {
    write!(f, ",\n\"{key}\":[")?;
    for (i, item) in items.enumerate() {
        write!(f, "{}\n{item}", if i > 0 { "," } else { "" })?;
    }
    f.write_str("]")
}

impl Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reference = self.0;
        write!(f, "{{\"format\":\"{}\",\"version\":{},", read::FORMAT, read::VERSION)?;
        write!(f, "\"numerics\":{NUMERICS},\"architecture\":{}", Json::from(&*reference.architecture))?;
        let hex = |hash: &super::Hash| hash.to_string();
        list(f, "texts", reference.texts.iter().map(|text| {
            json!({ "name": text.name, "text": text.text, "ids": text.ids, "decoded": hex(&text.decoded) })
        }))?;
        list(
            f,
            "templates",
            reference.templates.iter().map(|template| {
                let renderings =
                    template.renderings.iter().map(|(name, text)| json!([name, rendering_json(text)]));
                let renderings: Vec<Json> = renderings.collect();
                json!({ "key": template.key, "source": hex(&template.source), "renderings": renderings })
            }),
        )?;
        list(f, "weights", reference.weights.iter().map(|(name, hash)| json!([name, hex(hash)])))?;
        write!(
            f,
            ",\n\"prompt\":{},\n\"generated\":{}",
            json!(reference.prompt),
            json!(reference.generated)
        )?;
        list(
            f,
            "steps",
            reference.computed.steps.iter().map(|step| {
                let hashes = step.hashes.iter().map(|hash| hex(hash).into());
                Json::Array([Json::from(&*step.name)].into_iter().chain(hashes).collect())
            }),
        )?;
        list(f, "logits", reference.computed.logits.iter().map(|(at, hash)| json!([at, hex(hash)])))?;
        f.write_str("}\n")
    }
}
