//! Refused memory while a reply is read: whichever allocation fails, alone or with all later ones, the result is an error, and
//! everything that was read before is kept.
//!
//! An allocation that cannot fail ends this whole process.

use happy_chat::{OutOfMemory, Reply, ReplyEvent, ReplyFormat, ReplyParser};
use happy_testkit::{granted, refusing_after_probes};
use serde_json::{Value, json};

use crate::{cases, loose};

/// Smaller allocations have a constant size: serde_json's messages about texts that are not JSON.
const LEAST: usize = 48;

/// The tools of the examples, with parameters of all kinds.
fn tools() -> Vec<Value> {
    let city = json!({"type": "string", "description": "The city, e.g. Bern, or any other one that people may name"});
    let properties = json!({"city": city, "n": {"type": "integer"}, "a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}});
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"properties": properties}}});
    ["w", "f", "g", "get_weather"].into_iter().map(tool).collect()
}

/// A reply, and the prompt before it.
struct Example {
    format: ReplyFormat,
    prompt: &'static str,
    pieces: Vec<String>,
}

/// Reads it in pieces of three characters, with words that are longer than [`LEAST`].
fn example(format: ReplyFormat, prompt: &'static str, text: &str) -> Example {
    let text = text.replace("Zürich", "Zürich, the largest city of Switzerland, and not its capital");
    let chars: Vec<char> = text.chars().collect();
    Example { format, prompt, pieces: chars.chunks(3).map(|piece| piece.iter().collect()).collect() }
}

fn examples() -> Vec<Example> {
    let all = cases().into_iter().map(|case| example(case.format, "", case.text));
    all.chain(loose::cases().into_iter().map(|case| example(case.format, case.prompt, case.text))).collect()
}

fn parser(format: ReplyFormat, prompt: &str, tools: &[Value]) -> Result<ReplyParser, OutOfMemory> {
    let is_token = |marker: &str| prompt.is_empty() && marker.starts_with("<|no such token");
    let parser =
        ReplyParser::new(format).with_tools(tools)?.after_conversation(["What is it like there?"])?;
    parser.with_tokens(is_token)?.after_prompt(prompt)
}

/// Reads an example to its end, and adds the events to `told`.
fn read(
    parser: &mut ReplyParser,
    pieces: &[String],
    told: &mut Vec<ReplyEvent>,
) -> Result<Reply, OutOfMemory> {
    for piece in pieces {
        let events = parser.push(piece)?;
        granted(|| told.extend(events));
    }
    let (events, reply) = parser.finish()?;
    granted(|| told.extend(events));
    Ok(reply)
}

/// Returns whether a reply is the beginning of another one.
fn begins(whole: &Reply, part: &Reply) -> bool {
    whole.content.starts_with(&part.content)
        && whole.reasoning.starts_with(&part.reasoning)
        && whole.tool_calls.starts_with(&part.tool_calls)
        && whole.malformed.len() >= part.malformed.len()
}

/// Returns the content of the events.
fn content(told: &[ReplyEvent]) -> String {
    let texts = told.iter().filter_map(|event| match event {
        ReplyEvent::Content(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn replies_without_memory_are_an_error() {
    let (tools, mut refusals, mut wrong) = (tools(), 0, Vec::new());
    for Example { format, prompt, pieces } in examples() {
        let new = || parser(format, prompt, &tools).unwrap();
        let expected = read(&mut new(), &pieces, &mut Vec::new()).unwrap();
        for on in [false, true] {
            for n in 1.. {
                let (mut parser, mut told) = (new(), Vec::new());
                let work = || read(&mut parser, &pieces, &mut told);
                let (found, refused) = refusing_after_probes(LEAST, n, on, work);
                let so_far = parser.reply();
                let is_right = match found {
                    Ok(reply) => reply == expected && !refused,
                    Err(OutOfMemory) => {
                        refused && begins(&expected, so_far) && so_far.content.starts_with(&content(&told))
                    }
                };
                if !is_right {
                    wrong.push(format!("{format} {pieces:?}, allocation {n}: {so_far:?}, not {expected:?}"));
                }
                if !refused {
                    break;
                }
                refusals += 1;
                // It does not continue after that, even if there is memory.
                let (so_far, later) =
                    (so_far.clone(), (parser.push("x"), parser.push_control("x"), parser.finish()));
                if !matches!(later, (Err(_), Err(_), Err(_))) || *parser.reply() != so_far {
                    wrong.push(format!("{format} {pieces:?}, allocation {n}: it goes on"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refusals > 5_000, "{refusals} refusals");
}

/// Everything that is made before and from the reply.
#[test]
fn parsers_and_messages_without_memory_are_an_error() {
    let tools = tools();
    let examples: Vec<Example> =
        examples().into_iter().filter(|example| example.format == ReplyFormat::Harmony).collect();
    let prompt = format!("<|start|>assistant<|channel|>commentary to=functions.{}", "w".repeat(200));
    let replies = examples.iter().map(|example| {
        let mut parser = parser(example.format, "", &tools).unwrap();
        read(&mut parser, &example.pieces, &mut Vec::new()).unwrap()
    });
    let replies: Vec<Reply> = replies.filter(|reply| !reply.tool_calls.is_empty()).collect();
    for on in [false, true] {
        let mut count = 0;
        for n in 1.. {
            let (made, refused) = refusing_after_probes(LEAST, n, on, || {
                let new = ReplyParser::new(ReplyFormat::Harmony).with_tools(&tools)?.with_tokens(|_| true)?;
                new.after_prompt(&prompt).map(|parser| parser.channel())
            });
            assert_eq!(made.is_err(), refused, "allocation {n}");
            if !refused {
                break;
            }
            count += 1;
        }
        assert!(count > 20, "{count} allocations of a parser");
        for reply in &replies {
            let expected = reply.message().unwrap();
            for n in 1.. {
                let (message, refused) = refusing_after_probes(LEAST, n, on, || reply.message());
                assert_eq!(message, if refused { Err(OutOfMemory) } else { Ok(expected.clone()) });
                if !refused {
                    break;
                }
            }
        }
    }
}
