//! Stopping work from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that ends prefill and generation early. Clones share the flag.
///
/// It is looked at before each task of a layer, so that work ends within milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag; it stays raised until [`Cancel::clear`].
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Lowers the flag.
    pub fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether the flag is raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// A question for work that asks now and then whether to go on: `tokenizer.encode_with(text, options, &cancel.asked())`.
    pub fn asked(&self) -> impl Fn() -> bool {
        let flag = self.clone();
        move || flag.is_cancelled()
    }

    /// The flag itself, as [`happy_model`] takes it.
    pub fn flag(&self) -> &AtomicBool {
        &self.0
    }
}
