//! The parsers of request bodies, for fuzzing without a model, and the list of endpoints. They are not part of the API.

use crate::api::{anthropic, chat, completions, embeddings, ollama, responses};
use crate::fields::Fields;
use crate::http::routes::ROUTES;

/// Returns the method and path of each endpoint. A path that ends with `/` stands for all paths below it.
pub fn endpoints() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().map(|route| (route.method.as_str(), route.path))
}

/// Parses a body as each endpoint does, and returns how many endpoints accept it. It must never panic.
pub fn check(body: &[u8]) -> usize {
    let Ok(body) = serde_json::from_slice(body) else { return 0 };
    let Ok(fields) = Fields::of(&body, "") else { return 0 };
    let taken = [
        chat::read(fields).is_ok(),
        completions::read(fields).is_ok(),
        responses::read(fields).is_ok(),
        anthropic::read(fields).is_ok(),
        ollama::read(fields).is_ok(),
        ollama::read_generate(fields, true).is_ok(),
        embeddings::read(fields).is_ok(),
        embeddings::read_ranking(fields).is_ok(),
        fields.text("model").ok().flatten().is_some_and(|name| crate::downloads::name(name).is_ok()),
    ];
    taken.into_iter().filter(|taken| *taken).count()
}
