//! Grammars, schemas and texts made to crash, to loop or to exhaust memory: each is refused or works, within a short
//! time.

use happy_grammar::{Grammar, GrammarErrorKind, MatchError, Recognizer, SchemaErrorKind};

#[test]
fn grammars() {
    let many = |n: usize, text: &str| text.repeat(n);
    // A grammar, and whether it builds.
    let cases: Vec<(&str, String, bool)> = vec![
        ("groups in groups", format!("root ::= {}", many(100_000, "(")), false),
        ("groups within the limit", format!("root ::= {}\"a\"{}", many(100, "("), many(100, ")")), true),
        ("stars on stars", format!("root ::= \"a\"{}", many(100_000, "*")), false),
        ("stars in groups", format!("root ::= {}\"a\"{}", many(100, "("), many(100, ")****")), true),
        ("a product of bounds", "root ::= (((\"a\"{1000}){1000}){1000}){1000}".to_owned(), false),
        ("a bound beyond u32", "root ::= \"a\"{99999999999}".to_owned(), false),
        (
            "many rules",
            format!(
                "root ::= \"a\"\n{}",
                (0..20_000).map(|i| format!("r{i} ::= root\n")).collect::<String>()
            ),
            true,
        ),
        (
            "a chain of rules",
            format!(
                "{}r20000 ::= \"a\"\nroot ::= r0\n",
                (0..20_000).map(|i| format!("r{i} ::= r{}\n", i + 1)).collect::<String>()
            ),
            true,
        ),
        (
            "a ring of rules",
            format!(
                "{}r9999 ::= r0\nroot ::= r0\n",
                (0..9_999).map(|i| format!("r{i} ::= r{} \"a\"\n", i + 1)).collect::<String>()
            ),
            false,
        ),
        (
            "left recursion after what can be empty",
            "root ::= ws root \"a\" | \"b\"\nws ::= \" \"*".to_owned(),
            false,
        ),
        (
            "a long class",
            format!("root ::= [{}]", ('\u{100}'..'\u{3000}').step_by(2).collect::<String>()),
            true,
        ),
        ("a loop of nothing", "root ::= (\"\"* | (\"a\"?)*)* \"b\"".to_owned(), true),
        ("no rule", String::new(), false),
        ("no end", "root ::= \"x\" root".to_owned(), false),
        ("no end in a ring", "root ::= a\na ::= \"x\" b+\nb ::= \"y\" a | \"z\" b".to_owned(), false),
        ("an alternative without an end", "root ::= a | \"b\"\na ::= \"x\" a".to_owned(), true),
        ("a NUL and a half surrogate", "root ::= \"\\ud800\"".to_owned(), false),
        ("a number beyond characters", "root ::= \"\\U00110000\"".to_owned(), false),
    ];
    let mut failures = Vec::new();
    for (name, text, builds) in cases {
        let built = Grammar::from_gbnf(&text);
        if built.is_ok() != builds {
            failures.push(format!("{name}: expected {builds}, found {:?}", built.err()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn schemas() {
    let nested = |n: usize, open: &str, close: &str| format!("{}{{}}{}", open.repeat(n), close.repeat(n));
    let list = |n: usize, one: &dyn Fn(usize) -> String| (0..n).map(one).collect::<Vec<_>>().join(",");
    let cases: Vec<(&str, String, Result<(), SchemaErrorKind>)> = vec![
        ("deeper than JSON may be", nested(5_000, r#"{"allOf":["#, "]}"), Err(SchemaErrorKind::Malformed)),
        ("deep", nested(60, r#"{"properties":{"a":"#, "}}"), Ok(())),
        (
            "a circle of references",
            r##"{"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"$ref":"#"}]}}}"##.to_owned(),
            Err(SchemaErrorKind::Reference),
        ),
        (
            "a circle in one way",
            r##"{"anyOf":[{"type":"null"},{"$ref":"#"}]}"##.to_owned(),
            Err(SchemaErrorKind::Reference),
        ),
        (
            "endless objects",
            r##"{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}"##.to_owned(),
            Err(SchemaErrorKind::Unsatisfiable),
        ),
        (
            "objects that are endless, so the writer cannot mean them",
            r##"{"properties":{"a":{"$ref":"#"}},"required":["a"]}"##.to_owned(),
            Ok(()),
        ),
        ("recursion that ends", r##"{"properties":{"a":{"$ref":"#"}}}"##.to_owned(), Ok(())),
        (
            "a product of alternatives",
            format!(
                "{{\"allOf\":[{}]}}",
                list(30, &|i| format!(r#"{{"anyOf":[{{"required":["a{i}"]}},{{"required":["b{i}"]}}]}}"#))
            ),
            Err(SchemaErrorKind::Limit),
        ),
        (
            "a product of which little is left",
            format!(
                "{{\"allOf\":[{}]}}",
                list(30, &|_| r#"{"anyOf":[{"type":"null"},{"type":"string"}]}"#.to_owned())
            ),
            Ok(()),
        ),
        (
            "many ways of one",
            format!("{{\"oneOf\":[{}]}}", list(500, &|i| format!("{{\"const\":{i}}}"))),
            Ok(()),
        ),
        (
            "more ways of one than there may be",
            format!("{{\"oneOf\":[{}]}}", list(2_000, &|i| format!("{{\"minimum\":{i}}}"))),
            Err(SchemaErrorKind::Limit),
        ),
        ("not of not", nested(60, r#"{"not":"#, "}"), Ok(())),
        ("not of not of not", nested(61, r#"{"not":"#, "}"), Err(SchemaErrorKind::Unsatisfiable)),
        ("a circle of not", r##"{"not":{"$ref":"#"}}"##.to_owned(), Err(SchemaErrorKind::Reference)),
        (
            "a circle through if",
            r##"{"if":{"minLength":1},"then":{"$ref":"#"}}"##.to_owned(),
            Err(SchemaErrorKind::Reference),
        ),
        (
            "a product of conditions",
            format!(
                "{{\"allOf\":[{}]}}",
                list(40, &|i| format!(
                    "{{\"if\":{{\"required\":[\"a{i}\"]}},\"then\":{{\"required\":[\"b{i}\"]}}}}"
                ))
            ),
            Err(SchemaErrorKind::Limit),
        ),
        (
            "a product of failures",
            format!(
                "{{\"not\":{{\"anyOf\":[{}]}}}}",
                list(40, &|i| format!("{{\"required\":[\"a{i}\",\"b{i}\"]}}"))
            ),
            Err(SchemaErrorKind::Limit),
        ),
        (
            "values checked again and again",
            format!(
                "{{\"const\":1,\"$ref\":\"#/$defs/s0\",\"$defs\":{{{},\"s40\":false}}}}",
                list(40, &|i| format!(
                    "\"s{i}\":{{\"anyOf\":[{{\"$ref\":\"#/$defs/s{n}\"}},{{\"$ref\":\"#/$defs/s{n}\"}}]}}",
                    n = i + 1
                ))
            ),
            Err(SchemaErrorKind::Limit),
        ),
        (
            "counted kinds of items",
            r#"{"contains":{"minimum":5},"minContains":1000,"maxContains":100000}"#.to_owned(),
            Err(SchemaErrorKind::Limit),
        ),
        (
            "a member of many kinds",
            format!(
                "{{\"allOf\":[{}]}}",
                list(8, &|i| format!("{{\"not\":{{\"additionalProperties\":{{\"const\":{i}}}}}}}"))
            ),
            Err(SchemaErrorKind::Unsupported),
        ),
        (
            "too many values",
            format!("{{\"enum\":[{}]}}", list(100_000, &|i| i.to_string())),
            Err(SchemaErrorKind::Limit),
        ),
        ("values that overlap", r#"{"enum":[1,1.0,"a","a"]}"#.to_owned(), Ok(())),
        (
            "more states than there may be",
            r#"{"pattern":"a[ab]{40}$"}"#.to_owned(),
            Err(SchemaErrorKind::Limit),
        ),
        ("parts that can be empty", format!(r#"{{"pattern":"^{}$"}}"#, "a?".repeat(100)), Ok(())),
        (
            "too many of them",
            format!(r#"{{"pattern":"^{}$"}}"#, "a?".repeat(900)),
            Err(SchemaErrorKind::Limit),
        ),
        (
            "a long pattern",
            format!(r#"{{"pattern":"{}"}}"#, "a".repeat(100_000)),
            Err(SchemaErrorKind::Limit),
        ),
        ("a long string", r#"{"minLength":100000}"#.to_owned(), Err(SchemaErrorKind::Limit)),
        (
            "lengths that exclude each other",
            r#"{"type":"string","minLength":3,"maxLength":2}"#.to_owned(),
            Err(SchemaErrorKind::Unsatisfiable),
        ),
        ("a great bound", r#"{"type":"integer","minimum":1e300,"maximum":1e308}"#.to_owned(), Ok(())),
        (
            "bounds that exclude each other",
            r#"{"type":"integer","exclusiveMinimum":1,"exclusiveMaximum":2}"#.to_owned(),
            Err(SchemaErrorKind::Unsatisfiable),
        ),
        (
            "many counted properties",
            format!(
                "{{\"properties\":{{{}}},\"minProperties\":2000}}",
                list(2_000, &|i| format!("\"p{i}\":true"))
            ),
            Err(SchemaErrorKind::Limit),
        ),
        (
            "many properties",
            format!("{{\"properties\":{{{}}}}}", list(1_000, &|i| format!("\"p{i}\":true"))),
            Ok(()),
        ),
        ("false", "false".to_owned(), Err(SchemaErrorKind::Unsatisfiable)),
        ("no schema", "[]".to_owned(), Err(SchemaErrorKind::Malformed)),
    ];
    let mut failures = Vec::new();
    for (name, text, expected) in cases {
        let found = Grammar::from_json_schema(&text);
        if found.as_ref().map(|_| ()).map_err(|e| e.kind()) != expected {
            failures.push(format!("{name}: expected {expected:?}, found {:?}", found.err()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn texts() {
    // All callers of a rule at one place share a frame, so 2^n ways through n letters take n frames.
    let grammar =
        Grammar::from_gbnf("root ::= \"x\" root \"y\" | \"x\" root \"z\" | \"\"").expect("a grammar");
    let mut recognizer = Recognizer::new(&grammar).expect("a recognizer");
    let text = format!("{}{}", "x".repeat(2_000), "yz".repeat(1_000));
    assert_eq!(recognizer.accepts(text.as_bytes()), Ok(true));
    assert_eq!(recognizer.accepts(&text.as_bytes()[1..]), Ok(false));

    // Depth has a limit, which gives an error and not a crash.
    let grammar = Grammar::from_json_schema("{}").expect("a schema");
    let mut recognizer = Recognizer::new(&grammar).expect("a recognizer");
    let deep = "[".repeat(1_000_000);
    assert!(matches!(recognizer.accepts(deep.as_bytes()), Err(MatchError::Limit { name: "states", .. })));
    assert_eq!(recognizer.accepts(b"[[]]"), Ok(true));

    // What never ends is not started.
    let grammar = Grammar::from_gbnf("root ::= a | \"b\"\na ::= \"x\" a").expect("a grammar");
    let mut endless = Recognizer::new(&grammar).expect("a recognizer");
    endless.push(b"x").expect("within the limits");
    assert!(endless.is_dead());

    // Nothing can follow a dead state, and it stays dead.
    recognizer.reset();
    recognizer.push(b"]").expect("within the limits");
    assert!(recognizer.is_dead() && !recognizer.is_complete());
    recognizer.push(b"[]").expect("within the limits");
    assert!(recognizer.is_dead());
}

#[test]
fn kinds_and_places() {
    let cases = [
        ("root ::= (\"a\"\n  | ]", GrammarErrorKind::Syntax, Some((2, 5))),
        ("root ::= a\n\na ::= b c", GrammarErrorKind::UndefinedRule, Some((3, 7))),
        ("root ::= \"a\"\nroot ::= \"b\"", GrammarErrorKind::DuplicateRule, Some((2, 1))),
        ("a ::= \"b\"", GrammarErrorKind::MissingRoot, None),
        ("root ::= x\nx ::= y \"b\"\ny ::= x | \"c\"", GrammarErrorKind::LeftRecursion, Some((2, 1))),
        ("root ::= [z-a]", GrammarErrorKind::Syntax, Some((1, 11))),
        ("root ::= \"é\" {1,0}", GrammarErrorKind::Limit, Some((1, 15))),
        ("root ::= a\na ::= \"x\" a", GrammarErrorKind::Endless, Some((1, 1))),
    ];
    let mut failures = Vec::new();
    for (text, kind, place) in cases {
        let error = Grammar::from_gbnf(text).expect_err(text);
        let found = (error.kind(), error.line().zip(error.column()));
        if found != (kind, place) {
            failures.push(format!("{text:?}: expected {kind:?} {place:?}, found {found:?}: {error}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Runs on a thread with a stack of 256 KiB, as some hosts provide. A stack overflow there would end the process.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(work).expect("a thread");
    thread.join().expect("no panic");
}

#[test]
fn all_of_it_on_a_small_stack() {
    on_a_small_stack(|| {
        grammars();
        schemas();
        texts();
    });
}

#[test]
fn depth_that_follows_the_input() {
    let chain = |n: usize, link: &dyn Fn(usize) -> String| {
        let links: Vec<String> = (0..n).map(|i| format!("\"d{i}\":{}", link(i + 1))).collect();
        format!(
            "{{\"$ref\":\"#/$defs/d0\",\"$defs\":{{{},\"d{n}\":{{\"type\":\"null\"}}}}}}",
            links.join(",")
        )
    };
    let all_of = |n: usize| chain(n, &|i| format!("{{\"allOf\":[{{\"$ref\":\"#/$defs/d{i}\"}}]}}"));
    let refs = |n: usize| chain(n, &|i| format!("{{\"$ref\":\"#/$defs/d{i}\"}}"));
    let nested = |n: usize, open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(n), close.repeat(n))
    };
    let value = nested(100, "[", "1", "]");
    let object = nested(100, "{\"a\":", "1", "}");
    let cases: Vec<(&str, String)> = vec![
        ("20,000 links of allOf and $ref", all_of(20_000)),
        ("20,000 links of $ref", refs(20_000)),
        ("a constant 100 deep", format!("{{\"const\":{value}}}")),
        ("an enum 100 deep", format!("{{\"enum\":[{value},{object}]}}")),
        ("a constant that must not be, 100 deep", format!("{{\"not\":{{\"const\":{object}}}}}")),
        ("objects 60 deep", nested(60, "{\"properties\":{\"a\":", "{}", "}}")),
        ("arrays 100 deep", nested(100, "{\"items\":", "{}", "}")),
        ("parts that can be empty", format!("{{\"pattern\":\"^{}$\"}}", "a?".repeat(900))),
        ("groups in a pattern", format!("{{\"pattern\":\"{}a{}\"}}", "(b|".repeat(100), ")*".repeat(100))),
    ];
    let grammars = [
        format!("root ::= {}\"a\"{}", "(".repeat(100), ")".repeat(100)),
        format!("root ::= {}\"a\"{}", "(\"b\" | ".repeat(100), ")*+?*+?*+".repeat(100)),
        format!("root ::= {}\"a\"{}", "(\"b\" | \"c\" (".repeat(50), ")*){1,2}".repeat(50)),
    ];
    on_a_small_stack(move || {
        let found: Vec<String> = cases
            .into_iter()
            .filter_map(|(name, text)| match Grammar::from_json_schema(&text) {
                Ok(grammar) => {
                    let mut recognizer = Recognizer::new(&grammar).expect("a recognizer");
                    let _ = recognizer.accepts(b"[[[[1]]]]");
                    let _ = (format!("{grammar:?}{recognizer:?}").len(), grammar.clone());
                    None
                }
                Err(error) if error.kind() == SchemaErrorKind::Limit => None,
                Err(error) => Some(format!("{name}: {error}")),
            })
            .collect();
        assert!(found.is_empty(), "{found:?}");
        for text in grammars {
            let built = Grammar::from_gbnf(&text);
            assert!(built.is_ok() || built.is_err_and(|e| e.kind() == GrammarErrorKind::Limit));
        }
    });
}
