//! Long work keeps checking for cancellation, and stops at once.

use happy_grammar::{
    Grammar, GrammarErrorKind, Limits, MatchError, Matcher, Part, Piece, Reading, Recognizer,
    SchemaErrorKind, TokenSet, Vocabulary, VocabularyError,
};
use std::cell::Cell;

/// Runs `work` with a flag that is raised at the n-th check, for several n: the work must stop there, without another
/// check. Returns the number of checks if it is not cancelled.
fn stops(name: &str, work: &dyn Fn(&dyn Fn() -> bool) -> Result<(), bool>) -> usize {
    let asked = Cell::new(0usize);
    let never = || {
        asked.set(asked.get() + 1);
        false
    };
    assert_eq!(work(&never), Ok(()), "{name} is not cancelled");
    let total = asked.get();
    for n in [1, 2, 3, 5, 8, total / 2, total].into_iter().filter(|n| (1..=total).contains(n)) {
        let asked = Cell::new(0usize);
        let at_n = || {
            asked.set(asked.get() + 1);
            asked.get() >= n
        };
        // `Err(true)` is "cancelled".
        assert_eq!(work(&at_n), Err(true), "{name}, cancelled at question {n} of {total}");
        assert_eq!(asked.get(), n, "{name} goes on asking after question {n} of {total}");
    }
    total
}

/// Any error that is not the cancellation is expected to be a limit.
fn schema(text: &str) -> impl Fn(&dyn Fn() -> bool) -> Result<(), bool> {
    move |cancelled| match Grammar::from_json_schema_cancellable(
        text,
        Reading::Writer,
        &Limits::default(),
        cancelled,
    ) {
        Err(error) if error.kind() == SchemaErrorKind::Cancelled => Err(true),
        Err(error) if error.kind() != SchemaErrorKind::Limit => panic!("{error}"),
        _ => Ok(()),
    }
}

