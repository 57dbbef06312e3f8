//! The thread that embeds and ranks. A model that also generates is mapped a second time for it when the first request comes, so that
//! a server that never embeds pays nothing. It is unloaded after some time without requests.

use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::models::{Ledger, Taken};
use happy_engine::model::Pooling;
use happy_engine::{Cancel, EmbedOptions, Embedder, Embedding, Engine, LoadOptions, Rank, TooLong};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// A task for the thread.
pub(crate) enum Work {
    /// Turns texts into vectors.
    Embed { texts: Vec<String>, dimensions: Option<usize>, truncate: bool },
    /// Ranks documents by how well they match a query.
    Rank { query: String, documents: Vec<String> },
}

/// A result of the thread.
pub(crate) enum Found {
    Embeddings(Vec<Embedding>),
    Ranks(Vec<Rank>),
}

struct Order {
    work: Work,
    cancel: Cancel,
    reply: oneshot::Sender<Result<Found, ApiError>>,
}

/// Where the thread gets its model.
pub(crate) enum Source {
    /// The model was loaded for embeddings.
    Loaded(Engine),
    /// It is loaded from this file with these options when it is needed.
    File(PathBuf, Box<LoadOptions>),
    /// The model was not loaded from a file, so it can't be loaded again.
    None,
}

/// The thread. It starts with the first order, and has ended when this is dropped.
pub(crate) struct Embeddings {
    /// `None` while this is being dropped.
    orders: Option<SyncSender<Order>>,
    /// What the thread needs. `None` once it has started.
    start: Mutex<Option<(Source, Receiver<Order>)>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Time without an order after which memory is given back; `None`: it never is.
    idle_trim: Option<Duration>,
    metrics: Arc<Metrics>,
    ledger: Ledger,
}

/// Maximum number of orders that wait.
const QUEUE: usize = 64;

/// Maximum number of tokens of a text if the model was not loaded for embeddings. The memory for activations grows with it.
pub(crate) const CONTEXT: usize = 2048;

impl Embeddings {
    pub(crate) fn new(
        source: Source,
        idle_trim: Option<Duration>,
        metrics: Arc<Metrics>,
        ledger: Ledger,
    ) -> Self {
        let (orders, waiting) = sync_channel(QUEUE);
        let (start, thread) = (Mutex::new(Some((source, waiting))), Mutex::default());
        Self { orders: Some(orders), start, thread, idle_trim, metrics, ledger }
    }

    /// Runs a task on the thread.
    ///
    /// # Errors
    /// As [`Embedder::embed`] and [`Embedder::rank`], and if too much work waits.
    pub(crate) async fn run(&self, work: Work) -> Result<Found, ApiError> {
        self.start()?;
        let cancel = crate::stream::CancelOnDrop(Cancel::new());
        let (reply, answer) = oneshot::channel();
        let order = Order { work, cancel: cancel.0.clone(), reply };
        let orders = self.orders.as_ref().ok_or_else(crate::scheduler::ended)?;
        orders.try_send(order).map_err(|refused| match refused {
            TrySendError::Full(_) => ApiError::new(
                crate::error::Kind::Busy,
                format!("the queue is full, {QUEUE} embedding requests wait: try again later"),
            ),
            TrySendError::Disconnected(_) => crate::scheduler::ended(),
        })?;
        answer.await.map_err(|_| crate::scheduler::ended())?
    }

    fn start(&self) -> Result<(), ApiError> {
        let start = self.start.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((source, orders)) = start else { return Ok(()) };
        let thread = std::thread::Builder::new().name("happy-embeddings".to_owned());
        let worker = Worker { source, engine: None, embedder: None, ledger: self.ledger.clone() };
        let (idle_trim, metrics) = (self.idle_trim, self.metrics.clone());
        let started = thread.spawn(move || worker.serve(&orders, idle_trim, &metrics));
        let started =
            started.map_err(|error| ApiError::internal(format!("cannot start a thread: {error}")))?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        Ok(())
    }
}

impl Drop for Embeddings {
    /// Waits for the thread, so that its memory is free for the next model.
    fn drop(&mut self) {
        self.orders = None;
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

struct Worker {
    source: Source,
    /// The model, if it came from a file and is loaded, and its memory.
    engine: Option<(Engine, Taken)>,
    /// The embedder that was used last, with its options.
    embedder: Option<(EmbedOptions, Embedder)>,
    ledger: Ledger,
}

impl Worker {
    /// Runs orders until no sender is left.
    fn serve(mut self, orders: &Receiver<Order>, idle_trim: Option<Duration>, metrics: &Metrics) {
        loop {
            let order = match idle_trim.filter(|_| self.embedder.is_some() || self.engine.is_some()) {
                Some(after) => orders.recv_timeout(after),
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(order) if order.cancel.is_cancelled() => {}
                Ok(order) => {
                    let found = self.run(&order.work, &order.cancel);
                    // The client may have left.
                    let _ = order.reply.send(found);
                }
                Err(RecvTimeoutError::Timeout) => {
                    (self.embedder, self.engine) = (None, None);
                    metrics.idle_trims.add(1);
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn engine(&mut self) -> Result<Engine, ApiError> {
        match (&self.source, &self.engine) {
            (Source::Loaded(engine), _) | (_, Some((engine, _))) => Ok(engine.clone()),
            (Source::File(path, options), None) => {
                let memory_budget = self.ledger.left().or(options.memory_budget);
                let engine = Engine::open(path, &LoadOptions { memory_budget, ..(**options).clone() })?;
                let memory = self.ledger.take(engine.plan().anon_bytes());
                Ok(self.engine.insert((engine, memory)).0.clone())
            }
            (Source::None, None) => {
                Err(ApiError::invalid("this server's model was not loaded for embeddings"))
            }
        }
    }

    fn embedder(&mut self, options: EmbedOptions) -> Result<&mut Embedder, ApiError> {
        let known = self.embedder.take().filter(|(known, _)| *known == options);
        let made = match known {
            Some(known) => known,
            // If the model can't do this, the request is at fault.
            None => {
                let made = self.engine()?.embedder(&options);
                (options, made.map_err(|error| ApiError::invalid(error.to_string()))?)
            }
        };
        Ok(&mut self.embedder.insert(made).1)
    }

    fn run(&mut self, work: &Work, cancel: &Cancel) -> Result<Found, ApiError> {
        match work {
            Work::Embed { texts, dimensions, truncate } => {
                // Files of models that only generate don't name a pooling. The mean is the usual choice.
                let known = self.engine()?.model().spec().head.pooling;
                let pooling = known.filter(|pooling| *pooling != Pooling::None).or(Some(Pooling::Mean));
                let too_long = if *truncate { TooLong::Truncate } else { TooLong::Refuse };
                let options =
                    EmbedOptions { pooling, dimensions: *dimensions, too_long, ..EmbedOptions::default() };
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                Ok(Found::Embeddings(self.embedder(options)?.embed(&texts, cancel)?))
            }
            Work::Rank { query, documents } => {
                let (pooling, too_long) = (Some(Pooling::Rank), TooLong::Truncate);
                let options = EmbedOptions { pooling, too_long, ..EmbedOptions::default() };
                let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
                Ok(Found::Ranks(self.embedder(options)?.rank(query, &documents, cancel)?))
            }
        }
    }
}
