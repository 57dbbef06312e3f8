//! Recognizes calls that only repeat the example in a parameter's description.
//!
//! A small model may write a call although there is nothing to call, with the value that the schema gives as an example
//! ("The city, e.g. Paris"). Such a call differs from a real one in its free texts: they consist of words that are in the
//! description of their parameter and that nobody has said in the conversation.

use serde_json::{Map, Value as Json};

use super::schema::Schema;
use crate::memory::{R, push};

/// The words of the parameters' descriptions that were not said in the conversation, in lower case and sorted.
#[derive(Debug, Default)]
pub(super) struct Unsaid(Vec<String>);

impl Unsaid {
    /// Collects the words of all descriptions, except those in `said`.
    pub(super) fn new<'a>(schema: &Schema<'_>, said: impl IntoIterator<Item = &'a str>) -> R<Self> {
        let properties = schema.tools().flat_map(|tool| tool.properties());
        let mut all: Vec<(String, bool)> = Vec::new();
        for word in properties.flat_map(|(_, schema)| examples(schema)).flat_map(words) {
            push(&mut all, (lowered(word)?, false))?;
        }
        all.sort_unstable();
        all.dedup();
        for word in said.into_iter().flat_map(words) {
            if let Ok(i) = all.binary_search_by(|(known, _)| known.chars().cmp(lower(word))) {
                all[i].1 = true;
            }
        }
        let mut unsaid = Vec::new();
        for (word, _) in all.into_iter().filter(|(_, said)| !said) {
            push(&mut unsaid, word)?;
        }
        Ok(Unsaid(unsaid))
    }

    /// Returns whether a call has arguments and every text that the model was free to choose is copied.
    pub(super) fn is_copied(&self, schema: &Schema<'_>, name: &str, arguments: &Map<String, Json>) -> bool {
        let Some(tool) = schema.tool(name) else { return false };
        let chosen = |key: &str| {
            tool.property(key)
                .is_some_and(|schema| ["enum", "const"].iter().any(|word| schema.get(word).is_some()))
        };
        let unsaid = |word: &str| self.0.binary_search_by(|known| known.chars().cmp(lower(word))).is_ok();
        let copied = |(key, value): (&String, &Json)| {
            let (Some(text), Some(schema)) = (value.as_str(), tool.property(key)) else { return false };
            let is_own = |word: &str| examples(schema).flat_map(words).any(|own| lower(own).eq(lower(word)));
            words(text).next().is_some() && words(text).all(|word| is_own(word) && unsaid(word))
        };
        let mut free = arguments.iter().filter(|(key, _)| !chosen(key)).peekable();
        free.peek().is_some() && free.all(copied)
    }
}

/// Returns the texts of a parameter's schema that may contain an example.
fn examples(schema: &Json) -> impl Iterator<Item = &str> {
    let alone = ["description", "default", "example"].into_iter().filter_map(|key| schema.get(key));
    let listed = schema.get("examples").and_then(Json::as_array).into_iter().flatten();
    alone.chain(listed).filter_map(Json::as_str)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn lower(word: &str) -> impl Iterator<Item = char> {
    word.chars().flat_map(char::to_lowercase)
}

fn lowered(word: &str) -> R<String> {
    let mut text = String::new();
    // Lower case is rarely longer.
    text.try_reserve(word.len())?;
    for c in lower(word) {
        text.try_reserve(c.len_utf8())?;
        text.push(c);
    }
    Ok(text)
}
