//! The one thread that computes: several generations in each forward pass.
//!
//! ```text
//! repeat
//!     free slots take the jobs that wait longest, with what other sequences hold of their prompts
//!     slots whose client is gone are freed
//!     one pass:  a row for each slot that decodes
//!                rows of prompts, shared out among the slots that have one, the shorter rests first
//!                or, if a single slot decodes: its row, and guesses of what follows it
//!     each slot: its logits, its events, to its client
//!     if no job came for a while, the memory of all contexts goes back to the system
//! ```
//!
//! What an answer is does not depend on its neighbors: a row's logits have the same bits in any batch, and every generation has
//! its own sampler, grammar and reader. If a pass fails, each slot is computed alone, so that only the one at fault fails.

mod admit;
mod idle;
mod pass;
mod saved;
mod slot;

use crate::delta::Delta;
use crate::error::{ApiError, Kind};
use crate::metrics::Metrics;
use crate::options::ServerOptions;
use happy_engine::{Cancel, Composed, Context, EngineError, PrefixTree, Speculation, model};
use idle::Idle;
use slot::Slot;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::mpsc::UnboundedSender;

/// A generation that waits for a slot.
pub(crate) struct Job {
    pub(crate) composed: Composed,
    /// Probabilities are wanted, of so many tokens beside the chosen one.
    pub(crate) top_log_probs: Option<usize>,
    /// The answer ends after its first tool call.
    pub(crate) one_call: bool,
    /// Takes at most as many deltas as the context has tokens, and a few. Closed when the client is gone.
    pub(crate) deltas: UnboundedSender<Delta>,
}

/// The thread, from outside.
pub(crate) struct Scheduler {
    jobs: Mutex<Option<SyncSender<Job>>>,
    stop: Cancel,
    thread: Mutex<Option<JoinHandle<()>>>,
    queue: usize,
    metrics: Arc<Metrics>,
}

impl Scheduler {
    /// Starts the thread. `sessions` is the folder of the model's contexts.
    ///
    /// # Errors
    /// If the system gives no thread, or memory for a batch.
    pub(crate) fn start(
        context: Context,
        options: &ServerOptions,
        metrics: Arc<Metrics>,
        sessions: Option<PathBuf>,
    ) -> Result<Self, StartError> {
        let queue = options.queue;
        let (jobs, waiting) = sync_channel(queue);
        let stop = Cancel::new();
        let idle = Idle::new(options.idle_trim, metrics.clone());
        let worker = Worker::new(context, waiting, stop.clone(), idle, sessions)?;
        let thread = std::thread::Builder::new().name("happy-scheduler".to_owned());
        let thread = thread.spawn(move || worker.run())?;
        let (jobs, thread) = (Mutex::new(Some(jobs)), Mutex::new(Some(thread)));
        Ok(Self { jobs, stop, thread, queue, metrics })
    }

    /// Adds a job to those that wait.
    ///
    /// # Errors
    /// If the queue is full.
    pub(crate) fn submit(&self, job: Job) -> Result<(), ApiError> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(jobs) = jobs else { return Err(ended()) };
        self.metrics.waiting.add(1);
        jobs.try_send(job).map_err(|refused| {
            self.metrics.waiting.sub(1);
            match refused {
                TrySendError::Full(_) => {
                    let message =
                        format!("{} requests wait already, as many as may: try again later", self.queue);
                    ApiError::new(Kind::Busy, message).code("queue_full")
                }
                TrySendError::Disconnected(_) => ended(),
            }
        })
    }
}

/// The thread is gone.
pub(crate) fn ended() -> ApiError {
    ApiError::internal("the server is shutting down")
}

impl Scheduler {
    /// Ends answers and the thread, and waits until the contexts are written.
    pub(crate) fn end(&self) {
        self.stop.cancel();
        // Without a sender the thread finds no more jobs.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.end();
    }
}

/// Why the thread could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Thread(#[from] std::io::Error),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The thread, from inside.
struct Worker {
    context: Context,
    /// What prompts begin with, for the next one that begins alike.
    tree: PrefixTree,
    slots: Vec<Slot>,
    batch: model::Batch,
    jobs: Receiver<Job>,
    /// Jobs for which there are slots, and which may wait for what another slot computes.
    admitted: Vec<Job>,
    /// Ends passes and the thread.
    stop: Cancel,
    metrics: Arc<Metrics>,
    idle: Idle,
    /// Counts admissions, to tell which slot was used last.
    clock: u64,
    /// The folder of the contexts.
    sessions: Option<PathBuf>,
}

impl Worker {
    fn new(
        mut context: Context,
        jobs: Receiver<Job>,
        stop: Cancel,
        idle: Idle,
        sessions: Option<PathBuf>,
    ) -> Result<Self, EngineError> {
        let plan = *context.engine().plan();
        if plan.draft_tokens > 0 {
            context.set_speculation(Some(Speculation::lookup()))?;
        }
        let batch = model::Batch::try_with_capacity(plan.batch)?;
        let slots = (0..plan.sequences as u32).map(Slot::new).collect();
        let (tree, admitted, metrics) = (PrefixTree::new(&context), Vec::new(), idle.metrics());
        Ok(Self { context, tree, slots, batch, jobs, admitted, stop, metrics, idle, clock: 0, sessions })
    }

    fn run(mut self) {
        while self.take_jobs() {
            for slot in &mut self.slots {
                slot.drop_if_gone(&mut self.context);
            }
            self.admit();
            self.pass();
            self.idle.count(&self.context);
            for slot in &mut self.slots {
                slot.tell(&mut self.context, &self.metrics);
            }
        }
        self.save();
        // Nobody begins these any more.
        let left = self.admitted.len() + self.jobs.try_iter().count();
        self.metrics.waiting.sub(left);
    }

    /// Takes a job for each free slot; waits if there is nothing else to do. False: the server ends.
    fn take_jobs(&mut self) -> bool {
        loop {
            if self.stop.is_cancelled() {
                return false;
            }
            let busy = self.slots.iter().filter(|slot| slot.is_busy()).count() + self.admitted.len();
            if busy == self.slots.len() {
                return true;
            }
            let job = if busy == 0 {
                match self.idle.wait(&self.jobs) {
                    Ok(job) => {
                        self.wake();
                        job
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        self.trim();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return false,
                }
            } else {
                match self.jobs.try_recv() {
                    Ok(job) => job,
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
                }
            };
            self.admitted.push(job);
        }
    }
}
