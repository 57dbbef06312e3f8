//! OpenAI's API over a socket: whole answers, streams that add up to them, and what is refused.

mod client;
#[path = "../../engine/tests/common/mod.rs"]
mod common;

use client::{Response, Running, load, options, serve};
use serde_json::{Value as Json, json};

fn server(name: &str) -> Running {
    serve(name, &load(2, if name == "tools" { 600 } else { 256 }), options())
}

fn user(text: &str) -> Json {
    json!([{ "role": "user", "content": text }])
}

/// With the same seed twice: whole and streamed.
fn both(server: &Running, path: &str, body: &Json) -> (Json, Response) {
    let whole = server.post(path, body);
    assert_eq!(whole.status, 200, "{}", whole.body);
    let mut body = body.clone();
    body["stream"] = true.into();
    body["stream_options"] = json!({ "include_usage": true });
    let stream = server.post(path, &body);
    assert_eq!((stream.status, stream.header("content-type")), (200, Some("text/event-stream")));
    (whole.json(), stream)
}

/// The chunks of a stream, and the usage at its end.
fn chunks(stream: &Response) -> (Vec<Json>, Json) {
    let mut all: Vec<Json> = stream.events().into_iter().map(|(_, data)| data).collect();
    assert_eq!(all.pop().unwrap(), "[DONE]");
    let usage = all.pop().unwrap();
    assert_eq!(usage["choices"], json!([]));
    for chunk in &all {
        assert!(chunk["usage"].is_null() && chunk["choices"][0].get("finish_reason").is_some(), "{chunk}");
    }
    (all, usage["usage"].clone())
}

#[test]
fn a_streamed_chat_adds_up_to_the_whole() {
    let server = server("chat");
    let body = json!({
        "model": "tiny", "messages": user("hello"), "max_tokens": 30, "seed": 5, "temperature": 1.5, "top_k": 0,
        "min_p": 0, "logprobs": true, "top_logprobs": 3, "unknown": { "is": "ignored" },
    });
    let (whole, stream) = both(&server, "/v1/chat/completions", &body);
    let choice = &whole["choices"][0];
    assert_eq!((&whole["object"], &whole["model"]), (&json!("chat.completion"), &json!("tiny")));
    let usage = &whole["usage"];
    let prompt = "[user]hello[assistant]".len() + 1;
    assert_eq!(usage["prompt_tokens"], prompt);
    assert_eq!(usage["total_tokens"], prompt as u64 + usage["completion_tokens"].as_u64().unwrap());

    let (chunks, streamed_usage) = chunks(&stream);
    let part =
        |pick: &dyn Fn(&Json) -> Json| chunks.iter().map(pick).filter(|x| !x.is_null()).collect::<Vec<_>>();
    let texts = part(&|chunk| chunk["choices"][0]["delta"]["content"].clone());
    let text: String = texts.iter().map(|text| text.as_str().unwrap()).collect();
    assert_eq!(text, choice["message"]["content"].as_str().unwrap());
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let ends = part(&|chunk| chunk["choices"][0]["finish_reason"].clone());
    assert_eq!(ends, [choice["finish_reason"].clone()]);
    assert_eq!(streamed_usage["completion_tokens"], usage["completion_tokens"]);
    assert_eq!(streamed_usage["prompt_tokens_details"]["cached_tokens"], prompt - 1);

    let probabilities = choice["logprobs"]["content"].as_array().unwrap();
    let streamed = part(&|chunk| chunk["choices"][0]["logprobs"]["content"].clone());
    let streamed: Vec<Json> = streamed.into_iter().flat_map(|all| all.as_array().unwrap().clone()).collect();
    assert_eq!(&streamed, probabilities);
    assert_eq!(probabilities.len() as u64, usage["completion_tokens"].as_u64().unwrap());
    for one in probabilities {
        let top = one["top_logprobs"].as_array().unwrap();
        let ln_p = one["logprob"].as_f64().unwrap();
        assert_eq!(top.len(), 3);
        assert!(ln_p <= 0.0 && top[0]["logprob"].as_f64().unwrap() >= ln_p, "{one}");
        assert!(one["bytes"].as_array().is_some_and(|bytes| bytes.len() <= 4), "{one}");
    }
}

#[test]
fn choices_have_seeds_of_their_own() {
    let server = server("choices");
    let ask = |n: usize, seed: u64| {
        let body = json!({ "messages": user("x"), "n": n, "seed": seed, "max_tokens": 20, "temperature": 1.5, "top_k": 0, "min_p": 0 });
        let answer = server.post("/v1/chat/completions", &body).json();
        let texts = answer["choices"].as_array().unwrap().iter().map(|c| c["message"]["content"].to_string());
        texts.collect::<Vec<_>>()
    };
    let three = ask(3, 70);
    assert_eq!(three, [ask(1, 70), ask(1, 71), ask(1, 72)].concat());
    assert_ne!(three[0], three[1]);
}

