//! Downloads that clients ask for: each on a thread of its own, and told line by line.
//!
//! ```text
//! a name of the hub -> the headers are read -> would the model run here?   no: refused with the numbers, nothing is downloaded
//!                   -> the file, verified   -> the model is added to the list
//! ```
//!
//! Requests name models of the hub only. Addresses and paths are refused, so that no client can make the server ask another host of its
//! network, or tell which files exist.

use crate::error::{ApiError, Kind};
use crate::models::{Models, ServedModel};
use happy_engine::gguf::GgufSetFile;
use happy_engine::{Engine, EngineError, LoadOptions, Plan};
use happy_hub::{ALIASES, Error, Event, Hub, Name, Offer, PullOptions, Role, Verdict};
use serde_json::{Value as Json, json};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum number of downloads at the same time.
const MAX_DOWNLOADS: usize = 2;
/// Lines that wait for a client that reads slowly. Further lines about progress are left out.
const LINES: usize = 64;

/// Lets clients download models, and serves those in the hub's cache.
#[derive(Clone)]
pub struct Downloads {
    hub: Arc<Hub>,
    load: LoadOptions,
    running: Arc<Semaphore>,
}

impl fmt::Debug for Downloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downloads").field("load", &self.load).finish_non_exhaustive()
    }
}

impl Downloads {
    /// Downloads models from this hub. They are planned and loaded with these options.
    pub fn new(hub: Arc<Hub>, load: LoadOptions) -> Self {
        Self { hub, load, running: Arc::new(Semaphore::new(MAX_DOWNLOADS)) }
    }

    /// Returns the models in the hub's cache, under their short names if they have one.
    pub(crate) fn cached(&self) -> Vec<ServedModel> {
        let cached = self.hub.list().unwrap_or_default().models.into_iter();
        let models = cached.filter(|model| model.role == Role::Model);
        models
            .filter_map(|model| {
                let path = model.files.first()?.clone();
                let is_alias = |alias: &&happy_hub::Alias| {
                    model.repo.as_deref() == Some(alias.repo) && path.ends_with(alias.file)
                };
                let name = ALIASES.iter().find(is_alias).map_or(model.name, |alias| alias.name.to_owned());
                Some(ServedModel { name, path, load: self.load.clone() })
            })
            .collect()
    }

    /// Starts a download.
    ///
    /// # Errors
    /// If the name is not one of the hub's, too many downloads are running, or the system refuses a thread.
    pub(crate) fn start(&self, text: &str, models: Arc<Models>) -> Result<Download, ApiError> {
        let name = name(text)?;
        let place = self.running.clone().try_acquire_owned().map_err(|_| {
            let message = format!("{MAX_DOWNLOADS} models are being downloaded: try again later");
            ApiError::new(Kind::Busy, message)
        })?;
        let (lines, receiver) = channel(LINES);
        let cancel = Arc::new(AtomicBool::new(false));
        let load = models.budget().map_or_else(
            || self.load.clone(),
            |budget| LoadOptions { memory_budget: Some(budget), ..self.load.clone() },
        );
        let (hub, shown) = (self.hub.clone(), text.trim().trim_end_matches(":latest").to_owned());
        let task = Task { hub, name, shown, load, models, lines, cancel: cancel.clone(), _place: place };
        let thread = std::thread::Builder::new().name("happy-download".to_owned());
        let started = thread.spawn(move || task.run());
        started.map_err(|error| ApiError::internal(format!("cannot start a thread: {error}")))?;
        Ok(Download { lines: receiver, cancel })
    }
}

/// Parses a name of the hub, also in the form that Ollama's users write.
pub(crate) fn name(text: &str) -> Result<Name, ApiError> {
    let text = text.trim();
    let text = text.strip_suffix(":latest").unwrap_or(text);
    let on_the_hub = ["hf.co/", "huggingface.co/"].iter().find_map(|host| text.strip_prefix(host));
    let text = on_the_hub.map_or_else(|| text.to_owned(), |rest| format!("hf:{rest}"));
    let wrong = |problem: String| ApiError::field("model", problem);
    match text.parse::<Name>().map_err(|error| wrong(error.to_string()))? {
        name @ (Name::Repo { .. } | Name::File { .. }) => Ok(name),
        _ => Err(wrong(format!(
            "`{text}` is not a name of the hub, expected a short name or hf:owner/repo:QUANT"
        ))),
    }
}

/// A download as its client sees it. Dropping it ends the download; what has arrived is kept for the next time.
pub(crate) struct Download {
    /// Ollama's lines. The last one has the status `success`, or an error.
    pub(crate) lines: Receiver<Result<Json, ApiError>>,
    cancel: Arc<AtomicBool>,
}

impl Drop for Download {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
    }
}

