//! Who may ask, and what a hostile client can do: nothing to others.

mod client;
#[path = "../../engine/tests/common/mod.rs"]
mod common;

use client::{load, options, request, serve};
use serde_json::json;
use std::io::Write;
use std::time::Duration;

/// All endpoints, with a body that each takes.
const ENDPOINTS: [(&str, &str); 22] = [
    ("GET", "/metrics"),
    ("POST", "/tokenize"),
    ("POST", "/detokenize"),
    ("POST", "/apply-template"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/tiny"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/rerank"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/api/chat"),
    ("POST", "/api/generate"),
    ("GET", "/api/tags"),
    ("GET", "/api/ps"),
    ("POST", "/api/show"),
    ("POST", "/api/embed"),
    ("POST", "/api/embeddings"),
    ("GET", "/api/version"),
    ("GET", "/no/such/endpoint"),
];

#[test]
fn nothing_opens_without_the_key() {
    let mut options = options();
    options.api_key = Some("secret".to_owned());
    let server = serve("key", &load(1, 64), options);
    for (method, path) in ENDPOINTS {
        for headers in ["", "Authorization: Bearer wrong\r\n", "x-api-key: \r\n"] {
            let answer = server.send(method, path, headers, "{}");
            assert_eq!(answer.status, 401, "{method} {path} {headers}: {}", answer.body);
        }
        let answer = server.send(method, path, "Authorization: Bearer secret\r\n", "{}");
        assert_ne!(answer.status, 401, "{method} {path}");
    }
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn pages_of_strangers_are_refused() {
    let server = serve("origin", &load(1, 64), options());
    for (method, path) in ENDPOINTS {
        for headers in ["Host: evil.example\r\n", "Host: localhost\r\nOrigin: http://evil.example\r\n"] {
            let answer = server.send(method, path, headers, "{}");
            assert_eq!(answer.status, 403, "{method} {path} {headers}: {}", answer.body);
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
    // Browsers ask before posts with JSON: no.
    let ask = "Host: localhost\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n";
    assert_ne!(server.send("OPTIONS", "/v1/completions", ask, "").status, 204);

    let mut options = options();
    options.cors = true;
    let server = serve("cors", &load(1, 64), options);
    let answer = server.send("OPTIONS", "/v1/completions", ask, "");
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (204, Some("http://evil.example"))
    );
    let answer = server.send("POST", "/tokenize", "Origin: http://app.example\r\n", r#"{"content":"a"}"#);
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, Some("http://app.example"))
    );
}

#[test]
fn an_address_for_others_needs_a_key() {
    let mut options = options();
    options.address.set_ip([0, 0, 0, 0].into());
    let error = options.check().unwrap_err().to_string();
    assert!(error.contains("needs an API key"), "{error}");
    options.api_key = Some("secret".to_owned());
    options.check().unwrap();
}

#[test]
fn paths_lead_to_no_files() {
    let server = serve("paths", &load(1, 64), options());
    for path in [
        "/../../etc/passwd",
        "/v1/../../etc/passwd",
        "/v1/models/../../../etc/passwd",
        "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v1/models//etc/passwd",
        "/..%5c..%5cwindows",
        "//etc/passwd",
        "/v1/models/tiny.gguf",
        "/%00",
        "/index.html",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
        assert!(!answer.body.contains("root:"), "{path}");
    }
    // Names of models are compared, never opened.
    let answer = server.post("/api/show", &json!({ "model": "/etc/passwd" }));
    assert_eq!(answer.status, 404, "{}", answer.body);
}

#[test]
fn bodies_and_headers_are_bounded() {
    let mut options = options();
    options.max_body = 2000;
    options.body_timeout = Duration::from_millis(300);
    options.header_timeout = Duration::from_millis(300);
    let server = serve("bounds", &load(1, 64), options);
    let large = format!("{{\"content\":\"{}\"}}", "x".repeat(3000));
    let answer = server.send("POST", "/tokenize", "", &large);
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert!(answer.body.contains("expected at most 2000"), "{}", answer.body);
    // Of unknown length.
    let mut chunked = "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".to_owned();
    (0..4).for_each(|_| chunked.push_str(&format!("3e8\r\n{}\r\n", "x".repeat(1000))));
    assert_eq!(server.raw(chunked.as_bytes()).status, 413);
    // Headers without end.
    let many = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    assert_eq!(server.raw(many.as_bytes()).status, 431);
    assert_eq!(server.raw(b"nonsense\r\n\r\n").status, 400);
    // A body that does not come.
    let part = request("POST", "/tokenize", "", "0123456789").replace("0123456789", "01");
    let answer = server.raw(part.as_bytes());
    assert_eq!(answer.status, 408, "{}", answer.body);
    // Headers that do not come: the connection is closed.
    let mut slow = server.connect();
    slow.write_all(b"GET /health HT").unwrap();
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut slow, &mut rest);
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn idle_connections_hold_nobody_up() {
    let server = serve("idle", &load(1, 64), options());
    let idle: Vec<_> = (0..300).map(|_| server.connect()).collect();
    let answer = server.post("/v1/completions", &json!({ "prompt": "a", "max_tokens": 3 }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(server.metric("connections") > 300);
    drop(idle);
    while server.metric("connections") > 1 {
        std::thread::sleep(Duration::from_millis(5));
    }
}
