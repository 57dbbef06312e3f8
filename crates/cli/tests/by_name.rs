//! Models by name, `happy pull` and what belongs to it, against a server on this machine; and `happy serve`.
#![cfg(unix)]

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use support::{Folder, Tiny, happy, output};

/// Serves one file at every path, whole, as the simplest servers do. Its address.
fn serve_file(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let mut lines = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let head = lines.next().is_some_and(|line| line.starts_with("HEAD "));
            lines.for_each(drop);
            let mut stream = reader.into_inner();
            let length = bytes.len();
            let headers = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            // A client that has read the header of the file leaves.
            let _ = stream
                .write_all(headers.as_bytes())
                .and_then(|()| stream.write_all(if head { &[] } else { &bytes }));
        }
    });
    format!("http://{address}/tiny.gguf")
}

/// Runs `happy` with a cache of its own: exit code, output, errors.
fn run(cache: &Folder, args: &[&str]) -> (Option<i32>, String, String) {
    let done = output(happy(args).env("HF_HUB_CACHE", cache.path("hub")), b"");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

#[test]
fn a_model_is_judged_pulled_run_and_removed() {
    let (cache, url) = (Folder::new(), serve_file(Tiny::default().bytes()));
    let (code, shown, errors) = run(&cache, &["show", "--json", &url]);
    assert_eq!(code, Some(0), "{errors}");
    let shown: Json = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["runs"], &shown["architecture"]), (&Json::Bool(true), &"llama".into()), "{shown}");
    assert_eq!(shown["missing"], shown["bytes"]);

    // What would not run is not downloaded.
    let (code, _, errors) = run(&cache, &["pull", &url, "--memory-budget", "1"]);
    assert!(code == Some(1) && errors.contains("it would not run here"), "{code:?}: {errors}");
    let (code, _, errors) = run(&cache, &["run", "-m", &url, "-n", "3", "hello"]);
    assert!(
        code == Some(1) && errors.contains("is not on this device: happy pull http"),
        "{code:?}: {errors}"
    );
    assert_eq!(run(&cache, &["list"]).1, "");

    let (code, path, errors) = run(&cache, &["pull", &url]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(std::fs::read(path.trim()).ok(), Some(Tiny::default().bytes()));
    let listed: Json = serde_json::from_str(&run(&cache, &["list", "--json"]).1).expect("JSON");
    assert_eq!(listed["name"], url.as_str());
    let (code, text, errors) = run(&cache, &["run", "-m", &url, "-n", "3", "--temp", "0", "hello"]);
    assert!(code == Some(0) && !text.is_empty(), "{errors}");

    assert_eq!(run(&cache, &["rm", &url]).0, Some(0));
    assert_eq!(run(&cache, &["list"]).1, "");
    let (code, _, errors) = run(&cache, &["rm", &url]);
    assert!(code == Some(1) && errors.contains("not"), "{code:?}: {errors}");
}

#[test]
fn short_names_are_known() {
    let cache = Folder::new();
    let (_, names, _) = run(&cache, &["list", "--names"]);
    assert!(names.lines().count() > 10 && names.contains("qwen3-0.6b"), "{names}");
    let (code, _, errors) = run(&cache, &["run", "-m", "qwen3-0.6b", "hello"]);
    assert!(code == Some(1) && errors.contains("happy pull qwen3-0.6b"), "{code:?}: {errors}");
    for (name, part) in [("hf:owner", "owner"), ("no such name", "no such name")] {
        let (code, _, errors) = run(&cache, &["pull", name]);
        assert!(code == Some(2) && errors.contains(part), "{name}: {code:?}: {errors}");
    }
}

#[test]
fn a_server_tells_where_it_listens_and_ends_at_ctrl_c() {
    let folder = Folder::new();
    let model = folder.file("tiny.gguf", Tiny::default().bytes());
    let mut command = happy(&["serve", "-m", &model, "--port", "0", "--slots", "2"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let address = line.trim().strip_prefix("listening on http://").expect("an address");
    let body = r#"{"messages":[{"role":"user","content":"hi"}],"max_tokens":4}"#;
    let length = body.len();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"model\":\"tiny\""), "{answer}");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("a signal");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));

    let done = output(&mut happy(&["serve", "-m", &model, "--host", "0.0.0.0", "--port", "0"]), b"");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.code() == Some(2) && errors.contains("needs an API key"), "{errors}");
}
