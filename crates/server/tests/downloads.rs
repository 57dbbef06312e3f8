//! Downloads that clients ask for: `/api/pull` against a hub in memory.

mod client;
#[path = "../../engine/tests/common/mod.rs"]
mod common;

use client::{CONTROL, Running, TEMPLATE, load, options, request, start};
use happy_hub::{Config, Headers, Hub, Request, Response, Transport, TransportError};
use happy_server::{Downloads, Server, ServerOptions};
use serde_json::{Value as Json, json};
use std::io::{self, Cursor, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The hub: a repository `o/r` with a model.
struct Memory {
    model: Vec<u8>,
    /// Whether bytes of the model never come.
    stalls: Arc<AtomicBool>,
}

/// A body that is silent until the server has recovered.
struct Silent(Arc<AtomicBool>);

impl Read for Silent {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        while self.0.load(Ordering::Relaxed) {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

const COMMIT: &str = "00112233445566778899aabbccddeeff00112233";

impl Transport for Memory {
    fn send(&self, request: &Request) -> Result<Response, TransportError> {
        let path = request.url.strip_prefix("http://hub.test").unwrap_or_default();
        let answer = |status, headers: Vec<(&str, String)>, body: Box<dyn Read + Send>| {
            Ok(Response { status, headers: headers.into_iter().collect::<Headers>(), body })
        };
        if path.starts_with("/api/models/o/r/revision/") {
            let size = self.model.len();
            let listing = json!({ "sha": COMMIT, "siblings": [{ "rfilename": "tiny.gguf", "size": size }] });
            return answer(200, Vec::new(), Box::new(Cursor::new(listing.to_string().into_bytes())));
        }
        if !path.starts_with("/o/r/resolve/") || !path.ends_with("/tiny.gguf") {
            return answer(404, Vec::new(), Box::new(io::empty()));
        }
        let total = self.model.len() as u64;
        let range = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("range"));
        let range = range.and_then(|(_, range)| {
            let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            Some((first.parse::<u64>().ok()?, (last.parse::<u64>().ok()? + 1).min(total)))
        });
        let (from, to) = range.unwrap_or((0, total));
        let mut headers = vec![
            ("ETag", "\"strong\"".to_owned()),
            ("X-Repo-Commit", COMMIT.to_owned()),
            ("Content-Length", (to - from).to_string()),
        ];
        if range.is_some() {
            headers.push(("Content-Range", format!("bytes {from}-{}/{total}", to - 1)));
        }
        let body: Box<dyn Read + Send> = match (request.head, self.stalls.load(Ordering::Relaxed)) {
            (true, _) => Box::new(io::empty()),
            (_, true) => Box::new(Silent(self.stalls.clone())),
            _ => Box::new(Cursor::new(self.model[from as usize..to as usize].to_vec())),
        };
        answer(if range.is_some() { 206 } else { 200 }, headers, body)
    }
}

/// A server without models whose clients may download, and the switch that makes its hub silent.
fn server(name: &str, change: impl FnOnce(&mut ServerOptions)) -> (Running, Arc<AtomicBool>) {
    let folder = common::Folder::new(&format!("downloads-{name}"));
    let stalls = Arc::new(AtomicBool::new(false));
    let model = common::file_bytes(TEMPLATE, &CONTROL);
    let mut config = Config::new(folder.0.join("hub"));
    config.endpoint = "http://hub.test".to_owned();
    let hub = Hub::new(config, Arc::new(Memory { model, stalls: stalls.clone() })).unwrap();
    let mut options = options();
    options.downloads = Some(Downloads::new(Arc::new(hub), load(1, 256)));
    change(&mut options);
    (start(Server::bind_models(Vec::new(), options).unwrap(), folder), stalls)
}

const NAME: &str = "hf:o/r/tiny.gguf";

/// The names of the models in the list.
fn listed(server: &Running) -> Vec<String> {
    let models = server.get("/v1/models").json()["data"].clone();
    models.as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_model_is_downloaded_and_answers() {
    let (server, _) = server("whole", |_| {});
    assert_eq!(listed(&server), [""; 0]);
    let chat = json!({ "model": NAME, "messages": [{ "role": "user", "content": "x" }], "max_tokens": 2 });
    let early = server.post("/v1/chat/completions", &chat);
    assert!(early.status == 404 && early.body.contains("no models yet"), "{}", early.body);
    let nameless = server.post("/v1/completions", &json!({ "prompt": "x" }));
    assert!(nameless.status == 404 && nameless.body.contains("no models yet"), "{}", nameless.body);

    let answer = server.post("/api/pull", &json!({ "model": NAME }));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    let lines: Vec<Json> = answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.first().unwrap()["status"], "pulling manifest");
    assert_eq!(lines.last().unwrap(), &json!({ "status": "success" }), "{}", answer.body);
    let verdict = lines.iter().find(|line| line["memory_bytes"].is_u64()).unwrap();
    assert_eq!((&verdict["n_ctx"], verdict["memory_bytes"].as_u64() > Some(0)), (&json!(256), true));
    let complete = lines.iter().rfind(|line| line["completed"].is_u64()).unwrap();
    assert_eq!(complete["completed"], complete["total"]);

    assert_eq!(listed(&server), [NAME]);
    assert_eq!(server.post("/v1/chat/completions", &chat).status, 200);
    // Another name of the same file is another name of the same model.
    let again = server.post("/api/pull", &json!({ "name": "hf.co/o/r", "stream": false }));
    assert_eq!((again.status, &again.json()["status"]), (200, &json!("success")), "{}", again.body);
    assert_eq!(listed(&server), [NAME]);
    let mut by_other = chat;
    by_other["model"] = "hf.co/o/r:latest".into();
    assert_eq!(server.post("/v1/chat/completions", &by_other).status, 200);
}

#[test]
fn what_would_not_run_or_is_not_there_is_refused() {
    let (server, _) = server("refused", |options| options.memory_budget = Some(1 << 10));
    let whole = server.post("/api/pull", &json!({ "model": NAME, "stream": false }));
    assert!(whole.status == 400 && whole.body.contains("it would not run here"), "{}", whole.body);
    // A stream has begun by then, so the error is its last line.
    let stream = server.post("/api/pull", &json!({ "model": NAME }));
    let last: Json = serde_json::from_str(stream.body.lines().last().unwrap()).unwrap();
    assert!(last["error"].as_str().unwrap().contains("it would not run here"), "{}", stream.body);
    let missing = server.post("/api/pull", &json!({ "model": "hf:o/other", "stream": false }));
    assert!([400, 404].contains(&missing.status), "{} {}", missing.status, missing.body);
    for name in ["/etc/passwd", "http://127.0.0.1/a.gguf", "no-such-name", ""] {
        let answer = server.post("/api/pull", &json!({ "model": name }));
        assert!(answer.status == 400 && answer.json()["error"].is_string(), "{name}: {}", answer.body);
    }
    assert_eq!(server.post("/api/pull", &json!({})).status, 400);
    assert_eq!(listed(&server), [""; 0]);
}

#[test]
fn nothing_is_downloaded_unless_asked_for() {
    let (server, _) = server("off", |_| {});
    assert_eq!(server.get("/catalog").json()["downloads"], true);
    drop(server);
    let server = client::serve("no-downloads", &load(1, 64), options());
    let answer = server.post("/api/pull", &json!({ "model": NAME }));
    assert!(answer.status == 403 && answer.body.contains("--downloads"), "{}", answer.body);
    let catalog = server.get("/catalog").json();
    assert_eq!(catalog["downloads"], false);
    assert!(catalog["models"].as_array().unwrap().len() > 10, "{catalog}");
}

#[test]
fn a_client_that_leaves_ends_its_download() {
    let (server, stalls) = server("leave", |_| {});
    stalls.store(true, Ordering::Relaxed);
    let begin = || {
        let mut stream = server.connect();
        let body = json!({ "model": NAME }).to_string();
        stream.write_all(request("POST", "/api/pull", "", &body).as_bytes()).unwrap();
        // The first line.
        stream.read_exact(&mut [0; 200]).unwrap();
        stream
    };
    let running = [begin(), begin()];
    let third = || server.post("/api/pull", &json!({ "model": NAME, "stream": false }));
    let refused = third();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{}", refused.body);
    drop(running);
    stalls.store(false, Ordering::Relaxed);
    while third().status == 429 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(listed(&server), [NAME]);
}
