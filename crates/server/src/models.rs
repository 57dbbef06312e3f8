//! The models of a server. They are loaded when a request names them, and unloaded when their memory is needed or their time is over.
//!
//! ```text
//! a request names a model -> the model is loaded: the request gets a lease
//!                            otherwise, one load at a time:
//!                                while the model doesn't fit beside the loaded ones: unload the least recently used idle one
//!                                if no model is idle: refuse the request, with the numbers
//! a lease ends            -> the model's time (`keep_alive`) begins; when it is over and no request uses the model, it is unloaded
//! ```

use crate::embeddings::{CONTEXT, Embeddings, Source as EmbeddingSource};
use crate::error::{ApiError, Kind, ServerError};
use crate::metrics::Metrics;
use crate::options::ServerOptions;
use crate::scheduler::{Scheduler, StartError};
use happy_engine::{Engine, LoadOptions, Plan, Source};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

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

/// A loaded model.
pub(crate) struct Loaded {
    pub(crate) name: String,
    pub(crate) engine: Engine,
    /// `None` if the model only embeds.
    pub(crate) scheduler: Option<Scheduler>,
    pub(crate) embeddings: Embeddings,
}

impl Loaded {
    fn start(
        name: &str,
        engine: Engine,
        file: Option<(&Path, &LoadOptions)>,
        options: &ServerOptions,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, ServerError> {
        let embeds = engine.model().spec().whole_texts;
        let scheduler = if embeds {
            None
        } else {
            let sessions = options.sessions.as_ref().map(|folder| folder.join(file_name(name)));
            let started = Scheduler::start(engine.context()?, options, metrics.clone(), sessions);
            Some(started.map_err(|error| match error {
                StartError::Thread(error) => ServerError::Start(error),
                StartError::Engine(error) => ServerError::Engine(error),
            })?)
        };
        let source = match file {
            _ if embeds => EmbeddingSource::Loaded(engine.clone()),
            Some((path, load)) => for_embeddings(&engine, path.to_owned(), load),
            None => EmbeddingSource::None,
        };
        let embeddings = Embeddings::new(source, options.idle_trim, metrics.clone());
        Ok(Self { name: name.to_owned(), engine, scheduler, embeddings })
    }
}

/// Returns a folder name for a model name. Letters, digits, `-`, `_` and dots are kept, and `m-` is put before them.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    format!("m-{name}")
}

/// Returns how to load the model a second time for embeddings.
fn for_embeddings(engine: &Engine, path: PathBuf, load: &LoadOptions) -> EmbeddingSource {
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
    EmbeddingSource::File(path, Box::new(options))
}

/// A model of the list.
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Where to load it from. `None`: the caller loaded it, and it is never unloaded.
    source: Option<ServedModel>,
    state: Mutex<EntryState>,
    verdict: OnceLock<Result<Plan, String>>,
}

#[derive(Default)]
struct EntryState {
    loaded: Option<Arc<Loaded>>,
    /// The number of the last lease, which tells which model was used last.
    last_used: u64,
    expires: Option<Instant>,
}

impl Entry {
    fn new(name: String, source: Option<ServedModel>) -> Self {
        Self { name, source, state: Mutex::default(), verdict: OnceLock::new() }
    }

    fn state(&self) -> MutexGuard<'_, EntryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the model if it is loaded. This doesn't keep it loaded.
    pub(crate) fn loaded(&self) -> Option<Arc<Loaded>> {
        self.state().loaded.clone()
    }

    /// Returns how long the model stays loaded, if that is limited.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        self.state().expires.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Returns the plan for the model, or why it can't run here, from the file's header. This reads the file.
    pub(crate) fn verdict(&self, budget: Option<u64>) -> Result<Plan, String> {
        if let Some(loaded) = self.loaded() {
            return Ok(*loaded.engine.plan());
        }
        let plan = || {
            let Some(source) = &self.source else { return Err("it is not loaded".to_owned()) };
            let options = with_budget(&source.load, budget);
            Engine::plan_of(&Source::Path(&source.path), &options).map_err(|error| error.to_string())
        };
        self.verdict.get_or_init(plan).clone()
    }
}

fn with_budget(load: &LoadOptions, budget: Option<u64>) -> LoadOptions {
    LoadOptions { memory_budget: budget.or(load.memory_budget), ..load.clone() }
}

