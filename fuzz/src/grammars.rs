//! What the targets of happy-grammar share.

use std::borrow::Cow;

use happy_grammar::{Grammar, Limits, Matcher, Piece, Recognizer, TokenSet, Vocabulary};

/// A grammar or a schema and, after a byte 0, a text.
pub fn split(bytes: &[u8]) -> (Cow<'_, str>, &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let grammar = String::from_utf8_lossy(parts.next().unwrap_or_default());
    (grammar, parts.next().unwrap_or_default())
}

/// Limits low enough that every input is quick.
pub fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.expanded_symbols = 5_000;
    limits.nodes = 20_000;
    limits.pattern_bytes = 100;
    limits.pattern_states = 300;
    limits.max_repetitions = 300;
    limits.min_repetitions = 100;
    limits.schema_branches = 50;
    limits.states = 5_000;
    limits.state_items = 1_000;
    limits
}

/// Runs a text through a grammar in three ways that must agree; whether it is accepted.
pub fn check(grammar: &Grammar, text: &[u8]) -> bool {
    let Ok(mut recognizer) = Recognizer::new(grammar) else { return false };
    let Ok(whole) = recognizer.accepts(text) else { return false };
    recognizer.reset();
    for byte in text {
        if recognizer.push(&[*byte]).is_err() {
            return whole;
        }
    }
    assert_eq!(whole, recognizer.is_complete());

    let pieces: Vec<&[u8]> = (0..=2).flat_map(|n| text.chunks(n + 1).take(20)).collect();
    let vocabulary = Vocabulary::new(pieces.iter().map(|piece| Piece::Text(piece)), &[]).expect("few tokens");
    let Ok(mut matcher) = Matcher::new(grammar, &vocabulary) else { return whole };
    let mut allowed = TokenSet::new(vocabulary.len());
    for _ in 0..20 {
        if matcher.mask(&mut allowed).is_err() {
            break;
        }
        for token in 0..vocabulary.len() as u32 {
            assert_eq!(matcher.clone().accept(token).is_ok(), allowed.contains(token));
        }
        let Some(token) = allowed.iter().next() else { break };
        matcher.accept(token).expect("an allowed token");
    }
    whole
}
