//! Compares random schemas with a one-page evaluator: what is accepted is valid and, if a document has only one
//! spelling, what is valid is accepted.

use happy_grammar::{
    Grammar, Limits, MatchError, Matcher, Piece, Reading, Recognizer, SchemaErrorKind, TokenSet, Vocabulary,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Documents that are tried on every schema.
const DOCUMENTS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "6",
    "0.5",
    "2.5",
    "1.25",
    r#""""#,
    r#""a""#,
    r#""b""#,
    r#""ab""#,
    r#""abc""#,
    "[]",
    "[1]",
    "[2]",
    "[null]",
    r#"["a"]"#,
    "[1,2]",
    "[2,1]",
    r#"[1,"a"]"#,
    "[1,2,3]",
    "[2,2]",
    "[[1]]",
    "{}",
    r#"{"a":1}"#,
    r#"{"a":2}"#,
    r#"{"a":"a"}"#,
    r#"{"b":1}"#,
    r#"{"c":null}"#,
    r#"{"a":1,"b":1}"#,
    r#"{"a":null,"b":2}"#,
    r#"{"a":1,"c":2}"#,
    r#"{"a":{"a":1}}"#,
    r#"{"a":[1]}"#,
];

/// Whether a value satisfies a schema, directly by the specification.
fn valid(schema: &Value, value: &Value) -> bool {
    let Value::Object(keywords) = schema else { return *schema == true };
    keywords.iter().all(|(keyword, held)| holds(keywords, keyword, held, value))
}

/// Whether two values are equal: 1 equals 1.0 at any depth.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b || (a.is_number() && a.as_f64() == b.as_f64()),
    }
}

fn holds(schema: &Map<String, Value>, keyword: &str, held: &Value, value: &Value) -> bool {
    let list = || held.as_array().into_iter().flatten();
    let number = || value.as_f64().zip(held.as_f64());
    let length = value.as_str().map(|text| text.chars().count() as u64);
    let items = value.as_array();
    let members = value.as_object();
    let many = |n: Option<usize>| n.zip(held.as_u64()).map(|(n, bound)| (n as u64, bound));
    match keyword {
        "type" => match held.as_str() {
            Some("integer") => value.as_f64().is_some_and(|n| n.fract() == 0.0),
            Some("number") => value.is_number(),
            Some("string") => value.is_string(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            Some("boolean") => value.is_boolean(),
            _ => value.is_null(),
        },
        "enum" => list().any(|known| same(known, value)),
        "const" => same(held, value),
        "minimum" => number().is_none_or(|(n, bound)| n >= bound),
        "maximum" => number().is_none_or(|(n, bound)| n <= bound),
        "multipleOf" => number().is_none_or(|(n, of)| (n / of).fract() == 0.0),
        "minLength" => length.is_none_or(|n| Some(n) >= held.as_u64()),
        "maxLength" => length.is_none_or(|n| Some(n) <= held.as_u64()),
        "pattern" => value.as_str().is_none_or(|text| match held.as_str() {
            Some("^[ab]{1,2}$") => matches!(text, "a" | "b" | "aa" | "ab" | "ba" | "bb"),
            Some(part) => text.contains(part),
            None => false,
        }),
        "minItems" => many(items.map(Vec::len)).is_none_or(|(n, bound)| n >= bound),
        "maxItems" => many(items.map(Vec::len)).is_none_or(|(n, bound)| n <= bound),
        "items" => {
            let first = schema.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
            items.is_none_or(|items| items.iter().skip(first).all(|item| valid(held, item)))
        }
        "prefixItems" => items.is_none_or(|items| items.iter().zip(list()).all(|(item, s)| valid(s, item))),
        "contains" => items.is_none_or(|items| {
            let count = items.iter().filter(|item| valid(held, item)).count() as u64;
            let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
            count >= bound("minContains").unwrap_or(1) && bound("maxContains").is_none_or(|max| count <= max)
        }),
        "uniqueItems" => items.is_none_or(|items| {
            items.iter().enumerate().all(|(i, item)| !items[..i].iter().any(|known| same(known, item)))
        }),
        "required" => members.is_none_or(|m| list().all(|name| m.contains_key(name.as_str().unwrap_or("")))),
        "minProperties" => many(members.map(Map::len)).is_none_or(|(n, bound)| n >= bound),
        "maxProperties" => many(members.map(Map::len)).is_none_or(|(n, bound)| n <= bound),
        "properties" => members.is_none_or(|m| {
            m.iter().all(|(name, value)| held.get(name).is_none_or(|schema| valid(schema, value)))
        }),
        "additionalProperties" => members.is_none_or(|m| {
            let named = |name: &str| schema.get("properties").is_some_and(|p| p.get(name).is_some());
            m.iter().all(|(name, value)| named(name) || valid(held, value))
        }),
        "propertyNames" => members.is_none_or(|m| m.keys().all(|name| valid(held, &json!(name)))),
        "dependentSchemas" => members.is_none_or(|m| {
            held.as_object().into_iter().flatten().all(|(name, s)| !m.contains_key(name) || valid(s, value))
        }),
        "allOf" => list().all(|schema| valid(schema, value)),
        "anyOf" => list().any(|schema| valid(schema, value)),
        "oneOf" => list().filter(|schema| valid(schema, value)).count() == 1,
        "not" => !valid(held, value),
        "if" => {
            let next = if valid(held, value) { "then" } else { "else" };
            schema.get(next).is_none_or(|schema| valid(schema, value))
        }
        "then" | "else" | "minContains" | "maxContains" => true,
        other => panic!("{other} is not evaluated"),
    }
}

/// One or a few keywords about values without parts.
fn leaf() -> impl Strategy<Value = Value> {
    let types = ["null", "boolean", "integer", "number", "string", "array", "object"];
    let value =
        prop::sample::select(DOCUMENTS).prop_map(|text| serde_json::from_str::<Value>(text).expect("JSON"));
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        prop::sample::select(types.to_vec()).prop_map(|ty| json!({ "type": ty })),
        value.clone().prop_map(|value| json!({ "const": value })),
        prop::collection::vec(value, 1..3).prop_map(|values| json!({ "enum": values })),
        (0..3, prop::sample::select(vec!["minimum", "maximum"])).prop_map(|(n, key)| json!({ key: n })),
        prop::sample::select(vec![2.0, 0.5, 0.25, 3.0]).prop_map(|n| json!({ "multipleOf": n })),
        (0..3, prop::sample::select(vec!["minLength", "maxLength"])).prop_map(|(n, key)| json!({ key: n })),
        prop::sample::select(vec!["a", "b", "ab"]).prop_map(|text| json!({ "pattern": text })),
        (0..3, prop::sample::select(vec!["minItems", "maxItems"])).prop_map(|(n, key)| json!({ key: n })),
        (0..3, prop::sample::select(vec!["minProperties", "maxProperties"]))
            .prop_map(|(n, key)| json!({ key: n })),
        prop::collection::vec(prop::sample::select(vec!["a", "b"]), 1..3)
            .prop_map(|names| json!({ "required": names })),
    ]
}