#[test]
fn compiling() {
    let list = |n: usize, one: &dyn Fn(usize) -> String| (0..n).map(one).collect::<Vec<_>>().join(",");
    let cases = [
        (
            "many properties",
            format!("{{\"properties\":{{{}}}}}", list(1_000, &|i| format!("\"p{i}\":true"))),
            10,
        ),
        (
            "a long chain",
            {
                let links =
                    list(5_000, &|i| format!("\"d{i}\":{{\"allOf\":[{{\"$ref\":\"#/$defs/d{}\"}}]}}", i + 1));
                format!("{{\"$ref\":\"#/$defs/d0\",\"$defs\":{{{links},\"d5000\":true}}}}")
            },
            10,
        ),
        (
            "a product of conditions",
            {
                let one = |i| {
                    format!("{{\"if\":{{\"required\":[\"a{i}\"]}},\"then\":{{\"required\":[\"b{i}\"]}}}}")
                };
                format!("{{\"allOf\":[{}]}}", list(40, &one))
            },
            10,
        ),
        ("a great automaton", r#"{"pattern":"^(a|b)*a(a|b){9}$"}"#.to_owned(), 10),
        ("an automaton that is too great", r#"{"pattern":"a[ab]{40}$"}"#.to_owned(), 10),
        ("many values", format!("{{\"enum\":[{}]}}", list(5_000, &|i| i.to_string())), 3),
        (
            "different items",
            r#"{"type":"array","uniqueItems":true,"minItems":900,"maxItems":900,
            "items":{"type":"integer","minimum":1,"maximum":1000}}"#
                .to_owned(),
            2,
        ),
    ];
    for (name, text, least) in &cases {
        let asked = stops(name, &schema(text));
        assert!(asked >= *least, "{name}: asked {asked} times, expected at least {least}");
    }
    let rules: String = (0..20_000).map(|i| format!("r{i} ::= \"a\" r{} | [b-z]\n", i + 1)).collect();
    let text = format!("root ::= r0\n{rules}r20000 ::= \"x\"\n");
    let asked = stops("many rules", &|cancelled| match Grammar::from_gbnf_cancellable(
        &text,
        "root",
        &Limits::default(),
        cancelled,
    ) {
        Err(error) if error.kind() == GrammarErrorKind::Cancelled => Err(true),
        other => other.map(drop).map_err(|error| panic!("{error}")),
    });
    assert!(asked >= 20, "asked {asked} times");
    let strings: Vec<String> = (0..1_000).map(|i| format!("<{i:04}>")).collect();
    let strings: Vec<&str> = strings.iter().map(String::as_str).collect();
    let parts = [("t", Part::Until(&strings)), ("s", Part::Schema(&cases[0].1, Reading::Writer))];
    let asked = stops("parts", &|cancelled| match Grammar::from_parts_cancellable(
        "root ::= t s",
        "root",
        &parts,
        &Limits::default(),
        cancelled,
    ) {
        Err(error) if error.is_cancelled() => Err(true),
        other => other.map(drop).map_err(|error| panic!("{error}")),
    });
    assert!(asked >= 10, "asked {asked} times");
}

fn pieces(n: u32) -> Vec<Vec<u8>> {
    (0..n)
        .map(|i| {
            format!("{:x}{}", i.wrapping_mul(2_654_435_761), if i % 3 == 0 { "\"" } else { "" }).into_bytes()
        })
        .collect()
}

#[test]
fn vocabularies_and_masks() {
    let pieces = pieces(100_000);
    let build = |cancelled: &dyn Fn() -> bool| {
        Vocabulary::new_cancellable(pieces.iter().map(|piece| Piece::Text(piece)), &[], cancelled)
    };
    let asked = stops("a vocabulary", &|cancelled| match build(cancelled) {
        Err(VocabularyError::Cancelled) => Err(true),
        other => other.map(drop).map_err(|error| panic!("{error}")),
    });
    assert!(asked >= 50, "asked {asked} times");
    let vocabulary = build(&|| false).expect("a vocabulary");
    let text = r#"{"type": "string", "pattern": "^([0-9a-f]{2}|x)*$", "minLength": 3}"#;
    let grammar = Grammar::from_json_schema(text).expect("a grammar");
    let asked = stops("a mask", &|cancelled| {
        let mut matcher = Matcher::new(&grammar, &vocabulary).expect("a matcher");

        let mut allowed = TokenSet::new(0);
        match matcher.mask_cancellable(&mut allowed, cancelled) {
            Err(MatchError::Cancelled) => {
                // The mask can be asked for again.
                matcher.mask(&mut allowed).expect("a mask");
                Err(true)
            }
            other => other.map_err(|error| panic!("{error}")),
        }
    });
    assert!(asked >= 1, "asked {asked} times");
    let grammar = Grammar::from_gbnf("root ::= ([0-9a-f]{4} | \"\\\"\" [0-9]*)*").expect("a grammar");
    let asked = stops("a mask that walks all", &|cancelled| {
        let mut matcher = Matcher::new(&grammar, &vocabulary).expect("a matcher");
        match matcher.mask_cancellable(&mut TokenSet::new(0), cancelled) {
            Err(MatchError::Cancelled) => Err(true),
            other => other.map_err(|error| panic!("{error}")),
        }
    });
    assert!(asked >= 5, "asked {asked} times");
    let grammar = Grammar::from_json_schema("{}").expect("a grammar");
    let document = format!("[{}1]", "1,".repeat(50_000));
    let asked = stops("a text", &|cancelled| {
        let mut recognizer = Recognizer::new(&grammar).expect("a recognizer");
        match recognizer.push_cancellable(document.as_bytes(), cancelled) {
            Err(MatchError::Cancelled) => Err(true),
            other => other.map_err(|error| panic!("{error}")),
        }
    });
    assert!(asked >= 10, "asked {asked} times");
}
