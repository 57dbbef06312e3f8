//! Several models: loaded by name under a budget, let go when their time is over, and their contexts across restarts.

mod client;
#[path = "../../engine/tests/common/mod.rs"]
mod common;

use client::{CONTROL, Running, TEMPLATE, load, options, request, start};
use happy_engine::{Engine, Source};
use happy_server::{ServedModel, Server, ServerOptions};
use serde_json::{Value as Json, json};
use std::io::{Read, Write};
use std::time::Duration;

/// Models with these names, and the memory that each needs.
fn models(folder: &common::Folder, names: &[&str], context: usize) -> (Vec<ServedModel>, u64) {
    let path = folder.file("tiny.gguf", &common::file_bytes(TEMPLATE, &CONTROL));
    let load = load(1, context);
    let bytes = Engine::plan_of(&Source::Path(&path), &load).unwrap().anon_bytes();
    let model =
        |name: &&str| ServedModel { name: (*name).to_owned(), path: path.clone(), load: load.clone() };
    (names.iter().map(model).collect(), bytes)
}

fn chat(model: &str) -> Json {
    json!({ "model": model, "messages": [{ "role": "user", "content": "hello" }], "max_tokens": 8, "temperature": 0 })
}

/// The names of the models that are loaded.
fn loaded(server: &Running) -> Vec<String> {
    let found = server.get("/api/ps").json();
    found["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn models_are_loaded_by_name_and_the_oldest_goes() {
    let folder = common::Folder::new("server-models");
    let (all, bytes) = models(&folder, &["a", "b", "c"], 256);
    let mut options = options();
    options.memory_budget = Some(bytes * 5 / 2);
    let server = start(Server::bind_models(all, options).unwrap(), folder);
    let listed = server.get("/v1/models").json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(3));
    for model in listed["data"].as_array().unwrap() {
        let meta = &model["meta"];
        assert_eq!((&meta["loaded"], &meta["runs"]), (&false.into(), &true.into()), "{model}");
        assert_eq!(meta["memory_bytes"], bytes);
    }
    assert_eq!(loaded(&server), Vec::<String>::new());
    let ask = |model: &str| {
        let answer = server.post("/v1/chat/completions", &chat(model));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer = answer.json();
        assert_eq!(answer["model"], model);
        answer["choices"].to_string()
    };
    let first = ask("a");
    assert_eq!(ask("b"), first);
    assert_eq!(loaded(&server), ["a", "b"]);
    ask("a");
    // There is no room for a third: `b` was used longest ago.
    ask("C:latest".trim_end_matches(":latest").to_lowercase().as_str());
    assert_eq!(loaded(&server), ["a", "c"]);
    assert_eq!(ask("b"), first);
    assert_eq!(loaded(&server), ["b", "c"]);
    assert_eq!(server.get("/v1/models/c").json()["meta"]["loaded"], true);

    let answer = server.post("/v1/chat/completions", &chat("d"));
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("expected one of `a`, `b`, `c`"), "{}", answer.body);
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
    // No name means the first one.
    let answer = server.post("/v1/completions", &json!({ "prompt": "x", "max_tokens": 1 }));
    assert_eq!(answer.json()["model"], "a", "{}", answer.body);
}

#[test]
fn a_busy_model_is_not_let_go() {
    let folder = common::Folder::new("server-busy");
    let (all, bytes) = models(&folder, &["a", "b"], 20_000);
    let mut options = options();
    options.memory_budget = Some(bytes * 3 / 2);
    let server = start(Server::bind_models(all, options).unwrap(), folder);
    let body = json!({
        "model": "a", "prompt": "x", "max_tokens": 19_000, "ignore_eos": true, "stream": true, "logprobs": 20,
    });
    let mut stream = server.connect();
    stream.write_all(request("POST", "/v1/completions", "", &body.to_string()).as_bytes()).unwrap();
    let mut begun = [0; 1000];
    stream.read_exact(&mut begun).unwrap();
    let answer = server.post("/v1/chat/completions", &chat("b"));
    assert_eq!(answer.status, 429, "{}", answer.body);
    assert!(answer.body.contains("busy") && answer.header("retry-after").is_some(), "{}", answer.body);
    // Nobody hears the answer any more: its model may go.
    drop(stream);
    while server.post("/v1/chat/completions", &chat("b")).status != 200 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(loaded(&server), ["b"]);
}

#[test]
fn a_model_that_never_fits_is_refused_and_others_stay() {
    let folder = common::Folder::new("server-large");
    let (mut all, bytes) = models(&folder, &["a", "large"], 256);
    all[1].load = load(1, 100_000);
    let mut options = options();
    options.memory_budget = Some(bytes * 3 / 2);
    let server = start(Server::bind_models(all, options).unwrap(), folder);
    assert_eq!(server.post("/v1/chat/completions", &chat("a")).status, 200);
    let listed = server.get("/v1/models/large").json();
    assert_eq!(listed["meta"]["runs"], false, "{listed}");
    let answer = server.post("/v1/chat/completions", &chat("large"));
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &"insufficient_memory".into()));
    assert_eq!(loaded(&server), ["a"]);
}

