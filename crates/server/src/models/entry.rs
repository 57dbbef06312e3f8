//! A model of the list: where it comes from, and what it needs while it is loaded.

use super::ServedModel;
use super::ledger::{Ledger, Taken};
use crate::embeddings::{CONTEXT, Embeddings, Source as EmbeddingSource};
use crate::error::ServerError;
use crate::metrics::Metrics;
use crate::options::ServerOptions;
use crate::scheduler::{Scheduler, StartError};
use happy_engine::{Engine, LoadOptions, Plan, Source};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A loaded model.
pub(crate) struct Loaded {
    pub(crate) name: String,
    pub(crate) engine: Engine,
    /// `None` if the model only embeds.
    pub(crate) scheduler: Option<Scheduler>,
    pub(crate) embeddings: Embeddings,
    _memory: Taken,
}

impl Loaded {
    pub(super) fn start(
        name: &str,
        engine: Engine,
        file: Option<(&Path, &LoadOptions)>,
        options: &ServerOptions,
        (metrics, ledger): (&Arc<Metrics>, &Ledger),
    ) -> Result<Self, ServerError> {
        let memory = ledger.take(engine.plan().anon_bytes());
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
        let embeddings = Embeddings::new(source, options.idle_trim, metrics.clone(), ledger.clone());
        Ok(Self { name: name.to_owned(), engine, scheduler, embeddings, _memory: memory })
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
    pub(super) source: Option<ServedModel>,
    /// Further names by which requests may mean it.
    pub(super) also: Mutex<Vec<String>>,
    state: Mutex<EntryState>,
    verdict: OnceLock<Result<Plan, String>>,
}

#[derive(Default)]
pub(super) struct EntryState {
    pub(super) loaded: Option<Arc<Loaded>>,
    /// The number of the last lease, which tells which model was used last.
    pub(super) last_used: u64,
    pub(super) expires: Option<Instant>,
}

impl EntryState {
    /// Returns whether the model is loaded and no request uses it.
    pub(super) fn is_idle(&self) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| Arc::strong_count(loaded) == 1)
    }
}

/// Returns a model's name as names are compared: in any case, and with or without Ollama's tag.
pub(super) fn plain(name: &str) -> String {
    name.trim_end_matches(":latest").to_lowercase()
}

impl Entry {
    pub(super) fn new(name: String, source: Option<ServedModel>) -> Self {
        let (also, state, verdict) = (Mutex::default(), Mutex::default(), OnceLock::new());
        Self { name, source, also, state, verdict }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, EntryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a request may mean it by this name.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let also = self.also.lock().unwrap_or_else(PoisonError::into_inner);
        plain(&self.name) == plain(name) || also.iter().any(|known| plain(known) == plain(name))
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

    /// Unloads the model if it is idle and can be loaded again. Returns whether it did.
    pub(super) fn unload(&self) -> bool {
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

/// Returns options with the budget of the server, if it has one.
pub(super) fn with_budget(load: &LoadOptions, budget: Option<u64>) -> LoadOptions {
    LoadOptions { memory_budget: budget.or(load.memory_budget), ..load.clone() }
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
