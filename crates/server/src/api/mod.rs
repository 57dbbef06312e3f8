//! The APIs, one file for each. They translate requests into an [`Ask`](crate::ask::Ask), and deltas into their own answers.

pub(crate) mod anthropic;
pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod embeddings;
pub(crate) mod form;
pub(crate) mod messages;
pub(crate) mod ollama;
pub(crate) mod plain;
pub(crate) mod responses;
