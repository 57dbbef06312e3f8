//! Connections: accepts them, limits them, and answers their requests one after the other.

pub(crate) mod guard;
pub(crate) mod reply;
pub(crate) mod routes;

use crate::error::{ApiError, Kind};
use crate::models::{KeepAlive, Lease};
use crate::state::State;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_LENGTH;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use reply::{Reply, ResponseBody};
use routes::Found;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// A request with its whole body.
pub(crate) struct Call {
    pub(crate) state: Arc<State>,
    pub(crate) body: Bytes,
    /// The rest of the path, after the route's.
    pub(crate) rest: String,
}

/// Accepts connections until `stop` changes.
pub(crate) async fn accept(listener: TcpListener, state: Arc<State>, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(state.options.max_connections));
    let stopped = stop.wait_for(|stop| *stop);
    tokio::pin!(stopped);
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = std::future::poll_fn(|cx| {
            if stopped.as_mut().poll(cx).is_ready() {
                return std::task::Poll::Ready(None);
            }
            listener.poll_accept(cx).map(Some)
        });
        match accepted.await {
            None => return,
            Some(Ok((stream, _))) => {
                let state = state.clone();
                tokio::spawn(async move {
                    state.metrics.connections.add(1);
                    serve(stream, &state).await;
                    state.metrics.connections.sub(1);
                    drop(place);
                });
            }
            // Too many files are open, or the client has left. Wait a moment, then accept the next one.
            Some(Err(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Maximum size of a request's headers in bytes.
const HEADERS: usize = 64 << 10;

/// Answers the requests of one connection.
async fn serve(stream: TcpStream, state: &Arc<State>) {
    // Tokens are small, and each should be sent at once.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(|request| handle(state.clone(), request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(state.options.header_timeout)
        .max_buf_size(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    // If a connection fails, only its client is affected, and it knows.
    let _ = connection.await;
}

async fn handle(state: Arc<State>, request: Request<Incoming>) -> Result<Response<ResponseBody>, Infallible> {
    state.metrics.requests.add(1);
    let origin = guard::allowed_origin(&state.options, request.headers());
    let found = routes::find(request.method(), request.uri().path());
    let style = routes::style(request.uri().path());
    let head = request.method() == Method::HEAD;
    let answered = match request.method() == Method::OPTIONS && origin.is_some() {
        true => Ok(Reply::Empty),
        false => answer(&state, request, found).await,
    };
    let reply = answered.unwrap_or_else(|error| {
        state.metrics.refused.add(1);
        Reply::Failed(style, error)
    });
    Ok(reply.response(origin.as_deref(), head))
}

async fn answer(
    state: &Arc<State>,
    request: Request<Incoming>,
    found: Result<Found, ApiError>,
) -> Result<Reply, ApiError> {
    guard::check(&state.options, request.uri().path(), request.headers())?;
    let Found { route, rest } = found?;
    let body = read_body(state, request).await?;
    (route.handler)(Call { state: state.clone(), body, rest }).await
}

/// Reads the whole body, if it is not too large and arrives in time.
async fn read_body(state: &State, request: Request<Incoming>) -> Result<Bytes, ApiError> {
    let most = state.options.max_body;
    let too_large = |found: &str| {
        let message = format!("the body has {found} bytes, expected at most {most}");
        ApiError::new(Kind::TooLarge, message)
    };
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > most as u64) {
        return Err(too_large(&length.unwrap_or_default().to_string()));
    }
    let body = Limited::new(request.into_body(), most).collect();
    match tokio::time::timeout(state.options.body_timeout, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large("more")),
        Ok(Err(error)) => Err(ApiError::invalid(format!("the body cannot be read: {error}"))),
        Err(_) => {
            let seconds = state.options.body_timeout.as_secs();
            Err(ApiError::new(Kind::Slow, format!("the body did not arrive within {seconds} s")))
        }
    }
}

impl Call {
    /// Returns the model that a request names, loaded. Without a name, that is the first model.
    pub(crate) async fn model(&self, name: Option<&str>) -> Result<Arc<Lease>, ApiError> {
        self.state.models.lease(name, KeepAlive::Usual).await
    }

    /// Parses the body as JSON.
    pub(crate) fn json(&self) -> Result<serde_json::Value, ApiError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| ApiError::invalid(format!("the body is not valid JSON: {error}")))
    }
}
