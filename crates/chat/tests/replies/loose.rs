//! Calls outside of the format's notation, and texts that must not be taken for calls.

use happy_chat::{ReplyFormat, ReplyParser};
use serde_json::{Value, json};

use ReplyFormat::*;

use crate::{parse, seen, told, weather};

pub(crate) fn tools() -> Vec<Value> {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {}}});
    vec![tool("w"), tool("get_weather")]
}

pub(crate) struct Loose {
    pub(crate) format: ReplyFormat,
    pub(crate) prompt: &'static str,
    pub(crate) text: &'static str,
    expect: Value,
}

fn call(format: ReplyFormat, text: &'static str) -> Loose {
    Loose { format, prompt: "", text, expect: json!(["", "", weather(), []]) }
}

fn content(format: ReplyFormat, text: &'static str) -> Loose {
    Loose { format, prompt: "", text, expect: json!([text, "", [], []]) }
}

fn thinks(format: ReplyFormat, text: &'static str, reasoning: &str, content: &str, calls: Value) -> Loose {
    Loose { format, prompt: "<think>\n", text, expect: json!([content, reasoning, calls, []]) }
}

pub(crate) fn cases() -> Vec<Loose> {
    const BARE: &str = "{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}";
    vec![
        call(Hermes, BARE),
        call(Hermes, "\n{\"arguments\": {\"city\": \"Zürich\"}, \"name\": \"w\"}\n\n"),
        call(Hermes, "```json\n{\"name\": \"w\", \"parameters\": {\"city\": \"Zürich\"}}\n```\n"),
        call(Hermes, "```\n[{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}]\n```"),
        call(Hermes, "<tools>\n{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}\n</tools>"),
        call(
            Hermes,
            "{\"type\": \"function\", \"function\": {\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}}",
        ),
        call(
            Hermes,
            "{\"function\": {\"name\": \"w\", \"parameters\": \"{\\\"city\\\": \\\"Zürich\\\"}\"}, \"type\": \"function\"}",
        ),
        call(Hermes, "[w(city='Zürich')]"),
        call(Hermes, "```JSON\n{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\",}}\n```"),
        call(Hermes, "{\"tool_calls\": [{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}]}"),
        call(
            Llama3,
            "{\"tool_calls\": [{\"id\": \"\", \"type\": \"function\", \"function\": {\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}}]}",
        ),
        content(Hermes, "{\"tool_calls\": []}"),
        call(Llama3, "<function=w>{\"city\": \"Zürich\"}</function>\n"),
        call(Hermes, "<function=w>{\"city\": \"Zürich\"}"),
        content(Llama3, "<function=w> calls w."),
        content(Llama3, "<function=x>{\"city\": \"Zürich\"}</function>"),
        content(Hermes, "{\"name\": \"w\", \"tool_calls\": []}"),
        content(Hermes, "```Rust\n{\"name\": \"w\", \"arguments\": {}}\n```"),
        call(Hermes, "{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}}"),
        call(Plain, BARE),
        call(Qwen3Coder, BARE),
        call(Mistral, BARE),
        call(Lfm2, "```json\n{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}\n```"),
        call(Llama3, "[w(city=\"Zürich\")]"),
        call(Llama3, "<tool_call>\n{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}\n</tool_call>"),
        call(Llama3, "```json\n{\"name\": \"w\", \"parameters\": {\"city\": \"Zürich\"}}\n```"),
        call(Llama3, "[{\"name\": \"w\", \"parameters\": {\"city\": \"Zürich\"}}]"),
        Loose {
            format: Hermes,
            prompt: "",
            text: "I'll look.\n\n{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}",
            expect: json!(["I'll look.", "", weather(), []]),
        },
        Loose {
            format: Hermes,
            prompt: "",
            text: "<think>hm</think>\n{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}\n{\"name\": \"get_weather\", \"arguments\": {\"n\": 12345678901234567890123}}",
            expect: json!(["", "hm", [["w", {"city": "Zürich"}], ["get_weather", {"n": serde_json::from_str::<Value>("12345678901234567890123").unwrap()}]], []]),
        },
        // Text about calls, other JSON, other tools.
        content(
            Hermes,
            "An example:\n```json\n{\"name\": \"Alice\", \"arguments\": {\"a\": 1}}\n```\nThat is all.",
        ),
        content(Hermes, "An example:\n```json\n{\"name\": \"w\", \"arguments\": {\"a\": 1}}\n```"),
        content(Hermes, "{\"name\": \"Alice\", \"age\": 7}"),
        content(Hermes, "{\"name\": \"w\", \"age\": 7}"),
        content(Hermes, "{\"name\": \"w\"}"),
        content(Llama3, "{\"name\": \"Alice\", \"parameters\": {}}"),
        content(Hermes, "To call it, write {\"name\": \"w\", \"arguments\": {}} in your reply."),
        content(Hermes, "To call it, write\n{\"name\": \"w\", \"arguments\": {}}\nin your reply."),
        content(Hermes, "{\"name\": \"w\", \"arguments\": {}} is what you write."),
        content(Hermes, "```json\n{\"name\": \"w\", \"arguments\": {}}\n```\nSo it is called."),
        content(Hermes, "{\"name\": \"w\", \"arguments\": {\"a\": "),
        content(Hermes, "[w](https://example.org) is a link."),
        content(Hermes, "[1, 2]"),
        content(Hermes, "[]"),
        content(Hermes, "[w(city='Zürich')] and more"),
        content(Hermes, "```python\nw(1)\n```"),
        content(Hermes, "<table>{}</table>"),
        content(Hermes, "{\"a\": [{\"name\": \"w\", \"arguments\": {}}]}\n"),
        content(Hermes, "{\"name\": \"w\", \"arguments\": {}}\n\n{\"name\": \"Alice\", \"arguments\": {}}"),
        // A call at the end of thinking that has no end.
        thinks(
            Hermes,
            "hm\n<tool_call>\n{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}\n</tool_call>\n",
            "hm",
            "",
            weather(),
        ),
        thinks(
            Qwen3Coder,
            "hm<tool_call><function=w><parameter=city>Zürich</parameter></function></tool_call>",
            "hm",
            "",
            weather(),
        ),
        thinks(
            Hermes,
            "I could <tool_call>{\"name\": \"w\", \"arguments\": {}}</tool_call></think>No.",
            "I could <tool_call>{\"name\": \"w\", \"arguments\": {}}</tool_call>",
            "No.",
            json!([]),
        ),
        thinks(
            Hermes,
            "so <tool_call>{\"name\": \"w\", \"arguments\": {}}</tool_call> it is",
            "so <tool_call>{\"name\": \"w\", \"arguments\": {}}</tool_call> it is",
            "",
            json!([]),
        ),
        thinks(
            Hermes,
            "<tool_call>{\"name\": \"x\", \"arguments\": {}}</tool_call>",
            "<tool_call>{\"name\": \"x\", \"arguments\": {}}</tool_call>",
            "",
            json!([]),
        ),
        thinks(
            Hermes,
            "<tool_call>{\"name\": \"w\", \"arguments\": {}}",
            "<tool_call>{\"name\": \"w\", \"arguments\": {}}",
            "",
            json!([]),
        ),
        thinks(
            Hermes,
            "a <tool_call> tag, then <tool_call>{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}</tool_call>",
            "a <tool_call> tag, then",
            "",
            weather(),
        ),
        thinks(
            Hermes,
            "<tool_call>{\"name\": \"w\", \"arguments\": {\"a\": \"</think>\"}}</think>Yes.",
            "<tool_call>{\"name\": \"w\", \"arguments\": {\"a\": \"",
            "\"}}</think>Yes.",
            json!([]),
        ),
    ]
}

