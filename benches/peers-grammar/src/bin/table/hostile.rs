//! Schemas that cost much, or that somebody made to cost much, each with a text that it allows or nearly allows.

use std::fs;
use std::path::{Path, PathBuf};

use peers_grammar::{Result, write_texts};
use serde_json::{Value, json};

use crate::corpus::ids;

/// A schema and a text to follow.
pub struct Case {
    pub name: &'static str,
    pub schema: PathBuf,
    pub text: PathBuf,
}

/// `{"items": {"items": .. }}`
fn nested(depth: usize) -> String {
    format!("{}true{}", r#"{"type":"array","items":"#.repeat(depth), "}".repeat(depth))
}

/// Definitions `d0`, `d1` .. of which each is made of the next, and a last one.
fn chain(length: usize, link: impl Fn(Value) -> Value, last: Value) -> Value {
    let name = |i: usize| format!("d{i}");
    let reference = |i: usize| json!({ "$ref": format!("#/$defs/{}", name(i)) });
    let mut definitions: serde_json::Map<String, Value> =
        (0..length).map(|i| (name(i), link(reference(i + 1)))).collect();
    definitions.insert(name(length), last);
    json!({ "$ref": "#/$defs/d0", "$defs": definitions })
}

/// A string with a pattern.
fn pattern(pattern: &str) -> String {
    json!({ "type": "string", "pattern": pattern }).to_string()
}

/// An object with `n` optional properties.
fn optional(n: usize) -> Value {
    let properties: serde_json::Map<String, Value> =
        (0..n).map(|i| (format!("p{i}"), json!({ "type": "integer" }))).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// Writes all of them into `folder`.
pub fn cases(folder: &Path) -> Result<Vec<Case>> {
    let string = |body: &str, n: usize| format!("\"{}\"", body.repeat(n));
    let small = json!({ "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"] });
    let cases = [
        ("arrays in arrays, 100", nested(100), "[".repeat(100)),
        ("arrays in arrays, 100,000", nested(100_000), "[".repeat(100)),
        (
            "10,000 references in a row",
            chain(10_000, |next| next, json!({ "type": "null" })).to_string(),
            "null".into(),
        ),
        ("a reference to itself", json!({ "$ref": "#" }).to_string(), "1".into()),
        (
            "`anyOf` of itself twice",
            json!({ "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] }).to_string(),
            "1".into(),
        ),
        (
            "`anyOf` doubling 30 times",
            chain(30, |next| json!({ "anyOf": [next.clone(), next] }), small.clone()).to_string(),
            r#"{"a":1}"#.into(),
        ),
        (
            "`allOf` doubling 30 times",
            chain(30, |next| json!({ "allOf": [next.clone(), next] }), small).to_string(),
            r#"{"a":1}"#.into(),
        ),
        (
            "`minLength` of a billion",
            json!({ "type": "string", "minLength": 1_000_000_000 }).to_string(),
            string("a", 2000),
        ),
        (
            "`maxLength` of a billion",
            json!({ "type": "string", "maxLength": 1_000_000_000 }).to_string(),
            string("a", 2000),
        ),
        (
            "`minItems` of a billion",
            json!({ "type": "array", "items": { "type": "integer" }, "minItems": 1_000_000_000 }).to_string(),
            format!("[{}", "1,".repeat(1000)),
        ),
        ("pattern `^(a{1000}){1000}$`", pattern("^(a{1000}){1000}$"), string("a", 2000)),
        (
            "pattern `^(((a{0,99}){0,99}){0,99}){0,99}$`",
            pattern("^(((a{0,99}){0,99}){0,99}){0,99}$"),
            string("a", 2000),
        ),
        ("pattern `^(a+)+b$`", pattern("^(a+)+b$"), string("a", 2000)),
        // The automaton has to remember 30 (200) letters: 2^30 states.
        ("pattern `^(a|b)*a(a|b){30}$`", pattern("^(a|b)*a(a|b){30}$"), string("ab", 2000)),
        ("pattern `^.*a.{200}$`", pattern("^.*a.{200}$"), string("ab", 2000)),
        (
            "three such patterns at once",
            json!({ "allOf": [
                { "type": "string", "pattern": "^.*a.{50}$" },
                { "pattern": "^.*b.{60}$" },
                { "pattern": "^.*c.{70}$" },
            ] })
            .to_string(),
            string("abc", 700),
        ),
        (
            "100,000 values of an `enum`",
            json!({ "enum": (0..100_000).map(|i| format!("value {i}")).collect::<Vec<_>>() }).to_string(),
            r#""value 99999""#.into(),
        ),
        ("3,000 optional properties", optional(3000).to_string(), r#"{"p0":1,"p2999":2}"#.into()),
        (
            "`anyOf` of 500 objects with equal beginnings",
            json!({ "anyOf": (0..500).map(|i| {
                let mut object = optional(20);
                object["required"] = json!([format!("p{}", i % 20)]);
                object["properties"][format!("q{i}")] = json!({ "type": "null" });
                object
            }).collect::<Vec<_>>() })
            .to_string(),
            r#"{"p0":1,"p1":1,"p2":1,"q7":null}"#.into(),
        ),
        (
            "numbers up to 10^300, by 0.01",
            r#"{"type":"number","minimum":-1e300,"maximum":1e300,"multipleOf":0.01}"#.into(),
            "123456.78".into(),
        ),
    ];
    let mut written = Vec::new();
    for (i, (name, schema, text)) in cases.into_iter().enumerate() {
        let case = Case {
            name,
            schema: folder.join(format!("hostile-{i}.json")),
            text: folder.join(format!("hostile-{i}.bin")),
        };
        fs::write(&case.schema, schema)?;
        write_texts(&case.text, &[ids(&text)])?;
        written.push(case);
    }
    Ok(written)
}
