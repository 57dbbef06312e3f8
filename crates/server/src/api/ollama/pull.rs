//! `/api/pull`: downloads a model from the hub and adds it to the list. The name is judged before anything large is fetched.

use crate::downloads::Download;
use crate::error::{ApiError, Kind};
use crate::fields::Fields;
use crate::http::Call;
use crate::http::reply::{Reply, failure};
use crate::http::routes::Style;
use crate::stream::line;
use bytes::Bytes;
use http_body::{Body, Frame};
use serde_json::{Value as Json, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Answers `/api/pull`.
pub(crate) async fn pull(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let Some(downloads) = &call.state.options.downloads else {
        let message = "this server does not download models: start it with --downloads, or run `happy pull`";
        return Err(ApiError::new(Kind::Forbidden, message));
    };
    let name = fields.text("model")?.or(fields.text("name")?);
    let name = name.ok_or_else(|| fields.wrong("model", "is missing, expected a string"))?;
    let stream = fields.flag("stream")?.unwrap_or(true);
    let mut download = downloads.start(name, call.state.models.clone())?;
    if stream {
        return Ok(Reply::Download(Box::new(Lines { download, over: false })));
    }
    let mut last = Err(crate::scheduler::ended());
    while let Some(line) = download.lines.recv().await {
        last = Ok(line?);
    }
    last.map(Reply::Json)
}

/// Answers `/catalog`: the short names that can be downloaded, and whether this server downloads them.
pub(crate) async fn catalog(call: Call) -> Result<Reply, ApiError> {
    let models = happy_hub::ALIASES.iter().map(|alias| {
        json!({ "name": alias.name, "bytes": alias.bytes, "license": alias.license, "min_ram": alias.min_ram() })
    });
    let downloads = call.state.options.downloads.is_some();
    Ok(Reply::Json(json!({ "downloads": downloads, "models": models.collect::<Json>() })))
}

/// The lines of a download as the body of a response.
pub(crate) struct Lines {
    download: Download,
    over: bool,
}

impl Body for Lines {
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
        match std::task::ready!(self.download.lines.poll_recv(cx)) {
            Some(Ok(told)) => line(&mut out, &told),
            Some(Err(error)) => line(&mut out, &failure(Style::Ollama, &error)),
            None => {
                self.over = true;
                return Poll::Ready(None);
            }
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(out)))))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}
