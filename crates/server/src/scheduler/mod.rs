//! The thread that computes: each forward pass serves several generations.
//!
//! ```text
//! repeat
//!     free slots take the jobs that have waited longest, with the cached parts of their prompts
//!     slots whose clients have left are freed; a pass ends early if most of its rows are theirs
//!     one pass:  a row for each slot that decodes
//!                rows of prompts, shared among the slots that have one, the shortest rest first
//!                or, if a single slot decodes: its row, and rows of guesses
//!     each slot: takes its logits, sends events to its client
//!     after some time without a job, the memory of all contexts goes back to the system
//! ```
//!
//! An answer doesn't depend on its neighbors: a row's logits have the same bits in any batch, and every generation has
//! its own sampler, grammar and reader. If a pass fails, each slot is computed alone, so that only the one at fault fails.

mod admit;
mod idle;
mod leaving;
mod pass;
mod saved;
mod slot;

use crate::delta::Delta;
use crate::error::{ApiError, Kind};
use crate::metrics::Metrics;
use crate::options::ServerOptions;
use happy_engine::{Cancel, Composed, Context, EngineError, PrefixTree, Speculation, model};
use idle::Idle;
use leaving::RunningPass;
use slot::Slot;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::mpsc::UnboundedSender;

/// A generation that waits for a slot.
pub(crate) struct Job {
    pub(crate) composed: Composed,
    /// How many alternatives of each token to report with their probabilities. `None`: no probabilities.
    pub(crate) top_log_probs: Option<usize>,
    /// Whether the answer ends after its first tool call.
    pub(crate) one_call: bool,
    /// Receives the deltas, not many more than the context has tokens. It is closed when the client leaves.
    pub(crate) deltas: UnboundedSender<Delta>,
    /// Raised when the client leaves.
    pub(crate) left: Cancel,
}

/// The handle of the thread.
pub(crate) struct Scheduler {
    jobs: Mutex<Option<SyncSender<Job>>>,
    stop: Cancel,
    running: Arc<RunningPass>,
    thread: Mutex<Option<JoinHandle<()>>>,
    queue: usize,
    metrics: Arc<Metrics>,
}

impl Scheduler {
    /// Starts the thread. `sessions` is the folder of the model's contexts.
    ///
    /// # Errors
    /// If the system refuses a thread, or memory for a batch.
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
        let running = Arc::new(RunningPass::default());
        let stops = (stop.clone(), running.clone());
        let worker = Worker::new(context, waiting, stops, idle, sessions)?;
        let thread = std::thread::Builder::new().name("happy-scheduler".to_owned());
        let thread = thread.spawn(move || worker.run())?;
        let (jobs, thread) = (Mutex::new(Some(jobs)), Mutex::new(Some(thread)));
        Ok(Self { jobs, stop, running, thread, queue, metrics })
    }

    /// Adds a job to the queue.
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
                    let message = format!("the queue is full, {} requests wait: try again later", self.queue);
                    ApiError::new(Kind::Busy, message).code("queue_full")
                }
                TrySendError::Disconnected(_) => ended(),
            }
        })
    }
}

/// Returns the error for a thread that has ended.
pub(crate) fn ended() -> ApiError {
    ApiError::internal("the server is shutting down")
}

impl Scheduler {
    /// Ends the running pass if hardly anybody waits for it any more. A client raises its flag ([`Job::left`]) before.
    pub(crate) fn client_left(&self) {
        self.running.client_left();
    }

    /// Ends answers and the thread, and waits until the session files are written.
    pub(crate) fn end(&self) {
        self.stop.cancel();
        self.running.stop();
        // Without a sender, the thread stops waiting for jobs.
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

/// The state of the thread.
struct Worker {
    context: Context,
    /// Prefixes of earlier prompts, for prompts that begin alike.
    tree: PrefixTree,
    slots: Vec<Slot>,
    batch: model::Batch,
    jobs: Receiver<Job>,
    /// Jobs for which slots are free. They may wait for a part of their prompt that another slot computes.
    admitted: Vec<Job>,
    /// Ends the thread.
    stop: Cancel,
    running: Arc<RunningPass>,
    metrics: Arc<Metrics>,
    idle: Idle,
    /// Counts admissions, to tell which slot was used last.
    clock: u64,
    /// The folder of the session files.
    sessions: Option<PathBuf>,
}

impl Worker {
    fn new(
        mut context: Context,
        jobs: Receiver<Job>,
        (stop, running): (Cancel, Arc<RunningPass>),
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
        Ok(Self {
            context,
            tree,
            slots,
            batch,
            jobs,
            admitted,
            stop,
            running,
            metrics,
            idle,
            clock: 0,
            sessions,
        })
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
        // These jobs will not begin.
        let left = self.admitted.len() + self.jobs.try_iter().count();
        self.metrics.waiting.sub(left);
    }

    /// Takes a job for each free slot, and waits for one if no slot is busy. Returns false when the server ends.
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
