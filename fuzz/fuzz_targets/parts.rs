//! Grammars of parts: arbitrary GBNF, schemas and strings never panic; a part that is the whole grammar says what it says
//! alone, and texts up to strings are those that the definition names.
#![no_main]

use happy_fuzz::grammars::{check, limits};
use happy_grammar::{Grammar, Limits, Part, Reading, Recognizer};
use libfuzzer_sys::fuzz_target;

fn build(text: &str, parts: &[(&str, Part<'_>)], limits: &Limits) -> Option<Grammar> {
    Grammar::from_parts_cancellable(text, "root", parts, limits, &|| false).ok()
}

/// `None` if a limit of the machine is met.
fn accepts(grammar: &Grammar, text: &[u8]) -> Option<bool> {
    Recognizer::new(grammar).ok()?.accepts(text).ok()
}

/// None of the strings occurs, and added to the end none of them occurs earlier than there.
fn is_until(strings: &[&str], text: &str) -> bool {
    let first = |text: &str| strings.iter().filter_map(|s| text.find(s)).min();
    first(text).is_none() && strings.iter().all(|s| first(&format!("{text}{s}")) == Some(text.len()))
}

// Five fields with a byte 0 between them: a grammar that may name the parts `a`, `b` and `c`, a schema, GBNF, strings with a
// byte 1 between them, and a text.
fuzz_target!(|bytes: &[u8]| {
    let fields: Vec<_> = bytes.splitn(5, |b| *b == 0).map(String::from_utf8_lossy).collect();
    let [grammar, schema, gbnf, strings, text] = &*fields else { return };
    let (limits, text) = (limits(), text.as_ref());
    let strings: Vec<&str> = strings.split('\u{1}').filter(|_| !strings.is_empty()).collect();
    let schema_part = Part::Schema(schema, Reading::Writer);
    let parts = [("a", schema_part), ("b", Part::Gbnf(gbnf)), ("c", Part::Until(&strings))];
    if let Some(grammar) = build(grammar, &parts, &limits) {
        check(&grammar, text.as_bytes());
    }
    let alone = Grammar::from_json_schema_with(schema, Reading::Writer, &limits).ok();
    let alone = [alone, Grammar::from_gbnf_with(gbnf, "root", &limits).ok()];
    for (part, alone) in parts.iter().zip(alone) {
        let Some(alone) = alone else { continue };
        let part = build("root ::= x", &[("x", part.1)], &limits);
        if let Some(part) = part
            && let (Some(a), Some(b)) = (accepts(&part, text.as_bytes()), accepts(&alone, text.as_bytes()))
        {
            assert_eq!(a, b, "as a part, and alone");
        }
    }
    if let Some(until) = build("root ::= c", &parts[2..], &limits)
        && let Some(accepted) = accepts(&until, text.as_bytes())
    {
        assert_eq!(accepted, is_until(&strings, text), "up to {strings:?}");
    }
});