#[test]
fn models_stay_as_long_as_is_said() {
    let folder = common::Folder::new("server-keep");
    let (all, _) = models(&folder, &["a", "b"], 256);
    let server = start(Server::bind_models(all, options()).unwrap(), folder);
    let generate = |body: Json| {
        let answer = server.post("/api/generate", &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    assert_eq!(generate(json!({ "model": "a" }))["done_reason"], "load");
    assert_eq!(loaded(&server), ["a"]);
    assert_eq!(generate(json!({ "model": "a", "keep_alive": 0 }))["done_reason"], "unload");
    assert_eq!(loaded(&server), Vec::<String>::new());
    generate(json!({ "model": "a", "keep_alive": -1 }));
    let answer = generate(
        json!({ "model": "b", "prompt": "x", "keep_alive": "1ms", "stream": false, "options": { "num_predict": 2 } }),
    );
    assert_eq!(answer["eval_count"], 2);
    while loaded(&server) != ["a"] {
        std::thread::sleep(Duration::from_millis(5));
    }
    for keep_alive in [json!("5 parsecs"), json!([])] {
        let answer = server.post("/api/generate", &json!({ "model": "a", "keep_alive": keep_alive }));
        assert!(answer.status == 400 && answer.body.contains("keep_alive"), "{}", answer.body);
    }
}

/// The prompt of a chat, long enough that its context is kept.
fn long_chat(model: &str) -> Json {
    let mut body = chat(model);
    body["messages"][0]["content"] = "a text that is long enough to be kept".into();
    body
}

/// The choices of an answer, and how many tokens of its prompt were cached.
fn ask(server: &Running, body: &Json) -> (String, u64) {
    let answer = server.post("/v1/chat/completions", body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = answer.json();
    let cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap();
    (answer["choices"].to_string(), cached)
}

fn wait_for(server: &Running, metric: &str, n: u64) {
    while server.metric(metric) != n {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// With a folder for contexts, a chat whose model gave its memory back goes on as if it had not.
#[test]
fn chats_go_on_after_their_model_was_idle() {
    let sessions = common::Folder::new("server-idle-sessions");
    let folder = common::Folder::new("server-idle");
    let (all, _) = models(&folder, &["a"], 256);
    let mut options: ServerOptions = options();
    (options.sessions, options.idle_trim) = (Some(sessions.0.clone()), Some(Duration::from_millis(1)));
    let server = start(Server::bind_models(all, options).unwrap(), folder);
    let (text, cached) = ask(&server, &long_chat("a"));
    assert_eq!(cached, 0);
    for idle in 1..3 {
        wait_for(&server, "idle_trims_total", idle);
        assert_eq!((server.metric("kv_bytes"), server.metric("contexts_restored_total")), (0, idle - 1));
        let (again, cached) = ask(&server, &long_chat("a"));
        assert!(again == text && cached > 30, "{cached}");
    }
    // A server that ends while it holds nothing leaves the files alone.
    wait_for(&server, "idle_trims_total", 3);
    assert_eq!(server.metric("contexts_refused_total"), 0);
    drop(server);
    assert!(sessions.0.join("m-a").join("slot-0.happy").is_file());
}

/// The copy of a model that embeds is let go, too, and loaded again.
#[test]
fn an_idle_model_embeds_again() {
    let folder = common::Folder::new("server-idle-embeddings");
    let (all, _) = models(&folder, &["a"], 256);
    let mut options: ServerOptions = options();
    options.idle_trim = Some(Duration::from_millis(1));
    let server = start(Server::bind_models(all, options).unwrap(), folder);
    let embed = || {
        let answer = server.post("/v1/embeddings", &json!({ "input": "hello" }));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["data"].to_string()
    };
    let first = embed();
    wait_for(&server, "idle_trims_total", 1);
    assert_eq!(embed(), first);
    wait_for(&server, "idle_trims_total", 2);
}

#[test]
fn chats_go_on_after_a_restart() {
    let sessions = common::Folder::new("server-sessions");
    let run = |name: &str| {
        let folder = common::Folder::new(&format!("server-restart-{name}"));
        let (all, _) = models(&folder, &["../a"], 256);
        let mut options: ServerOptions = options();
        options.sessions = Some(sessions.0.clone());
        start(Server::bind_models(all, options).unwrap(), folder)
    };
    let body = long_chat("../a");
    let first = run("one");
    let (text, cached) = ask(&first, &body);
    assert_eq!(cached, 0);
    drop(first);
    let file = sessions.0.join("m-.._a").join("slot-0.happy");
    assert!(file.is_file());
    let second = run("two");
    let (again, cached) = ask(&second, &body);
    assert!(again == text && cached > 30, "{cached}");
    assert_eq!((second.metric("contexts_restored_total"), second.metric("contexts_refused_total")), (1, 0));
    drop(second);
    // What is damaged is computed again.
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[..middle].fill(7);
    std::fs::write(&file, bytes).unwrap();
    let third = run("three");
    assert_eq!(ask(&third, &body), (text, 0));
    assert_eq!((third.metric("contexts_restored_total"), third.metric("contexts_refused_total")), (0, 1));
}
