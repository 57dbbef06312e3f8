//! Reading a reference from JSON that may be anything.

use super::compute::{Computed, Step, room};
use super::hash::Hash;
use super::text::{Template, Text};
use super::{GENERATED, MAX_PROMPT, NUMERICS, Reference, ReferenceError};
use crate::chat::json;
use happy_tokenizer::TokenId;
use serde_json::{Map, Value as Json};

/// What the first member says.
pub(super) const FORMAT: &str = "happy-verify";
/// The version of the format.
pub(super) const VERSION: u64 = 1;
/// Passes over the steps.
const PASSES: usize = 3;

type R<T> = Result<T, ReferenceError>;

impl Reference {
    /// Most bytes of a file: those of real models have 50 to 300 KiB.
    pub const MAX_BYTES: usize = 2 << 20;

    /// Reads what [`to_json`](Self::to_json) wrote. Takes at most some 40 times the bytes of the file while it reads.
    ///
    /// # Errors
    /// If it is larger than [`MAX_BYTES`](Self::MAX_BYTES), not JSON, of another version, or lacks something; the error says where.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ReferenceError> {
        let (found, most) = (bytes.len(), Self::MAX_BYTES);
        if found > most {
            return Err(ReferenceError::Size { found, most });
        }
        let memory = ReferenceError::Memory { bytes: found };
        let text = std::str::from_utf8(bytes).map_err(|error| ReferenceError::Json(error.to_string()))?;
        let value = json::parse(text).map_err(|error| match error.is_data() {
            true => memory,
            false => ReferenceError::Json(error.to_string()),
        })?;
        let top = At { place: &|| "the file".to_owned(), key: "", value: &value, bytes: found };
        let object = top.object()?;
        if top.member(object, "format")?.value.as_str() != Some(FORMAT) {
            return Err(top.not("the object of a verification file (format: happy-verify)"));
        }
        let version = top.member(object, "version")?.number()?;
        if version != VERSION {
            return Err(ReferenceError::Version { found: version, expected: VERSION });
        }
        let numerics = top.member(object, "numerics")?.number()?;
        if numerics != NUMERICS {
            return Err(ReferenceError::Numerics { found: numerics, expected: NUMERICS });
        }
        Ok(Self {
            architecture: top.member(object, "architecture")?.text()?,
            texts: top.member(object, "texts")?.list(&text_at)?,
            templates: top.member(object, "templates")?.list(&template_at)?,
            weights: top.member(object, "weights")?.list(&named_hash)?,
            prompt: top.member(object, "prompt")?.ids(1, MAX_PROMPT)?,
            generated: top.member(object, "generated")?.ids(0, GENERATED)?,
            computed: Computed {
                steps: top.member(object, "steps")?.list(&step_at)?,
                logits: top.member(object, "logits")?.list(&logits_at)?,
            },
        })
    }
}

/// A value and its place in the file.
#[derive(Clone, Copy)]
struct At<'a> {
    place: &'a dyn Fn() -> String,
    /// The member that it is of the object at the place; empty: the place itself.
    key: &'static str,
    value: &'a Json,
    /// Bytes of the file.
    bytes: usize,
}

