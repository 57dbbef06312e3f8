//! Parsing of replies: examples of every format, hostile texts, and pieces of any size.

mod hostile;
mod loose;
mod messages;
mod no_memory;
mod objects;
mod tagged;

use happy_chat::{
    Channel, ChatTemplate, Reply, ReplyEvent, ReplyFormat, ReplyParser, TemplateInput, messages_from_json,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use ReplyFormat::*;

/// Refuses in the tests of `no_memory` alone.
#[global_allocator]
static METER: happy_testkit::Meter = happy_testkit::Meter;

/// Parses a reply in pieces of these lengths, which are used in turn.
fn parse(parser: ReplyParser, text: &str, pieces: &[usize]) -> (Vec<ReplyEvent>, Reply) {
    let (mut parser, mut events) = (parser, Vec::new());
    let mut chars = text.chars().peekable();
    let mut lengths = pieces.iter().copied().cycle();
    while chars.peek().is_some() {
        let n = lengths.next().unwrap_or(usize::MAX).max(1);
        let piece: String = chars.by_ref().take(n).collect();
        events.extend(parser.push(&piece).unwrap());
    }
    let (last, reply) = parser.finish().unwrap();
    events.extend(last);
    (joined(events), reply)
}

/// Joins neighboring texts of the same kind into one event.
fn joined(events: Vec<ReplyEvent>) -> Vec<ReplyEvent> {
    let mut out: Vec<ReplyEvent> = Vec::new();
    for event in events {
        match (out.last_mut(), event) {
            (Some(ReplyEvent::Content(a)), ReplyEvent::Content(b))
            | (Some(ReplyEvent::Reasoning(a)), ReplyEvent::Reasoning(b)) => a.push_str(&b),
            (
                Some(ReplyEvent::CallArguments { index: i, delta: a }),
                ReplyEvent::CallArguments { index: j, delta: b },
            ) if *i == j => a.push_str(&b),
            (_, event) => out.push(event),
        }
    }
    out
}

/// Builds the reply from the events alone, to compare it with the parser's. Calls have only a name and arguments.
fn told(events: &[ReplyEvent]) -> Result<Reply, String> {
    let mut reply = Reply::default();
    let mut open: Option<(usize, String, String)> = None;
    for event in events {
        match event {
            ReplyEvent::Content(text) => reply.content.push_str(text),
            ReplyEvent::Reasoning(text) => reply.reasoning.push_str(text),
            ReplyEvent::CallStart { index, name, .. } => {
                if open.is_some() || *index != reply.tool_calls.len() {
                    return Err(format!("call {index} begins at the wrong time"));
                }
                open = Some((*index, name.clone(), String::new()));
            }
            ReplyEvent::CallArguments { index, delta } => match &mut open {
                Some((i, _, text)) if i == index => text.push_str(delta),
                _ => return Err(format!("arguments of call {index}, which is not open")),
            },
            ReplyEvent::CallEnd { index, call } => {
                let (i, name, text) = open.take().ok_or("a call ends that has not begun")?;
                let arguments: Value = serde_json::from_str(&text).map_err(|e| format!("{text}: {e}"))?;
                if (i, &name, &arguments) != (*index, &call.name, &Value::Object(call.arguments.clone())) {
                    return Err(format!("{name} {text} is not {call:?}"));
                }
                reply.tool_calls.push(call.clone());
            }
            ReplyEvent::Malformed { index, .. } => {
                if open.take().map(|(i, ..)| i) != *index {
                    return Err(format!("call {index:?} is withdrawn, which is not open"));
                }
            }
            other => return Err(format!("unknown event {other:?}")),
        }
    }
    Ok(reply)
}

struct Case {
    format: ReplyFormat,
    text: &'static str,
    /// `content`, `reasoning`, calls as `[name, arguments]` or `[name, arguments, id]`, reasons of malformed ones.
    expect: Value,
}

fn case(format: ReplyFormat, text: &'static str, content: &str, reasoning: &str, calls: Value) -> Case {
    Case { format, text, expect: json!([content, reasoning, calls, []]) }
}

fn broken(format: ReplyFormat, text: &'static str, content: &str, reason: &str) -> Case {
    Case { format, text, expect: json!([content, "", [], [reason]]) }
}

fn seen(reply: &Reply) -> Value {
    let calls: Vec<Value> = reply
        .tool_calls
        .iter()
        .map(|c| match &c.id {
            Some(id) => json!([c.name, c.arguments, id]),
            None => json!([c.name, c.arguments]),
        })
        .collect();
    let reasons: Vec<&str> = reply.malformed.iter().map(|m| &*m.reason).collect();
    json!([reply.content, reply.reasoning, calls, reasons])
}

/// The arguments of most examples.
fn weather() -> Value {
    json!([["w", {"city": "Zürich"}]])
}

fn cases() -> Vec<Case> {
    [objects::cases(), tagged::cases(), messages::cases()].into_iter().flatten().collect()
}

#[test]
fn every_format_by_examples() {
    let mut wrong = Vec::new();
    for Case { format, text, expect } in cases() {
        let (whole, reply) = parse(ReplyParser::new(format), text, &[]);
        if seen(&reply) != expect {
            wrong.push(format!("{format} {text:?}:\n    got    {}\n    expect {expect}", seen(&reply)));
        }
        match told(&whole) {
            Ok(told)
                if (&told.content, &told.reasoning, &told.tool_calls)
                    == (&reply.content, &reply.reasoning, &reply.tool_calls) => {}
            other => wrong.push(format!("{format} {text:?}: the events tell {other:?}")),
        }
        let single = parse(ReplyParser::new(format), text, &[1]);
        if single != (whole, reply) {
            wrong.push(format!("{format} {text:?}: other in pieces: {single:?}"));
        }
    }
    let missing: Vec<_> =
        ReplyFormat::ALL.iter().filter(|f| cases().iter().all(|case| case.format != **f)).collect();
    assert!(missing.is_empty(), "no example of {missing:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn prompts_that_begin_the_reply() {
    let cases = [
        (Hermes, "<|im_start|>assistant\n<think>\n", "hm</think>Yes.", json!(["Yes.", "hm", [], []])),
        (Hermes, "<think>\n\n</think>\n\n", "Yes.", json!(["Yes.", "", [], []])),
        (Mistral, "[/INST][THINK]", "hm[/THINK]Yes.", json!(["Yes.", "hm", [], []])),
        (Gemma4, "<|channel>thought\n<channel|>", "Yes.", json!(["Yes.", "", [], []])),
        (Harmony, "x<|start|>assistant", "<|channel|>final<|message|>Yes.", json!(["Yes.", "", [], []])),
        (
            Harmony,
            "<|start|>assistant",
            " to=functions.f<|channel|>commentary json<|message|>{}",
            json!(["", "", [["f", {}]], []]),
        ),
        (Harmony, "<|start|>assistant<|channel|>analysis<|message|>", "hm<|end|>", json!(["", "hm", [], []])),
        (
            Harmony,
            "<|start|>assistant",
            "Yes.",
            json!(["Yes.", "", [], ["the reply ends in the header of a message"]]),
        ),
        (GigaChat3, "<|message_sep|>\n\nassistant<|role_sep|>\n", "Yes.", json!(["Yes.", "", [], []])),
        (Functionary32, "<|end_header_id|>\n\n>>>", "f\n{}", json!(["", "", [["f", {}]], []])),
        (Functionary32, "<|end_header_id|>\n\n>>>", "all\nYes.", json!(["Yes.", "", [], []])),
        (Solar, "<|begin|>assistant", "<|content|>Yes.<|end|>", json!(["Yes.", "", [], []])),
        (KimiK3, "<|open|>think<|sep|>", "hm<|close|>think<|sep|>Yes.", json!(["Yes.", "hm", [], []])),
        (Atem, "<|start|>assistant", " to=user<|message|>Yes.<|eot|>", json!(["Yes.", "", [], []])),
        (Cohere, "<|START_THINKING|>", "hm<|END_THINKING|>Yes.", json!(["Yes.", "hm", [], []])),
    ];
    for (format, prompt, text, expect) in cases {
        for pieces in [&[][..], &[1]] {
            let (_, reply) = parse(ReplyParser::new(format).after_prompt(prompt).unwrap(), text, pieces);
            assert_eq!(seen(&reply), expect, "{format} {prompt:?} {text:?}");
        }
    }
}

#[test]
fn tools_tell_strings_and_whether_json_may_be_a_call() {
    let tool = json!({"function": {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}});
    let text = "<function=f><parameter=a>12</parameter><parameter=b>12</parameter></function>";
    let (_, reply) = parse(ReplyParser::new(Qwen3Coder).with_tools(&[tool]).unwrap(), text, &[]);
    assert_eq!(seen(&reply), json!(["", "", [["f", {"a": "12", "b": 12}]], []]));
    let text = "{\"name\": \"f\", \"parameters\": {}}";
    let (_, reply) = parse(ReplyParser::new(Llama3).with_tools(&[]).unwrap(), text, &[]);
    assert_eq!(seen(&reply), json!([text, "", [], []]));
}

/// Deep nesting and long texts give a reply, quickly.
#[test]
fn hostile_replies() {
    let deep = "[".repeat(100_000);
    let texts = [
        (Hermes, format!("<tool_call>{{\"name\": \"f\", \"arguments\": {{\"a\": {deep}")),
        (Lfm2, format!("<|tool_call_start|>[f(a={deep}")),
        (Gemma4, format!("<|tool_call>call:f{{a:{deep}")),
        (Qwen3Coder, format!("<function=f><parameter=a>{deep}</parameter></function>")),
        (Seed, format!("<seed:tool_call><function=f><parameter=a>{{'a': {deep}</parameter></function>")),
        (Hermes, "<tool_call>".repeat(20_000)),
        (Plain, "<think>".repeat(20_000)),
        (Harmony, "<|channel|>".repeat(20_000)),
        (Mistral, format!("[TOOL_CALLS]{}", "x".repeat(200_000))),
        (Plain, " ".repeat(200_000)),
    ];
    for (format, text) in texts {
        let (_, reply) = parse(ReplyParser::new(format), &text, &[7]);
        let kept = reply.content.len()
            + reply.reasoning.len()
            + reply.tool_calls.iter().map(|c| c.arguments["a"].to_string().len()).sum::<usize>();
        // Everything except the markers of thinking is text.
        assert!(kept >= text.len() / 2 || format == Plain, "{format}: {kept} of {}", text.len());
    }
}

/// Texts that consist of markers, parts of calls, and anything else.
fn reply_text() -> impl Strategy<Value = (ReplyFormat, String)> {
    let format = prop::sample::select(ReplyFormat::ALL);
    format.prop_flat_map(|format| {
        let mut words: Vec<String> = format.markers().map(str::to_owned).collect();
        let common = [
            "{\"name\": \"f\", \"arguments\": {\"a\": 1}}",
            "{",
            "}",
            "[",
            "]",
            "(",
            ")",
            ",",
            ":",
            "=",
            "\"",
            "'",
            "\\",
            "f",
            "a",
            " ",
            "\n",
            "1",
            "true",
            "é",
            "call:f{a:1}",
            "f(a='b')",
            "{\"a\": \"b\"}",
            " to=functions.f",
            "assistant",
            "analysis",
            "<",
            "|",
            "```",
        ];
        words.extend(common.map(str::to_owned));
        // Incomplete markers are the interesting case.
        words.extend(format.markers().map(|m| m.chars().take(m.chars().count() / 2).collect()));
        let example: Vec<String> =
            cases().into_iter().filter(|c| c.format == format).map(|c| c.text.to_owned()).collect();
        let words = prop::collection::vec(
            prop_oneof![8 => prop::sample::select(words), 1 => prop::sample::select(example)],
            0..24,
        );
        words.prop_map(move |words| (format, words.concat()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_of_any_size_give_the_same((format, text) in reply_text(), pieces in prop::collection::vec(1usize..9, 1..6)) {
        let whole = parse(ReplyParser::new(format), &text, &[]);
        let parts = parse(ReplyParser::new(format), &text, &pieces);
        prop_assert_eq!(&whole, &parts);
        let told = told(&whole.0).map_err(TestCaseError::fail)?;
        let reply = &whole.1;
        prop_assert_eq!((&told.content, &told.reasoning, &told.tool_calls), (&reply.content, &reply.reasoning, &reply.tool_calls));
        for malformed in &reply.malformed {
            prop_assert!(reply.content.contains(&malformed.text), "{malformed:?} is lost");
        }
    }
}

/// If the vocabulary has markers as control tokens, only the tokens count.
#[test]
fn text_that_spells_a_control_token_is_text() {
    let token = |text: &str| matches!(text, "<think>" | "</think>" | "<tool_call>" | "<|open|>" | "<|sep|>");
    let mut parser = ReplyParser::new(Hermes).with_tokens(token).unwrap();
    parser.push_control("<think>").unwrap();
    parser.push("not </think> yet").unwrap();
    assert_eq!(parser.channel(), Channel::Reasoning);
    parser.push_control("</think>").unwrap();
    parser.push("So <think> and <tool_call>{\"name\": \"f\"}</tool_call>, then ").unwrap();
    assert_eq!(parser.channel(), Channel::Content);
    parser.push_control("<think>").unwrap();
    parser.push("again").unwrap();
    parser.push_control("</think>").unwrap();
    parser.push_control("<tool_call>").unwrap();
    assert_eq!(parser.channel(), Channel::Call);
    // The end marker is not a token here.
    parser.push("{\"name\": \"f\"}</tool_call>").unwrap();
    assert_eq!(parser.channel(), Channel::Content);
    let (_, reply) = parser.finish().unwrap();
    let content = "So <think> and <tool_call>{\"name\": \"f\"}</tool_call>, then";
    assert_eq!(seen(&reply), json!([content, "not </think> yet\nagain", [["f", {}]], []]));

    // A marker of two tokens with text between them.
    let mut parser = ReplyParser::new(KimiK3).with_tokens(token).unwrap();
    parser.push_control("<|open|>").unwrap();
    parser.push("think").unwrap();
    parser.push_control("<|sep|>").unwrap();
    parser.push("hm <|open|>").unwrap();
    let (_, reply) = parser.finish().unwrap();
    assert_eq!(seen(&reply), json!(["", "hm <|open|>", [], []]));
}

#[test]
fn prompts_tell_the_channel() {
    let cases = [
        (Hermes, "<|im_start|>assistant\n<think>\n", Channel::Reasoning),
        (Hermes, "<|im_start|>assistant\n", Channel::Content),
        (Hermes, "<think>\n\n</think>\n\n", Channel::Content),
        (Harmony, "<|start|>assistant", Channel::Control),
        (Harmony, "<|start|>assistant<|channel|>analysis<|message|>", Channel::Reasoning),
        (Functionary32, "<|end_header_id|>\n\n>>>", Channel::Control),
        (Hunyuan, "<think>\n\n</think>\n<answer>\n", Channel::Content),
    ];
    for (format, prompt, channel) in cases {
        let all_tokens =
            ReplyParser::new(format).with_tokens(|_| true).unwrap().after_prompt(prompt).unwrap();
        let none = ReplyParser::new(format).after_prompt(prompt).unwrap();
        assert_eq!((all_tokens.channel(), none.channel()), (channel, channel), "{format} {prompt:?}");
    }
}

/// Numbers stay as the model wrote them: in the reply's JSON, in events and in the next turn's prompt.
#[test]
fn numbers_keep_their_digits() {
    let numbers = "[18446744073709551615, -9223372036854775808, 9007199254740993, 0.5, 1, \
        123456789012345678901234567890, 18446744073709551616, -340282366920938463463374607431768211456, \
        1.10, 0.1234567890123456789012, 1E5, 100.0]";
    let template = ChatTemplate::new("{{ messages[0].tool_calls[0].function|tojson }}").unwrap();
    let texts = [
        (Hermes, format!("<tool_call>{{\"name\": \"f\", \"arguments\": {{\"a\": {numbers}}}}}</tool_call>")),
        (Qwen3Coder, format!("<function=f><parameter=a>{numbers}</parameter></function>")),
        (Lfm2, format!("<|tool_call_start|>[f(a={numbers})]<|tool_call_end|>")),
        (Gemma4, format!("<|tool_call>call:f{{a:{numbers}}}<tool_call|>")),
        (Mistral, format!("[TOOL_CALLS]f[ARGS]{{\"a\": {numbers}}}")),
    ];
    let mut wrong = Vec::new();
    let mut check = |format: ReplyFormat, what: &str, got: &str, expect: &str| {
        if got != expect {
            wrong.push(format!("{format} {what}: got {got}, expected {expect}"));
        }
    };
    for (format, text) in texts {
        let (events, reply) = parse(ReplyParser::new(format), &text, &[]);
        told(&events).unwrap();
        let expect = numbers.replace(' ', "");
        let deltas = events.iter().filter_map(|event| match event {
            ReplyEvent::CallArguments { delta, .. } => Some(delta.replace(' ', "")),
            _ => None,
        });
        let member = format!("{{\"a\":{expect}}}");
        check(format, "deltas", &deltas.collect::<String>(), &member);
        check(format, "text", &reply.tool_calls[0].arguments_text, &member);
        check(
            format,
            "json",
            &serde_json::to_string(&reply.tool_calls[0]).unwrap(),
            &format!("{{\"name\":\"f\",\"arguments\":{member}}}"),
        );
        let rendered = format!("{{\"name\": \"f\", \"arguments\": {{\"a\": {numbers}}}}}");
        let render = |message: Value| template.render(&TemplateInput::new([message])).unwrap();
        check(format, "prompt", &render(reply.message().unwrap()), &rendered);
        // The message as other programs store it: as JSON text, or with the text of the arguments in it.
        let kept = serde_json::from_str(&reply.message().unwrap().to_string()).unwrap();
        check(format, "kept", &render(kept), &rendered);
        let written = format!("[{{\"tool_calls\": [{{\"function\": {rendered}}}]}}]");
        let read = messages_from_json(&written).unwrap();
        check(format, "read", &render(read[0].clone()), &rendered);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // If arguments were changed, their own numbers count.
    let message = json!({"tool_calls": [{"function": {"name": "f", "arguments": {"a": 2.5, "b": 1e30}, "arguments_text": "{\"a\":1.10,\"b\":1E30}"}}]});
    let expect = "{\"name\": \"f\", \"arguments\": {\"a\": 2.5, \"b\": 1E30}}";
    assert_eq!(template.render(&TemplateInput::new([message])).unwrap(), expect);
}
