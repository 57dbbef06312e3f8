//! GBNF with parts that are defined outside its text: schemas, other grammars, text up to a string.

use happy_grammar::{
    Grammar, GrammarErrorKind, Limits, Matcher, Part, PartsError, Piece, Reading, Recognizer,
    SchemaErrorKind, TokenSet, Vocabulary,
};

const SCHEMA: Part<'_> = Part::Schema(
    r#"{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}"#,
    Reading::Writer,
);

fn built(text: &str, parts: &[(&str, Part<'_>)]) -> Grammar {
    Grammar::from_parts(text, "root", parts).expect("a grammar")
}

#[test]
fn parts_match_what_they_say() {
    let thinking = [("thoughts", Part::Until(&["</think>"])), ("answer", SCHEMA)];
    let calls = [("text", Part::Until(&["<call>", "<calls>"])), ("args", SCHEMA)];
    let names = [
        ("a", Part::Gbnf("root ::= b c\nb ::= \"1\"\nc ::= \"2\"?")),
        ("c", Part::Gbnf("root ::= b\nb ::= \"3\"")),
    ];
    type Case<'a> = (&'a str, &'a [(&'a str, Part<'a>)], &'a [&'a str], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (
            "root ::= thoughts \"</think>\" [ \\n]* answer",
            &thinking,
            &[
                "</think>{\"a\":1}",
                "a < b </think\n</</think>\n{\"a\": 1}",
                "é😀</think>{\"a\": -2}",
                "<</think> {\"a\":1}",
            ],
            &[
                "{\"a\":1}",
                "a</think>",
                "a</think></think>{\"a\":1}",
                "a</think>x</think>{\"a\":1}",
                "</think>{}",
            ],
        ),
        (
            "root ::= text (\"<call>\" args \"</call>\" text)*",
            &calls,
            &["", "hi", "<call>{\"a\":1}</call>", "x<call>{\"a\":1}</call>y<call>{\"a\":2}</call>", "a <cal"],
            &["<call>", "x<calls>", "<call>{}</call>", "<call>{\"a\":1}</call><calls>"],
        ),
        // The name `b` is separate in each part, and `a` may be used twice.
        ("root ::= a b a\nb ::= \"-\" c", &names, &["1-31", "12-312"], &["1-1", "-3", "1-212"]),
        ("root ::= a", &[("a", Part::Until(&[]))], &["", "anything", "é\n"], &[]),
        ("x ::= \"x\"", &[("root", Part::Gbnf("root ::= \"y\""))], &["y"], &["x"]),
    ];
    let mut failures = Vec::new();
    for (text, parts, accepts, rejects) in cases {
        let mut recognizer = Recognizer::new(&built(text, parts)).expect("a recognizer");
        for (list, expected) in [(accepts, true), (rejects, false)] {
            for document in *list {
                if recognizer.accepts(document.as_bytes()) != Ok(expected) {
                    failures.push(format!("{text}: {document:?} expected {expected}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// All texts of up to `len` letters of an alphabet.
fn texts(alphabet: &[char], len: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..len {
        last = last.iter().flat_map(|text| alphabet.iter().map(move |c| format!("{text}{c}"))).collect();
        all.extend(last.iter().cloned());
    }
    all
}

#[test]
fn until_is_the_text_before_the_first_string() {
    let lists: &[&[&str]] = &[
        &["a"],
        &["aa"],
        &["aab"],
        &["aba"],
        &["abab"],
        &["ab", "abb"],
        &["abb", "ab"],
        &["abb", "aba"],
        &["ab", "ba"],
        &["bab", "ab"],
        &["b", "aab"],
        &["aab", "b"],
        &["abba", "bb"],
        &["a", "b"],
        &["aé", "éa"],
    ];
    let mut failures = Vec::new();
    for strings in lists {
        let mut alone = Recognizer::new(&built("root ::= t", &[("t", Part::Until(strings))])).expect("one");
        let alphabet = if strings.contains(&"aé") { ['a', 'é'] } else { ['a', 'b'] };
        for text in texts(&alphabet, 7) {
            // By definition: no string occurs, and none would begin earlier once one of them follows.
            let first = |text: &str| strings.iter().filter_map(|s| text.find(s)).min();
            let expected = first(&text).is_none()
                && strings.iter().all(|s| first(&format!("{text}{s}")) == Some(text.len()));
            if alone.accepts(text.as_bytes()) != Ok(expected) {
                failures.push(format!("{strings:?}: {text:?} expected {expected}"));
            }
        }
        for string in *strings {
            let text = format!("root ::= t \"{string}\"");
            let mut followed = Recognizer::new(&built(&text, &[("t", Part::Until(strings))])).expect("one");
            for text in texts(&alphabet, 6) {
                // With one string: exactly the texts whose first occurrence of the string is at their end.
                let expected = text.find(string).is_some_and(|at| at + string.len() == text.len());
                if strings.len() == 1 && followed.accepts(text.as_bytes()) != Ok(expected) {
                    failures.push(format!("{string:?} after: {text:?} expected {expected}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn tokens_cross_borders() {
    let pieces: &[&str] =
        &["</think", ">{\"", "a", "\":", "1", "}", ">", "think", "</", "<", "x</think>{", "\"", "<eog>"];
    let vocabulary = Vocabulary::new(pieces.iter().map(|piece| Piece::Text(piece.as_bytes())), &[12])
        .expect("a vocabulary");
    let parts = [("thoughts", Part::Until(&["</think>"])), ("answer", SCHEMA)];
    let grammar = built("root ::= thoughts \"</think>\" answer", &parts);
    let mut matcher = Matcher::new(&grammar, &vocabulary).expect("a matcher");
    let mut allowed = TokenSet::new(vocabulary.len());
    let mut failures = Vec::new();
    let steps: &[(u32, &[u32])] = &[
        // The token that is picked, and all tokens that may be picked there.
        (3, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        (0, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        (1, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        (2, &[2]),
        (3, &[3, 11]),
        (4, &[4]),
        (5, &[4, 5]),
        (12, &[12]),
    ];
    for (i, (token, expected)) in steps.iter().enumerate() {
        matcher.mask(&mut allowed).expect("a mask");
        let found: Vec<u32> = allowed.iter().collect();
        if found != *expected {
            failures.push(format!("step {i}: expected {expected:?}, found {found:?}"));
        }
        matcher.accept(*token).expect("allowed");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(matcher.is_complete());
    matcher.reset();
    matcher.accept(10).expect("one token across two borders");
    matcher.accept(11).expect("the token after it");
}

#[test]
fn named_tokens_around_parts() {
    // Token 2 ends generation, but the grammar names it, so here it is part of the text.
    let pieces = [Piece::Text(b"x"), Piece::Special(b"<a>"), Piece::Special(b"<end>"), Piece::Text(b"</a>")];
    let vocabulary = Vocabulary::new(pieces, &[2]).expect("a vocabulary");
    let grammar = built("root ::= text <[1]> text <[2]>", &[("text", Part::Until(&["</a>"]))]);
    let mut matcher = Matcher::new(&grammar, &vocabulary).expect("a matcher");
    let mut allowed = TokenSet::new(vocabulary.len());
    let mut found = Vec::new();
    for token in [0, 1, 0, 2] {
        matcher.mask(&mut allowed).expect("a mask");
        found.push(allowed.iter().collect::<Vec<_>>());
        matcher.accept(token).expect("allowed");
    }
    assert_eq!(found, [vec![0, 1], vec![0, 1], vec![0, 2], vec![0, 2]]);
    assert!(matcher.is_complete() && matcher.is_dead());
}

#[test]
fn long_text_makes_no_states() {
    let parts = [("thoughts", Part::Until(&["</think>", "</thinking>"])), ("answer", SCHEMA)];
    let grammar = built("root ::= thoughts \"</think>\" answer", &parts);
    let pieces: &[&str] = &["abc", " < /", "</", "think", " é", "\n\n", ">{\"a\": 1}", "</think"];
    let vocabulary = Vocabulary::new(pieces.iter().map(|p| Piece::Text(p.as_bytes())), &[]).expect("tokens");
    let mut matcher = Matcher::new(&grammar, &vocabulary).expect("a matcher");
    let mut allowed = TokenSet::new(vocabulary.len());
    let mut run = |rounds: usize, matcher: &mut Matcher| {
        for token in (0..rounds).flat_map(|_| [0, 1, 2, 3, 4, 5]) {
            matcher.mask(&mut allowed).expect("a mask");
            matcher.accept(token).expect("allowed");
        }
        matcher.states()
    };
    let few = run(10, &mut matcher);
    let many = run(6_000, &mut matcher);
    assert_eq!(few, many, "states grow with the text");
    matcher.accept(7).expect("allowed");
    matcher.accept(6).expect("allowed");
    assert!(matcher.is_complete());
}

#[test]
fn errors_name_the_part() {
    type Case<'a> = (&'a str, Vec<(&'a str, Part<'a>)>, &'a str);
    let many: Vec<String> = (0..12_000).map(|i| format!("{i:05}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let cases: Vec<Case<'_>> = vec![
        ("root ::= a b", vec![("a", SCHEMA)], "line 1, column 12: rule 'b' is used and not defined"),
        (
            "root ::= a\na ::= \"x\"",
            vec![("a", SCHEMA)],
            "line 2, column 1: rule 'a' is defined twice, first as a part",
        ),
        ("root ::= a", vec![("a", SCHEMA), ("a", SCHEMA)], "the part 'a' is given twice"),
        ("root ::= a", vec![("a", Part::Schema("{\"type\": 1}", Reading::Writer))], "part 'a': at #/type: "),
        ("root ::= a", vec![("a", Part::Schema("{", Reading::Writer))], "part 'a': expected JSON: "),
        (
            "root ::= a",
            vec![("a", Part::Schema("false", Reading::Writer))],
            "part 'a': at #: no document satisfies",
        ),
        (
            "root ::= a",
            vec![("a", Part::Gbnf("root ::= x"))],
            "part 'a': line 1, column 10: rule 'x' is used",
        ),
        ("root ::= a", vec![("a", Part::Gbnf("x ::= \"a\""))], "part 'a': no rule is called 'root'"),
        (
            "root ::= a",
            vec![("a", Part::Gbnf("root ::= \"x\" |\n root"))],
            "part 'a': line 1, column 1: rule 'root' begins with",
        ),
        ("root ::= a", vec![("a", Part::Gbnf("root ::= \"x\" root"))], "part 'a': line 1, column 1: no text"),
        (
            "root ::= a root",
            vec![("a", Part::Until(&["x"]))],
            "line 1, column 1: rule 'root' begins with itself",
        ),
        ("root ::= a", vec![("a", Part::Until(&["x", ""]))], "part 'a': string 1 of the list is empty"),
        ("root ::= a", vec![("a", Part::Until(&many))], "part 'a': the strings need more than 10000 states"),
    ];
    let mut failures = Vec::new();
    for (text, parts, expected) in cases {
        let found = match Grammar::from_parts(text, "root", &parts) {
            Ok(_) => "a grammar".to_owned(),
            Err(error) => error.to_string(),
        };
        if !found.starts_with(expected) {
            failures.push(format!("{text}: expected {expected:?}, found {found:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn limits_hold_over_all() {
    let mut limits = Limits::default();
    limits.nodes = 1_500;
    let schema = r#"{"type": "string", "minLength": 600, "maxLength": 700}"#;
    let one = [("a", Part::Schema(schema, Reading::Writer))];
    let two = [
        one[0],
        ("b", Part::Schema(r#"{"type": "string", "minLength": 700, "maxLength": 900}"#, Reading::Writer)),
    ];
    let build = |text, parts: &[(&str, Part<'_>)], limits: &Limits| {
        Grammar::from_parts_cancellable(text, "root", parts, limits, &|| false)
    };
    assert!(build("root ::= a", &one, &limits).is_ok());
    let error = build("root ::= a b", &two, &limits).expect_err("too many nodes");
    assert!(matches!(&error, PartsError::Grammar(e) if e.kind() == GrammarErrorKind::Limit), "{error}");
    limits.text_bytes = 60;
    let error = build("root ::= a", &one, &limits).expect_err("too many bytes");
    assert!(matches!(&error, PartsError::Grammar(e) if e.kind() == GrammarErrorKind::Limit), "{error}");
    let error = Grammar::from_parts_cancellable("root ::= a", "root", &one, &Limits::default(), &|| true);
    assert!(error.expect_err("cancelled").is_cancelled());
    let unsatisfiable = [("a", Part::Schema("false", Reading::Writer))];
    let error = Grammar::from_parts("root ::= a", "root", &unsatisfiable).expect_err("no document");
    assert!(
        matches!(&error, PartsError::Schema { error, .. } if error.kind() == SchemaErrorKind::Unsatisfiable)
    );
    assert_eq!(error.part(), Some("a"));
}
