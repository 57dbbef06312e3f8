//! Who may ask, and what a hostile client can do: nothing to others.

mod client;
#[path = "../../engine/tests/common/mod.rs"]
mod common;

use client::{load, options, request, serve};
use serde_json::json;
use std::io::Write;
use std::time::Duration;

/// All endpoints that need a key, and one that doesn't exist.
fn endpoints() -> Vec<(&'static str, String)> {
    let all = happy_server::internals::endpoints().filter(|(_, path)| !["/", "/health"].contains(path));
    // A path that ends with `/` takes a name.
    let full = |path: &str| if path.ends_with('/') { format!("{path}tiny") } else { path.to_owned() };
    all.map(|(method, path)| (method, full(path))).chain([("GET", "/no/such/endpoint".to_owned())]).collect()
}

#[test]
fn nothing_opens_without_the_key() {
    let mut options = options();
    options.api_key = Some("secret".to_owned());
    let server = serve("key", &load(1, 64), options);
    let endpoints = endpoints();
    assert!(endpoints.len() > 20);
    for (method, path) in &endpoints {
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
    for (method, path) in &endpoints() {
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
    // Each has an open file at both ends.
    let count = 1000.min(open_files().saturating_sub(200) / 2);
    if count < 1000 {
        happy_testkit::skip(&format!("{count} idle connections instead of 1000: ulimit -n is too low"));
    }
    let idle: Vec<_> = (0..count).map(|_| server.connect()).collect();
    let answer = server.post("/v1/completions", &json!({ "prompt": "a", "max_tokens": 3 }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(server.metric("connections") > count as u64);
    drop(idle);
    while server.metric("connections") > 1 {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many files this process may have open.
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(256)
}

#[test]
fn more_connections_than_may_be_wait() {
    let mut options = options();
    options.max_connections = 4;
    options.header_timeout = Duration::from_millis(400);
    let server = serve("full", &load(1, 64), options);
    let idle: Vec<_> = (0..8).map(|_| server.connect()).collect();
    // It is answered when those before have been silent for too long.
    assert_eq!(server.get("/health").status, 200);
    drop(idle);
}

/// Changes a few bytes of a body, from a seed.
fn mutated(body: &[u8], state: &mut u64) -> Vec<u8> {
    let mut next = |n: usize| {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (*state >> 33) as usize % n.max(1)
    };
    const PIECES: [&str; 14] = [
        "null",
        "[]",
        "{}",
        "-1",
        "1e999",
        "\"\"",
        "true",
        "\\ud800",
        "[[[[",
        ",",
        "\"",
        "0",
        "99999999999999999999",
        "{\"type\":",
    ];
    let mut body = body.to_vec();
    for _ in 0..=next(3) {
        let at = next(body.len());
        match next(4) {
            0 => body[at] = next(256) as u8,
            1 => drop(body.drain(at..(at + 1 + next(12)).min(body.len()))),
            2 => drop(body.splice(at..at, PIECES[next(PIECES.len())].bytes())),
            _ => {
                // A value in the place of another.
                let end = body[at..].iter().position(|b| b",}]".contains(b)).map_or(body.len(), |n| at + n);
                let start = body[..at].iter().rposition(|b| b":[".contains(b)).map_or(0, |n| n + 1);
                drop(body.splice(start..end.max(start), PIECES[next(PIECES.len())].bytes()));
            }
        }
        if body.is_empty() {
            body.push(b'{');
        }
    }
    body
}

#[test]
fn bodies_of_any_kind_end_with_an_answer() {
    let bodies = [
        r#"{"messages":[{"role":"user","content":"hi"}],"max_tokens":2,"n":2,"stop":["a"],"logprobs":true,"seed":1}"#,
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"max_tokens":2,"tools":[{"name":"f","input_schema":{"type":"object"}}],"system":"s"}"#,
        r#"{"input":[{"role":"user","content":"hi"}],"max_output_tokens":2,"text":{"format":{"type":"json_object"}}}"#,
        r#"{"prompt":["a",[65,66]],"max_tokens":2,"echo":true,"logprobs":3,"logit_bias":{"3":-100}}"#,
        r#"{"messages":[{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]}],"options":{"num_predict":2,"top_k":3},"keep_alive":"5m","format":"json"}"#,
    ];
    let more = [
        r#"{"model":"hf:o/r:Q8_0","input":["a",[65]],"dimensions":4,"encoding_format":"base64"}"#,
        r#"{"query":"a","documents":["b",{"text":"c"}],"top_n":1,"return_documents":true}"#,
        r#"{"prompt":"a","system":"s","options":{"num_predict":2},"think":"low","suffix":""}"#,
    ];
    assert!(more.iter().all(|body| happy_server::internals::check(body.as_bytes()) > 0));
    // Each is a request of some API as it stands.
    assert!(bodies.iter().all(|body| happy_server::internals::check(body.as_bytes()) > 0));
    let mut state = 1;
    let mut taken = 0;
    for _ in 0..4000 {
        for body in bodies.into_iter().chain(more) {
            taken += happy_server::internals::check(&mutated(body.as_bytes(), &mut state));
        }
    }
    assert!(taken > 1000, "{taken}");

    // Some of them all the way.
    let server = serve("bodies", &load(2, 64), options());
    let paths = ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/completions", "/api/chat"];
    for round in 0..40 {
        for (path, body) in paths.iter().zip(bodies) {
            let body = mutated(body.as_bytes(), &mut state);
            let mut bytes = request("POST", path, "", "")
                .replace("Length: 0", &format!("Length: {}", body.len()))
                .into_bytes();
            bytes.extend(&body);
            let answer = server.raw(&bytes);
            let text = String::from_utf8_lossy(&body).into_owned();
            assert!(
                [200, 400, 404].contains(&answer.status),
                "{round} {path} {}: {text}: {}",
                answer.status,
                answer.body
            );
        }
    }
    assert_eq!(server.get("/health").status, 200);
}
