//! Answers on their way from the scheduler to a client, whole or translated piece by piece.
//!
//! Dropping one cancels the generation: hyper drops a body, or the future that waits for a whole answer, when its
//! connection is gone.

use crate::delta::{Delta, Whole};
use crate::error::ApiError;
use crate::models::Lease;
use crate::scheduler::ended;
use bytes::Bytes;
use happy_engine::Cancel;
use http_body::{Body, Frame};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, Sleep, sleep};

/// Cancels when it is dropped.
pub(crate) struct CancelOnDrop(pub(crate) Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// One answer as it arrives.
pub(crate) struct Answer {
    pub(crate) deltas: UnboundedReceiver<Delta>,
    /// Tells the scheduler that the client has left.
    pub(crate) cancel: CancelOnDrop,
    /// Keeps the model loaded.
    pub(crate) model: Arc<Lease>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.cancel.0.cancel();
        if let Some(scheduler) = &self.model.scheduler {
            scheduler.client_left();
        }
    }
}

impl Answer {
    /// Waits for the whole answer.
    pub(crate) async fn whole(mut self) -> Result<Whole, ApiError> {
        let mut whole = Whole::default();
        while let Some(delta) = self.deltas.recv().await {
            whole.push(delta)?;
        }
        if whole.summary.is_some() { Ok(whole) } else { Err(ended()) }
    }
}

/// Writes the deltas of answers in the format of an API.
pub(crate) trait Translator: Send {
    /// Returns what comes before the first delta.
    fn begin(&mut self, _out: &mut Vec<u8>) {}
    /// Writes a delta of one of the answers.
    fn delta(&mut self, choice: usize, delta: Delta, out: &mut Vec<u8>);
    /// All answers have ended, by [`Delta::Done`] or [`Delta::Failed`].
    fn end(&mut self, _out: &mut Vec<u8>) {}
    /// Whether the format is server-sent events. Otherwise it is lines of JSON.
    fn is_sse(&self) -> bool {
        true
    }
}

/// How long a stream may be silent before a comment is sent, which keeps proxies from closing it.
const SILENCE: Duration = Duration::from_secs(10);
/// A frame is sent when it has this many bytes, even if more deltas are ready.
const FRAME: usize = 32 << 10;

/// The body of a response that streams answers.
pub(crate) struct EventBody {
    answers: Vec<Option<Answer>>,
    translator: Box<dyn Translator>,
    begun: bool,
    over: bool,
    silence: Pin<Box<Sleep>>,
}

impl EventBody {
    pub(crate) fn new(answers: Vec<Answer>, translator: Box<dyn Translator>) -> Self {
        let answers = answers.into_iter().map(Some).collect();
        Self { answers, translator, begun: false, over: false, silence: Box::pin(sleep(SILENCE)) }
    }

    pub(crate) fn is_sse(&self) -> bool {
        self.translator.is_sse()
    }

    /// Takes the deltas of one answer that are ready.
    fn take(&mut self, choice: usize, cx: &mut Context<'_>, out: &mut Vec<u8>) {
        let Some(place) = self.answers.get_mut(choice) else { return };
        while let Some(answer) = place
            && out.len() < FRAME
        {
            let delta = match answer.deltas.poll_recv(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(delta)) => delta,
                // The scheduler's thread has ended.
                Poll::Ready(None) => Delta::Failed(ended()),
            };
            let last = matches!(delta, Delta::Done(_) | Delta::Failed(_));
            self.translator.delta(choice, delta, out);
            if last {
                *place = None;
            }
        }
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            self.translator.begin(&mut out);
        }
        for choice in 0..self.answers.len() {
            self.take(choice, cx, &mut out);
        }
        if self.answers.iter().all(Option::is_none) {
            self.translator.end(&mut out);
            self.over = true;
        }
        if out.is_empty() && !self.over {
            if self.silence.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if self.is_sse() {
                out.extend_from_slice(b": still here\n\n");
            }
        }
        self.silence.as_mut().reset(Instant::now() + SILENCE);
        if out.is_empty() {
            if self.over {
                return Poll::Ready(None);
            }
            // Lines of JSON have no comments.
            let _ = self.silence.as_mut().poll(cx);
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(out)))))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

/// Writes a server-sent event.
pub(crate) fn sse(out: &mut Vec<u8>, event: Option<&str>, data: &serde_json::Value) {
    if let Some(event) = event {
        out.extend_from_slice(format!("event: {event}\n").as_bytes());
    }
    out.extend_from_slice(format!("data: {data}\n\n").as_bytes());
}

/// Writes a line of JSON.
pub(crate) fn line(out: &mut Vec<u8>, data: &serde_json::Value) {
    out.extend_from_slice(format!("{data}\n").as_bytes());
}
