//! Answers do not depend on who else asks.

mod client;
#[path = "../../engine/tests/common/mod.rs"]
mod common;

use client::{load, options, serve};
use happy_engine::LoadOptions;
use serde_json::{Value as Json, json};
use std::io::{Read, Write};
use std::sync::Mutex;
use std::time::Duration;

/// Requests of all kinds: lengths, seeds, penalties, forms, stop strings, some greedy.
fn requests() -> Vec<(&'static str, Json)> {
    let mut all = Vec::new();
    for i in 0..32u64 {
        let text: String =
            (0..(i * 7) % 90 + 1).map(|k| char::from(b'a' + ((k * i + i) % 26) as u8)).collect();
        let mut body = json!({ "max_tokens": 5 + i % 40, "seed": 1000 + i, "temperature": 1.3, "top_k": 0 });
        match i % 4 {
            0 => body["temperature"] = 0.into(),
            1 => body["repeat_penalty"] = json!(1.2),
            2 => body["stop"] = json!(["q", "zz"]),
            _ => body["grammar"] = json!("root ::= [a-f]+ \".\""),
        }
        if i % 3 == 0 {
            body["prompt"] = text.into();
            all.push(("/v1/completions", body));
        } else {
            body["messages"] =
                json!([{ "role": "system", "content": "the same" }, { "role": "user", "content": text }]);
            all.push(("/v1/chat/completions", body));
        }
    }
    all
}

/// The texts of an answer and why they ended.
fn text(answer: &Json) -> String {
    answer["choices"].to_string()
}

#[test]
fn answers_do_not_depend_on_their_neighbors() {
    let requests = requests();
    let alone = serve("alone", &load(1, 256), options());
    let one_by_one: Vec<String> = requests
        .iter()
        .map(|(path, body)| {
            let answer = alone.post(path, body);
            assert_eq!(answer.status, 200, "{}", answer.body);
            text(&answer.json())
        })
        .collect();
    assert!(one_by_one.iter().any(|text| text.contains("\"length\"")));
    assert!(one_by_one.iter().any(|text| text.contains("\"stop\"")));

    // They share prompts, of each other and of branches, and guess tokens while they are alone.
    let load = LoadOptions { branches: 3, branch_bytes: 1 << 20, draft_tokens: 7, ..load(5, 256) };
    let together = serve("together", &load, options());
    let found = Mutex::new(vec![String::new(); requests.len()]);
    std::thread::scope(|scope| {
        for (i, (path, body)) in requests.iter().enumerate() {
            let (together, found) = (&together, &found);
            scope.spawn(move || {
                let answer = together.post(path, body);
                assert_eq!(answer.status, 200, "{}", answer.body);
                found.lock().unwrap()[i] = text(&answer.json());
            });
        }
    });
    for (i, (found, expected)) in found.into_inner().unwrap().iter().zip(&one_by_one).enumerate() {
        assert_eq!(found, expected, "request {i}: {}", requests[i].1);
    }
    assert_eq!(together.metric("answers_total"), 32);
    assert!(together.metric("prompt_tokens_cached_total") > 0);
    assert_eq!((together.metric("generations_running"), together.metric("generations_waiting")), (0, 0));
}

