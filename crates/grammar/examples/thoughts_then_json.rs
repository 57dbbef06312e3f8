//! One grammar for a whole reply, made of parts: free text up to `</think>`, then an answer in JSON. Shows what may follow at
//! some places of a reply: `cargo run -p happy-grammar --example thoughts_then_json`.

use happy_grammar::{Grammar, Matcher, Part, Piece, Reading, TokenSet, Vocabulary};
use std::error::Error;

const SCHEMA: &str =
    r#"{"type": "object", "properties": {"capital": {"type": "string"}}, "required": ["capital"]}"#;

/// Tokens as a model has them: pieces of text, one of them across the border between the parts, and a control token.
const TOKENS: [&str; 9] = ["It", " is", "Paris", "</think", ">\n{", "{", "\"capital\":", "\"", "}"];
const END: u32 = TOKENS.len() as u32;

fn main() -> Result<(), Box<dyn Error>> {
    let grammar = Grammar::from_parts(
        r#"root ::= thoughts "</think>" "\n"? answer"#,
        "root",
        &[("thoughts", Part::Until(&["</think>"])), ("answer", Part::Schema(SCHEMA, Reading::Writer))],
    )?;
    let pieces = TOKENS.iter().map(|text| Piece::Text(text.as_bytes()));
    let vocabulary = Vocabulary::new(pieces.chain([Piece::Special(b"<|im_end|>")]), &[END])?;

    let mut matcher = Matcher::new(&grammar, &vocabulary)?;
    let mut allowed = TokenSet::new(vocabulary.len());
    for token in [0, 1, 2, 3, 4, 6, 7, 2, 7, 8] {
        matcher.mask(&mut allowed)?;
        println!("{:<16} of {:?}", format!("{:?}", TOKENS[token as usize]), names(&allowed));
        matcher.accept(token)?;
    }
    matcher.mask(&mut allowed)?;
    println!("at the end          {:?}, complete: {}", names(&allowed), matcher.is_complete());
    Ok(())
}

fn names(set: &TokenSet) -> Vec<&'static str> {
    set.iter().map(|token| TOKENS.get(token as usize).copied().unwrap_or("<|im_end|>")).collect()
}
