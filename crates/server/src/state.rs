//! What all requests share: the model, the threads that compute, the counters.

use crate::ask::Ask;
use crate::embeddings::Embeddings;
use crate::error::{ApiError, Kind};
use crate::metrics::Metrics;
use crate::options::ServerOptions;
use crate::scheduler::{Job, Scheduler};
use crate::stream::{Answer, CancelOnDrop};
use happy_engine::{Cancel, Engine};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What all requests share.
pub(crate) struct State {
    pub(crate) engine: Engine,
    /// `None`: the model only embeds.
    pub(crate) scheduler: Option<Scheduler>,
    pub(crate) embeddings: Embeddings,
    pub(crate) options: ServerOptions,
    pub(crate) metrics: Arc<Metrics>,
    /// Seconds since 1970 at which the server began.
    pub(crate) started: u64,
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

impl State {
    /// Whether a request means this server's model. No name means it, too.
    ///
    /// # Errors
    /// Another name, with the names that are known.
    pub(crate) fn check_model(&self, name: Option<&str>) -> Result<(), ApiError> {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(()) };
        let plain = |name: &str| name.trim_end_matches(":latest").to_lowercase();
        let options = &self.options;
        let mut known = std::iter::once(&options.model_name).chain(&options.aliases);
        if known.clone().any(|known| known == "*" || plain(known) == plain(name)) {
            return Ok(());
        }
        let first = known.next().cloned().unwrap_or_default();
        let message =
            format!("there is no model `{name}` here, expected `{first}`; --alias gives it more names");
        Err(ApiError { param: Some("model".to_owned()), ..ApiError::new(Kind::NotFound, message) }
            .code("model_not_found"))
    }

    /// Queues a request; its answers come as they are generated.
    ///
    /// # Errors
    /// If the request is wrong or does not fit, or the queue is full: before anything is computed.
    pub(crate) async fn answer(self: &Arc<Self>, ask: Ask) -> Result<Vec<Answer>, ApiError> {
        let cancels: Vec<CancelOnDrop> = (0..ask.choices).map(|_| CancelOnDrop(Cancel::new())).collect();
        let flags: Vec<Cancel> = cancels.iter().map(|cancel| cancel.0.clone()).collect();
        let state = self.clone();
        let compose = move || {
            let all = flags.iter().enumerate();
            let all = all.map(|(choice, cancel)| ask.compose(&state.engine, choice, cancel));
            Ok::<_, ApiError>((all.collect::<Result<Vec<_>, _>>()?, ask.top_log_probs, ask.one_call))
        };
        // If the client leaves, the flags are raised, and the work ends.
        let composed = tokio::task::spawn_blocking(compose).await;
        let (composed, top_log_probs, one_call) =
            composed.map_err(|_| ApiError::internal("the prompt could not be prepared"))??;
        let scheduler = self.scheduler.as_ref().ok_or(happy_engine::EngineError::OnlyEmbeddings)?;
        let mut answers = Vec::new();
        for (composed, cancel) in composed.into_iter().zip(cancels) {
            let (sender, deltas) = tokio::sync::mpsc::unbounded_channel();
            scheduler.submit(Job { composed, top_log_probs, one_call, deltas: sender })?;
            answers.push(Answer { deltas, _cancel: cancel });
        }
        Ok(answers)
    }
}