#[test]
fn forms_hold() {
    let server = server("forms");
    let schema = json!({
        "type": "object", "properties": { "n": { "enum": [1, 22, 333] } }, "required": ["n"], "additionalProperties": false,
    });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": schema } });
    for seed in 0..5 {
        let body =
            json!({ "messages": user("x"), "response_format": format, "seed": seed, "max_tokens": 100 });
        let answer = server.post("/v1/chat/completions", &body).json();
        let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
        let value: Json = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
        assert!([1, 22, 333].contains(&value["n"].as_i64().unwrap()), "{text}");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
    let body = json!({ "prompt": "x", "grammar": "root ::= \"yes\" | \"no\"", "logprobs": 0 });
    let answer = server.post("/v1/completions", &body).json();
    assert!(["yes", "no"].contains(&answer["choices"][0]["text"].as_str().unwrap()), "{answer}");
    let wrong = server.post("/v1/completions", &json!({ "prompt": "x", "grammar": "root ::= (" }));
    assert_eq!(wrong.status, 400, "{}", wrong.body);
}

#[test]
fn a_call_that_is_required_comes() {
    let server = server("tools");
    let parameters = json!({
        "type": "object", "properties": { "city": { "enum": ["Rom", "Bern"] } }, "required": ["city"],
        "additionalProperties": false,
    });
    let tools = json!([{ "type": "function", "function": { "name": "weather", "parameters": parameters } }]);
    let body = json!({ "messages": user("x"), "tools": tools, "tool_choice": "required", "parallel_tool_calls": false, "max_tokens": 150, "seed": 3, "logit_bias": client::no_spaces() });
    let (whole, stream) = both(&server, "/v1/chat/completions", &body);
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls", "{whole}");
    let call = &choice["message"]["tool_calls"][0];
    let arguments: Json = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(call["function"]["name"], "weather");
    assert!(["Rom", "Bern"].contains(&arguments["city"].as_str().unwrap()));

    let (chunks, _) = chunks(&stream);
    let deltas: Vec<&Json> =
        chunks.iter().flat_map(|c| c["choices"][0]["delta"]["tool_calls"].as_array()).flatten().collect();
    let of_first: Vec<&&Json> = deltas.iter().filter(|delta| delta["index"] == 0).collect();
    assert_eq!(
        (&of_first[0]["type"], &of_first[0]["function"]["name"]),
        (&json!("function"), &json!("weather"))
    );
    assert!(of_first[0]["id"].as_str().is_some_and(|id| id.len() > 5));
    let joined: String =
        of_first.iter().map(|delta| delta["function"]["arguments"].as_str().unwrap()).collect();
    assert_eq!(joined, call["function"]["arguments"].as_str().unwrap());

    // Its answer goes back into the prompt.
    let messages = json!([
        { "role": "user", "content": "x" }, choice["message"],
        { "role": "tool", "tool_call_id": call["id"], "content": "sunny" },
    ]);
    let prompt = server.post("/apply-template", &json!({ "messages": messages })).json();
    let prompt = prompt["prompt"].as_str().unwrap();
    assert!(
        prompt.contains("<tool_call>{\"name\":") && prompt.contains("\"arguments\": {\"city\"")
            || prompt.contains("\"arguments\":{\"city\""),
        "{prompt}"
    );
    assert!(prompt.ends_with("[tool]sunny[assistant]"), "{prompt}");
}

#[test]
fn completions_in_all_their_forms() {
    let server = server("completions");
    let greedy = |prompt: Json| json!({ "prompt": prompt, "temperature": 0, "max_tokens": 8 });
    let (whole, stream) = both(&server, "/v1/completions", &greedy("abc".into()));
    let text = whole["choices"][0]["text"].as_str().unwrap();
    let (chunks, _) = chunks(&stream);
    let joined: String = chunks.iter().map(|chunk| chunk["choices"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(joined, text);
    // The same prompt as ids, and two at once.
    let ids = server.post("/tokenize", &json!({ "content": "abc" })).json()["tokens"].clone();
    assert_eq!(ids, json!([100, 101, 102]));
    let with_bos = json!([1, 100, 101, 102]);
    let answer = server.post("/v1/completions", &greedy(with_bos)).json();
    assert_eq!(answer["choices"][0]["text"], text);
    let answer = server.post("/v1/completions", &greedy(json!(["abc", "xyz"]))).json();
    assert_eq!(
        (&answer["choices"][0]["text"], answer["choices"].as_array().unwrap().len()),
        (&json!(text), 2)
    );
    // Each prompt counts: BOS and three bytes.
    assert_eq!(answer["usage"]["prompt_tokens"], 8);
    let mut echo = greedy("abc".into());
    echo["echo"] = true.into();
    let answer = server.post("/v1/completions", &echo).json();
    assert_eq!(answer["choices"][0]["text"], format!("abc{text}"));
    // A stop string is not a part of the text, also in the middle.
    let mut stop = greedy("abc".into());
    let end: String = text.chars().skip(2).take(1).collect();
    stop["stop"] = end.as_str().into();
    let answer = server.post("/v1/completions", &stop).json();
    let stopped = answer["choices"][0]["text"].as_str().unwrap();
    assert!(text.starts_with(stopped) && !stopped.contains(&end), "{stopped:?} of {text:?}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[test]
fn embeddings_as_floats_and_base64() {
    let server = server("embeddings");
    let ask = |body: Json| server.post("/v1/embeddings", &body);
    let answer = ask(json!({ "input": ["a", "bcd"] }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = answer.json();
    let vector: Vec<f32> = answer["data"][1]["embedding"]
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_f64().unwrap() as f32)
        .collect();
    let length: f32 = vector.iter().map(|x| x * x).sum();
    assert!(vector.len() == 64 && (length - 1.0).abs() < 1e-4, "{length}");
    let coded = ask(json!({ "input": "bcd", "encoding_format": "base64" })).json();
    let text = coded["data"][0]["embedding"].as_str().unwrap();
    let bytes = happy_testkit::base64(text).unwrap();
    let floats: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    assert_eq!(floats, vector);
    assert_eq!(ask(json!({ "input": [] })).status, 400);
    assert_eq!(ask(json!({ "input": "x", "dimensions": 65 })).status, 400);
    // The model has no classifier.
    let rank = server.post("/v1/rerank", &json!({ "query": "a", "documents": ["b"] }));
    assert_eq!(rank.status, 400, "{}", rank.body);
}

#[test]
fn what_is_wrong_is_said_with_numbers() {
    let server = server("wrong");
    let chat = "/v1/chat/completions";
    let cases = [
        (chat, json!({ "messages": user(&"x".repeat(300)) }), 400, "context holds 256 tokens"),
        (chat, json!({ "messages": [] }), 400, "`messages`: is empty"),
        (chat, json!({}), 400, "`messages`: is missing"),
        (chat, json!([1]), 400, "expected a JSON object"),
        (
            chat,
            json!({ "messages": user("x"), "model": "gpt-9" }),
            404,
            "unknown model `gpt-9`, expected one of `tiny`",
        ),
        (
            chat,
            json!({ "messages": user("x"), "temperature": "hot" }),
            400,
            "`temperature`: expected a number",
        ),
        (chat, json!({ "messages": user("x"), "temperature": -1 }), 400, "temperature"),
        (chat, json!({ "messages": user("x"), "n": 1000 }), 400, "at most 16"),
        (chat, json!({ "messages": user("x"), "max_tokens": 0 }), 400, "at least 1"),
        (chat, json!({ "messages": user("x"), "tool_choice": "required" }), 400, "no tool is declared"),
        (
            chat,
            json!({ "messages": user("x"), "response_format": { "type": "xml" } }),
            400,
            "`response_format.type`",
        ),
        (chat, json!({ "messages": [{ "role": "king", "content": "x" }] }), 400, "`messages.0.role`"),
        (
            chat,
            json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url" }] }] }),
            400,
            "only reads text",
        ),
        ("/v1/completions", json!({ "prompt": [1, 99999] }), 400, "token 99999"),
        ("/v1/completions", json!({ "prompt": "a", "suffix": "b" }), 400, "`suffix`"),
        ("/v1/nothing", json!({}), 404, "unknown endpoint `/v1/nothing`"),
        ("/health", json!({}), 405, "expected GET"),
        ("/detokenize", json!({ "tokens": [100, -1] }), 400, "-1 is not a valid token id"),
    ];
    for (path, body, status, part) in cases {
        let answer = server.post(path, &body);
        let message = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert!(message.contains(part), "{body}: {message}");
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    let broken = server.send("POST", chat, "", "{\"messages\": [");
    assert_eq!(broken.status, 400);
    assert!(broken.body.contains("not valid JSON"), "{}", broken.body);
    let deep = server.send("POST", chat, "", &"[".repeat(100_000));
    assert_eq!(deep.status, 400, "{}", deep.body);
    // After all that it still answers.
    assert_eq!(server.get("/health").json(), json!({ "status": "ok" }));
    assert_eq!(server.get("/v1/models").json()["data"][0]["id"], "tiny");
    assert_eq!(server.get("/v1/models/tiny").json()["meta"]["n_ctx"], 256);
    assert_eq!(server.get("/v1/models/other").status, 404);
}
