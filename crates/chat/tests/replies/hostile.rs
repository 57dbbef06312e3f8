//! Hostile replies on a small stack, with tools declared and without.

use std::time::Duration;

use happy_chat::{ReplyFormat, ReplyParser};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{parse, reply_text, told};

/// The stack of a thread on small systems.
const STACK: usize = 256 << 10;

fn tools() -> Vec<Value> {
    let properties =
        json!({"a": {"type": "string"}, "b": {"anyOf": [{"type": "integer"}, {"type": "null"}]}});
    vec![
        json!({"type": "function", "function": {"name": "f", "parameters": {"properties": properties}}}),
        json!({"name": "w"}),
    ]
}

fn on_small_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap().join().unwrap();
}

/// Texts that nest, that begin guesses again and again, or that are held back for long.
fn texts(format: ReplyFormat) -> Vec<String> {
    let deep = "[".repeat(20_000);
    let objects = "{\"a\":".repeat(5_000);
    let call = "{\"name\": \"f\", \"arguments\": {\"a\": ";
    let mut texts = vec![
        deep.clone(),
        objects.clone(),
        "{\"".repeat(20_000),
        "\n{\"".repeat(5_000),
        "{\"name\": \"f\"".repeat(2_000),
        format!("\n{call}{deep}"),
        format!("{call}{objects}"),
        format!("{call}\"{}", "x".repeat(20_000)),
        format!("[{}", "f(a='b'), ".repeat(2_000)),
        format!("[f(a={deep}"),
        "```json\n".repeat(2_000),
        "```".repeat(5_000),
        "<tools>{".repeat(2_000),
        "<tool_call>{\"name\": \"f\", \"arguments\": {}}".repeat(500),
        "<think>".repeat(2_000),
        "\\\"".repeat(5_000),
        " \n".repeat(5_000),
    ];
    let markers: Vec<&str> = format.markers().collect();
    texts.extend(markers.iter().map(|marker| marker.repeat(1_000)));
    texts.push(markers.concat().repeat(30));
    texts.extend(markers.iter().map(|marker| format!("{marker}{}", &deep[..2_000])));
    texts
}

#[test]
fn hostile_replies_on_a_small_stack() {
    for format in ReplyFormat::ALL.iter().copied() {
        on_small_stack(move || {
            for text in texts(format) {
                let start = std::time::Instant::now();
                for tools in [tools(), Vec::new()] {
                    let parser = ReplyParser::new(format).with_tools(&tools).unwrap();
                    let (events, reply) = parse(parser, &text, &[1000]);
                    drop((events, reply));
                    let parser = ReplyParser::new(format)
                        .with_tools(&tools)
                        .unwrap()
                        .after_prompt("<think>\n")
                        .unwrap();
                    drop(parse(parser, &text, &[1000]));
                }
                // A quadratic walk takes minutes.
                let (took, head) = (start.elapsed(), text.chars().take(60).collect::<String>());
                assert!(took < Duration::from_secs(20), "{format} {head:?} took {took:?}");
            }
        });
    }
}

/// A case that never ended: a call without markers seemed to begin with a control token that has no meaning there. The guess took
/// no character, was given up, and began again.
#[test]
fn control_tokens_anywhere_end() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for format in ReplyFormat::ALL.iter().copied() {
            let markers: Vec<&str> = format.markers().chain(["{", "[", "<tools>", "```"]).collect();
            for (first, second) in markers.iter().flat_map(|a| markers.iter().map(move |b| (*a, *b))) {
                let (mut told, mut parser) =
                    (Vec::new(), ReplyParser::new(format).with_tools(&tools()).unwrap());
                parser = parser.with_tokens(|text| markers.contains(&text)).unwrap();
                for text in [first, second, "\n", second] {
                    let events = if text == "\n" { parser.push(text) } else { parser.push_control(text) };
                    told.extend(events.unwrap());
                }
                drop((told, parser.finish().unwrap()));
            }
            done.send(format).unwrap();
        }
    });
    for format in ReplyFormat::ALL {
        assert_eq!(ended.recv_timeout(Duration::from_secs(60)).as_ref(), Ok(format), "{format} does not end");
    }
}

