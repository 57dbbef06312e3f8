//! Schemas with documents that they allow and documents that they do not, in both readings.

use happy_grammar::{Grammar, Limits, Reading, Recognizer, SchemaErrorKind};

struct Case {
    schema: &'static str,
    accepts: &'static [&'static str],
    rejects: &'static [&'static str],
}

/// Cases with the same result in both readings.
const CASES: &[Case] = &[
    Case {
        schema: r#"{"not": {"type": ["integer", "object"]}}"#,
        accepts: &["1.5", "\"a\"", "[]", "null"],
        rejects: &["1", "{}"],
    },
    Case {
        schema: r#"{"not": {"enum": [1, "a", null, [1], {"a": 1}]}}"#,
        accepts: &[
            "2",
            "1.5",
            "\"b\"",
            "\"\"",
            "true",
            "[]",
            "[2]",
            "[1, 1]",
            "{}",
            r#"{"a": 2}"#,
            r#"{"b": 1}"#,
        ],
        rejects: &["1", "1.0", "\"a\"", "null", "[1]", r#"{"a": 1}"#],
    },
    Case {
        schema: r#"{"type": "string", "not": {"pattern": "b"}, "minLength": 1}"#,
        accepts: &["\"a\"", "\"acc\""],
        rejects: &["\"b\"", "\"abc\"", "\"\"", "1"],
    },
    Case {
        schema: r#"{"type": "number", "not": {"minimum": 2, "maximum": 4}}"#,
        accepts: &["1", "1.99", "4.01", "5", "-3"],
        rejects: &["2", "3", "4", "4.0", "\"a\""],
    },
    Case {
        schema: r#"{"type": "number", "multipleOf": 0.25}"#,
        accepts: &["0.25", "1", "1.5", "-2.75"],
        rejects: &["0.3", "1.1"],
    },
    Case {
        schema: r#"{"type": "integer", "not": {"multipleOf": 3}}"#,
        accepts: &["1", "2", "-4", "100"],
        rejects: &["0", "3", "-9", "99"],
    },
    Case {
        schema: r#"{"type": "object", "properties": {"a": {"type": "integer"}}, "not": {"required": ["a"]}}"#,
        accepts: &["{}"],
        rejects: &[r#"{"a": 1}"#, r#"{"a": "x"}"#],
    },
    Case {
        schema: r#"{"not": {"properties": {"a": {"type": "string"}}, "required": ["b"]}, "type": "object"}"#,
        accepts: &["{}", r#"{"a": 1}"#, r#"{"a": "x"}"#, r#"{"a": 1, "b": 2}"#],
        rejects: &[r#"{"b": 1}"#, r#"{"a": "x", "b": 1}"#],
    },
    Case {
        schema: r#"{"type": "object", "not": {"additionalProperties": {"type": "string"}}}"#,
        accepts: &[r#"{"a": 1}"#],
        rejects: &["{}", r#"{"a": "x"}"#, r#"{"a": 1, "a": "x"}"#, r#"{"a": "x", "a": 1}"#],
    },
    Case {
        schema: r#"{"type": "object", "not": {"propertyNames": {"pattern": "^a"}}, "properties": {"a": {}}}"#,
        accepts: &[r#"{"b": 1}"#, r#"{"a": 1, "b": 1}"#],
        rejects: &["{}", r#"{"a": 1}"#, r#"{"ab": 1}"#],
    },
    Case {
        schema: r#"{"type": "array", "not": {"items": {"type": "integer"}}}"#,
        accepts: &[r#"["a"]"#, r#"[1, "a"]"#, r#"["a", 1, 2]"#],
        rejects: &["[]", "[1]", "[1, 2]"],
    },
    Case {
        schema: r#"{"type": "array", "prefixItems": [{}, {}], "not": {"prefixItems": [true, {"type": "null"}]}}"#,
        accepts: &["[1, 2]", "[null, 0]"],
        rejects: &["[]", "[1]", "[1, null]"],
    },
    Case {
        schema: r#"{"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 2}]}"#,
        accepts: &["1", "-7", "2.5"],
        rejects: &["2", "3", "1.5"],
    },
    Case {
        schema: r#"{"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}, "b": {}}}"#,
        accepts: &[r#"{"a": 1}"#, r#"{"b": 1}"#],
        rejects: &["{}", r#"{"a": 1, "b": 1}"#],
    },
    Case {
        schema: r#"{"not": {"oneOf": [{"minimum": 5}, {"maximum": 7}]}, "type": "integer"}"#,
        accepts: &["5", "6", "7"],
        rejects: &["4", "8"],
    },
    // The condition must not be considered ruled out by the schema that requires it.
    Case {
        schema: r#"{"if": {"const": "a"}, "then": {"minLength": 2}, "else": {"minimum": 0}}"#,
        accepts: &["1"],
        rejects: &["\"a\"", "-1"],
    },
    Case {
        schema: r#"{"type": "object", "properties": {"kind": {"enum": ["a", "b"]}, "x": {}, "y": {}}, "required": ["kind"],
            "if": {"properties": {"kind": {"const": "a"}}}, "then": {"required": ["x"]}, "else": {"required": ["y"]}}"#,
        accepts: &[
            r#"{"kind": "a", "x": 1}"#,
            r#"{"kind": "b", "y": 1}"#,
            r#"{"kind": "b", "x": 1, "y": 1}"#,
        ],
        rejects: &[r#"{"kind": "a"}"#, r#"{"kind": "a", "y": 1}"#, r#"{"kind": "b", "x": 1}"#],
    },
    Case {
        schema: r#"{"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "dependentRequired": {"a": ["b"]},
            "dependentSchemas": {"c": {"properties": {"b": {"type": "null"}}}}}"#,
        accepts: &["{}", r#"{"b": 1}"#, r#"{"a": 1, "b": 1}"#, r#"{"b": null, "c": 1}"#, r#"{"c": 1}"#],
        rejects: &[r#"{"a": 1}"#, r#"{"b": 1, "c": 1}"#, r#"{"a": 1, "c": 1}"#],
    },
    Case {
        schema: r#"{"type": "array", "contains": {"type": "integer"}, "minContains": 2, "maxContains": 3}"#,
        accepts: &["[1, 2]", r#"["a", 1, null, 2, 3]"#],
        rejects: &["[]", "[1]", "[1, 2, 3, 4]", r#"["a", 1]"#],
    },
    Case {
        schema: r#"{"type": "array", "items": {"type": "integer"}, "contains": {"minimum": 5}, "maxItems": 3}"#,
        accepts: &["[5]", "[1, 2, 9]"],
        rejects: &["[]", "[1, 2]", "[1, 2, 3, 9]", "[\"a\", 9]"],
    },
    Case {
        schema: r#"{"type": "array", "not": {"contains": {"type": "null"}}}"#,
        accepts: &["[]", "[1]"],
        rejects: &["[null]", "[1, null]"],
    },
    Case {
        schema: r#"{"type": "object", "allOf": [{"properties": {"a": {}}}], "properties": {"b": {}}, "unevaluatedProperties": false}"#,
        accepts: &["{}", r#"{"b": 1}"#, r#"{"a": 1}"#],
        rejects: &[r#"{"c": 1}"#],
    },
    Case {
        schema: r#"{"type": "object", "properties": {"a": {}}, "anyOf": [{"properties": {"b": {}}, "required": ["b"]}, {}],
            "unevaluatedProperties": {"type": "null"}}"#,
        accepts: &[r#"{"a": 1}"#, r#"{"a": 1, "b": 1}"#, r#"{"a": 1, "c": null}"#],
        rejects: &[r#"{"c": 1}"#],
    },
    Case {
        schema: r#"{"type": "array", "allOf": [{"prefixItems": [{"type": "integer"}]}], "unevaluatedItems": {"type": "null"}}"#,
        accepts: &["[]", "[1]", "[1, null, null]"],
        rejects: &["[null]", "[1, 2]"],
    },
    Case {
        schema: r#"{"type": "array", "uniqueItems": true, "items": {"type": "object", "properties": {"a": {"type": "number"}}}}"#,
        accepts: &["[]", r#"[{"a":1}, {"a":2}, {}]"#],
        rejects: &[r#"[{"a":1}, {"a":1}]"#, r#"[{"a":1}, {"a":1.0}]"#, r#"[{"a":1}, {"a":1e0}]"#, "[{}, {}]"],
    },
    Case {
        schema: r##"{"$id": "http://x.org/root.json", "$ref": "item.json#part",
            "$defs": {"i": {"$id": "item.json", "$defs": {"p": {"$anchor": "part", "$ref": "#/$defs/q"}, "q": {"type": "null"}}}}}"##,
        accepts: &["null"],
        rejects: &["1"],
    },
];

fn failures(case: &Case, reading: Reading) -> Vec<String> {
    let Case { schema, accepts, rejects } = case;
    let grammar = match Grammar::from_json_schema_with(schema, reading, &Limits::default()) {
        Ok(grammar) => grammar,
        Err(error) => return vec![format!("{schema}: {error}")],
    };
    let mut recognizer = Recognizer::new(&grammar).expect("a recognizer");
    let mut found = Vec::new();
    for (texts, expected) in [(accepts, true), (rejects, false)] {
        for text in *texts {
            if recognizer.accepts(text.as_bytes()).expect("within the limits") != expected {
                found.push(format!("{reading:?}, {schema}: expected {expected} for {text}"));
            }
        }
    }
    found
}

#[test]
fn both_readings() {
    let readings = [Reading::Writer, Reading::Specification];
    let failures: Vec<_> =
        CASES.iter().flat_map(|case| readings.map(|reading| failures(case, reading))).flatten().collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_silence_means() {
    // A schema, documents that its writer does not mean but the specification allows, and documents that neither
    // allows.
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            r#"{"properties": {"a": {"type": "null"}}}"#,
            &["1", r#"{"b": 1}"#, r#"{"a": null, "b": 1}"#],
            &[r#"{"a": 1}"#],
        ),
        (r#"{"prefixItems": [{"type": "null"}]}"#, &["1", "[null, 1]"], &["[1]"]),
        (r#"{"pattern": "^a$"}"#, &["1", "[]"], &["\"b\""]),
        (
            r#"{"type": "integer", "minimum": 3}"#,
            &["3.0", "12345678901234567890", " 4", "4 "],
            &["2.0", "3.5", "2"],
        ),
        (r#"{"const": 2}"#, &["2.0", "\n2"], &["2.1"]),
    ];
    let mut found = Vec::new();
    for &(schema, rejects, never) in cases {
        found.extend(failures(&Case { schema, accepts: &[], rejects }, Reading::Writer));
        found.extend(failures(&Case { schema, accepts: rejects, rejects: never }, Reading::Specification));
        found.extend(failures(&Case { schema, accepts: &[], rejects: never }, Reading::Writer));
    }
    // If what seems to be meant is impossible, it is not what is meant.
    found.extend(failures(
        &Case { schema: r#"{"contains": false}"#, accepts: &["1"], rejects: &["[]"] },
        Reading::Writer,
    ));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn what_is_refused_and_where() {
    use SchemaErrorKind::*;
    let cases = [
        (r##"{"$dynamicRef": "#a"}"##, Unsupported, "#/$dynamicRef"),
        (r##"{"$ref": "http://elsewhere.org/x"}"##, Unsupported, "#/$ref"),
        (r##"{"$ref": "#nowhere"}"##, Reference, "#/$ref"),
        (r#"{"not": {"format": "date"}}"#, Unsupported, "#/not/format"),
        (r#"{"not": {"uniqueItems": true}}"#, Unsupported, "#/not/uniqueItems"),
        (r#"{"not": {"unevaluatedProperties": false}}"#, Unsupported, "#/not/unevaluatedProperties"),
        (r#"{"type": "number", "multipleOf": 0.1234567}"#, Unsupported, "#/multipleOf"),
        (
            r#"{"uniqueItems": true, "items": {"type": "array", "uniqueItems": true}}"#,
            Unsupported,
            "#/items/uniqueItems",
        ),
        (r#"{"not": {}}"#, Unsatisfiable, "#"),
        (r#"{"type": "integer", "not": {"multipleOf": 1}}"#, Unsatisfiable, "#"),
        (r#"{"oneOf": [true, true]}"#, Unsatisfiable, "#"),
        (r#"{"dependentRequired": {"a": 1}}"#, Malformed, "#/dependentRequired/a"),
    ];
    let mut failures = Vec::new();
    for (schema, kind, pointer) in cases {
        let found =
            Grammar::from_json_schema(schema).map_err(|e| (e.kind(), e.pointer().unwrap_or("").to_owned()));
        if found.as_ref().err() != Some(&(kind, pointer.to_owned())) {
            failures.push(format!("{schema}: expected {kind:?} at {pointer}, found {:?}", found.err()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
