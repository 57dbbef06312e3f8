//! Writes a random document that satisfies a JSON schema (or matches a GBNF grammar), as a language model that knows nothing
//! would: `cargo run -p happy-grammar --example random_document -- FILE [SEED]`. The vocabulary consists of single characters
//! and a few words.

use happy_grammar::{Grammar, Matcher, Piece, TokenSet, Vocabulary};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let Some(path) = args.next() else {
        return Err("expected a file: a .gbnf grammar or a JSON schema".into());
    };
    let mut seed: u64 = args.next().map_or(Ok(1), |seed| seed.parse())?;
    let text = std::fs::read_to_string(&path)?;
    let grammar =
        if path.ends_with(".gbnf") { Grammar::from_gbnf(&text)? } else { Grammar::from_json_schema(&text)? };

    let mut tokens: Vec<String> = (' '..='~').map(String::from).collect();
    tokens.extend(["\n", "hello", "world", "\": \"", "\", \"", "é", "<end>"].map(str::to_owned));
    let end = tokens.len() as u32 - 1;
    let vocabulary = Vocabulary::new(tokens.iter().map(|token| Piece::Text(token.as_bytes())), &[end])?;

    let mut matcher = Matcher::new(&grammar, &vocabulary)?;
    let mut allowed = TokenSet::new(vocabulary.len());
    let mut document = String::new();
    while !matcher.is_dead() {
        matcher.mask(&mut allowed)?;
        // A model would pick by its logits. Here a random number decides (splitmix64), and the text ends as soon as it may.
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let draw = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32;
        let choices: Vec<u32> = allowed.iter().collect();
        let Some(&token) = choices.get(draw as usize % choices.len().max(1)) else { break };
        let token = if allowed.contains(end) { end } else { token };
        matcher.accept(token)?;
        if token != end {
            document.push_str(&tokens[token as usize]);
        }
    }
    println!("{document}");
    Ok(())
}
