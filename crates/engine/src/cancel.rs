//! Stopping work from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that ends prefill and generation early. Clones share the flag.
///
/// Each task of a layer checks it first, so that work ends within milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Makes a flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag. It stays raised until [`Cancel::clear`].
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Lowers the flag.
    pub fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Returns whether the flag is raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns a function that returns whether the flag is raised, for work that calls it now and then, such as
    /// `tokenizer.encode_with(text, options, &cancel.asked())`.
    pub fn asked(&self) -> impl Fn() -> bool {
        let flag = self.clone();
        move || flag.is_cancelled()
    }

    /// Returns the flag itself, as [`happy_model`] takes it.
    pub fn flag(&self) -> &AtomicBool {
        &self.0
    }
}
