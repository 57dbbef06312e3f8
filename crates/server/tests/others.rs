//! Anthropic's, Ollama's and the responses API over a socket: streams add up to whole answers.

mod client;
#[path = "../../engine/tests/common/mod.rs"]
mod common;

use client::{Running, load, options, serve};
use serde_json::{Value as Json, json};

fn server(name: &str) -> Running {
    serve(name, &load(2, 800), options())
}

fn tool() -> Json {
    json!({
        "type": "object", "properties": { "city": { "enum": ["Rom", "Bern"] } }, "required": ["city"],
        "additionalProperties": false,
    })
}

#[test]
fn anthropic_text() {
    let server = server("anthropic");
    let mut body = json!({
        "model": "tiny", "max_tokens": 20, "system": [{ "type": "text", "text": "be_brief" }], "temperature": 0,
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": "hello" }] }],
    });
    let whole = server.post("/v1/messages", &body).json();
    let prompt = "[system]be_brief[user]hello[assistant]".len() + 1;
    assert_eq!(
        (&whole["type"], &whole["usage"]["input_tokens"]),
        (&json!("message"), &json!(prompt)),
        "{whole}"
    );
    let count = server.post("/v1/messages/count_tokens", &body).json();
    assert_eq!(count["input_tokens"], prompt);
    body["stream"] = true.into();
    let events = server.post("/v1/messages", &body).events();
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_deref().unwrap()).collect();
    assert_eq!(names[..2], ["message_start", "content_block_start"]);
    assert_eq!(names[names.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);
    assert!(events.iter().all(|(name, data)| data["type"] == name.as_deref().unwrap()));
    let text: String = events.iter().filter_map(|(_, data)| data["delta"]["text"].as_str()).collect();
    assert_eq!(text, whole["content"][0]["text"].as_str().unwrap());
    let (_, end) = &events[events.len() - 2];
    assert_eq!(end["delta"]["stop_reason"], whole["stop_reason"]);
    assert_eq!(end["usage"]["cache_read_input_tokens"], prompt - 1);
    assert_eq!(end["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
    // A stop sequence is told.
    let stop: String = text.chars().skip(1).take(1).collect();
    body["stream"] = false.into();
    body["stop_sequences"] = json!([stop]);
    let stopped = server.post("/v1/messages", &body).json();
    assert_eq!((&stopped["stop_reason"], &stopped["stop_sequence"]), (&json!("stop_sequence"), &json!(stop)));
    // Failures have this API's form.
    let wrong = server.post("/v1/messages", &json!({ "messages": [] }));
    assert_eq!((wrong.status, &wrong.json()["type"]), (400, &json!("error")));
}

#[test]
fn anthropic_tools() {
    let server = server("anthropic-tools");
    let mut body = json!({
        "max_tokens": 150, "seed": 2, "logit_bias": client::no_spaces(), "messages": [{ "role": "user", "content": "hello" }],
        "tools": [{ "name": "weather", "input_schema": tool() }], "tool_choice": { "type": "tool", "name": "weather", "disable_parallel_tool_use": true },
    });
    let whole = server.post("/v1/messages", &body).json();
    assert_eq!(whole["stop_reason"], "tool_use", "{whole}");
    let blocks = whole["content"].as_array().unwrap();
    let call = blocks.iter().find(|block| block["type"] == "tool_use").unwrap();
    assert!(["Rom", "Bern"].contains(&call["input"]["city"].as_str().unwrap()));
    // The call and its result go back.
    body["messages"] = json!([
        { "role": "user", "content": "hello" },
        { "role": "assistant", "content": [call] },
        { "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": call["id"], "content": [{ "type": "text", "text": "sunny" }] },
            { "type": "text", "text": "so?" },
        ] },
    ]);
    let longer = server.post("/v1/messages/count_tokens", &body);
    assert_eq!(longer.status, 200, "{}", longer.body);
    body["stream"] = true.into();
    let events = server.post("/v1/messages", &body).events();
    let start = events.iter().find(|(_, data)| data["content_block"]["type"] == "tool_use").unwrap();
    assert_eq!(start.1["content_block"]["name"], "weather");
    let arguments: String =
        events.iter().filter_map(|(_, data)| data["delta"]["partial_json"].as_str()).collect();
    assert!(serde_json::from_str::<Json>(&arguments).unwrap()["city"].is_string(), "{arguments}");
}