#[test]
fn calls_of_small_models_are_read_and_other_texts_are_not() {
    let mut wrong = Vec::new();
    for Loose { format, prompt, text, mut expect } in cases() {
        // `weather()` is the list of calls.
        if let Some(calls) = expect.get(2).and_then(|calls| calls.get(0)).filter(|calls| calls[0].is_array())
        {
            expect[2] = calls.clone();
        }
        let parser = || ReplyParser::new(format).with_tools(&tools()).unwrap().after_prompt(prompt).unwrap();
        let (events, reply) = parse(parser(), text, &[]);
        if seen(&reply) != expect {
            wrong.push(format!("{format} {text:?}:\n    got    {}\n    expect {expect}", seen(&reply)));
        }
        for pieces in [&[1][..], &[3, 1, 7]] {
            if parse(parser(), text, pieces) != (events.clone(), reply.clone()) {
                wrong.push(format!("{format} {text:?}: other in pieces {pieces:?}"));
            }
        }
        match told(&events) {
            Ok(told) if (&told.content, &told.tool_calls) == (&reply.content, &reply.tool_calls) => {}
            other => wrong.push(format!("{format} {text:?}: the events tell {other:?}")),
        }
        // Without declared tools, only the format's own notation is read.
        let (_, bare) =
            parse(ReplyParser::new(format).with_tools(&[]).unwrap().after_prompt(prompt).unwrap(), text, &[]);
        if !bare.tool_calls.is_empty() && format != Llama3 {
            wrong.push(format!("{format} {text:?}: a call without tools"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// With nothing to call, small models call a tool with the example of its description.
#[test]
fn copied_examples_are_not_calls() {
    let parameter = json!({"type": "string", "description": "The city, e.g. Paris"});
    let unit = json!({"type": "string", "enum": ["celsius", "fahrenheit"]});
    let tools = [
        json!({"type": "function", "function": {"name": "get_weather", "description": "Weather in Oslo.",
            "parameters": {"properties": {"city": parameter, "unit": unit}}}}),
        json!({"name": "timer", "parameters": {"properties": {"minutes": {"type": "integer"},
            "label": {"type": "string", "examples": ["Tea", "Boiled eggs"]}}}}),
    ];
    let call = |name: &str, arguments: Value| json!({"name": name, "arguments": arguments}).to_string();
    let paris = call("get_weather", json!({"city": "Paris", "unit": "celsius"}));
    // What was said, the reply, and how many calls it has.
    let cases = [
        (Some("What is the capital of France?"), paris.clone(), 0),
        (Some("What is the capital of France?"), format!("```json\n{paris}\n```"), 0),
        (Some("Weather in paris?"), paris.clone(), 1),
        (Some("Weather in PARIS, please"), paris.clone(), 1),
        (None, paris.clone(), 1),
        (Some("hi"), call("get_weather", json!({"city": "Oslo"})), 1),
        (Some("hi"), call("get_weather", json!({"city": "Paris, France"})), 1),
        (Some("hi"), call("get_weather", json!({"unit": "celsius"})), 1),
        (Some("hi"), call("get_weather", json!({})), 1),
        (Some("hi"), call("timer", json!({"label": "Boiled eggs"})), 0),
        (Some("hi"), call("timer", json!({"label": "eggs", "minutes": 5})), 1),
        (Some("eggs are boiled"), call("timer", json!({"label": "Boiled eggs"})), 1),
        // A call in the format's own notation always counts.
        (Some("hi"), format!("<tool_call>\n{paris}\n</tool_call>"), 1),
    ];
    let mut wrong = Vec::new();
    for (said, text, n) in &cases {
        let mut parser = ReplyParser::new(Hermes).with_tools(&tools).unwrap();
        if let Some(said) = said {
            parser = parser.after_conversation([*said]).unwrap();
        }
        parser.push(text).unwrap();
        let (_, reply) = parser.finish().unwrap();
        if reply.tool_calls.len() != *n || (*n == 0) != (reply.content == *text) {
            wrong.push(format!("{said:?}, {text}: {reply:?}, expected {n} calls"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
