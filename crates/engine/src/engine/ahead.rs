//! A thread that reads the weights while the tokenizer is loaded and the first layers are computed.

use happy_gguf::GgufSetFile;
use happy_model::{Model, ReadAhead};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

/// Weights of fewer bytes than this are read so fast that a thread would not help.
const WORTH: u64 = 32 << 20;

/// The thread's calls need little.
const STACK: usize = 128 << 10;

/// A thread that reads, if there is one. Dropping it ends the thread within 2 MiB.
#[derive(Default)]
pub(super) struct Ahead(Option<(Arc<AtomicBool>, JoinHandle<()>)>);

impl Ahead {
    /// Starts the thread. If the system refuses memory or a thread, nothing is read ahead, and everything else works.
    pub(super) fn start(files: &GgufSetFile, model: &Model) -> Self {
        let Some(ahead) = ReadAhead::new(files, model).ok().filter(|ahead| ahead.bytes() >= WORTH) else {
            return Self::default();
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = Builder::new().name("happy-ahead".to_owned()).stack_size(STACK);
        let thread = thread.spawn(move || {
            ahead.run(&mut || !stopped.load(Ordering::Relaxed));
        });
        Self(thread.ok().map(|thread| (stop, thread)))
    }
}

/// The caller may change the file once the engine is gone, so the thread ends first.
impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            stop.store(true, Ordering::Relaxed);
            // It does nothing that panics.
            let _ = thread.join();
        }
    }
}
