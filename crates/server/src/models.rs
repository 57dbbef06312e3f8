//! The models of a server. They are loaded when a request names them, and unloaded when their memory is needed or their time is over.
//!
//! ```text
//! a request names a model -> the model is loaded: the request gets a lease
//!                            otherwise, one load at a time:
//!                                while the model doesn't fit beside the loaded ones: unload the least recently used idle one
//!                                if no model is idle: refuse the request, with the numbers
//! a lease ends            -> the model's time (`keep_alive`) begins; when it is over and no request uses the model, it is unloaded
//! a download is complete  -> the model is added at the end of the list
//! ```

mod entry;
mod ledger;

use crate::error::{ApiError, Kind, ServerError};
use crate::metrics::Metrics;
use crate::options::ServerOptions;
use entry::{plain, with_budget};
use happy_engine::{Engine, LoadOptions, Source};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

pub(crate) use entry::{Entry, Loaded};
pub(crate) use ledger::{Ledger, Taken};

/// A model that a server loads when a request names it.
#[derive(Clone, Debug)]
pub struct ServedModel {
    /// The name in requests, answers and lists.
    pub name: String,
    /// The file. For a split model, any part.
    pub path: PathBuf,
    /// How to load the model. [`LoadOptions::sequences`] is the number of answers that are generated at the same time. If
    /// [`ServerOptions::memory_budget`] is set, the budget in these options is ignored.
    pub load: LoadOptions,
}

/// All models of a server.
pub(crate) struct Models {
    /// Models are only added, at the end, so an index stays valid.
    entries: RwLock<Vec<Arc<Entry>>>,
    options: ServerOptions,
    metrics: Arc<Metrics>,
    ledger: Ledger,
    /// Held while a model is loaded. Two loads at the same time could not tell what fits.
    loading: tokio::sync::Mutex<()>,
    clock: std::sync::atomic::AtomicU64,
    /// Wakes the task that unloads models.
    pub(crate) changed: tokio::sync::Notify,
}

/// How long a request keeps a model loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum KeepAlive {
    /// As long as [`ServerOptions::keep_alive`] says.
    #[default]
    Usual,
    /// Until its memory is needed.
    Forever,
    For(Duration),
}

impl Models {
    pub(crate) fn new(models: Vec<ServedModel>, options: ServerOptions, metrics: Arc<Metrics>) -> Self {
        let entry = |model: ServedModel| Arc::new(Entry::new(model.name.clone(), Some(model)));
        Self {
            entries: RwLock::new(models.into_iter().map(entry).collect()),
            ledger: Ledger::new(options.memory_budget),
            options,
            metrics,
            loading: tokio::sync::Mutex::default(),
            clock: Default::default(),
            changed: tokio::sync::Notify::new(),
        }
    }

    /// Adds a loaded model as the first one.
    pub(crate) fn put_first(
        &mut self,
        engine: Engine,
        file: Option<(&Path, &LoadOptions)>,
    ) -> Result<(), ServerError> {
        let name = self.options.model_name.clone();
        let loaded = Loaded::start(&name, engine, file, &self.options, (&self.metrics, &self.ledger))?;
        let source = file.map(|(path, load)| ServedModel {
            name: name.clone(),
            path: path.to_owned(),
            load: load.clone(),
        });
        let entry = Entry::new(name, source);
        entry.state().loaded = Some(Arc::new(loaded));
        self.entries.get_mut().unwrap_or_else(PoisonError::into_inner).insert(0, Arc::new(entry));
        Ok(())
    }