/// All models of a server.
pub(crate) struct Models {
    entries: Vec<Entry>,
    options: ServerOptions,
    metrics: Arc<Metrics>,
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
        let entries = models.into_iter().map(|model| Entry::new(model.name.clone(), Some(model))).collect();
        Self {
            entries,
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
        let loaded = Loaded::start(&name, engine, file, &self.options, &self.metrics)?;
        let source = file.map(|(path, load)| ServedModel {
            name: name.clone(),
            path: path.to_owned(),
            load: load.clone(),
        });
        let entry = Entry::new(name, source);
        entry.state().loaded = Some(Arc::new(loaded));
        self.entries.insert(0, entry);
        Ok(())
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
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
        let plain = |name: &str| name.trim_end_matches(":latest").to_lowercase();
        if let Some(at) = self.entries.iter().position(|entry| plain(&entry.name) == plain(name)) {
            return Ok(at);
        }
        if self.options.aliases.iter().any(|known| known == "*" || plain(known) == plain(name)) {
            return Ok(0);
        }
        let known: Vec<String> = self.entries.iter().map(|entry| format!("`{}`", entry.name)).collect();
        let message = format!(
            "unknown model `{name}`, expected one of {} (--alias adds names for the first one)",
            known.join(", ")
        );
        Err(ApiError { param: Some("model".to_owned()), ..ApiError::new(Kind::NotFound, message) }
            .code("model_not_found"))
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
                let mut state = self.entry(index)?.state();
                state.loaded = Some(Arc::new(loaded));
            }
        }
    }

    fn entry(&self, index: usize) -> Result<&Entry, ApiError> {
        self.entries.get(index).ok_or_else(|| ApiError::new(Kind::NotFound, "this server has no models"))
    }

    fn take(self: &Arc<Self>, index: usize, keep: KeepAlive) -> Option<Arc<Lease>> {
        let mut state = self.entries.get(index)?.state();
        let loaded = state.loaded.clone()?;
        state.last_used = self.clock.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        state.expires = None;
        Some(Arc::new(Lease { loaded, models: self.clone(), index, keep }))
    }

    /// Loads a model if it fits beside the others. Otherwise, unloads an idle model and returns `None`.
    fn load(&self, index: usize) -> Result<Option<Loaded>, ApiError> {
        let source = self.entry(index)?.source.as_ref();
        let Some(source) = source else { return Err(ApiError::internal("the model is not loaded")) };
        let taken: u64 =
            self.entries.iter().filter_map(Entry::loaded).map(|m| m.engine.plan().anon_bytes()).sum();
        let left = self.budget().map(|budget| budget.saturating_sub(taken));
        let options = with_budget(&source.load, left);
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
        Ok(Some(Loaded::start(&source.name, engine, file, &self.options, &self.metrics)?))
    }

    /// Unloads the least recently used idle model. Returns false if all models are in use.
    fn unload_oldest(&self) -> bool {
        let idle = |entry: &&Entry| entry.source.is_some() && entry.state().is_idle();
        let oldest = self.entries.iter().filter(idle).min_by_key(|entry| entry.state().last_used);
        oldest.is_some_and(Entry::unload)
    }

    /// Unloads the models whose time is over. Returns how long the next one has left.
    pub(crate) fn unload_expired(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut next: Option<Duration> = None;
        for entry in &self.entries {
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
        self.entries.get(index).map(Entry::unload);
    }

    /// Ends the threads of all models. When this returns, their session files are complete.
    pub(crate) fn close(&self) {
        for entry in &self.entries {
            let loaded = entry.state().loaded.clone();
            if let Some(scheduler) = loaded.as_ref().and_then(|loaded| loaded.scheduler.as_ref()) {
                scheduler.end();
            }
        }
    }
}

impl EntryState {
    /// Returns whether the model is loaded and no request uses it.
    fn is_idle(&self) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| Arc::strong_count(loaded) == 1)
    }
}

impl Entry {
    /// Unloads the model if it is idle and can be loaded again. Returns whether it did.
    fn unload(&self) -> bool {
        let mut state = self.state();
        if self.source.is_none() || !state.is_idle() {
            return false;
        }
        state.expires = None;
        let loaded = state.loaded.take();
        // Dropping the model waits for its thread. Others must be able to read the list meanwhile.
        drop(state);
        drop(loaded);
        true
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
        if let Some(entry) = self.models.entries.get(self.index) {
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

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_are_names_of_folders() {
        for (name, expected) in
            [("a-b_1.5", "m-a-b_1.5"), ("../x", "m-.._x"), ("", "m-"), ("hf:a/b", "m-hf_a_b"), ("é", "m-é")]
        {
            assert_eq!(file_name(name), expected);
        }
    }
}
