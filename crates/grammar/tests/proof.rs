//! "No document satisfies the schema" is only reported if it is proved. If not everything was examined, the error is
//! "not supported".

use happy_grammar::{Grammar, Recognizer, SchemaErrorKind};

#[test]
fn names_that_are_not_listed_are_counted() {
    type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (
            r#"{"additionalProperties": {"type": "integer"}, "minProperties": 2}"#,
            &[r#"{"a":1,"b":2}"#, r#"{"b": 1, "a": 2}"#, r#"{"a":1,"b":2,"c":3}"#, r#"{"ab":1,"a":2}"#],
            &["{}", r#"{"a":1}"#, r#"{"a":1,"a":2}"#, r#"{"a":1,"b":"x"}"#, r#"{"a":1,"\u0061":2}"#],
        ),
        (
            r#"{"additionalProperties": {"type": "integer"}, "minProperties": 2, "maxProperties": 3}"#,
            &[r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2,"c":3}"#],
            &[r#"{"a":1}"#, r#"{"a":1,"b":2,"c":3,"d":4}"#],
        ),
        (
            r#"{"properties": {"x": {"const": 0}}, "additionalProperties": {"type": "integer"}, "minProperties": 3}"#,
            &[r#"{"x":0,"b":2,"c":3}"#, r#"{"a":1,"b":2,"c":3}"#],
            &[r#"{"x":0,"b":2}"#, r#"{"x":0,"b":2,"b":3}"#, r#"{"a":1,"b":2,"a":3}"#],
        ),
        (
            r#"{"patternProperties": {"^a$": {"const": 1}, "^b$": {"const": 2}}, "additionalProperties": false,
                "minProperties": 2}"#,
            &[r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#],
            &[r#"{"a":1}"#, r#"{"a":1,"a":1}"#],
        ),
        (
            r#"{"propertyNames": {"enum": ["a", "b"]}, "additionalProperties": {"type": "array", "uniqueItems": true,
                "items": {"enum": [1, 2]}}, "minProperties": 2}"#,
            &[r#"{"a":[1,2],"b":[1]}"#],
            &[r#"{"a":[1,1],"b":[1]}"#, r#"{"a":[1],"a":[2]}"#],
        ),
    ];
    let mut failures = Vec::new();
    for (schema, accepts, rejects) in cases {
        let grammar = match Grammar::from_json_schema(schema) {
            Ok(grammar) => grammar,
            Err(error) => {
                failures.push(format!("{schema}: {error}"));
                continue;
            }
        };
        let mut recognizer = Recognizer::new(&grammar).expect("a recognizer");
        for (list, expected) in [(accepts, true), (rejects, false)] {
            for text in *list {
                if recognizer.accepts(text.as_bytes()) != Ok(expected) {
                    failures.push(format!("{schema}: {text}: expected {expected}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn only_what_is_proved_is_unsatisfiable() {
    use SchemaErrorKind::{Unsatisfiable, Unsupported};
    let cases = [
        ("false", Unsatisfiable),
        (r#"{"type": "object", "propertyNames": {"enum": ["a", "b"]}, "minProperties": 3}"#, Unsatisfiable),
        (r#"{"type": "string", "minLength": 3, "pattern": "^a$"}"#, Unsatisfiable),
        (r#"{"type": "integer", "minimum": 1, "maximum": 8, "multipleOf": 9}"#, Unsatisfiable),
        // An email address with a quoted local part is valid, but this crate does not examine those.
        (r#"{"type": "string", "format": "email", "pattern": "^\"a b\"@c.de$"}"#, Unsupported),
        (r#"{"const": "\"a b\"@c.de", "format": "email"}"#, Unsupported),
        // Four objects, one of which has two members with unlisted names.
        (
            r#"{"type": "array", "items": {"type": "object", "propertyNames": {"enum": ["a", "b"]},
                "additionalProperties": {"const": 1}}, "uniqueItems": true, "minItems": 4}"#,
            Unsupported,
        ),
        (
            r#"{"type": "object", "required": ["x"], "properties": {"x": {"type": "integer", "minimum": 5, "maximum": 4}}}"#,
            Unsatisfiable,
        ),
    ];
    let mut failures = Vec::new();
    for (schema, expected) in cases {
        match Grammar::from_json_schema(schema) {
            Err(error) if error.kind() == expected => {}
            other => failures.push(format!(
                "{schema}: expected {expected:?}, found {:?}",
                other.map_err(|e| e.to_string())
            )),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn formats_that_are_not_known_are_annotations() {
    for name in ["cuid", "jwt", "password", "binary", "int64", "x"] {
        let schema = format!(
            r#"{{"type": "object", "properties": {{"a": {{"type": "string", "format": "{name}"}}}}}}"#
        );
        let grammar = Grammar::from_json_schema(&schema).expect("an annotation");
        assert_eq!(
            grammar.ignored(),
            [format!("at #/properties/a/format: the format {name:?} is not checked")]
        );
        let mut recognizer = Recognizer::new(&grammar).expect("a recognizer");
        assert_eq!(recognizer.accepts(br#"{"a":"anything"}"#), Ok(true));
        let not = format!(r#"{{"type": "string", "not": {{"format": "{name}", "const": "x"}}}}"#);
        assert!(Grammar::from_json_schema(&not).is_ok(), "{not}");
    }
    assert!(Grammar::from_json_schema(r#"{"format": "date"}"#).expect("known").ignored().is_empty());
}