impl At<'_> {
    fn not(&self, expected: &'static str) -> ReferenceError {
        ReferenceError::Member { place: self.name(), expected }
    }

    fn name(&self) -> String {
        if self.key.is_empty() { (self.place)() } else { format!("{} of {}", self.key, (self.place)()) }
    }

    fn object(&self) -> R<&Map<String, Json>> {
        self.value.as_object().ok_or_else(|| self.not("an object"))
    }

    fn array(&self) -> R<&[Json]> {
        Ok(self.value.as_array().ok_or_else(|| self.not("an array"))?)
    }

    /// The items of a pair.
    fn pair(&self) -> R<(At<'_>, At<'_>)> {
        match self.array()? {
            [a, b] => Ok((At { value: a, ..*self }, At { value: b, ..*self })),
            _ => Err(self.not("an array of two items")),
        }
    }

    fn member<'b>(&'b self, object: &'b Map<String, Json>, key: &'static str) -> R<At<'b>> {
        let at = At { key, ..*self };
        object.get(key).map(|value| At { value, ..at }).ok_or_else(|| at.not("there"))
    }

    fn number(&self) -> R<u64> {
        self.value.as_u64().ok_or_else(|| self.not("a number"))
    }

    fn str(&self) -> R<&str> {
        self.value.as_str().ok_or_else(|| self.not("a text"))
    }

    fn text(&self) -> R<String> {
        let (text, mut copy) = (self.str()?, String::new());
        copy.try_reserve_exact(text.len()).map_err(|_| ReferenceError::Memory { bytes: self.bytes })?;
        copy.push_str(text);
        Ok(copy)
    }

    fn hash(&self) -> R<Hash> {
        Hash::parse(self.str()?).ok_or_else(|| self.not("a hash of 32 hexadecimal digits"))
    }

    fn ids(&self, least: usize, most: usize) -> R<Vec<TokenId>> {
        let ids = self.array()?;
        if !(least..=most).contains(&ids.len()) {
            return Err(
                self.not("a list of so many token ids: at most 128 of a prompt and 16 generated ones")
            );
        }
        let mut list = Vec::new();
        room(&mut list, ids.len(), self.bytes)?;
        for id in ids {
            let id = id.as_u64().and_then(|id| TokenId::try_from(id).ok());
            list.push(id.ok_or_else(|| self.not("a list of token ids"))?);
        }
        Ok(list)
    }

    fn list<T>(&self, read: &dyn Fn(&At<'_>) -> R<T>) -> R<Vec<T>> {
        let items = self.array()?;
        let mut list = Vec::new();
        room(&mut list, items.len(), self.bytes)?;
        for (i, value) in items.iter().enumerate() {
            let place = || format!("item {} of {}", i + 1, self.name());
            list.push(read(&At { place: &place, key: "", value, bytes: self.bytes })?);
        }
        Ok(list)
    }
}

fn text_at(at: &At<'_>) -> R<Text> {
    let object = at.object()?;
    Ok(Text {
        name: at.member(object, "name")?.text()?,
        text: at.member(object, "text")?.text()?,
        ids: at.member(object, "ids")?.ids(0, usize::MAX)?,
        decoded: at.member(object, "decoded")?.hash()?,
    })
}

fn template_at(at: &At<'_>) -> R<Template> {
    let object = at.object()?;
    let rendering = |at: &At<'_>| {
        let (name, text) = at.pair()?;
        Ok((name.text()?, if text.value.is_null() { None } else { Some(text.text()?) }))
    };
    Ok(Template {
        key: at.member(object, "key")?.text()?,
        source: at.member(object, "source")?.hash()?,
        renderings: at.member(object, "renderings")?.list(&rendering)?,
    })
}

fn named_hash(at: &At<'_>) -> R<(String, Hash)> {
    let (name, hash) = at.pair()?;
    Ok((name.text()?, hash.hash()?))
}

fn step_at(at: &At<'_>) -> R<Step> {
    let [name, rest @ ..] = at.array()? else { return Err(at.not("a name and its hashes")) };
    if rest.len() > PASSES {
        return Err(at.not("a name and at most three hashes"));
    }
    let mut hashes = Vec::new();
    room(&mut hashes, rest.len(), at.bytes)?;
    for hash in rest {
        hashes.push(At { value: hash, ..*at }.hash()?);
    }
    Ok(Step::new(At { value: name, ..*at }.text()?, hashes))
}

fn logits_at(at: &At<'_>) -> R<(usize, Hash)> {
    let (position, hash) = at.pair()?;
    Ok((usize::try_from(position.number()?).unwrap_or(usize::MAX), hash.hash()?))
}
