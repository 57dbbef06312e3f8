//! Responses: JSON, text, streams, and errors in the form of each API.

use super::routes::Style;
use crate::api::ollama::Lines;
use crate::error::{ApiError, Kind};
use crate::stream::EventBody;
use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde_json::{Value as Json, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The answer of a handler.
pub(crate) enum Reply {
    Json(Json),
    /// A text with this content type.
    Text(&'static str, String),
    /// The web page.
    Page(&'static str),
    Events(Box<EventBody>),
    /// The progress of a download.
    Download(Box<Lines>),
    Failed(Style, ApiError),
    Empty,
}

/// The body of a response.
pub(crate) enum ResponseBody {
    Whole(Option<Bytes>),
    Events(Box<EventBody>),
    Download(Box<Lines>),
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            ResponseBody::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            ResponseBody::Events(events) => Pin::new(&mut **events).poll_frame(cx),
            ResponseBody::Download(lines) => Pin::new(&mut **lines).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::Whole(bytes) => bytes.is_none(),
            ResponseBody::Events(events) => events.is_end_stream(),
            ResponseBody::Download(lines) => lines.is_end_stream(),
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            ResponseBody::Whole(bytes) => {
                http_body::SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            ResponseBody::Events(_) | ResponseBody::Download(_) => http_body::SizeHint::default(),
        }
    }
}

/// The content security policy of the page: it may only use what it contains, and only connect to this server.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl Reply {
    /// Returns the response. Web pages of `origin` may read it.
    pub(crate) fn response(self, origin: Option<&str>, head: bool) -> Response<ResponseBody> {
        let (mut status, mut retry, mut policy) = (StatusCode::OK, None, None);
        let whole = |bytes: Vec<u8>| ResponseBody::Whole(Some(Bytes::from(bytes)));
        let (kind, body) = match self {
            Reply::Json(json) => ("application/json", whole(json.to_string().into_bytes())),
            Reply::Text(kind, text) => (kind, whole(text.into_bytes())),
            Reply::Page(page) => {
                policy = Some(PAGE_POLICY);
                let body = ResponseBody::Whole(Some(Bytes::from_static(page.as_bytes())));
                ("text/html; charset=utf-8", body)
            }
            Reply::Events(events) => {
                let kind = if events.is_sse() { "text/event-stream" } else { "application/x-ndjson" };
                (kind, ResponseBody::Events(events))
            }
            Reply::Download(lines) => ("application/x-ndjson", ResponseBody::Download(lines)),
            Reply::Failed(style, error) => {
                status = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::BAD_REQUEST);
                retry = Some(error.kind.may_retry());
                ("application/json", whole(failure(style, &error).to_string().into_bytes()))
            }
            Reply::Empty => {
                status = StatusCode::NO_CONTENT;
                ("text/plain", ResponseBody::Whole(None))
            }
        };
        let mut response = Response::new(if head { ResponseBody::Whole(None) } else { body });
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let mut put = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        put(CONTENT_TYPE, kind);
        put(CACHE_CONTROL, "no-store");
        put(X_CONTENT_TYPE_OPTIONS, "nosniff");
        policy.iter().for_each(|policy| put(CONTENT_SECURITY_POLICY, policy));
        if let Some(retry) = retry {
            // OpenAI's clients look at this before they retry.
            put(HeaderName::from_static("x-should-retry"), if retry { "true" } else { "false" });
            if retry {
                put(RETRY_AFTER, "1");
            }
        }
        if let Some(origin) = origin {
            put(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            put(ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS");
            put(ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, x-api-key, anthropic-version, *");
            put(VARY, "origin");
        }
        response
    }
}

/// Returns an error in the form of an API.
pub(crate) fn failure(style: Style, error: &ApiError) -> Json {
    let ApiError { kind, message, param, code } = error;
    match style {
        Style::OpenAi => {
            let name = match kind {
                Kind::Unauthorized => "authentication_error",
                Kind::Forbidden => "permission_error",
                Kind::NotFound => "not_found_error",
                Kind::Busy => "rate_limit_error",
                Kind::Internal => "server_error",
                _ => "invalid_request_error",
            };
            json!({ "error": { "message": message, "type": name, "param": param, "code": code } })
        }
        Style::Anthropic => {
            let name = match kind {
                Kind::Unauthorized => "authentication_error",
                Kind::Forbidden => "permission_error",
                Kind::NotFound => "not_found_error",
                Kind::TooLarge => "request_too_large",
                Kind::Busy => "rate_limit_error",
                Kind::Internal => "api_error",
                _ => "invalid_request_error",
            };
            json!({ "type": "error", "error": { "type": name, "message": message } })
        }
        Style::Ollama => json!({ "error": message }),
    }
}
