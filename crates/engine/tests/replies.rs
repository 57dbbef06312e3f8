//! Replies taken apart: every format by examples, hostile texts, and arbitrary pieces.

use happy_engine::chat::{Reply, ReplyEvent, ReplyFormat, ReplyParser};
use proptest::prelude::*;
use serde_json::{Value, json};

use ReplyFormat::*;

/// Parses a reply in pieces of these lengths, again and again.
fn parse(parser: ReplyParser, text: &str, pieces: &[usize]) -> (Vec<ReplyEvent>, Reply) {
    let (mut parser, mut events) = (parser, Vec::new());
    let mut chars = text.chars().peekable();
    let mut lengths = pieces.iter().copied().cycle();
    while chars.peek().is_some() {
        let n = lengths.next().unwrap_or(usize::MAX).max(1);
        let piece: String = chars.by_ref().take(n).collect();
        events.extend(parser.push(&piece));
    }
    let (last, reply) = parser.finish();
    events.extend(last);
    (joined(events), reply)
}

/// Events with neighbouring texts of a kind made one.
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

/// What the events alone say, for comparison with the reply; calls by name and arguments.
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
    let reasons: Vec<&str> = reply.malformed.iter().map(|m| m.reason.as_str()).collect();
    json!([reply.content, reply.reasoning, calls, reasons])
}

