//! The parsers of request bodies, for fuzzing without a model. They are not part of the API.

use crate::api::{anthropic, chat, completions, ollama, responses};
use crate::fields::Fields;

/// Parses a body as each API does, and returns how many APIs accept it. It must never panic.
pub fn check(body: &[u8]) -> usize {
    let Ok(body) = serde_json::from_slice(body) else { return 0 };
    let Ok(fields) = Fields::of(&body, "") else { return 0 };
    let taken = [
        chat::read(fields).is_ok(),
        completions::read(fields).is_ok(),
        responses::read(fields).is_ok(),
        anthropic::read(fields).is_ok(),
        ollama::read(fields).is_ok(),
    ];
    taken.into_iter().filter(|taken| *taken).count()
}
