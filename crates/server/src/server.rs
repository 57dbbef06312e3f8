//! A server from its beginning to its end.

use crate::embeddings::{CONTEXT, Embeddings, Source};
use crate::error::ServerError;
use crate::http::accept;
use crate::metrics::Metrics;
use crate::options::ServerOptions;
use crate::scheduler::{Scheduler, StartError};
use crate::state::{State, now};
use happy_engine::{Engine, LoadOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// A server that listens.
///
/// As many answers are generated at a time as the engine was loaded for sequences
/// ([`LoadOptions::sequences`]); further requests wait.
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
    state: Arc<State>,
    stop: watch::Sender<bool>,
}

/// Ends a [`Server`] from another thread. Clones end the same server.
#[derive(Clone)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// No more connections are accepted, answers are cut off, and [`Server::run`] returns.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// Threads for prompts that are rendered and encoded, while others compute.
const BLOCKING_THREADS: usize = 4;

impl Server {
    /// Listens, and starts the thread that computes. Clients can connect from here on; they are answered by
    /// [`run`](Self::run).
    ///
    /// `file` is the model's file, from which it is loaded a second time for embeddings when they are first asked for, with
    /// what `load` says of threads and memory; an engine that was loaded for embeddings needs none.
    ///
    /// # Errors
    /// If an option is out of range, the address cannot be listened on, or memory or threads cannot be had.
    pub fn bind(
        engine: Engine,
        file: Option<(&Path, &LoadOptions)>,
        options: ServerOptions,
    ) -> Result<Self, ServerError> {
        options.check()?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()
            .map_err(ServerError::Start)?;
        let address = options.address;
        let listen = |error| ServerError::Listen { address, error };
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let metrics = Arc::new(Metrics::default());
        let embeds = engine.model().spec().whole_texts;
        let scheduler = if embeds {
            None
        } else {
            let started = Scheduler::start(engine.context()?, options.queue, metrics.clone());
            Some(started.map_err(|error| match error {
                StartError::Thread(error) => ServerError::Start(error),
                StartError::Engine(error) => ServerError::Engine(error),
            })?)
        };
        let source = match file {
            _ if embeds => Source::Loaded(engine.clone()),
            Some((path, load)) => for_embeddings(&engine, path.to_owned(), load),
            None => Source::None,
        };
        let embeddings = Embeddings::new(source);
        let state = Arc::new(State { engine, scheduler, embeddings, options, metrics, started: now() });
        Ok(Self { runtime, listener, address, state, stop: watch::Sender::new(false) })
    }

    /// The address that it listens on, with the port that was free if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the server from another thread.
    pub fn stop(&self) -> Stop {
        Stop(self.stop.clone())
    }

    /// Answers requests until it is stopped.
    pub fn run(self) {
        let Self { runtime, listener, state, stop, .. } = self;
        runtime.block_on(accept(listener, state, stop.subscribe()));
        // Connections are dropped with the runtime, and with them what they wait for.
        runtime.shutdown_background();
    }
}

/// How the model is loaded again to embed.
fn for_embeddings(engine: &Engine, path: PathBuf, load: &LoadOptions) -> Source {
    let trained = engine.model().spec().n_ctx_train as usize;
    let options = LoadOptions {
        context: Some(trained.clamp(1, CONTEXT)),
        threads: load.threads,
        isa: load.isa,
        memory_budget: load.memory_budget,
        mmap: load.mmap,
        adapters: load.adapters.clone(),
        ..LoadOptions::embeddings()
    };
    Source::File(path, Box::new(options))
}