    /// Adds a model that was downloaded. If its file is in the list already, that model gets one more name.
    pub(crate) fn add(&self, model: ServedModel) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let is_same =
            |entry: &&Arc<Entry>| entry.source.as_ref().is_some_and(|known| known.path == model.path);
        match entries.iter().find(is_same) {
            Some(known) if known.is_named(&model.name) => {}
            Some(known) => known.also.lock().unwrap_or_else(PoisonError::into_inner).push(model.name),
            None => entries.push(Arc::new(Entry::new(model.name.clone(), Some(model)))),
        }
    }

    /// Returns all models, as of now.
    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn budget(&self) -> Option<u64> {
        self.options.memory_budget
    }

    /// Returns the index of the model with this name. Without a name, that is the first model.
    ///
    /// # Errors
    /// If no model has this name. The error lists the known names.
    pub(crate) fn find(&self, name: Option<&str>) -> Result<usize, ApiError> {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(0) };
        let entries = self.entries();
        if let Some(at) = entries.iter().position(|entry| entry.is_named(name)) {
            return Ok(at);
        }
        if self.options.aliases.iter().any(|known| known == "*" || plain(known) == plain(name)) {
            return Ok(0);
        }
        let known: Vec<String> = entries.iter().map(|entry| format!("`{}`", entry.name)).collect();
        let message = match known.as_slice() {
            [] => format!("unknown model `{name}`: {}", self.none()),
            known => format!(
                "unknown model `{name}`, expected one of {} (--alias adds names for the first one)",
                known.join(", ")
            ),
        };
        Err(ApiError { param: Some("model".to_owned()), ..ApiError::new(Kind::NotFound, message) }
            .code("model_not_found"))
    }

    /// Says that there are no models, and what to do.
    fn none(&self) -> &'static str {
        match self.options.downloads {
            Some(_) => "this server has no models yet, download one on its page or with /api/pull",
            None => "this server has no models",
        }
    }

    /// Returns the model with this name, and loads it if it is not loaded.
    ///
    /// # Errors
    /// If no model has this name, the model can't be loaded, or busy models take the memory.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        name: Option<&str>,
        keep: KeepAlive,
    ) -> Result<Arc<Lease>, ApiError> {
        let index = self.find(name)?;
        if let Some(lease) = self.take(index, keep) {
            return Ok(lease);
        }
        let _loading = self.loading.lock().await;
        loop {
            if let Some(lease) = self.take(index, keep) {
                return Ok(lease);
            }
            // Loading takes long, so it must not block the thread that serves all requests.
            let models = self.clone();
            let loaded = tokio::task::spawn_blocking(move || models.load(index)).await;
            if let Some(loaded) =
                loaded.map_err(|_| ApiError::internal("the model could not be loaded"))??
            {
                self.entry(index)?.state().loaded = Some(Arc::new(loaded));
            }
        }
    }

    /// Returns a model of the list.
    pub(crate) fn entry(&self, index: usize) -> Result<Arc<Entry>, ApiError> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries
            .get(index)
            .cloned()
            .ok_or_else(|| ApiError::new(Kind::NotFound, self.none()).code("model_not_found"))
    }

    fn take(self: &Arc<Self>, index: usize, keep: KeepAlive) -> Option<Arc<Lease>> {
        let entry = self.entry(index).ok()?;
        let mut state = entry.state();
        let loaded = state.loaded.clone()?;
        state.last_used = self.clock.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        state.expires = None;
        Some(Arc::new(Lease { loaded, models: self.clone(), index, keep }))
    }

    /// Loads a model if it fits beside the others. Otherwise, unloads an idle model and returns `None`.
    fn load(&self, index: usize) -> Result<Option<Loaded>, ApiError> {
        let entry = self.entry(index)?;
        let Some(source) = &entry.source else { return Err(ApiError::internal("the model is not loaded")) };
        let taken = self.ledger.taken();
        let options = with_budget(&source.load, self.ledger.left());
        let plan = Engine::plan_of(&Source::Path(&source.path), &options);
        let is_tight = match &plan {
            Ok(plan) => plan.shrunk_from.is_some(),
            Err(error) => error.is_out_of_memory(),
        };
        if is_tight && taken > 0 {
            // The others leave too little. Would it fit alone?
            let alone =
                Engine::plan_of(&Source::Path(&source.path), &with_budget(&source.load, self.budget()));
            if alone.is_ok() && self.unload_oldest() {
                return Ok(None);
            }
            if let (Ok(alone), Err(error)) = (alone, &plan) {
                let need = alone.anon_bytes() >> 20;
                let message = format!(
                    "`{}` needs up to {need} MiB of memory, but busy models take {} MiB: try again later ({error})",
                    source.name,
                    taken >> 20
                );
                return Err(ApiError::new(Kind::Busy, message).code("insufficient_memory"));
            }
        }
        let engine = Engine::open(&source.path, &options)?;
        let file = Some((source.path.as_path(), &source.load));
        Ok(Some(Loaded::start(&source.name, engine, file, &self.options, (&self.metrics, &self.ledger))?))
    }

    /// Unloads the least recently used idle model. Returns false if all models are in use.
    fn unload_oldest(&self) -> bool {
        let idle = |entry: &&Arc<Entry>| entry.source.is_some() && entry.state().is_idle();
        let entries = self.entries();
        let oldest = entries.iter().filter(idle).min_by_key(|entry| entry.state().last_used);
        oldest.is_some_and(|entry| entry.unload())
    }

    /// Unloads the models whose time is over. Returns how long the next one has left.
    pub(crate) fn unload_expired(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut next: Option<Duration> = None;
        for entry in self.entries() {
            let Some(at) = entry.state().expires else { continue };
            if at > now {
                let left = at - now;
                next = Some(next.map_or(left, |next| next.min(left)));
            } else {
                entry.unload();
            }
        }
        next
    }

    /// Unloads a model if it is idle, and waits for its thread to end.
    pub(crate) fn unload(&self, index: usize) {
        if let Ok(entry) = self.entry(index) {
            entry.unload();
        }
    }

    /// Ends the threads of all models. When this returns, their session files are complete.
    pub(crate) fn close(&self) {
        for entry in self.entries() {
            let loaded = entry.state().loaded.clone();
            if let Some(scheduler) = loaded.as_ref().and_then(|loaded| loaded.scheduler.as_ref()) {
                scheduler.end();
            }
        }
    }
}

/// Keeps a model loaded until it is dropped.
pub(crate) struct Lease {
    loaded: Arc<Loaded>,
    models: Arc<Models>,
    index: usize,
    keep: KeepAlive,
}

impl Lease {
    /// Returns the model's index in the list.
    pub(crate) fn index(&self) -> usize {
        self.index
    }
}

impl Deref for Lease {
    type Target = Loaded;

    fn deref(&self) -> &Loaded {
        &self.loaded
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let keep = match self.keep {
            KeepAlive::Usual => self.models.options.keep_alive,
            KeepAlive::Forever => None,
            KeepAlive::For(time) => Some(time),
        };
        if let Ok(entry) = self.models.entry(self.index) {
            entry.state().expires = keep.map(|time| Instant::now() + time);
        }
        if keep.is_some() {
            self.models.changed.notify_one();
        }
    }
}

impl From<ServerError> for ApiError {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Engine(error) => error.into(),
            error => ApiError::internal(error.to_string()),
        }
    }
}
