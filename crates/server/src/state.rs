//! What all requests share: the models, the options and the counters.

use crate::ask::Ask;
use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::models::{Lease, Models};
use crate::options::ServerOptions;
use crate::scheduler::Job;
use crate::stream::{Answer, CancelOnDrop};
use happy_engine::Cancel;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What all requests share.
pub(crate) struct State {
    pub(crate) models: Arc<Models>,
    pub(crate) options: ServerOptions,
    pub(crate) metrics: Arc<Metrics>,
    /// When the server started, in seconds since 1970.
    pub(crate) started: u64,
}

/// Returns the current time in seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

impl Lease {
    /// Queues a request, and returns its answers, which arrive as they are generated.
    ///
    /// # Errors
    /// If the request is invalid, doesn't fit the context, or the queue is full. Nothing is computed then.
    pub(crate) async fn answer(self: &Arc<Self>, ask: Ask) -> Result<Vec<Answer>, ApiError> {
        let cancels: Vec<CancelOnDrop> = (0..ask.choices).map(|_| CancelOnDrop(Cancel::new())).collect();
        let flags: Vec<Cancel> = cancels.iter().map(|cancel| cancel.0.clone()).collect();
        let model = self.clone();
        let compose = move || {
            let all = flags.iter().enumerate();
            let all = all.map(|(choice, cancel)| ask.compose(&model.engine, choice, cancel));
            Ok::<_, ApiError>((all.collect::<Result<Vec<_>, _>>()?, ask.top_log_probs, ask.one_call))
        };
        // If the client leaves, dropping these cancels the work.
        let composed = tokio::task::spawn_blocking(compose).await;
        let (composed, top_log_probs, one_call) =
            composed.map_err(|_| ApiError::internal("the prompt could not be prepared"))??;
        let scheduler = self.scheduler.as_ref().ok_or(happy_engine::EngineError::OnlyEmbeddings)?;
        let mut answers = Vec::new();
        for (composed, cancel) in composed.into_iter().zip(cancels) {
            let (sender, deltas) = tokio::sync::mpsc::unbounded_channel();
            let left = cancel.0.clone();
            scheduler.submit(Job { composed, top_log_probs, one_call, deltas: sender, left })?;
            answers.push(Answer { deltas, cancel, model: self.clone() });
        }
        Ok(answers)
    }
}