#[test]
fn ollama_lines() {
    let server = server("ollama");
    let options = json!({ "temperature": 0, "num_predict": 12 });
    for (path, mut body) in [
        (
            "/api/chat",
            json!({ "model": "tiny:latest", "messages": [{ "role": "user", "content": "hello" }] }),
        ),
        ("/api/generate", json!({ "model": "tiny", "prompt": "hello" })),
        ("/api/generate", json!({ "model": "tiny", "prompt": "hello", "raw": true })),
    ] {
        body["options"] = options.clone();
        let text = |line: &Json| {
            let text = if path == "/api/chat" { &line["message"]["content"] } else { &line["response"] };
            text.as_str().unwrap().to_owned()
        };
        let stream = server.post(path, &body);
        assert_eq!(
            (stream.status, stream.header("content-type")),
            (200, Some("application/x-ndjson")),
            "{}",
            stream.body
        );
        let lines: Vec<Json> = stream.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        body["stream"] = false.into();
        let whole = server.post(path, &body).json();
        assert_eq!(lines.iter().map(text).collect::<String>(), text(&whole));
        let (last, others) = lines.split_last().unwrap();
        assert!(others.iter().all(|line| line["done"] == false));
        for end in [last, &whole] {
            assert_eq!(
                (&end["done"], &end["done_reason"], &end["eval_count"]),
                (&json!(true), &json!("length"), &json!(12))
            );
            assert!(
                end["total_duration"].as_u64().unwrap() > 0 && end["prompt_eval_count"].as_u64().unwrap() > 5
            );
        }
    }
    let body = json!({
        "messages": [{ "role": "user", "content": "x" }], "stream": false, "format": { "enum": ["a", "b"] },
    });
    let answer = server.post("/api/chat", &body).json();
    assert!(["\"a\"", "\"b\""].contains(&answer["message"]["content"].as_str().unwrap()), "{answer}");
    assert_eq!(
        server.post("/api/chat", &json!({ "model": "tiny", "messages": [] })).json()["done_reason"],
        "load"
    );
    let embedded = server.post("/api/embed", &json!({ "model": "tiny", "input": ["a", "b"] })).json();
    assert_eq!(embedded["embeddings"].as_array().map(Vec::len), Some(2), "{embedded}");
    assert_eq!(server.get("/api/tags").json()["models"][0]["name"], "tiny");
    assert_eq!(server.post("/api/show", &json!({ "model": "tiny" })).json()["details"]["family"], "llama");
    assert!(server.get("/api/version").json()["version"].is_string());
    let wrong = server.post("/api/chat", &json!({ "model": "other", "messages": [] }));
    assert!(wrong.status == 404 && wrong.json()["error"].is_string(), "{}", wrong.body);
}

#[test]
fn responses_text_and_calls() {
    let server = server("responses");
    let mut body =
        json!({ "input": "hello", "instructions": "be_brief", "temperature": 0, "max_output_tokens": 12 });
    let whole = server.post("/v1/responses", &body).json();
    assert_eq!((&whole["object"], &whole["status"]), (&json!("response"), &json!("incomplete")), "{whole}");
    body["stream"] = true.into();
    let events = server.post("/v1/responses", &body).events();
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_deref().unwrap()).collect();
    let begin = ["created", "in_progress", "output_item.added", "content_part.added", "output_text.delta"];
    assert_eq!(names[..5], begin.map(|name| format!("response.{name}")));
    let end = ["output_text.done", "content_part.done", "output_item.done", "incomplete"];
    assert_eq!(names[names.len() - 4..], end.map(|name| format!("response.{name}")));
    for (i, (name, data)) in events.iter().enumerate() {
        assert_eq!((&data["sequence_number"], &data["type"]), (&json!(i), &json!(name)));
    }
    let text: String = events
        .iter()
        .filter(|(name, _)| name.as_deref() == Some("response.output_text.delta"))
        .map(|(_, data)| data["delta"].as_str().unwrap())
        .collect();
    assert_eq!(text, whole["output"][0]["content"][0]["text"].as_str().unwrap());
    let last = &events.last().unwrap().1["response"];
    assert_eq!(last["output"][0]["content"], whole["output"][0]["content"]);
    // The item keeps its id.
    let added =
        events.iter().find(|(name, _)| name.as_deref() == Some("response.output_item.added")).unwrap();
    assert_eq!(last["output"][0]["id"], added.1["item"]["id"]);

    let tools = json!([{ "type": "function", "name": "weather", "parameters": tool() }]);
    let mut body = json!({ "input": "hello", "tools": tools, "tool_choice": "required", "stream": true, "seed": 4, "logit_bias": client::no_spaces() });
    let events = server.post("/v1/responses", &body).events();
    let last = &events.last().unwrap().1["response"];
    let call =
        last["output"].as_array().unwrap().iter().find(|item| item["type"] == "function_call").unwrap();
    let joined: String = events
        .iter()
        .filter(|(name, _)| name.as_deref() == Some("response.function_call_arguments.delta"))
        .filter(|(_, data)| data["item_id"] == call["id"])
        .map(|(_, data)| data["delta"].as_str().unwrap())
        .collect();
    assert_eq!(joined, call["arguments"].as_str().unwrap());
    // The whole conversation is sent with the result.
    body["input"] = json!([
        { "role": "user", "content": "hello" }, call,
        { "type": "function_call_output", "call_id": call["call_id"], "output": "sunny" },
    ]);
    body["stream"] = false.into();
    body["tool_choice"] = "none".into();
    body["max_output_tokens"] = 5.into();
    let answer = server.post("/v1/responses", &body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        server.post("/v1/responses", &json!({ "input": "x", "previous_response_id": "r" })).status,
        400
    );
}