/// A text that is too long to be held back is content, and nothing of it is lost.
#[test]
fn what_is_longer_than_is_held_back() {
    on_small_stack(|| {
        let long =
            format!("{{\"name\": \"f\", \"arguments\": {{\"a\": \"{}\"}}}}", "x".repeat((1 << 20) + 7));
        let parser = ReplyParser::new(ReplyFormat::Hermes).with_tools(&tools()).unwrap();
        let (_, reply) = parse(parser, &long, &[4096]);
        assert!(reply.tool_calls.is_empty() && reply.content == long);
    });
}

/// Guesses that begin again and again.
#[test]
fn many_guesses_on_a_small_stack() {
    on_small_stack(|| {
        for text in
            ["{\"".repeat(100_000), "\n{\"".repeat(100_000), format!("[{}x", "f(a='b'), ".repeat(20_000))]
        {
            let parser = ReplyParser::new(ReplyFormat::Hermes).with_tools(&tools()).unwrap();
            let (_, reply) = parse(parser, &text, &[1000]);
            assert!(reply.tool_calls.is_empty() && reply.content == text);
        }
    });
}

/// A call in the format's own notation is read, however long it is.
#[test]
fn long_arguments_are_read_in_linear_time() {
    let start = std::time::Instant::now();
    let text = format!(
        "<tool_call>{{\"name\": \"f\", \"arguments\": {{\"a\": \"{}\"}}}}</tool_call>",
        "x\\n".repeat(300_000)
    );
    let parser = ReplyParser::new(ReplyFormat::Hermes).with_tools(&tools()).unwrap();
    let (_, reply) = parse(parser, &text, &[5]);
    assert_eq!(reply.tool_calls.len(), 1);
    // A quadratic walk takes minutes.
    assert!(start.elapsed() < Duration::from_secs(30));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Guesses do not depend on the size of pieces either.
    #[test]
    fn pieces_of_any_size_give_the_same_with_tools(
        (format, text) in reply_text(),
        pieces in prop::collection::vec(1usize..9, 1..6),
        thinks in any::<bool>(),
    ) {
        let prompt = if thinks { "<think>\n" } else { "" };
        let parser = || ReplyParser::new(format).with_tools(&tools()).unwrap().after_prompt(prompt).unwrap();
        let whole = parse(parser(), &text, &[]);
        prop_assert_eq!(&whole, &parse(parser(), &text, &pieces));
        let told = told(&whole.0).map_err(TestCaseError::fail)?;
        let reply = &whole.1;
        prop_assert_eq!((&told.content, &told.reasoning, &told.tool_calls), (&reply.content, &reply.reasoning, &reply.tool_calls));
    }

    /// Parts of calls without the format's markers, in any order.
    #[test]
    fn loose_pieces_give_the_same(
        words in prop::collection::vec(prop::sample::select(&[
            "{\"name\": \"f\", \"arguments\": {\"a\": \"b\"}}", "{\"name\": \"", "f", "w", "\", \"arguments\": {", "}}", "}",
            "[", "]", "[f(a='b')", "f(", "a=1", ")", ", ", "```", "json", "```json\n", "\n", " ", "<tools>", "</tools>",
            "<tool_call>", "</tool_call>", "<think>", "</think>", "Text.", "{", "\"", "\\",
        ][..]), 0..16),
        format in prop::sample::select(ReplyFormat::ALL),
        pieces in prop::collection::vec(1usize..9, 1..6),
    ) {
        let text = words.concat();
        let parser = || ReplyParser::new(format).with_tools(&tools()).unwrap();
        let whole = parse(parser(), &text, &[]);
        prop_assert_eq!(&whole, &parse(parser(), &text, &pieces));
        let told = told(&whole.0).map_err(TestCaseError::fail)?;
        prop_assert_eq!((&told.content, &told.tool_calls), (&whole.1.content, &whole.1.tool_calls));
    }
}
