//! Compares the machine with a matcher that tries everything, and masks with trying every token.

use happy_grammar::{Grammar, Limits, Matcher, Piece, Recognizer, TokenSet, Vocabulary};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The right side of a rule over the letters a, b, c, é and the rules r0, r1, r2.
#[derive(Debug, Clone)]
enum Expr {
    Char(char),
    NotChar(char),
    Rule(usize),
    Seq(Vec<Expr>),
    Alt(Vec<Expr>),
    Repeat(Box<Expr>, usize, Option<usize>),
}

impl Expr {
    fn text(&self) -> String {
        let list = |parts: &[Expr], by: &str| parts.iter().map(Expr::text).collect::<Vec<_>>().join(by);
        match self {
            Expr::Char(c) => format!("\"{c}\""),
            Expr::NotChar(c) => format!("[^{c}]"),
            Expr::Rule(i) => format!("r{i}"),
            Expr::Seq(parts) => format!("({})", list(parts, " ")),
            Expr::Alt(parts) => format!("({})", list(parts, " | ")),
            Expr::Repeat(body, 0, None) => format!("({})*", body.text()),
            Expr::Repeat(body, min, None) => format!("({}){{{min},}}", body.text()),
            Expr::Repeat(body, min, Some(max)) => format!("({}){{{min},{max}}}", body.text()),
        }
    }

    /// Where a match may end that begins at one of `from`. `depth` bounds the nesting of calls.
    fn ends(&self, rules: &[Expr], text: &[char], from: &BTreeSet<usize>, depth: usize) -> BTreeSet<usize> {
        let one = |fits: &dyn Fn(char) -> bool| {
            from.iter().filter(|&&i| text.get(i).is_some_and(|c| fits(*c))).map(|i| i + 1).collect()
        };
        match self {
            Expr::Char(c) => one(&|x| x == *c),
            Expr::NotChar(c) => one(&|x| x != *c),
            Expr::Rule(i) if depth > 0 && !from.is_empty() => rules[*i].ends(rules, text, from, depth - 1),
            Expr::Rule(_) => BTreeSet::new(),
            Expr::Seq(parts) => {
                parts.iter().fold(from.clone(), |from, part| part.ends(rules, text, &from, depth))
            }
            Expr::Alt(parts) => parts.iter().flat_map(|part| part.ends(rules, text, from, depth)).collect(),
            Expr::Repeat(body, min, max) => {
                let mut at = from.clone();
                let mut all = if *min == 0 { at.clone() } else { BTreeSet::new() };
                // More rounds than characters and required ones add nothing.
                for round in 1..=max.unwrap_or(min + text.len()) {
                    at = body.ends(rules, text, &at, depth);
                    if round >= *min {
                        all.extend(&at);
                    }
                }
                all
            }
        }
    }
}

fn expr() -> impl Strategy<Value = Expr> {
    let letters = prop::sample::select(vec!['a', 'b', 'c', 'é']);
    let leaf = prop_oneof![
        4 => letters.clone().prop_map(Expr::Char),
        1 => letters.prop_map(Expr::NotChar),
        2 => (0usize..3).prop_map(Expr::Rule),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::Seq),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expr::Alt),
            (inner, 0usize..3, prop::option::of(0usize..3)).prop_map(|(body, min, more)| Expr::Repeat(
                Box::new(body),
                min,
                more.map(|more| min + more)
            )),
        ]
    })
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[abcé]{0,6}", 12)
}

fn build(rules: &[Expr]) -> Option<Grammar> {
    let text: String =
        rules.iter().enumerate().map(|(i, rule)| format!("r{i} ::= {}\n", rule.text())).collect();
    // Left recursion is refused; the strategy generates some.
    Grammar::from_gbnf_with(&text, "r0", &Limits::default()).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_trying_everything(rules in prop::collection::vec(expr(), 3), texts in texts()) {
        let Some(grammar) = build(&rules) else { return Err(TestCaseError::reject("left recursion")) };
        let mut recognizer = Recognizer::new(&grammar).expect("a recognizer");
        for text in texts {
            let chars: Vec<char> = text.chars().collect();
            // Within a text of n characters, each call consumes one, or is one of three nested calls that consume
            // nothing.
            let ends = rules[0].ends(&rules, &chars, &BTreeSet::from([0]), 3 * chars.len() + 3);
            let expected = ends.contains(&chars.len());
            prop_assert_eq!(recognizer.accepts(text.as_bytes()).expect("limits"), expected, "{:?}", text);
        }
    }

    #[test]
    fn masks_agree_with_every_token(
        rules in prop::collection::vec(expr(), 3),
        pieces in prop::collection::vec(prop::collection::vec(prop::sample::select(b"abc\xc3\xa9\"".to_vec()), 0..5), 30),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 8),
    ) {
        let Some(grammar) = build(&rules) else { return Err(TestCaseError::reject("left recursion")) };
        let vocabulary = Vocabulary::new(pieces.iter().map(|piece| Piece::Text(piece)), &[0]).expect("a vocabulary");
        let mut matcher = Matcher::new(&grammar, &vocabulary).expect("a matcher");
        check_masks(&mut matcher, &vocabulary, &choices)?;
    }

    #[test]
    fn schema_masks_agree_with_every_token(
        schema in prop::sample::select(SCHEMAS),
        pieces in prop::collection::vec("[a-c0-2]{1,3}|[\\[\\]{}\":, ]{1,3}|\"[ab]\":? ?|é|\\\\n|, \"", 60),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 16),
    ) {
        let grammar = Grammar::from_json_schema(schema).expect("a schema");
        let end = Piece::Text(b"");
        let pieces = [end].into_iter().chain(pieces.iter().map(|piece| Piece::Text(piece.as_bytes())));
        let vocabulary = Vocabulary::new(pieces, &[0]).expect("a vocabulary");
        let mut matcher = Matcher::new(&grammar, &vocabulary).expect("a matcher");
        check_masks(&mut matcher, &vocabulary, &choices)?;
    }
}

const SCHEMAS: &[&str] = &[
    "{}",
    r#"{"type": "array", "items": {"type": "string"}, "uniqueItems": true}"#,
    r#"{"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 21}, "uniqueItems": true}"#,
    r##"{"properties": {"a": {"maxLength": 3}, "b": {"$ref": "#"}}, "additionalProperties": {"type": "null"}}"##,
    r#"{"type": "string", "maxLength": 4}"#,
];

/// At each step of a random walk, the mask contains exactly the tokens that `accept` accepts, and taking a token back
/// restores the state.
fn check_masks(
    matcher: &mut Matcher,
    vocabulary: &Vocabulary,
    choices: &[prop::sample::Index],
) -> Result<(), TestCaseError> {
    let mut allowed = TokenSet::new(vocabulary.len());
    for choice in choices {
        matcher.mask(&mut allowed).expect("limits");
        for token in 0..vocabulary.len() as u32 {
            let before = matcher.is_complete();
            let mut copy = matcher.clone();
            prop_assert_eq!(copy.accept(token).is_ok(), allowed.contains(token), "token {}", token);
            if allowed.contains(token) {
                copy.rollback(1).expect("one token");
                prop_assert_eq!(copy.is_complete(), before);
            }
        }
        let tokens: Vec<u32> = allowed.iter().collect();
        if tokens.is_empty() {
            break;
        }
        matcher.accept(*choice.get(&tokens)).expect("an allowed token");
    }
    Ok(())
}
