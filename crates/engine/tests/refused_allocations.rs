//! Every allocation of at least 4 KiB that loading and answering make is refused once: the result is an error, never an abort, and
//! the same engine answers afterwards.
//!
//! An allocation that is not reserved fallibly ends this whole process.

mod common;

use common::Folder;
use happy_engine::chat::{Channel, Message, ReplyFormat, ReplyShape, ToolChoice, reply_grammar};
use happy_engine::grammar::Limits;
use happy_engine::{
    Context, Conversation, ConversationOptions, Engine, EngineError, Event, Form, GenerateOptions,
    LoadOptions, compile_reply,
};
use happy_testkit::{Meter, granted, refusing};
use std::path::Path;

#[global_allocator]
static METER: Meter = Meter;

/// Hermes' notation, with a place for tools. Shows the beginnings only, so that prompts of long messages are short.
const WITH_TOOLS: &str = "{% if tools %}{{ tools|tojson|length }}{% endif %}{% for m in messages %}[{{ m.role }}]{{ m.content[:9] }}\
{% for c in m.tool_calls %}<tool_call>{{ c.function|tojson }}</tool_call>{% endfor %}{% endfor %}[a]";

/// A schema with something of everything.
const SCHEMA: &str = r#"{"type": "object", "properties": {
    "name": {"type": "string", "minLength": 1, "maxLength": 8},
    "kind": {"enum": ["a", "b", "c"]},
    "size": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "kind", "size"], "additionalProperties": false}"#;

fn options(mmap: bool) -> LoadOptions {
    LoadOptions { context: Some(128), threads: Some(1), batch: 32, mmap, ..LoadOptions::default() }
}

/// A turn of a conversation; `None` if the model has no template.
fn turn(engine: &Engine, context: &mut Context, schema: bool) -> Result<Option<String>, EngineError> {
    let mut conversation = match Conversation::new(engine) {
        Err(EngineError::NoTemplate { .. }) => return Ok(None),
        conversation => conversation?,
    };
    let form = schema.then(|| Form::json_schema(SCHEMA));
    conversation.push(Message::new("user", "hello"));
    let options = GenerateOptions { max_tokens: Some(6), form, ..GenerateOptions::default() };
    let mut text = String::new();
    for event in conversation.answer(context, 0, options)? {
        match event? {
            Event::Prefill { .. } | Event::Done(_) => {}
            event => text.push_str(&format!("{event:?}")),
        }
    }
    Ok(Some(text))
}

/// Loads a model, and takes two turns.
fn all(path: &Path, mmap: bool) -> Result<(), EngineError> {
    let engine = Engine::open(path, &options(mmap))?;
    let mut context = engine.context()?;
    turn(&engine, &mut context, false)?;
    turn(&engine, &mut context, true)?;
    Ok(())
}

/// Refuses each allocation of `work` in turn, and returns how many there are at least. `sparse`: of work
/// that takes long, as a real model's, the first and then about every tenth of the number so far.
fn refuse_each(sparse: bool, mut work: impl FnMut() -> Result<(), EngineError>) -> usize {
    let mut n = 1;
    loop {
        let (result, refused) = refusing(n, &mut work);
        if !refused {
            result.unwrap();
            return n - 1;
        }
        // What had a way around the refused allocation may be right.
        if let Err(error) = result {
            assert!(!error.to_string().is_empty());
        }
        n += if sparse { 1 + n / 10 } else { 1 };
    }
}

#[test]
fn loading_and_answering_without_memory_is_an_error() {
    let folder = Folder::new("refusals");
    let tiny = folder.file("tiny.gguf", &common::file_bytes(common::TEMPLATE, &["<|a|>"]));
    for path in [tiny].into_iter().chain(common::real_models()) {
        let real = !path.starts_with(&folder.0);
        for mmap in [true, false] {
            // With real models the second way would add nothing but time.
            if !mmap && real {
                continue;
            }
            all(&path, mmap).unwrap();
            let n = refuse_each(real, || all(&path, mmap));
            assert!(n > 3, "{}: {n} allocations", path.display());
        }
        let engine = Engine::open(&path, &options(true)).unwrap();
        let mut context = engine.context().unwrap();
        let (plain, json) =
            (turn(&engine, &mut context, false).unwrap(), turn(&engine, &mut context, true).unwrap());
        for schema in [false, true] {
            let expected = if schema { &json } else { &plain };
            refuse_each(real, || {
                let result = turn(&engine, &mut context, schema);
                // Whatever was refused: the next answer is the same.
                result.map(|text| assert_eq!(text, *expected))
            });
            assert_eq!(turn(&engine, &mut context, schema).unwrap(), *expected, "{}", path.display());
        }
    }
}

