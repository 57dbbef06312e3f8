//! Schemas of the conformance corpus, with texts of which it is known whether they are valid.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use peers_grammar::{Kind, Result, Token, write_texts, write_tokens};
use serde_json::Value;

/// A schema and its texts.
pub struct Case {
    /// For a person who looks at what a peer makes of it.
    pub text: String,
    pub schema: PathBuf,
    pub texts: PathBuf,
    /// Whether each text is valid.
    pub valid: Vec<bool>,
}

/// The id of the end in the vocabulary of bytes.
const END: usize = 256;

/// A vocabulary in which each byte is a token: what a schema means does not depend on the tokens.
pub fn bytes(path: &Path) -> Result<()> {
    let byte = |b| Token { kind: Kind::Text, bytes: vec![b] };
    let end = Token { kind: Kind::End, bytes: b"<end>".to_vec() };
    let tokens: Vec<Token> = (0..=u8::MAX).map(byte).chain([end]).collect();
    assert_eq!(tokens.len(), END + 1);
    write_tokens(path, &tokens)
}

/// A text in that vocabulary.
pub fn ids(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

fn entries(corpus: &Path, name: &str) -> Result<Vec<Value>> {
    let path = corpus.join("grammar").join(name);
    let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// All schemas, each once, with their texts.
pub fn cases(corpus: &Path, folder: &Path) -> Result<Vec<Case>> {
    let mut order = Vec::new();
    let mut known: HashMap<String, Vec<(String, bool)>> = HashMap::new();
    let mut add = |schema: &Value, text: String, valid| {
        // A text is itself; a value is written.
        let schema = schema.as_str().map_or_else(|| schema.to_string(), str::to_owned);
        let texts = known.entry(schema.clone()).or_insert_with(|| {
            order.push(schema);
            Vec::new()
        });
        texts.push((text, valid));
    };
    for entry in entries(corpus, "schema_instances.json")? {
        for instance in entry["instances"].as_array().ok_or("no instances")? {
            let valid = match &instance["jsonschema_valid"] {
                Value::Bool(valid) => *valid,
                Value::String(_) => false, // "not json"
                _ => continue,             // nobody knows
            };
            add(&entry["schema"], instance["text"].as_str().ok_or("no text")?.to_owned(), valid);
        }
    }
    for entry in entries(corpus, "json_schema_test_suite.json")? {
        let valid = entry["valid"].as_bool().ok_or("no verdict")?;
        add(&entry["schema"], entry["data"].to_string(), valid);
    }
    let mut cases = Vec::new();
    for (i, text) in order.into_iter().enumerate() {
        let (schema, texts) =
            (folder.join(format!("schema-{i}.json")), folder.join(format!("texts-{i}.bin")));
        fs::write(&schema, &text)?;
        let instances = known.remove(&text).unwrap_or_default();
        write_texts(&texts, &instances.iter().map(|(text, _)| ids(text)).collect::<Vec<_>>())?;
        let valid = instances.into_iter().map(|(_, valid)| valid).collect();
        cases.push(Case { text, schema, texts, valid });
    }
    Ok(cases)
}
