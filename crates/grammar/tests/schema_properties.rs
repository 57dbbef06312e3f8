//! Random schemas against an evaluator of a page: what is accepted is valid, and where one document has one spelling, what is
//! valid is accepted.

use happy_grammar::{Grammar, Limits, Reading, Recognizer, SchemaErrorKind};
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

/// Whether a value satisfies a schema, by the words of the specification.
fn valid(schema: &Value, value: &Value) -> bool {
    let Value::Object(keywords) = schema else { return *schema == true };
    keywords.iter().all(|(keyword, held)| holds(keywords, keyword, held, value))
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
        "enum" => list().any(|known| known == value),
        "const" => held == value,
        "minimum" => number().is_none_or(|(n, bound)| n >= bound),
        "maximum" => number().is_none_or(|(n, bound)| n <= bound),
        "multipleOf" => number().is_none_or(|(n, of)| (n / of).fract() == 0.0),
        "minLength" => length.is_none_or(|n| Some(n) >= held.as_u64()),
        "maxLength" => length.is_none_or(|n| Some(n) <= held.as_u64()),
        "pattern" => value.as_str().is_none_or(|text| text.contains(held.as_str().unwrap_or(""))),
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
            (inner, 0..3).prop_map(|(s, n)| json!({ "contains": s, "maxContains": n })),
        ]
    })
}

/// Whether a document may be written in one order only, so that a valid one is accepted.
fn has_one_order(value: &Value) -> bool {
    value.as_object().is_none_or(|members| members.len() < 2)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn accepted_is_valid_and_the_reverse(schema in schema()) {
        for reading in [Reading::Writer, Reading::Specification] {
            let built = Grammar::from_json_schema_with(&schema.to_string(), reading, &Limits::default());
            let mut recognizer = match &built {
                Ok(grammar) => Some(Recognizer::new(grammar).expect("a recognizer")),
                Err(error) if error.kind() == SchemaErrorKind::Unsatisfiable => None,
                // Too many conditions on one member, or too many combinations.
                Err(error) => return Err(TestCaseError::reject(error.to_string())),
            };
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
