//! Checks who may send requests.
//!
//! ```text
//! API key   if one is set: on every endpoint but /health and the page, compared in constant time
//! Host      without a key: localhost, an IP address, or a name of the options. A foreign web page whose name was made to
//!           resolve to 127.0.0.1 (DNS rebinding) still sends its own name
//! Origin    requests of pages of other origins are refused unless CORS is on: browsers send simple posts without a preflight
//! ```

use crate::error::{ApiError, Kind};
use crate::options::ServerOptions;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use std::net::IpAddr;

/// Paths that need no key: monitors ask for `/health`, and on the page people type in their key.
const OPEN: [&str; 2] = ["/health", "/"];

/// Checks that a request may be answered.
pub(crate) fn check(options: &ServerOptions, path: &str, headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).unwrap_or_default();
    let key = options.api_key.as_deref().filter(|key| !key.is_empty());
    if key.is_none() && !is_own(host_of(host), options) {
        let message = format!(
            "host name `{host}` is not allowed, expected localhost or an IP address (--host-name allows more names)"
        );
        return Err(ApiError::new(Kind::Forbidden, message));
    }
    if let Some(origin) = text(ORIGIN).filter(|_| !options.cors)
        && !is_same_origin(origin, host)
    {
        let message =
            format!("web pages of `{origin}` may not use this server (--cors allows all web pages)");
        return Err(ApiError::new(Kind::Forbidden, message));
    }
    let Some(key) = key.filter(|_| !OPEN.contains(&path)) else { return Ok(()) };
    let bearer = text(AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    let given = bearer.or_else(|| text(HeaderName::from_static("x-api-key")));
    match given {
        Some(given) if is_equal(given.as_bytes(), key.as_bytes()) => Ok(()),
        Some(_) => Err(ApiError::new(Kind::Unauthorized, "the API key is wrong").code("invalid_api_key")),
        None => {
            let message = "an API key is needed: Authorization: Bearer KEY, or x-api-key: KEY";
            Err(ApiError::new(Kind::Unauthorized, message).code("invalid_api_key"))
        }
    }
}

/// Returns the value of `Access-Control-Allow-Origin`, if the request comes from a page that may read the answer.
pub(crate) fn allowed_origin(options: &ServerOptions, headers: &HeaderMap) -> Option<String> {
    let origin = headers.get(ORIGIN)?.to_str().ok()?;
    options.cors.then(|| origin.to_owned())
}

/// Returns a host without its port.
fn host_of(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn is_own(host: &str, options: &ServerOptions) -> bool {
    let host = host.trim_end_matches('.');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok()
        || options.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
}

/// Returns whether a page comes from this server itself: `http://` and the request's host.
fn is_same_origin(origin: &str, host: &str) -> bool {
    let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    own.is_some_and(|own| !host.is_empty() && own.eq_ignore_ascii_case(host))
}

/// Compares in constant time, so that the time doesn't tell where the first difference is.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let different = a.iter().zip(b).fold(a.len() ^ b.len(), |all, (a, b)| all | usize::from(a ^ b));
    std::hint::black_box(different) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn status(options: &ServerOptions, path: &str, headers: &[(&'static str, &'static str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        check(options, path, &map).err().map_or(200, |error| error.kind.status())
    }

    #[test]
    fn strangers_pages_are_refused() {
        let open = ServerOptions { hosts: vec!["box.local".to_owned()], ..ServerOptions::default() };
        let cors = ServerOptions { cors: true, ..ServerOptions::default() };
        for (host, expected) in [
            ("localhost:11435", 200),
            ("LOCALHOST", 200),
            ("127.0.0.1:1", 200),
            ("[::1]:11435", 200),
            ("192.168.0.7:80", 200),
            ("box.local:80", 200),
            ("evil.example:11435", 403),
            ("localhost.evil.example", 403),
            ("127.0.0.1.evil.example", 403),
            ("", 403),
        ] {
            assert_eq!(status(&open, "/v1/models", &[("host", host)]), expected, "{host}");
        }
        for (origin, plain, shared) in [
            ("http://localhost:11435", 200, 200),
            ("http://localhost:3000", 403, 200),
            ("https://evil.example", 403, 200),
            ("null", 403, 200),
        ] {
            let headers = [("host", "localhost:11435"), ("origin", origin)];
            assert_eq!(status(&open, "/v1/models", &headers), plain, "{origin}");
            assert_eq!(status(&cors, "/v1/models", &headers), shared, "{origin}");
        }
    }

    #[test]
    fn a_key_opens_everything_and_nothing_opens_without_it() {
        let options = ServerOptions { api_key: Some("secret".to_owned()), ..ServerOptions::default() };
        for (name, value, expected) in [
            ("authorization", "Bearer secret", 200),
            ("authorization", "bearer secret", 200),
            ("x-api-key", "secret", 200),
            ("authorization", "Bearer secre", 401),
            ("authorization", "Bearer secretx", 401),
            ("authorization", "Basic secret", 401),
            ("x-api-key", "", 401),
            ("x-other", "secret", 401),
        ] {
            let headers = [("host", "phone.lan"), (name, value)];
            assert_eq!(status(&options, "/v1/models", &headers), expected, "{name}: {value}");
            assert_eq!(status(&options, "/health", &headers), 200);
        }
    }
}
