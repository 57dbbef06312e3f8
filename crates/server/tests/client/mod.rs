//! A server on a small model, and a client that writes its requests itself.
#![allow(dead_code)] // each test binary uses a part

use crate::common;
use happy_engine::{Engine, LoadOptions};
use happy_server::{Server, ServerOptions, Stop};
use serde_json::Value as Json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

/// Messages with their roles; tools and thinking have a place.
pub(crate) const TEMPLATE: &str = "\
{%- if tools %}[tools]{{ tools|tojson }}{% endif -%}
{%- for m in messages -%}
[{{ m.role }}]{{ m.content }}{% for c in m.tool_calls %}<tool_call>{{ c.function|tojson }}</tool_call>{% endfor -%}
{%- endfor -%}
{%- if add_generation_prompt %}[assistant]{% endif -%}";

/// Its control tokens, with which Qwen-like models call tools.
pub(crate) const CONTROL: [&str; 2] = ["<tool_call>", "</tool_call>"];

/// Keeps the model from filling calls with white space: tab, line feed, carriage return, space.
pub(crate) fn no_spaces() -> Json {
    serde_json::json!({ "12": -100, "13": -100, "16": -100, "35": -100 })
}

/// A running server; it ends with the test.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
    /// The model's file, if embeddings need one.
    _folder: common::Folder,
}

/// Room for a few answers.
pub(crate) fn load(sequences: usize, context: usize) -> LoadOptions {
    LoadOptions { threads: Some(1), batch: 32, sequences, context: Some(context), ..LoadOptions::default() }
}

/// A server with these options on the small model.
pub(crate) fn serve(name: &str, load: &LoadOptions, options: ServerOptions) -> Running {
    let folder = common::Folder::new(&format!("server-{name}"));
    let path = folder.file("tiny.gguf", &common::file_bytes(TEMPLATE, &CONTROL));
    let engine = Engine::open(&path, load).unwrap();
    start(Server::bind(engine, Some((&path, load)), options).unwrap(), folder)
}

/// Runs a server on a thread of its own; the folder of its models goes with it.
pub(crate) fn start(server: Server, folder: common::Folder) -> Running {
    let (address, stop) = (server.address(), server.stop());
    let thread = Some(std::thread::spawn(move || server.run()));
    Running { address, stop, thread, _folder: folder }
}

/// Options for any free port.
pub(crate) fn options() -> ServerOptions {
    let mut options = ServerOptions::default();
    options.address.set_port(0);
    options.model_name = "tiny".to_owned();
    options
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || std::thread::panicking(), "the server has panicked");
        }
    }
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The data of server-sent events, with their names; `[DONE]` is a string.
    pub(crate) fn events(&self) -> Vec<(Option<String>, Json)> {
        let mut all = Vec::new();
        for event in self.body.split("\n\n").filter(|event| !event.is_empty() && !event.starts_with(':')) {
            let name = event.lines().find_map(|line| line.strip_prefix("event: ")).map(str::to_owned);
            let data = event.lines().find_map(|line| line.strip_prefix("data: ")).expect(event);
            let data =
                if data == "[DONE]" { "[DONE]".into() } else { serde_json::from_str(data).expect(data) };
            all.push((name, data));
        }
        all
    }
}

impl Running {
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends bytes as they are and reads until the server closes.
    pub(crate) fn raw(&self, request: &[u8]) -> Response {
        let mut stream = self.connect();
        // The server may answer and close before it has read all.
        let _ = stream.write_all(request);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        parse(&bytes)
    }

    /// A request with more headers, each with its line end.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Response {
        self.raw(request(method, path, headers, body).as_bytes())
    }

    pub(crate) fn post(&self, path: &str, body: &Json) -> Response {
        self.send("POST", path, "Content-Type: application/json\r\n", &body.to_string())
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.send("GET", path, "", "")
    }

    /// A counter of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("happy_{name} ")));
        line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
    }
}

/// A request whose connection is closed after it.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    let host = if headers.to_lowercase().contains("host:") { "" } else { "Host: localhost\r\n" };
    format!(
        "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

fn parse(bytes: &[u8]) -> Response {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no headers in {:?}", String::from_utf8_lossy(bytes)));
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(a, b)| (a.to_lowercase(), b.to_owned()))
        .collect();
    let mut rest = &bytes[end + 4..];
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let mut body = Vec::new();
    if chunked {
        while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            if size == 0 {
                break;
            }
            body.extend_from_slice(&rest[line + 2..line + 2 + size]);
            rest = &rest[line + 4 + size..];
        }
    } else {
        body.extend_from_slice(rest);
    }
    Response { status, headers, body: String::from_utf8(body).unwrap() }
}