fn cases() -> Vec<Case> {
    let weather = || json!([["w", {"city": "Zürich"}]]);
    vec![
        case(Plain, "", "", "", json!([])),
        case(Plain, " a <b> \n", " a <b> \n", "", json!([])),
        case(Plain, "<think>\nhm\n\nso\n</think>\n\nYes.\n", "Yes.\n", "hm\n\nso", json!([])),
        case(Plain, "<think>cut <of", "", "cut <of", json!([])),
        case(Plain, "a <thin", "a <thin", "", json!([])),
        case(Plain, "<think>a</think> b <think>c</think> d", "b\nd", "a\nc", json!([])),
        case(Plain, "<tool_call>{}</tool_call>", "<tool_call>{}</tool_call>", "", json!([])),
        // Hermes
        case(
            Hermes,
            "Ok.\n<tool_call>\n{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}\n</tool_call>",
            "Ok.",
            "",
            weather(),
        ),
        case(
            Hermes,
            "<tool_call>{\"arguments\":{\"city\":\"Zürich\"},\"name\":\"w\"}</tool_call>",
            "",
            "",
            weather(),
        ),
        case(
            Hermes,
            "<tool_call>{\"name\":\"w\",\"arguments\":\"{\\\"city\\\": \\\"Zürich\\\"}\"}</tool_call>",
            "",
            "",
            weather(),
        ),
        case(
            Hermes,
            "<tool_call>{\"name\":\"w\",\"arguments\":{\"city\":\"</tool_call>\"}}</tool_call>",
            "",
            "",
            json!([["w", {"city": "</tool_call>"}]]),
        ),
        case(
            Hermes,
            "<tool_call>{\"name\": \"a\"}</tool_call>\n<tool_call>{\"name\": \"b\", \"arguments\": null, \"id\": 7}</tool_call>",
            "",
            "",
            json!([["a", {}], ["b", {}, "7"]]),
        ),
        case(Hermes, "<tool_call>{\"name\": \"a\"} {\"name\": \"b\"}", "", "", json!([["a", {}], ["b", {}]])),
        case(
            Hermes,
            "<tool_call>{\"name\": \"a\"}\n<tool_call>{\"name\": \"b\"}</tool_call>x",
            "x",
            "",
            json!([["a", {}], ["b", {}]]),
        ),
        case(Hermes, "a <tool_call>{\"name\": \"a\"}</tool_call> b", "a\nb", "", json!([["a", {}]])),
        case(Hermes, "<tool_call>{\"name\": \"a\"} b", "b", "", json!([["a", {}]])),
        broken(
            Hermes,
            "a\n<tool_call>hello</tool_call> b",
            "a\n<tool_call>hello</tool_call> b",
            "expected a call, found `h`",
        ),
        broken(Hermes, "<tool_call></tool_call>", "<tool_call></tool_call>", "the block holds no call"),
        broken(
            Hermes,
            "<tool_call>{\"name\": \"w\", \"arguments\": {\"a\"",
            "<tool_call>{\"name\": \"w\", \"arguments\": {\"a\"",
            "the reply ends inside of a call",
        ),
        broken(
            Hermes,
            "<tool_call>{\"name\": \"w\", \"arguments\": [1]}</tool_call>",
            "<tool_call>{\"name\": \"w\", \"arguments\": [1]}</tool_call>",
            "the arguments are no JSON object",
        ),
        broken(
            Hermes,
            "<tool_call>{\"arguments\": {}}</tool_call>",
            "<tool_call>{\"arguments\": {}}</tool_call>",
            "the call has no name",
        ),
        broken(
            Hermes,
            "<tool_call>{\"name\": \"a\", \"name\": \"b\"}</tool_call>",
            "<tool_call>{\"name\": \"a\", \"name\": \"b\"}</tool_call>",
            "the key \"name\" stands there twice",
        ),
        broken(
            Hermes,
            "<tool_call>{\"name\": \"a\", \"arguments\": {\"a\": x}}</tool_call>",
            "<tool_call>{\"name\": \"a\", \"arguments\": {\"a\": x}}</tool_call>",
            "the arguments are not valid JSON: expected value at line 1 column 7",
        ),
        Case {
            format: Hermes,
            text: "<tool_call>{\"name\" \"a\"}</tool_call>\n<tool_call>{\"name\": \"b\"}</tool_call>",
            expect: json!([
                "<tool_call>{\"name\" \"a\"}</tool_call>",
                "",
                [["b", {}]],
                ["expected `:`, found `\"`"]
            ]),
        },
        // Qwen3-Coder
        case(
            Qwen3Coder,
            "<tool_call>\n<function=f>\n<parameter=a>\nx\ny\n</parameter>\n<parameter=n>\n2\n</parameter>\n<parameter=b>True</parameter>\n</function>\n</tool_call>",
            "",
            "",
            json!([["f", {"a": "x\ny", "n": 2, "b": true}]]),
        ),
        case(Qwen3Coder, "Hi\n<function=f>\n</function>", "Hi", "", json!([["f", {}]])),
        broken(
            Qwen3Coder,
            "<tool_call><function=f>x</function></tool_call>",
            "<tool_call><function=f>x</function></tool_call>",
            "expected a call, found `x`",
        ),
        broken(
            Qwen3Coder,
            "<tool_call><function=f><parameter=a>1",
            "<tool_call><function=f><parameter=a>1",
            "the reply ends inside of a call",
        ),
        broken(
            Qwen3Coder,
            "<tool_call><function= ></function></tool_call>",
            "<tool_call><function= ></function></tool_call>",
            "the call has no name",
        ),
        // Llama 3
        case(Llama3, "{\"name\": \"w\", \"parameters\": {\"city\": \"Zürich\"}}", "", "", weather()),
        case(
            Llama3,
            "\n<|python_tag|>{\"name\": \"w\", \"parameters\": {\"city\": \"Zürich\"}}; {\"name\": \"g\"}",
            "",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        case(Llama3, "{\"name\": \"Bob\", \"age\": 3}\n", "{\"name\": \"Bob\", \"age\": 3}\n", "", json!([])),
        case(Llama3, "{\"city\": [1, {}]", "{\"city\": [1, {}]", "", json!([])),
        case(Llama3, "{curly} words", "{curly} words", "", json!([])),
        case(
            Llama3,
            "See {\"name\": \"w\", \"parameters\": {}}",
            "See {\"name\": \"w\", \"parameters\": {}}",
            "",
            json!([]),
        ),
        broken(
            Llama3,
            "{\"name\": \"w\", \"parameters\": {\"a\": 1}, oops",
            "{\"name\": \"w\", \"parameters\": {\"a\": 1}, oops",
            "expected a key or `}`, found `o`",
        ),
        broken(Llama3, "<|python_tag|>print(1)", "<|python_tag|>print(1)", "expected a call, found `p`"),
        // Functionary
        case(
            Functionary,
            "A<function=w>{\"city\": \"Zürich\"}</function><function=g>{}</function>",
            "A",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        // Mistral
        case(
            Mistral,
            "[THINK]hm[/THINK]A[TOOL_CALLS][{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}, \"id\": \"123456789\"}]",
            "A",
            "hm",
            json!([["w", {"city": "Zürich"}, "123456789"]]),
        ),
        case(
            Mistral,
            "[TOOL_CALLS]w[ARGS]{\"city\": \"Zürich\"}[TOOL_CALLS]g[CALL_ID]x1[ARGS]{}",
            "",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}, "x1"]]),
        ),
        case(Mistral, "[TOOL_CALLS] [{\"name\": \"g\"}] then", "then", "", json!([["g", {}]])),
        broken(
            Mistral,
            "[TOOL_CALLS]no such call",
            "[TOOL_CALLS]no such call",
            "a tool's name has white space: `no s`",
        ),
        broken(
            Mistral,
            "[TOOL_CALLS]w[ARGS]12",
            "[TOOL_CALLS]w[ARGS]12",
            "expected the arguments as a JSON object, found `1`",
        ),
        // Gemma
        case(
            FunctionGemma,
            "<start_function_call>call:w{city:<escape>Zürich<escape>}<end_function_call>",
            "",
            "",
            weather(),
        ),
        case(
            Gemma4,
            "<|channel>thought\nhm\n<channel|><|tool_call>call:w{city:<|\"|>Zürich<|\"|>}<tool_call|><|tool_call>call:f{n:1,o:{a:[true]}}<tool_call|>",
            "",
            "hm",
            json!([["w", {"city": "Zürich"}], ["f", {"n": 1, "o": {"a": [true]}}]]),
        ),
        broken(
            Gemma4,
            "<|tool_call>call:w{city:Zürich}<tool_call|>!",
            "<|tool_call>call:w{city:Zürich}<tool_call|>!",
            "`Zürich` is no value",
        ),
        // DeepSeek
        case(
            DeepSeekR1,
            "<think>hm</think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>w\n```json\n{\"city\": \"Zürich\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            "",
            "hm",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        case(
            DeepSeekV31,
            "A<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>w<｜tool▁sep｜>{\"city\": \"Zürich\"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>g<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            "A",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        case(
            DeepSeekV32,
            "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"f\">\n<｜DSML｜parameter name=\"s\" string=\"true\">2</｜DSML｜parameter>\n<｜DSML｜parameter name=\"n\" string=\"false\">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
            "",
            "",
            json!([["f", {"s": "2", "n": 2}]]),
        ),
        // Granite, LFM2
        case(
            Granite3,
            "<|tool_call|>[{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}]",
            "",
            "",
            weather(),
        ),
        case(
            Lfm2,
            "A<|tool_call_start|>[w(city=\"Zürich\"), g()]<|tool_call_end|>B",
            "A\nB",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        broken(
            Lfm2,
            "<|tool_call_start|>[w(\"Zürich\")]<|tool_call_end|>",
            "<|tool_call_start|>[w(\"Zürich\")]<|tool_call_end|>",
            "an argument has no name",
        ),
        broken(
            Lfm2,
            "<|tool_call_start|>[]<|tool_call_end|>",
            "<|tool_call_start|>[]<|tool_call_end|>",
            "the block holds no call",
        ),
        // gpt-oss
        case(
            Harmony,
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
            "Yes.",
            "hm",
            json!([]),
        ),
        case(
            Harmony,
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary to=functions.w <|constrain|>json<|message|>{\"city\": \"Zürich\"}<|call|>",
            "",
            "hm",
            weather(),
        ),
        case(
            Harmony,
            "<|start|>assistant to=functions.w<|channel|>commentary json<|message|>{\"city\": \"Zürich\"}",
            "",
            "",
            weather(),
        ),
        case(
            Harmony,
            "<|channel|>commentary<|message|>First.<|end|><|start|>assistant<|channel|>final<|message|>Last.",
            "First.\nLast.",
            "",
            json!([]),
        ),
        broken(Harmony, "<|channel|>final", "<|channel|>final", "the reply ends in the header of a message"),
        // More
        case(
            Glm,
            "\n<think></think>\nA\n<tool_call>w\n<arg_key>city</arg_key>\n<arg_value>Zürich</arg_value>\n</tool_call><tool_call>g</tool_call>",
            "A",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        broken(
            Glm,
            "<tool_call>f<arg_key>a</arg_key><arg_value>1</arg_value><arg_value>2</arg_value></tool_call>",
            "<tool_call>f<arg_key>a</arg_key><arg_value>1</arg_value><arg_value>2</arg_value></tool_call>",
            "a value has no name",
        ),
        case(
            Seed,
            "<seed:think>hm</seed:think><seed:tool_call>\n<function=w>\n<parameter=city>Zürich</parameter>\n</function>\n</seed:tool_call>",
            "",
            "hm",
            weather(),
        ),
        case(
            MiniMaxM2,
            "<minimax:tool_call>\n<invoke name=\"w\">\n<parameter name=\"city\">Zürich</parameter>\n</invoke>\n</minimax:tool_call>",
            "",
            "",
            weather(),
        ),
        case(
            ToolCalls,
            "<tool_calls>\n{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}\n{\"name\": \"g\"}\n</tool_calls>",
            "",
            "",
            json!([["w", {"city": "Zürich"}], ["g", {}]]),
        ),
        case(
            Nemotron,
            "<TOOLCALL>[{\"name\": \"w\", \"arguments\": {\"city\": \"Zürich\"}}]</TOOLCALL>",
            "",
            "",
            weather(),
        ),
    ]
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
    ];
    for (format, prompt, text, expect) in cases {
        for pieces in [&[][..], &[1]] {
            let (_, reply) = parse(ReplyParser::new(format).after_prompt(prompt), text, pieces);
            assert_eq!(seen(&reply), expect, "{format} {prompt:?} {text:?}");
        }
    }
}

#[test]
fn tools_tell_strings_and_whether_json_may_be_a_call() {
    let tool = json!({"function": {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}});
    let text = "<function=f><parameter=a>12</parameter><parameter=b>12</parameter></function>";
    let (_, reply) = parse(ReplyParser::new(Qwen3Coder).with_tools(&[tool]), text, &[]);
    assert_eq!(seen(&reply), json!(["", "", [["f", {"a": "12", "b": 12}]], []]));
    let text = "{\"name\": \"f\", \"parameters\": {}}";
    let (_, reply) = parse(ReplyParser::new(Llama3).with_tools(&[]), text, &[]);
    assert_eq!(seen(&reply), json!([text, "", [], []]));
}

/// Deep nesting and long texts end in a reply, quickly.
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
        // Only the markers of thinking are not text.
        assert!(kept >= text.len() / 2 || format == Plain, "{format}: {kept} of {}", text.len());
    }
}

/// Texts of markers, of what stands in calls, and of anything else.
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
        // A part of a marker is the interesting case.
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
