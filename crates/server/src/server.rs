//! Starting, running and stopping a server.

use crate::downloads::Downloads;
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

/// A server that listens on an address.
///
/// The number of answers that are generated at the same time is the number of sequences that the engine was loaded for
/// ([`LoadOptions::sequences`]); further requests wait.
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
    state: Arc<State>,
    stop: watch::Sender<bool>,
}

/// Stops a [`Server`] from another thread. Clones stop the same server.
#[derive(Clone)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// Stops the server: it accepts no more connections, running answers are cut off, and [`Server::run`] returns.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// Maximum number of threads for work that takes long: prompts are rendered and encoded, and models are loaded and unloaded.
const BLOCKING_THREADS: usize = 4;

impl Server {
    /// Listens, and serves a loaded model. Clients can connect from now on; [`run`](Self::run) answers them.
    ///
    /// `file` is the model's file with the options to load it. From it, the model is loaded a second time for embeddings, and again after
    /// it was unloaded. Without a file, the model doesn't embed and is never unloaded. An engine that was loaded for embeddings needs no
    /// file to embed.
    ///
    /// # Errors
    /// If an option is out of range, the server can't listen on the address, or the system refuses memory or threads.
    pub fn bind(
        engine: Engine,
        file: Option<(&Path, &LoadOptions)>,
        options: ServerOptions,
    ) -> Result<Self, ServerError> {
        Self::start(Some((engine, file)), Vec::new(), options)
    }

    /// Like [`bind`](Self::bind), but also serves more models, which are loaded when requests name them.
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

    /// Serves models that are loaded when a request names them. A request without a model name means the first one.
    ///
    /// # Errors
    /// If there is no model and none can be downloaded, and as for [`bind`](Self::bind).
    pub fn bind_models(models: Vec<ServedModel>, options: ServerOptions) -> Result<Self, ServerError> {
        Self::start(None, models, options)
    }

    fn start(
        first: Option<(Engine, Option<(&Path, &LoadOptions)>)>,
        more: Vec<ServedModel>,
        options: ServerOptions,
    ) -> Result<Self, ServerError> {
        options.check()?;
        if first.is_none() && more.is_empty() && options.downloads.is_none() {
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
        // What has the same file or name as a model that the caller serves is not added again.
        let cached = options.downloads.as_ref().map(Downloads::cached).unwrap_or_default();
        let mut models = Models::new(more, options.clone(), metrics.clone());
        if let Some((engine, file)) = first {
            models.put_first(engine, file)?;
        }
        cached.into_iter().for_each(|model| models.add(model));
        let models = Arc::new(models);
        let state = Arc::new(State { models, options, metrics, started: now() });
        Ok(Self { runtime, listener, address, state, stop: watch::Sender::new(false) })
    }

    /// Returns the address that it listens on. If the options asked for port 0, this has the actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a handle that stops the server from another thread.
    pub fn stop(&self) -> Stop {
        Stop(self.stop.clone())
    }

    /// Answers requests until the server is stopped.
    pub fn run(self) {
        let Self { runtime, listener, state, stop, .. } = self;
        runtime.spawn(unload(state.models.clone()));
        runtime.block_on(accept(listener, state.clone(), stop.subscribe()));
        state.models.close();
        // This drops the connections and the work that they wait for.
        runtime.shutdown_background();
    }
}

/// Unloads models whose time is over.
async fn unload(models: Arc<Models>) {
    loop {
        let all = models.clone();
        // Unloading waits for the models' threads.
        let next = tokio::task::spawn_blocking(move || all.unload_expired()).await.ok().flatten();
        let changed = models.changed.notified();
        match next {
            Some(next) => drop(tokio::time::timeout(next, changed).await),
            None => changed.await,
        }
    }
}
