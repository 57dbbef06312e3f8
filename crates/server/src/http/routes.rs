//! The one table of endpoints.

use super::Call;
use super::reply::Reply;
use crate::api::{anthropic, chat, completions, embeddings, ollama, plain, responses};
use crate::error::{ApiError, Kind};
use hyper::Method;
use std::pin::Pin;

/// The API that an endpoint belongs to. It decides the form of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    OpenAi,
    Anthropic,
    Ollama,
}

/// The future of a handler.
pub(crate) type Handled = Pin<Box<dyn Future<Output = Result<Reply, ApiError>> + Send>>;

/// An endpoint.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// The path. One that ends with `/` matches all paths below it.
    pub(crate) path: &'static str,
    pub(crate) style: Style,
    pub(crate) handler: fn(Call) -> Handled,
}

macro_rules! routes {
    ($($method:ident $path:literal $style:ident $($handler:ident)::+;)*) => {
        /// All endpoints.
        pub(crate) const ROUTES: &[Route] = &[$(Route {
            method: Method::$method,
            path: $path,
            style: Style::$style,
            handler: |call| Box::pin($($handler)::+(call)),
        }),*];
    };
}

routes! {
    GET  "/" OpenAi plain::page;
    GET  "/health" OpenAi plain::health;
    GET  "/metrics" OpenAi plain::metrics;
    POST "/tokenize" OpenAi plain::tokenize;
    POST "/detokenize" OpenAi plain::detokenize;
    POST "/apply-template" OpenAi plain::apply_template;
    GET  "/catalog" OpenAi ollama::catalog;
    GET  "/v1/models" OpenAi plain::models;
    GET  "/v1/models/" OpenAi plain::model;
    POST "/v1/chat/completions" OpenAi chat::create;
    POST "/v1/completions" OpenAi completions::create;
    POST "/v1/responses" OpenAi responses::create;
    POST "/v1/embeddings" OpenAi embeddings::create;
    POST "/v1/rerank" OpenAi embeddings::rerank;
    POST "/v1/messages" Anthropic anthropic::create;
    POST "/v1/messages/count_tokens" Anthropic anthropic::count_tokens;
    POST "/api/chat" Ollama ollama::chat;
    POST "/api/generate" Ollama ollama::generate;
    GET  "/api/tags" Ollama ollama::tags;
    GET  "/api/ps" Ollama ollama::ps;
    POST "/api/show" Ollama ollama::show;
    POST "/api/pull" Ollama ollama::pull;
    POST "/api/embed" Ollama ollama::embed;
    POST "/api/embeddings" Ollama ollama::embeddings;
    GET  "/api/version" Ollama ollama::version;
}

/// A route that was found, and the rest of the path.
pub(crate) struct Found {
    pub(crate) route: &'static Route,
    pub(crate) rest: String,
}

/// Returns whether a route has this path.
fn has_path(route: &Route, path: &str) -> bool {
    match route.path.strip_suffix('/') {
        Some(folder) if !folder.is_empty() => {
            path.strip_prefix(route.path).is_some_and(|rest| !rest.is_empty())
        }
        _ => path == route.path,
    }
}

/// Returns the API that a path belongs to, also if the path is unknown or the method is wrong.
pub(crate) fn style(path: &str) -> Style {
    let other = if path.starts_with("/api/") { Style::Ollama } else { Style::OpenAi };
    ROUTES.iter().find(|route| has_path(route, path)).map_or(other, |route| route.style)
}

/// Finds the endpoint for a path.
pub(crate) fn find(method: &Method, path: &str) -> Result<Found, ApiError> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let mut others = ROUTES.iter().filter(|route| has_path(route, path)).peekable();
    let Some(first) = others.peek().copied() else {
        return Err(ApiError::new(Kind::NotFound, format!("unknown endpoint `{path}`")));
    };
    let expected = first.method.clone();
    match others.find(|route| route.method == *method) {
        Some(route) => {
            Ok(Found { route, rest: path.strip_prefix(route.path).unwrap_or_default().to_owned() })
        }
        None => {
            let message = format!("`{path}` does not take {method}, expected {expected}");
            Err(ApiError::new(Kind::Method, message))
        }
    }
}
