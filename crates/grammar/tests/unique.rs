//! Items that must differ: an item that could not become a new one is not started, and arrays that need more items than
//! exist are refused.

use happy_grammar::{Grammar, Reading, Recognizer, SchemaErrorKind};

fn dead(recognizer: &mut Recognizer, text: &str) -> bool {
    recognizer.reset();
    recognizer.push(text.as_bytes()).expect("within the limits");
    recognizer.is_dead()
}

#[test]
fn only_what_can_become_new_is_begun() {
    type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);
    // A schema, prefixes that must be able to go on, and prefixes that must not.
    let cases: &[Case<'_>] = &[
        (
            r#"{"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": true}"#,
            &["[\"a\"", "[\"a\",\"b\"]"],
            &["[\"a\",\"a", "[\"a\",\"b\",", "[\"b\",\"b"],
        ),
        (
            r#"{"type": "array", "items": {"type": "boolean"}, "uniqueItems": true}"#,
            &["[true,f"],
            &["[true,t", "[true,false,"],
        ),
        (
            r#"{"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 12}, "uniqueItems": true}"#,
            &["[1,1", "[1,10,11,1", "[2,1"],
            &["[2,2", "[1,10,11,12,1"],
        ),
        (
            r#"{"type": "array", "items": {"type": "string", "pattern": "^[ab]{2}$"}, "uniqueItems": true}"#,
            &["[\"aa\",\"a", "[\"aa\",\"ab\",\"b"],
            &["[\"aa\",\"ab\",\"a"],
        ),
        (
            r#"{"type": "array", "items": {"type": "object", "properties": {"x": {"enum": [1, 2]}}, "required": ["x"],
                "additionalProperties": false}, "uniqueItems": true}"#,
            &["[{\"x\":1},{\"x\":2"],
            &["[{\"x\":1},{\"x\":1", "[{\"x\":1},{\"x\":2},"],
        ),
        // The second item has only one possible value, so the first must leave it free.
        (
            r#"{"type": "array", "prefixItems": [{"enum": [1, 2]}, {"const": 1}], "minItems": 2, "uniqueItems": true}"#,
            &["[2,1]"],
            &["[1"],
        ),
        (
            r#"{"type": "array", "prefixItems": [{"enum": [1, 2, 3]}, {"enum": [1, 2]}, {"enum": [1, 2]}], "minItems": 3,
                "uniqueItems": true}"#,
            &["[3,1,2]", "[3,2,1]"],
            &["[1", "[2", "[3,1,1"],
        ),
        // "c" must occur, and only once.
        (
            r#"{"type": "array", "items": {"enum": ["a", "b", "c"]}, "contains": {"const": "c"}, "minItems": 3, "maxItems": 3,
                "uniqueItems": true}"#,
            &["[\"a\",\"c\",\"b\"]", "[\"c\",\"b\",\"a\"]"],
            &["[\"c\",\"c"],
        ),
    ];
    let mut failures = Vec::new();
    for (schema, begun, refused) in cases {
        let grammar = match Grammar::from_json_schema(schema) {
            Ok(grammar) => grammar,
            Err(error) => {
                failures.push(format!("{schema}: {error}"));
                continue;
            }
        };
        let mut recognizer = Recognizer::new(&grammar).expect("a recognizer");
        for (list, expected) in [(begun, false), (refused, true)] {
            for text in *list {
                if dead(&mut recognizer, text) != expected && !recognizer.is_complete() {
                    failures.push(format!("{schema}: {text} dead: expected {expected}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn more_different_items_than_there_are() {
    let array = |items: &str, min: u32| {
        format!(r#"{{"type":"array","items":{items},"uniqueItems":true,"minItems":{min}}}"#)
    };
    let kinds = [
        (r#"{"type":"boolean"}"#, 2),
        (r#"{"enum":["a","b","a",1,1.0]}"#, 3),
        (r#"{"type":"integer","minimum":-3,"maximum":3}"#, 7),
        (r#"{"type":"string","format":"date","pattern":"^2024-02-2[5-9]$"}"#, 5),
        (r#"{"type":"object","properties":{"a":{"type":"boolean"}},"additionalProperties":false}"#, 3),
        (r#"{"type":"array","items":{"enum":[1,2]},"maxItems":2}"#, 7),
        (r#"{"anyOf":[{"type":"boolean"},{"enum":[true,"x"]}]}"#, 3),
    ];
    let mut failures = Vec::new();
    for (items, count) in kinds {
        for (min, satisfiable) in [(count, true), (count + 1, false)] {
            let schema = array(items, min);
            let found = Grammar::from_json_schema(&schema).map(|_| ()).map_err(|e| e.kind());
            let expected = if satisfiable { Ok(()) } else { Err(SchemaErrorKind::Unsatisfiable) };
            if found != expected {
                failures.push(format!("{schema}: expected {expected:?}, found {found:?}"));
            }
            // As an optional member it is left out.
            let around =
                format!(r#"{{"type":"object","properties":{{"a":{schema},"b":{{"type":"null"}}}}}}"#);
            let grammar = Grammar::from_json_schema(&around).expect("a grammar");
            let mut recognizer = Recognizer::new(&grammar).expect("a recognizer");
            if dead(&mut recognizer, "{\"a\"") == satisfiable {
                failures.push(format!("{around}: the member is begun: expected {satisfiable}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn many_items_cost_little() {
    // Most of two hundred values, in order: a step looks at nearby texts, not at all that were seen.
    let values: Vec<String> = (0..200).map(|i| format!("\"v{i}\"")).collect();
    let list = values.join(",");
    let schema =
        format!(r#"{{"type":"array","items":{{"enum":[{list}]}},"uniqueItems":true,"minItems":200}}"#);
    let grammar = Grammar::from_json_schema_with(&schema, Reading::Writer, &happy_grammar::Limits::default());
    let mut recognizer = Recognizer::new(&grammar.expect("a grammar")).expect("a recognizer");
    assert_eq!(recognizer.accepts(format!("[{}]", values[..100].join(",")).as_bytes()), Ok(false));
    assert!(!recognizer.is_complete());
}