/// Schemas with few values, for items that must differ.
fn few() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({ "type": "boolean" })),
        Just(json!({ "type": "null" })),
        prop::sample::subsequence(vec!["a", "b", "ab", "c"], 1..4)
            .prop_map(|values| json!({ "enum": values })),
        (0..12, 0..4).prop_map(|(n, m)| json!({ "type": "integer", "minimum": n, "maximum": n + m })),
        Just(json!({ "type": "string", "pattern": "^[ab]{1,2}$" })),
        Just(json!({ "type": "array", "items": { "const": 1 }, "maxItems": 2 })),
        Just(
            json!({ "type": "object", "properties": { "a": { "enum": [1, 2] } }, "additionalProperties": false })
        ),
        Just(json!({ "anyOf": [{ "type": "boolean" }, { "enum": ["a", true] }] })),
    ]
}

fn schema() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 10, 3, |inner| {
        let list = || prop::collection::vec(inner.clone(), 1..3);
        let two = || (inner.clone(), inner.clone());
        prop_oneof![
            inner.clone().prop_map(|s| json!({ "not": s })),
            list().prop_map(|s| json!({ "allOf": s })),
            list().prop_map(|s| json!({ "anyOf": s })),
            list().prop_map(|s| json!({ "oneOf": s })),
            (inner.clone(), two()).prop_map(|(c, (t, e))| json!({ "if": c, "then": t, "else": e })),
            two().prop_map(|(a, b)| json!({ "properties": { "a": a, "b": b } })),
            two().prop_map(|(a, b)| json!({ "properties": { "a": a }, "additionalProperties": b })),
            inner.clone().prop_map(|s| json!({ "propertyNames": s })),
            inner.clone().prop_map(|s| json!({ "dependentSchemas": { "a": s } })),
            inner.clone().prop_map(|s| json!({ "items": s })),
            two().prop_map(|(a, b)| json!({ "prefixItems": [a], "items": b })),
            (inner.clone(), 0..3).prop_map(|(s, n)| json!({ "contains": s, "minContains": n })),
            (inner.clone(), 0..3).prop_map(|(s, n)| json!({ "contains": s, "maxContains": n })),
            (few(), 0..4).prop_map(|(s, n)| json!({ "items": s, "uniqueItems": true, "minItems": n })),
            (few(), few(), 0..4).prop_map(|(a, b, n)| {
                json!({ "prefixItems": [a], "items": b, "uniqueItems": true, "minItems": n })
            }),
            (few(), few(), 0..3, 1..4).prop_map(|(a, b, n, m)| {
                json!({ "items": a, "contains": b, "minContains": n, "uniqueItems": true, "maxItems": m })
            }),
            (few(), few(), 0..2).prop_map(|(a, b, n)| {
                json!({ "type": "array", "items": a, "contains": b, "maxContains": n, "uniqueItems": true, "minItems": 2 })
            }),
        ]
    })
}