/// A turn with long messages, sixty tools and a long stop string, whose reply must be a call.
fn call(engine: &Engine, context: &mut Context) -> Result<String, EngineError> {
    let text = |n: usize| "word ".repeat(n);
    let tool = |i| {
        let parameters = serde_json::json!({"type": "object", "properties": {
            format!("place_{i}"): {"type": "string", "maxLength": 3}, "unit": {"enum": ["c", "f"]}}, "required": ["unit"]});
        serde_json::json!({"type": "function", "function": {"name": format!("tool_{i}"), "parameters": parameters}})
    };
    let (tools, stop) = granted(|| ((0..60).map(tool).collect(), vec![text(1_200)]));
    let options = ConversationOptions {
        tools: Some(tools),
        tool_choice: ToolChoice::Required,
        ..ConversationOptions::default()
    };
    let mut conversation = Conversation::with_options(engine, options)?;
    granted(|| ["system", "user"].map(|role| conversation.push(Message::new(role, text(1_000)))));
    let options = GenerateOptions { max_tokens: Some(12), stop, ..GenerateOptions::default() };
    let mut said = String::new();
    for event in conversation.answer(context, 0, options)? {
        match event? {
            Event::Reply(reply) => said = granted(|| format!("{reply:?}")),
            Event::Done(finish) => granted(|| said.push_str(&format!("{:?}", finish.reason))),
            _ => {}
        }
    }
    Ok(said)
}

#[test]
fn a_constrained_call_without_memory_is_an_error() {
    let folder = Folder::new("refused-calls");
    let path = folder.file("tiny.gguf", &common::file_bytes(WITH_TOOLS, &["<tool_call>", "</tool_call>"]));
    let long = LoadOptions { context: Some(200), ..options(true) };
    let expected = {
        let engine = Engine::open(&path, &long).unwrap();
        call(&engine, &mut engine.context().unwrap()).unwrap()
    };
    assert!(expected.contains("Unfinished") && expected.contains("tool_"), "{expected}");
    // A new engine each time, which has compiled nothing yet; then one that has.
    let engine = Engine::open(&path, &long).unwrap();
    let mut context = engine.context().unwrap();
    for fresh in [true, false] {
        let n = refuse_each(false, || {
            let result = if fresh {
                let engine = Engine::open(&path, &long)?;
                call(&engine, &mut engine.context()?)
            } else {
                call(&engine, &mut context)
            };
            result.map(|said| assert_eq!(said, expected))
        });
        assert!(n > 10, "{n} allocations");
    }
}

#[test]
fn compiling_the_calls_of_sixty_tools_without_memory_is_an_error() {
    let tool = |i: usize| {
        serde_json::json!({"name": format!("tool_{i}"), "parameters": {"type": "object",
            "$defs": {"place": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]}},
            "properties": {
                format!("city_{i}"): {"type": "string", "description": format!("Word {i}, ").repeat(20)},
                "at": {"$ref": "#/$defs/place"},
                "kind": {"enum": (0..5).map(|n| format!("kind \"{n}\" of {i}")).collect::<Vec<_>>()},
                "limit": {"anyOf": [{"type": "integer", "minimum": i}, {"type": "null"}]},
                "tags": {"type": "array", "items": {"type": "string"}}},
            "required": ["at"]}})
    };
    let tools: Vec<_> = (0..60).map(tool).collect();
    for format in [ReplyFormat::Hermes, ReplyFormat::Qwen3Coder, ReplyFormat::Gemma4, ReplyFormat::Lfm2] {
        let shape = ReplyShape {
            format,
            opened: Channel::Content,
            may_think: true,
            tools: &tools,
            choice: ToolChoice::Auto,
            answer: false,
            token: &|_| None,
        };
        // One allocation in about ten: all of them take a minute.
        let n = refuse_each(true, || {
            let grammar = reply_grammar(&shape)?.expect("tools to call");
            compile_reply(&grammar, None, &Limits::default(), &|| false).map(drop)
        });
        assert!(n > 50, "{format}: {n} allocations");
    }
}

/// A message for which there is no room is missed: nothing is rendered without it.
#[test]
fn a_message_without_memory_is_an_error_of_the_next_prompt() {
    let engine = common::engine(&options(true)).unwrap();
    let mut conversation = Conversation::new(&engine).unwrap();
    let ((), met) = refusing(1, || (0..300).for_each(|_| conversation.push(Message::new("user", "a"))));
    assert!(met && conversation.input().messages.len() == 299);
    let error = conversation.prompt().unwrap_err().to_string();
    assert!(error.contains("a message of the conversation"), "{error}");
    assert_eq!(conversation.prompt_ids().unwrap_err().to_string(), error);
    conversation.input_mut().messages.truncate(2);
    assert_eq!(conversation.prompt().unwrap(), "aa");
}
