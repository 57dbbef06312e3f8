//! Turns texts into vectors and ranks, for one caller at a time.

use super::model::Model;
use crate::failure::{Failure, Outcome};
use crate::status::Status;
use happy_engine::model::Pooling;
use happy_engine::{Cancel, Embedding, Rank};
use std::sync::{Mutex, MutexGuard, TryLockError};

pub use happy_engine::EmbedOptions;

/// Reads the properties of an embedder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbedderInfo {
    /// How hidden states become vectors.
    pub pooling: Pooling,
    /// Number of values of a vector.
    pub width: usize,
    /// Maximum number of tokens of a text.
    pub most_tokens: usize,
}

/// Memory and threads that turn texts into vectors.
pub struct Embedder {
    work: Mutex<happy_engine::Embedder>,
    info: EmbedderInfo,
}

/// The vectors of the texts of one call.
pub struct Embeddings {
    texts: Vec<Embedding>,
    width: usize,
}

impl Embedder {
    /// Makes an embedder of a model that was loaded with the option `embeddings`.
    ///
    /// # Errors
    /// If the model was loaded to generate text, neither its file nor the options say how to pool, the vectors have
    /// fewer dimensions than asked for, or memory or threads cannot be had.
    pub fn new(model: &Model, options: &EmbedOptions) -> Outcome<Self> {
        let work = model.engine().embedder(options)?;
        let info =
            EmbedderInfo { pooling: work.pooling(), width: work.width(), most_tokens: work.most_tokens() };
        Ok(Self { work: Mutex::new(work), info })
    }

    /// Returns its properties.
    pub fn info(&self) -> EmbedderInfo {
        self.info
    }

    /// Returns the vectors of texts, in their order.
    ///
    /// # Errors
    /// If another call is running, a text is too long and may not be truncated or has no tokens, or `cancel` is raised.
    pub fn embed(&self, texts: &[&str], cancel: Option<&Cancel>) -> Outcome<Embeddings> {
        let never = Cancel::new();
        let texts = self.lock()?.embed(texts, cancel.unwrap_or(&never))?;
        Ok(Embeddings { texts, width: self.info.width })
    }

    /// Ranks documents by how well they match a query, best first.
    ///
    /// # Errors
    /// As [`embed`](Self::embed), and if the embedder does not pool by rank.
    pub fn rank(&self, query: &str, documents: &[&str], cancel: Option<&Cancel>) -> Outcome<Vec<Rank>> {
        let never = Cancel::new();
        Ok(self.lock()?.rank(query, documents, cancel.unwrap_or(&never))?)
    }

    fn lock(&self) -> Outcome<MutexGuard<'_, happy_engine::Embedder>> {
        match self.work.try_lock() {
            Ok(work) => Ok(work),
            Err(TryLockError::WouldBlock) => {
                Err(Failure::new(Status::Busy, "the embedder is in use by another call"))
            }
            Err(TryLockError::Poisoned(_)) => Err(Failure::new(
                Status::Internal,
                "an internal error happened in this embedder before: free it and make another one",
            )),
        }
    }
}

impl Embeddings {
    /// Returns the vector of each text.
    pub fn texts(&self) -> &[Embedding] {
        &self.texts
    }

    /// Returns the number of values of a vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the vector of a text.
    ///
    /// # Errors
    /// If there are fewer texts.
    pub fn text(&self, index: usize) -> Outcome<&Embedding> {
        let count = self.texts.len();
        self.texts.get(index).ok_or_else(|| {
            Failure::argument(format!(
                "the index is {index}, expected less than the number of texts, {count}"
            ))
        })
    }
}