/// Whether a document can only be written in one order, so that a valid one must be accepted.
fn has_one_order(value: &Value) -> bool {
    value.as_object().is_none_or(|members| members.len() < 2)
}

/// Tokens of one character and some longer ones; the last token ends a text.
fn vocabulary() -> Vocabulary {
    let single: Vec<String> = (0x20..0x7Fu8).map(|b| char::from(b).to_string()).collect();
    let more = [
        "true", "false", "null", "\",", "\"a", "\":", "],", "[[", "[1", "\"ab\"", ",\"", "ru", "12",
        "{\"a\":",
    ];
    let pieces = single.iter().map(String::as_str).chain(more).chain(["<end>"]);
    let pieces: Vec<Piece<'_>> = pieces.map(|text| Piece::Text(text.as_bytes())).collect();
    let end = pieces.len() as u32 - 1;
    Vocabulary::new(pieces, &[end]).expect("a vocabulary")
}

/// Picks allowed tokens at random. There must always be one until the text ends, and the finished text must satisfy the
/// schema.
fn walk_at_random(grammar: &Grammar, schema: &Value, seed: u64) -> Result<(), String> {
    let vocabulary = vocabulary();
    let end = vocabulary.len() as u32 - 1;
    let mut matcher = Matcher::new(grammar, &vocabulary).expect("a matcher");
    let (mut allowed, mut text, mut random) = (TokenSet::new(0), Vec::new(), seed | 1);
    let mut pick = |n: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as usize % n
    };
    for step in 0..120 {
        match matcher.mask(&mut allowed) {
            Err(MatchError::Limit { .. }) => return Ok(()),
            other => other.expect("a mask"),
        }
        let tokens: Vec<u32> = allowed.iter().collect();
        if tokens.is_empty() {
            return Err(format!("a dead end after {:?}", String::from_utf8_lossy(&text)));
        }
        let mut token = tokens[pick(tokens.len())];
        // Prefers closing tokens, so that texts come to an end.
        let close = tokens.iter().copied().find(|t| matches!(vocabulary.piece(*t), b"]" | b"}" | b"\""));
        if step > 20 && pick(3) > 0 {
            token = close.unwrap_or(token);
        }
        if allowed.contains(end) && (step > 20 || pick(2) == 0) {
            token = end;
        }
        matcher.accept(token).map_err(|e| format!("{e} after {:?}", String::from_utf8_lossy(&text)))?;
        if token == end {
            let value = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
            let text = String::from_utf8_lossy(&text);
            // The evaluator cannot judge numbers with more digits than f64 holds.
            let long =
                text.as_bytes().split(|b| !matches!(b, b'0'..=b'9' | b'.')).any(|number| number.len() > 12);
            return if long || valid(schema, &value) { Ok(()) } else { Err(format!("{text} is not valid")) };
        }
        text.extend_from_slice(vocabulary.piece(token));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn accepted_is_valid_and_the_reverse(schema in schema(), seed in any::<u64>()) {
        for reading in [Reading::Writer, Reading::Specification] {
            let built = Grammar::from_json_schema_with(&schema.to_string(), reading, &Limits::default());
            let mut recognizer = match &built {
                Ok(grammar) => Some(Recognizer::new(grammar).expect("a recognizer")),
                Err(error) if error.kind() == SchemaErrorKind::Unsatisfiable => None,
                // Too many conditions on one member, or too many combinations.
                Err(error) => return Err(TestCaseError::reject(error.to_string())),
            };
            if let Ok(grammar) = &built {
                for walk in 0..4 {
                    if let Err(what) = walk_at_random(grammar, &schema, seed.wrapping_add(walk)) {
                        return Err(TestCaseError::fail(format!("{reading:?}: {schema}: {what}")));
                    }
                }
            }
            for text in DOCUMENTS {
                let value: Value = serde_json::from_str(text).expect("JSON");
                let accepted = match &mut recognizer {
                    Some(recognizer) => recognizer.accepts(text.as_bytes()).expect("within the limits"),
                    None => false,
                };
                let expected = valid(&schema, &value);
                prop_assert!(!accepted || expected, "{:?}: {} accepts {}", reading, schema, text);
                let complete = reading == Reading::Specification && has_one_order(&value);
                prop_assert!(accepted || !expected || !complete, "{} leaves out {}", schema, text);
            }
        }
    }
}
