//! Wrong requests to every endpoint: a status of 4xx, in the form of the API, and a message that names the field and says what was
//! expected. After all of them the server still answers.

mod client;
#[path = "../../engine/tests/common/mod.rs"]
mod common;

use client::{Response, load, options, serve};
use serde_json::{Value as Json, json};

/// The message of an error in the form of the endpoint's API; `None` if it has another form.
fn message(path: &str, answer: &Response) -> Option<String> {
    let body: Json = serde_json::from_str(&answer.body).ok()?;
    let error = if path.starts_with("/api/") {
        &body["error"]
    } else {
        let is_anthropic = path.starts_with("/v1/messages");
        (is_anthropic == (body["type"] == "error")).then_some(())?;
        body["error"]["type"].as_str()?;
        &body["error"]["message"]
    };
    error.as_str().map(str::to_owned)
}

fn message_of(role: &str, content: &Json) -> Json {
    json!([{ "role": role, "content": content }])
}

#[test]
fn fields_of_every_endpoint() {
    let server = serve("wrong-input", &load(2, 256), options());
    let user = || message_of("user", &"x".into());
    let chat = |more: Json| {
        let mut body = json!({ "messages": user() });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let text = |more: Json| {
        let mut body = json!({ "prompt": "x", "max_tokens": 2 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let message_to = |more: Json| {
        let mut body = chat(json!({ "max_tokens": 2 }));
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let image = json!([{ "type": "image", "source": {} }]);
    let long = "x".repeat(300);
    let many: Vec<&str> = vec!["x"; 2049];
    let (openai, completions) = ("/v1/chat/completions", "/v1/completions");
    let (responses, anthropic) = ("/v1/responses", "/v1/messages");
    let cases: Vec<(&str, Json, u16, &str)> = vec![
        (openai, json!({ "messages": {} }), 400, "`messages`: expected an array"),
        (openai, json!({ "messages": ["x"] }), 400, "`messages.0`: expected an object"),
        (openai, json!({ "messages": [{ "content": "x" }] }), 400, "`messages.0.role`: is missing"),
        (openai, json!({ "messages": message_of("user", &7.into()) }), 400, "`messages.0.content`"),
        (openai, chat(json!({ "top_p": 2 })), 400, "top_p"),
        (openai, chat(json!({ "min_p": -1 })), 400, "min_p"),
        (openai, chat(json!({ "n": 0 })), 400, "`n`: is 0, expected at least 1"),
        (openai, chat(json!({ "seed": 1.5 })), 400, "`seed`: expected a whole number"),
        (openai, chat(json!({ "stop": 7 })), 400, "`stop`: expected a string or an array of strings"),
        (openai, chat(json!({ "stop": vec!["x"; 65] })), 400, "`stop`: 65 strings, expected at most 64"),
        (openai, chat(json!({ "stream": "yes" })), 400, "`stream`: expected true or false"),
        (openai, chat(json!({ "stream": true, "stream_options": 1 })), 400, "`stream_options`"),
        (openai, chat(json!({ "top_logprobs": 21, "logprobs": true })), 400, "at most 20"),
        (openai, chat(json!({ "logit_bias": { "x": 1 } })), 400, "`logit_bias`: expected token ids"),
        (openai, chat(json!({ "logit_bias": { "99999": 1 } })), 400, "99999"),
        (openai, chat(json!({ "tools": [{ "type": "function" }] })), 400, "`tools.0.function`: is missing"),
        (openai, chat(json!({ "tool_choice": "maybe" })), 400, "`tool_choice`: is \"maybe\""),
        (
            openai,
            chat(json!({ "response_format": { "type": "json_schema" } })),
            400,
            "`response_format.json_schema`",
        ),
        (openai, chat(json!({ "grammar": "root ::= x" })), 400, "x"),
        (openai, chat(json!({ "repeat_penalty": 0 })), 400, "0"),
        (
            openai,
            chat(json!({ "chat_template_kwargs": [] })),
            400,
            "`chat_template_kwargs`: expected an object",
        ),
        (completions, json!({}), 400, "`prompt`: expected a string"),
        (completions, json!({ "prompt": [] }), 400, "`prompt`: expected a string"),
        (completions, json!({ "prompt": [1, "x"] }), 400, "`prompt`"),
        (completions, json!({ "prompt": vec!["x"; 65] }), 400, "65 prompts, expected at most 64"),
        (completions, json!({ "prompt": long }), 400, "context holds 256 tokens"),
        (completions, text(json!({ "max_tokens": 0 })), 400, "`max_tokens`: is 0, expected at least 1"),
        (completions, text(json!({ "best_of": 3 })), 400, "`best_of`: is 3"),
        (responses, json!({}), 400, "`input`: expected a string or an array of items"),
        (responses, json!({ "input": [] }), 400, "`input`"),
        (responses, json!({ "input": [{ "type": "file" }] }), 400, "`input.0.type`: is \"file\""),
        (responses, json!({ "input": "x", "tools": [{ "type": "web_search" }] }), 400, "`tools.0.type`"),
        (responses, json!({ "input": "x", "max_output_tokens": 0 }), 400, "`max_output_tokens`"),
        (
            responses,
            json!({ "input": "x", "text": { "format": { "type": "xml" } } }),
            400,
            "`text.format.type`",
        ),
        (responses, json!({ "input": long }), 400, "context holds 256 tokens"),
        (anthropic, json!({ "messages": user() }), 400, "`max_tokens`: is missing"),
        (anthropic, json!({ "max_tokens": 2 }), 400, "`messages`: is missing"),
        (
            anthropic,
            json!({ "max_tokens": 2, "messages": message_of("king", &"x".into()) }),
            400,
            "`messages.0.role`",
        ),
        (
            anthropic,
            json!({ "max_tokens": 2, "messages": message_of("user", &image) }),
            400,
            "only reads text",
        ),
        (anthropic, message_to(json!({ "tools": [{ "name": "f" }] })), 400, "`tools.0.input_schema`"),
        (
            anthropic,
            message_to(json!({ "tool_choice": { "type": "x" } })),
            400,
            "`tool_choice.type`: is \"x\"",
        ),
        (anthropic, message_to(json!({ "thinking": true })), 400, "`thinking`: expected an object"),
        ("/v1/messages/count_tokens", json!({ "messages": [] }), 400, "`messages`: is empty"),
        ("/api/chat", json!({ "messages": {} }), 400, "`messages`: expected an array"),
        ("/api/chat", chat(json!({ "options": [] })), 400, "`options`: expected an object"),
        ("/api/chat", chat(json!({ "options": { "temperature": "hot" } })), 400, "`options.temperature`"),
        ("/api/chat", chat(json!({ "options": { "num_predict": 0 } })), 400, "`options.num_predict`: is 0"),
        ("/api/chat", chat(json!({ "format": 5 })), 400, "`format`: expected \"json\" or a JSON schema"),
        ("/api/chat", chat(json!({ "keep_alive": "5 parsecs" })), 400, "`keep_alive`: expected seconds"),
        ("/api/chat", chat(json!({ "think": 7 })), 400, "`think`: expected true, false or a level"),
        ("/api/chat", chat(json!({ "model": "other" })), 404, "unknown model `other`"),
        (
            "/api/chat",
            json!({ "messages": [{ "role": "user", "content": "x", "images": ["aaaa"] }] }),
            400,
            "only reads text",
        ),
        ("/api/generate", json!({ "prompt": 5 }), 400, "`prompt`: expected a string"),
        ("/api/generate", json!({ "prompt": "x", "images": ["aaaa"] }), 400, "only reads text"),
        ("/api/generate", json!({ "prompt": "x", "suffix": "y" }), 400, "`suffix`"),
        ("/api/embed", json!({}), 400, "`input`: is missing or empty"),
        ("/api/embed", json!({ "input": "x", "dimensions": 0 }), 400, "`dimensions`: is 0"),
        ("/api/embeddings", json!({}), 400, "`prompt`: is missing"),
        ("/api/show", json!({ "model": "other" }), 404, "unknown model `other`"),
        ("/api/pull", json!({ "model": "x" }), 403, "--downloads"),
        ("/tokenize", json!({}), 400, "`content`: is missing"),
        ("/tokenize", json!({ "content": 5 }), 400, "`content`: expected a string"),
        (
            "/tokenize",
            json!({ "content": "x", "add_special": "yes" }),
            400,
            "`add_special`: expected true or false",
        ),
        ("/detokenize", json!({}), 400, "`tokens`: is missing"),
        ("/detokenize", json!({ "tokens": ["a"] }), 400, "is not a valid token id"),
        ("/apply-template", json!({}), 400, "`messages`: is missing"),
        ("/v1/embeddings", json!({}), 400, "`input`: is missing or empty"),
        ("/v1/embeddings", json!({ "input": many }), 400, "2049 texts, expected at most 2048"),
        (
            "/v1/embeddings",
            json!({ "input": "x", "encoding_format": "hex" }),
            400,
            "`encoding_format`: is \"hex\"",
        ),
        ("/v1/embeddings", json!({ "input": [99999] }), 400, "99999 is not a valid token id"),
        ("/v1/rerank", json!({ "documents": ["x"] }), 400, "`query`: is missing"),
        ("/v1/rerank", json!({ "query": "x", "documents": [] }), 400, "expected 1 to 2048"),
        ("/v1/rerank", json!({ "query": "x", "documents": [5] }), 400, "`documents.0`"),
        ("/v1/rerank", json!({ "query": "x", "documents": ["y"], "top_n": 0 }), 400, "`top_n`: is 0"),
    ];
    let mut failures = Vec::new();
    let mut check = |path: &str, body: &str, answer: &Response, status: u16, part: &str| {
        let message = message(path, answer);
        let says =
            message.as_deref().is_some_and(|message| message.contains(part) && !message.contains('\n'));
        if answer.status != status || !says || answer.header("x-should-retry") != Some("false") {
            failures
                .push(format!("{path} {body}: {} {}, expected {status}, {part}", answer.status, answer.body));
        }
    };
    for (path, body, status, part) in &cases {
        check(path, &body.to_string(), &server.post(path, body), *status, part);
    }
    // Bodies that are no objects, for every endpoint that takes one.
    let posts = happy_server::internals::endpoints().filter(|(method, _)| *method == "POST");
    for (_, path) in posts {
        for (body, part) in [
            ("", "not valid JSON"),
            ("{\"a\": ", "not valid JSON"),
            ("\u{feff}{}", "not valid JSON"),
            ("null", "expected a JSON object"),
            ("[1, 2]", "expected a JSON object"),
            ("\"text\"", "expected a JSON object"),
        ] {
            check(path, body, &server.send("POST", path, "", body), 400, part);
        }
        let answer = server.send("PUT", path, "", "{}");
        check(path, "PUT", &answer, 405, "expected POST");
    }
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
    let answer = server.post(completions, &json!({ "prompt": "x", "max_tokens": 2 }));
    assert_eq!(answer.status, 200, "{}", answer.body);
}