/// A download on its thread.
struct Task {
    hub: Arc<Hub>,
    name: Name,
    /// The name as the client wrote it, by which the model is served.
    shown: String,
    load: LoadOptions,
    models: Arc<Models>,
    lines: Sender<Result<Json, ApiError>>,
    cancel: Arc<AtomicBool>,
    _place: OwnedSemaphorePermit,
}

impl Task {
    fn run(self) {
        self.tell(json!({ "status": "pulling manifest" }));
        let mut options = PullOptions::default();
        options.cancel = Some(self.cancel.clone());
        let judge = |offer: &Offer| self.judge(offer);
        let pulled = self.hub.pull(&self.name, &options, judge, |event| self.event(&event));
        let last = match pulled {
            Ok(pulled) => {
                let (name, path) = (self.shown.clone(), pulled.path().to_owned());
                self.models.add(ServedModel { name, path, load: self.load.clone() });
                Ok(json!({ "status": "success" }))
            }
            Err(error) => Err(failed(&error)),
        };
        // The client may have left.
        let _ = self.lines.blocking_send(last);
    }

    /// Tells how it goes, unless the client has not read what was told before.
    fn tell(&self, line: Json) {
        let _ = self.lines.try_send(Ok(line));
    }

    /// Accepts what would run here and fits on the disk.
    fn judge(&self, offer: &Offer) -> Verdict {
        let plan = match plan(offer, &self.load) {
            Ok(plan) => plan,
            Err(error) => return Verdict::Refuse(format!("it would not run here: {error}")),
        };
        let (missing, free) = (offer.missing(), offer.free_disk);
        if let Some(free) = free.filter(|free| *free < missing) {
            let mib = |bytes: u64| bytes >> 20;
            return Verdict::Refuse(format!(
                "{} MiB are missing, and the disk has {} MiB free",
                mib(missing),
                mib(free)
            ));
        }
        self.tell(json!({
            "status": format!("runs here with {} tokens of context", plan.context),
            "memory_bytes": plan.anon_bytes(),
            "n_ctx": plan.context,
            "license": offer.license,
        }));
        Verdict::Accept
    }

    fn event(&self, event: &Event<'_>) {
        let line = match event {
            Event::Waiting => json!({ "status": "waiting for another program that downloads this file" }),
            Event::Progress(progress) => json!({
                "status": format!("pulling {}", self.shown),
                "digest": self.shown,
                "total": progress.total,
                "completed": progress.done,
                "rate": progress.rate,
                "seconds_left": progress.eta.map(|eta| eta.as_secs()),
            }),
            Event::Verifying { done, total, .. } => {
                json!({ "status": "verifying sha256 digest", "total": total, "completed": done })
            }
            Event::Retry { why, pause, .. } => {
                json!({ "status": format!("{why}; trying again in {:.0} s", pause.as_secs_f64()) })
            }
            Event::Restarted { why, .. } => json!({ "status": format!("starting again: {why}") }),
            _ => return,
        };
        self.tell(line);
    }
}

/// Returns the memory that running an offered model would take.
fn plan(offer: &Offer, options: &LoadOptions) -> Result<Plan, EngineError> {
    let files: Vec<_> = offer.files.iter().filter(|file| file.role == Role::Model).collect();
    let headers = GgufSetFile::from_parts(files.iter().map(|f| (f.path.clone(), f.header.clone().into())))?;
    let bytes = files.iter().map(|file| file.bytes).fold(0, u64::saturating_add);
    Engine::plan_of_headers(headers, bytes, &offer.name, options)
}

/// Returns a failed download as an answer: the request is at fault if the model doesn't exist or doesn't fit.
fn failed(error: &Error) -> ApiError {
    let message = error.to_string();
    match error {
        Error::NotFound { .. } => ApiError::new(Kind::NotFound, message).code("model_not_found"),
        Error::Refused { .. } | Error::DiskFull { .. } => {
            ApiError::invalid(message).code("insufficient_memory")
        }
        Error::Name { .. } | Error::Ambiguous { .. } | Error::Offline { .. } => ApiError::invalid(message),
        Error::Status { status: 401 | 403 | 404, .. } => ApiError::invalid(message),
        _ => ApiError::internal(message),
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn only_names_of_the_hub_are_taken() {
        for text in
            ["qwen3-0.6b", "QWEN3-0.6B:latest", "hf:o/r", "hf:o/r:Q8_0", "hf.co/o/r:Q8_0", "hf:o/r/a.gguf"]
        {
            assert!(name(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "no-such-name",
            "/etc/passwd",
            "../a.gguf",
            "a.gguf",
            "~/a.gguf",
            "http://127.0.0.1/a.gguf",
            "https://169.254.169.254/a.gguf",
            "file:///etc/passwd",
            "hf:../../etc",
            "hf:o/r/../../x.gguf",
        ] {
            let error = name(text).unwrap_err();
            assert_eq!((error.kind.status(), error.param.as_deref()), (400, Some("model")), "{text}");
        }
    }
}
