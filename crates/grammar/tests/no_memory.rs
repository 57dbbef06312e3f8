//! Every large allocation is refused once: the result is an error, and the process lives on.

use happy_grammar::{Grammar, Limits, Matcher, Part, Piece, Reading, TokenSet, Vocabulary};
use happy_testkit::{Meter, refusing_from};

/// Allocations of at least this many bytes are refused, one at a time. Smaller ones are bounded and may be infallible.
const LARGE: usize = 64 << 10;

#[global_allocator]
static METER: Meter = Meter;

/// Refuses each large allocation of `work` in turn, which must then fail because of memory. Returns how many there are.
fn refuse_each(name: &str, work: &dyn Fn() -> Result<(), String>) -> usize {
    for n in 1.. {
        let (found, refused) = refusing_from(LARGE, n, work);
        if !refused {
            assert_eq!(found, Ok(()), "{name}");
            return n - 1;
        }
        // A list that one of std's collections can do without may be refused without an error.
        assert!(
            found.as_ref().map_or_else(|error| error == "out of memory", |()| true),
            "{name}: allocation {n}: {found:?}"
        );
    }
    unreachable!("the allocations never end")
}

fn list(n: usize, one: &dyn Fn(usize) -> String) -> String {
    (0..n).map(one).collect::<Vec<_>>().join(",")
}

#[test]
fn schemas() {
    let cases = [
        (
            "properties",
            format!("{{\"properties\":{{{}}}}}", list(300, &|i| format!("\"p{i}\":{{\"minLength\":{i}}}"))),
            1,
        ),
        (
            "a chain",
            {
                let links =
                    list(500, &|i| format!("\"d{i}\":{{\"allOf\":[{{\"$ref\":\"#/$defs/d{}\"}}]}}", i + 1));
                format!("{{\"$ref\":\"#/$defs/d0\",\"$defs\":{{{links},\"d500\":true}}}}")
            },
            1,
        ),
        ("an automaton", r#"{"pattern":"^(a|b)*a(a|b){9}$"}"#.to_owned(), 1),
        ("values", format!("{{\"enum\":[{}]}}", list(500, &|i| format!("\"value {i}\""))), 1),
        ("items", r#"{"items":{"format":"date-time"},"minItems":500,"maxItems":1500}"#.to_owned(), 1),
        ("counts", r#"{"contains":{"minimum":5},"minContains":20,"maxContains":300}"#.to_owned(), 1),
        (
            "different items",
            r#"{"type":"array","uniqueItems":true,"minItems":300,
            "items":{"type":"integer","minimum":1,"maximum":1000}}"#
                .to_owned(),
            0,
        ),
    ];
    for (name, text, least) in cases {
        let met = refuse_each(name, &|| {
            Grammar::from_json_schema(&text).map(drop).map_err(|error| error.message().to_owned())
        });
        assert!(met >= least, "{name}: {met} large allocations");
    }
}

#[test]
fn gbnf() {
    let rules: String = (0..5_000).map(|i| format!("r{i} ::= \"a\" r{} | [b-z]\n", i + 1)).collect();
    let text = format!("root ::= r0\n{rules}r5000 ::= \"x\"\n");
    let class: String = ('\u{100}'..'\u{3E00}').step_by(2).collect();
    let alternatives = (0..20_000).map(|i| format!("\"{i}\"")).collect::<Vec<_>>().join(" | ");
    let cases = [
        ("rules", text),
        ("a class", format!("root ::= [{class}]")),
        ("a choice", format!("root ::= {alternatives}")),
    ];
    for (name, text) in cases {
        let met = refuse_each(name, &|| {
            Grammar::from_gbnf(&text).map(drop).map_err(|error| error.message().to_owned())
        });
        assert!(met >= 1, "{name}: {met} large allocations");
    }
    let strings: Vec<String> = (0..2_000).map(|i| format!("<{i:04}>")).collect();
    let strings: Vec<&str> = strings.iter().map(String::as_str).collect();
    let schema = format!("{{\"properties\":{{{}}}}}", list(300, &|i| format!("\"p{i}\":true")));
    let parts = [("t", Part::Until(&strings)), ("s", Part::Schema(&schema, Reading::Writer))];
    let met = refuse_each("parts", &|| {
        let built =
            Grammar::from_parts_cancellable("root ::= t s", "root", &parts, &Limits::default(), &|| false);
        built.map(drop).map_err(|error| error.to_string().rsplit(": ").next().unwrap_or("").to_owned())
    });
    assert!(met >= 1);
}

#[test]
fn vocabularies_and_masks() {
    let pieces: Vec<Vec<u8>> = (0..60_000u32)
        .map(|i| {
            format!("{:x}{}", i.wrapping_mul(2_654_435_761), ["", "\"", "é", " "][i as usize % 4])
                .into_bytes()
        })
        .collect();
    let build = || {
        let pieces = pieces.iter().enumerate().map(|(i, piece)| match i % 10 {
            0 => Piece::Special(piece),
            _ => Piece::Text(piece),
        });
        Vocabulary::new(pieces, &[])
    };
    let met = refuse_each("a vocabulary", &|| build().map(drop).map_err(|error| error.to_string()));
    assert!(met >= 5, "{met} large allocations");
    let vocabulary = build().expect("a vocabulary");
    let text = r#"{"type": "array", "items": {"type": "string", "pattern": "^([0-9a-f]{2}|x)*$"}, "uniqueItems": true}"#;
    let grammar = Grammar::from_json_schema(text).expect("a grammar");
    let met = refuse_each("masks", &|| {
        let mut matcher = Matcher::new(&grammar, &vocabulary).map_err(|error| error.message().to_owned())?;
        let mut allowed = TokenSet::new(0);
        for _ in 0..20 {
            matcher.mask(&mut allowed).map_err(|error| error.to_string())?;
            let Some(token) = allowed.iter().last() else { break };
            matcher.accept(token).map_err(|error| error.to_string())?;
        }
        Ok(())
    });
    let _ = met;
}
