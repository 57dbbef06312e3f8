//! A server from its beginning to its end.

use crate::error::ServerError;
use crate::http::accept;
use crate::metrics::Metrics;
use crate::models::{Models, ServedModel};
use crate::options::ServerOptions;
use crate::state::{State, now};
use happy_engine::{Engine, LoadOptions};
use std::net::SocketAddr;
use std::path::Path;
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
    /// Serves a model that is loaded. Clients can connect from here on; they are answered by [`run`](Self::run).
    ///
    /// `file` is the model's file, from which it is loaded again for embeddings and after it was let go, with what `load` says;
    /// without it, the model does not embed, and stays. An engine that was loaded for embeddings embeds without a file.
    ///
    /// # Errors
    /// If an option is out of range, the address cannot be listened on, or memory or threads cannot be had.
    pub fn bind(
        engine: Engine,
        file: Option<(&Path, &LoadOptions)>,
        options: ServerOptions,
    ) -> Result<Self, ServerError> {
        Self::start(Some((engine, file)), Vec::new(), options)
    }

    /// Serves a model that is loaded, as [`bind`](Self::bind), and more models, which are loaded when requests name them.
    ///
    /// # Errors
    /// As for [`bind`](Self::bind).
    pub fn bind_with(
        engine: Engine,
        file: Option<(&Path, &LoadOptions)>,
        more: Vec<ServedModel>,
        options: ServerOptions,
    ) -> Result<Self, ServerError> {
        Self::start(Some((engine, file)), more, options)
    }

    /// Serves models, each of which is loaded when a request names it, or names none and it is the first one.
    ///
    /// # Errors
    /// If there is no model, and as for [`bind`](Self::bind).
    pub fn bind_models(models: Vec<ServedModel>, options: ServerOptions) -> Result<Self, ServerError> {
        Self::start(None, models, options)
    }

    fn start(
        first: Option<(Engine, Option<(&Path, &LoadOptions)>)>,
        more: Vec<ServedModel>,
        options: ServerOptions,
    ) -> Result<Self, ServerError> {
        options.check()?;
        if first.is_none() && more.is_empty() {
            return Err(ServerError::Option {
                what: "the number of models",
                found: 0,
                expected: "at least 1",
            });
        }
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
        let mut models = Models::new(more, options.clone(), metrics.clone());
        if let Some((engine, file)) = first {
            models.put_first(engine, file)?;
        }
        let models = Arc::new(models);
        let state = Arc::new(State { models, options, metrics, started: now() });
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
        runtime.spawn(unload(state.models.clone()));
        runtime.block_on(accept(listener, state.clone(), stop.subscribe()));
        state.models.close();
        // Connections are dropped with the runtime, and with them what they wait for.
        runtime.shutdown_background();
    }
}

/// Lets models go whose time is over.
async fn unload(models: Arc<Models>) {
    loop {
        let all = models.clone();
        // Waits for the models' threads.
        let next = tokio::task::spawn_blocking(move || all.unload_expired()).await.ok().flatten();
        let changed = models.changed.notified();
        match next {
            Some(next) => drop(tokio::time::timeout(next, changed).await),
            None => changed.await,
        }
    }
}
