//! Memory for many tools is reserved fallibly: each allocation is refused once, and the result is an error, or the same as
//! without the refusal.
//!
//! An allocation that is not reserved fallibly ends this whole process.

use happy_chat::{
    Channel, ConstraintError, ReplyFormat, ReplyGrammar, ReplyParser, ReplyShape, ToolChoice, reply_grammar,
};
use happy_testkit::{Meter, granted, refusing_after_probes, refusing_from};
use serde_json::{Value, json};

#[global_allocator]
static METER: Meter = Meter;

/// Allocations of at least this many bytes are refused, one at a time. Smaller ones have a constant size, or are tables of objects
/// with few members: memory for those is reserved and freed again just before serde_json takes it.
const LEAST: usize = 1 << 10;

/// Tools of all kinds. One has a name that few notations can express.
fn tools() -> Vec<Value> {
    let text = |i: usize| format!("Word{i} ").repeat(200);
    let tool = |i: usize| {
        let mut parameters = json!({"type": "object",
            "$defs": {"place": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]}},
            "properties": {
                "city": {"type": "string", "description": text(i)},
                "at": {"$ref": "#/$defs/place"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "kind": {"enum": (0..i).map(|n| format!("kind \"{n}\" of {i}")).collect::<Vec<_>>()},
                "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
            "required": ["city", "at"]});
        if i == 30 {
            parameters["properties"]["(a)".repeat(500)] = json!({"type": "string"});
        }
        json!({"type": "function", "function": {"name": format!("tool_{i}"), "description": text(i), "parameters": parameters}})
    };
    (0..60).map(tool).collect()
}

/// Writes the grammar of a format's replies.
fn grammar(
    format: ReplyFormat,
    choice: &ToolChoice,
    tools: &[Value],
) -> Result<Option<ReplyGrammar>, ConstraintError> {
    reply_grammar(&ReplyShape {
        format,
        opened: if format == ReplyFormat::Harmony { Channel::Control } else { Channel::Content },
        may_think: true,
        tools,
        choice: granted(|| choice.clone()),
        answer: false,
        token: &|_| None,
    })
}

/// Refuses each allocation of `work` in turn, or about every tenth. The result must be the error, or the same as without the
/// refusal. Returns the number of refusals.
fn refuse_each<T: PartialEq>(all: bool, work: impl Fn() -> Result<T, ConstraintError>) -> usize {
    let expected = work();
    let (mut n, mut count) = (1, 0);
    loop {
        let (found, refused) = refusing_from(LEAST, n, &work);
        if !refused {
            assert!(found == expected);
            return count;
        }
        // A collection may request less memory and get it.
        let right = found == expected || matches!(found, Err(ConstraintError::OutOfMemory(_)));
        assert!(right, "allocation {n}: {:?}", found.err());
        n += if all { 1 } else { 1 + n / 10 };
        count += 1;
    }
}

#[test]
fn parsers_of_sixty_tools_without_memory_are_an_error() {
    let tools = tools();
    let count = refuse_each(true, || {
        let parser = ReplyParser::new(ReplyFormat::Hermes).with_tools(&tools)?;
        Ok(parser.after_conversation(["word1", "Word2"])?.channel())
    });
    assert!(count > 100, "{count} allocations");
}

/// The table of an object is one that only serde_json can reserve: it is asked for first, and given back.
#[test]
fn objects_without_memory_are_an_error() {
    for n in [1, 2, 3, 4, 7, 8, 14, 15, 28, 29, 56, 57, 300] {
        let members: Vec<String> = (0..n).map(|i| format!(r#""member {i}":[{i}]"#)).collect();
        let text = format!("{{{}}}", members.join(","));
        let value: Value = serde_json::from_str(&text).unwrap();
        for (copied, on) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut count = 0;
            for nth in 1.. {
                // What serde_json says of refused memory takes less.
                let (found, refused) = refusing_after_probes(48, nth, on, || match copied {
                    true => happy_chat::json::copy(&value),
                    false => happy_chat::json::parse(&text),
                });
                match found {
                    Err(error) if refused => assert!(error.is_data(), "{error}"),
                    found => assert!(!refused && found.unwrap() == value, "{n} members, allocation {nth}"),
                }
                if !refused {
                    break;
                }
                count += 1;
            }
            assert!(count >= n, "{n} members: {count} allocations");
        }
    }
}

#[test]
fn grammars_of_sixty_tools_without_memory_are_an_error() {
    use ReplyFormat::*;
    let tools = tools();
    let long = ToolChoice::Named("t".repeat(LEAST));
    for format in ReplyFormat::ALL.iter().copied() {
        // For one format of each kind of notation, every allocation is refused.
        let all = [Hermes, Qwen3Coder, Mistral, Gemma4, Lfm2, Harmony].contains(&format);
        let count = refuse_each(all, || grammar(format, &ToolChoice::Auto, &tools));
        assert!(!all || count > 100, "{format}: {count} allocations");
        refuse_each(all, || grammar(format, &ToolChoice::Required, &tools[30..31]));
    }
    assert!(refuse_each(true, || grammar(Hermes, &long, &tools)) > 0);
}