/// An answer that is alone guesses tokens ahead, also if another one comes and goes meanwhile. Its text is the same.
#[test]
fn guesses_change_no_answer() {
    let plain = serve("plain", &load(2, 2048), options());
    let server = serve("guesses", &LoadOptions { draft_tokens: 7, ..load(2, 2048) }, options());
    let mut all = requests();
    all.truncate(8);
    for (path, body) in &all {
        assert_eq!(text(&server.post(path, body).json()), text(&plain.post(path, body).json()), "{body}");
    }
    // Greedy, it repeats itself soon.
    let long = json!({ "prompt": "abc", "max_tokens": 1500, "temperature": 0, "ignore_eos": true });
    let expected = plain.post("/v1/completions", &long).json();
    std::thread::scope(|scope| {
        let alone = scope.spawn(|| server.post("/v1/completions", &long).json());
        for (path, body) in &all {
            assert_eq!(text(&server.post(path, body).json()), text(&plain.post(path, body).json()), "{body}");
        }
        let found = alone.join().unwrap();
        assert_eq!(text(&found), text(&expected));
        assert_eq!(found["usage"]["completion_tokens"], 1500);
    });
    assert_eq!(plain.metric("guessed_tokens_total"), 0);
    let (guessed, right) =
        (server.metric("guessed_tokens_total"), server.metric("guessed_tokens_right_total"));
    assert!(right > 0 && guessed >= right, "{right} of {guessed}");
    // Probabilities need the logits of each token.
    let mut body = long;
    (body["logprobs"], body["max_tokens"]) = (3.into(), 100.into());
    let found = server.post("/v1/completions", &body).json();
    assert_eq!(found["choices"][0]["logprobs"]["tokens"].as_array().map(Vec::len), Some(100));
    assert_eq!(server.metric("guessed_tokens_total"), guessed);
}

#[test]
fn a_prompt_that_begins_like_an_earlier_one_is_computed_from_there() {
    let server = serve("prefix", &load(2, 256), options());
    let ask = |messages: Json| {
        let body = json!({ "messages": messages, "max_tokens": 4, "temperature": 0 });
        let answer = server.post("/v1/chat/completions", &body).json();
        let usage = &answer["usage"];
        let text = answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        (
            text,
            usage["prompt_tokens"].as_u64().unwrap(),
            usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap(),
        )
    };
    let user = |text: &str| json!({ "role": "user", "content": text });
    // A token is a byte, and BOS.
    let first = "[user]hello_there[assistant]".len() as u64 + 1;
    let (text, prompt, cached) = ask(json!([user("hello_there")]));
    assert_eq!((prompt, cached), (first, 0));
    // The same again: only the last token is computed, and the text is the same.
    assert_eq!(ask(json!([user("hello_there")])), (text, first, first - 1));
    // Another one takes the other slot, and the first stays.
    let (_, _, cached) = ask(json!([{ "role": "system", "content": "x" }, user("other")]));
    assert!(cached <= 2, "{cached}");
    assert_eq!(ask(json!([user("hello_there"), user("!")])).2, "[user]hello_there[".len() as u64 + 1);
}

#[test]
fn a_client_that_leaves_ends_its_answer() {
    let server = serve("leave", &load(1, 60_000), options());
    let body =
        json!({ "prompt": "a", "max_tokens": 50_000, "stream": true, "ignore_eos": true, "temperature": 0 });
    let mut stream = server.connect();
    stream.write_all(client::request("POST", "/v1/completions", "", &body.to_string()).as_bytes()).unwrap();
    let mut some = [0; 600];
    stream.read_exact(&mut some).unwrap();
    assert_eq!(server.metric("generations_running"), 1);
    drop(stream);
    // It would take minutes to end by itself.
    while server.metric("generations_running") != 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.metric("answers_total"), 0);
    // The slot serves others.
    let answer = server.post("/v1/completions", &json!({ "prompt": "b", "max_tokens": 2 }));
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[test]
fn requests_beyond_the_queue_are_refused() {
    let mut options = options();
    options.queue = 1;
    let server = serve("queue", &load(1, 60_000), options);
    let long =
        json!({ "prompt": "a", "max_tokens": 50_000, "stream": true, "ignore_eos": true, "temperature": 0 });
    let begin = || {
        let mut stream = server.connect();
        let request = client::request("POST", "/v1/completions", "", &long.to_string());
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let mut running = begin();
    running.read_exact(&mut [0; 300]).unwrap();
    let _waiting = begin();
    while server.metric("generations_waiting") != 1 {
        std::thread::sleep(Duration::from_millis(2));
    }
    let refused = server.post("/v1/completions", &json!({ "prompt": "b" }));
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{}", refused.body);
    assert_eq!(refused.json()["error"]["code"], "queue_full");
    assert_eq!(refused.header("x-should-retry"), Some("true"));
}
