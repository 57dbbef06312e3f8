//! The models of a server: loaded when they are asked for, and let go when their memory is needed or their time is over.
//!
//! ```text
//! a request names a model -> it is loaded: its lease
//!                            else, one load at a time:
//!                                while it does not fit beside those that are loaded: the idle one that was used longest ago goes
//!                                nothing idle is left: refused, with the numbers
//! a lease ends            -> the model's time (`keep_alive`) begins; when it is over and nobody uses the model, it goes
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
    /// Its name in requests, answers and lists.
    pub name: String,
    /// Its file; of a split model any part.
    pub path: PathBuf,
    /// How to load it. [`LoadOptions::sequences`] answers are generated at a time. With
    /// [`ServerOptions::memory_budget`] its own budget does not count.
    pub load: LoadOptions,
}

/// A model that is loaded.
pub(crate) struct Loaded {
    pub(crate) name: String,
    pub(crate) engine: Engine,
    /// `None`: the model only embeds.
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

/// A model's name as the name of a folder: letters, digits, `-`, `_` and inner dots stay.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    format!("m-{name}")
}

/// How the model is loaded again to embed.
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
    /// Where it is loaded from; `None`: it came loaded, and stays.
    source: Option<ServedModel>,
    state: Mutex<EntryState>,
    verdict: OnceLock<Result<Plan, String>>,
}

#[derive(Default)]
struct EntryState {
    loaded: Option<Arc<Loaded>>,
    /// Counts leases, to tell which model was used last.
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

    /// The model if it is loaded; nobody is kept from letting it go.
    pub(crate) fn loaded(&self) -> Option<Arc<Loaded>> {
        self.state().loaded.clone()
    }

    /// What is left of its time, if that is limited.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        self.state().expires.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// What running it takes, or why it would not run, from its header. Reads a file.
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
    /// Held while a model is loaded: two at once could not tell what fits.
    loading: tokio::sync::Mutex<()>,
    clock: std::sync::atomic::AtomicU64,
    /// Wakes the task that lets models go.
    pub(crate) changed: tokio::sync::Notify,
}

/// What a request does to a model's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum KeepAlive {
    /// As the server's options say.
    #[default]
    Usual,
    /// It stays until its memory is needed.
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

    /// Puts a model first that is loaded already.
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

    /// The place of a model by its name. No name means the first model.
    ///
    /// # Errors
    /// Another name, with the names that are known.
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
            "there is no model `{name}` here, expected {}; --alias gives the first one more names",
            known.join(", ")
        );
        Err(ApiError { param: Some("model".to_owned()), ..ApiError::new(Kind::NotFound, message) }
            .code("model_not_found"))
    }

    /// The model with this name, loaded.
    ///
    /// # Errors
    /// If no model has it, the model cannot be loaded, or those that take its memory are busy.
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
            // Neither the thread that all requests share nor the one that waits for a client does what takes long.
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

    /// Loads a model if it fits beside the others; else lets an idle one go and returns `None`.
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
            // What the others leave is less than it wants: does it want less than there is?
            let alone =
                Engine::plan_of(&Source::Path(&source.path), &with_budget(&source.load, self.budget()));
            if alone.is_ok() && self.unload_oldest() {
                return Ok(None);
            }
            if let (Ok(alone), Err(error)) = (alone, &plan) {
                let need = alone.anon_bytes() >> 20;
                let message = format!(
                    "`{}` needs up to {need} MiB of memory, and models that are busy take {} MiB: try again later ({error})",
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

    /// Lets the model go that nobody uses and that was used longest ago. False: all are in use.
    fn unload_oldest(&self) -> bool {
        let idle = |entry: &&Entry| entry.source.is_some() && entry.state().is_idle();
        let oldest = self.entries.iter().filter(idle).min_by_key(|entry| entry.state().last_used);
        oldest.is_some_and(Entry::unload)
    }

    /// Lets those go whose time is over. Returns how long until the next one's is.
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

    /// Lets a model go at once if nobody uses it. Waits for its thread.
    pub(crate) fn unload(&self, index: usize) {
        self.entries.get(index).map(Entry::unload);
    }

    /// Ends all models: what they wrote down is complete when this returns.
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
    /// Whether nobody but the list has it.
    fn is_idle(&self) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| Arc::strong_count(loaded) == 1)
    }
}

impl Entry {
    /// Lets the model go if nobody uses it and it can come back.
    fn unload(&self) -> bool {
        let mut state = self.state();
        if self.source.is_none() || !state.is_idle() {
            return false;
        }
        state.expires = None;
        let loaded = state.loaded.take();
        // Waits for its thread, which must not keep others from looking at the list.
        drop(state);
        drop(loaded);
        true
    }
}

/// A model that stays loaded as long as this lives.
pub(crate) struct Lease {
    loaded: Arc<Loaded>,
    models: Arc<Models>,
    index: usize,
    keep: KeepAlive,
}

impl Lease {
    /// Its place in the list.
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
