//! Calls that repeat the example of a parameter's own description.
//!
//! A small model that has nothing to call may write a call all the same, with the value that the schema gives as an example
//! ("The city, e.g. Paris"). Such a call is told from a real one by its free texts: each has only words that stand in the
//! description of its parameter and that nobody has said in the conversation.

use serde_json::{Map, Value as Json};

use super::schema::Schema;

/// Words of the descriptions of parameters that were not said in the conversation, in lower case, ascending.
#[derive(Debug, Default)]
pub(super) struct Unsaid(Vec<String>);

impl Unsaid {
    /// The words of all descriptions, but for those of `said`.
    pub(super) fn new<'a>(schema: &Schema, said: impl IntoIterator<Item = &'a str>) -> Self {
        let properties = schema.tools().flat_map(|tool| tool.properties());
        let mut all: Vec<String> =
            properties.flat_map(|(_, schema)| examples(schema)).flat_map(words).collect();
        all.sort_unstable();
        all.dedup();
        let mut heard = vec![false; all.len()];
        for word in said.into_iter().flat_map(words) {
            if let Ok(i) = all.binary_search(&word) {
                heard[i] = true;
            }
        }
        let mut heard = heard.iter();
        all.retain(|_| !heard.next().copied().unwrap_or_default());
        Unsaid(all)
    }

    /// Whether a call has arguments, and all that the model was free to choose are copied texts.
    pub(super) fn is_copied(&self, schema: &Schema, name: &str, arguments: &Map<String, Json>) -> bool {
        let Some(tool) = schema.tools().find(|tool| tool.name == name) else { return false };
        let properties = tool.properties();
        let chosen = |key: &str| {
            ["enum", "const"].iter().any(|word| {
                properties.iter().any(|(name, schema)| *name == key && schema.get(word).is_some())
            })
        };
        let copied = |(key, value): (&String, &Json)| {
            let Some(text) = value.as_str() else { return false };
            let Some((_, schema)) = properties.iter().find(|(name, _)| name == key) else { return false };
            let own: Vec<String> = examples(schema).flat_map(words).collect();
            words(text).next().is_some()
                && words(text).all(|word| own.contains(&word) && self.0.binary_search(&word).is_ok())
        };
        let mut free = arguments.iter().filter(|(key, _)| !chosen(key)).peekable();
        free.peek().is_some() && free.all(copied)
    }
}

/// The texts of a parameter's schema that may hold an example.
fn examples(schema: &Json) -> impl Iterator<Item = &str> {
    let alone = ["description", "default", "example"].into_iter().filter_map(|key| schema.get(key));
    let listed = schema.get("examples").and_then(Json::as_array).into_iter().flatten();
    alone.chain(listed).filter_map(Json::as_str)
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}
