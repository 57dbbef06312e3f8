//! The one thread that computes: several generations in each forward pass.
//!
//! ```text
//! repeat
//!     free slots take the jobs that wait longest
//!     slots whose client is gone are freed
//!     one pass:  a row for each slot that decodes
//!                rows of prompts, shared out among the slots that have one, the shorter rests first
//!     each slot: its logits, its events, to its client
//! ```
//!
//! What an answer is does not depend on its neighbors: a row's logits have the same bits in any batch, and every generation has
//! its own sampler, grammar and reader. If a pass fails, each slot is computed alone, so that only the one at fault fails.

mod pass;
mod saved;
mod slot;

use crate::delta::Delta;
use crate::error::{ApiError, Kind};
use crate::metrics::Metrics;
use happy_engine::{Cancel, Composed, Context, EngineError, model};
use slot::Slot;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
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
    /// Starts the thread; `queue` jobs may wait. `sessions` is the folder of the model's contexts.
    ///
    /// # Errors
    /// If the system gives no thread, or memory for a batch.
    pub(crate) fn start(
        context: Context,
        queue: usize,
        metrics: Arc<Metrics>,
        sessions: Option<PathBuf>,
    ) -> Result<Self, StartError> {
        let (jobs, waiting) = sync_channel(queue);
        let stop = Cancel::new();
        let worker = Worker::new(context, waiting, stop.clone(), metrics.clone(), sessions)?;
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
    slots: Vec<Slot>,
    batch: model::Batch,
    jobs: Receiver<Job>,
    /// Ends passes and the thread.
    stop: Cancel,
    metrics: Arc<Metrics>,
    /// Counts admissions, to tell which slot was used last.
    clock: u64,
    /// The folder of the contexts.
    sessions: Option<PathBuf>,
}

impl Worker {
    fn new(
        context: Context,
        jobs: Receiver<Job>,
        stop: Cancel,
        metrics: Arc<Metrics>,
        sessions: Option<PathBuf>,
    ) -> Result<Self, EngineError> {
        let plan = *context.engine().plan();
        let batch = model::Batch::try_with_capacity(plan.batch)?;
        let slots = (0..plan.sequences as u32).map(Slot::new).collect();
        Ok(Self { context, slots, batch, jobs, stop, metrics, clock: 0, sessions })
    }

    fn run(mut self) {
        self.restore();
        while self.take_jobs() {
            for slot in &mut self.slots {
                slot.drop_if_gone(&mut self.context);
            }
            self.pass();
            for slot in &mut self.slots {
                slot.tell(&mut self.context, &self.metrics);
            }
        }
        self.save();
    }

    /// Fills free slots; waits if there is nothing else to do. False: the server ends.
    fn take_jobs(&mut self) -> bool {
        loop {
            if self.stop.is_cancelled() {
                return false;
            }
            let busy = self.slots.iter().filter(|slot| slot.is_busy()).count();
            if busy == self.slots.len() {
                return true;
            }
            let job = if busy == 0 {
                match self.jobs.recv() {
                    Ok(job) => job,
                    Err(_) => return false,
                }
            } else {
                match self.jobs.try_recv() {
                    Ok(job) => job,
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
                }
            };
            self.metrics.waiting.sub(1);
            self.admit(job);
        }
    }

    /// Gives a job a free slot: the one whose tokens it continues, or else the one that was used longest ago, with a copy of what
    /// another one has in common with the prompt. Copies share pages, so that others keep what they may need again.
    fn admit(&mut self, job: Job) {
        if job.deltas.is_closed() {
            return;
        }
        self.clock += 1;
        let tokens = |slot: &Slot| self.context.tokens(slot.sequence());
        let shared =
            |slot: &Slot| tokens(slot).iter().zip(job.composed.ids()).take_while(|(a, b)| a == b).count();
        let places = || self.slots.iter().enumerate();
        let oldest = places().filter(|(_, slot)| !slot.is_busy()).min_by_key(|(_, slot)| slot.last_used());
        let source = places().max_by_key(|(_, slot)| (shared(slot), !slot.is_busy(), slot.last_used()));
        let (Some((oldest, _)), Some((best, source))) = (oldest, source) else { return };
        let common = shared(source);
        let continues = !source.is_busy() && tokens(source).len() - common < WORTH_A_COPY;
        let index = if common >= WORTH_A_COPY && continues { best } else { oldest };
        let copied = (common >= WORTH_A_COPY && index != best).then(|| source.sequence());
        let Some(slot) = self.slots.get_mut(index) else { return };
        // Without the copy the slot computes the whole prompt.
        if let Some(source) = copied
            && self.context.fork(source, slot.sequence()).is_err()
        {
            let _ = self.context.truncate(slot.sequence(), 0);
        }
        slot.begin(job, &mut self.context, self.clock, &self.metrics);
    }
}

/// Tokens that are worth keeping or copying: fewer are computed in no time.
const WORTH_A_COPY: usize = 16;
