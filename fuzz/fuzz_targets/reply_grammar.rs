//! Reply grammars of arbitrary tools, in every format: built or refused by name, never a panic; and of a text that one accepts,
//! the parser reads calls of declared tools, with arguments that their schemas allow.
#![no_main]

use happy_chat::{Reply, ReplyFormat, ReplyGrammar, ReplyParser, ReplyShape, ToolChoice, reply_grammar};
use happy_engine::{EngineError, Form, compile_reply};
use happy_fuzz::grammars::limits;
use happy_fuzz::walk::Walk;
use happy_grammar::{Grammar, GrammarErrorKind, PartsError, Reading, Recognizer};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Formats whose arguments are not JSON. In their strings only `enum` is asked for.
const NOT_JSON: [ReplyFormat; 10] = {
    use ReplyFormat::*;
    [Qwen3Coder, FunctionGemma, Gemma4, DeepSeekV32, Olmo3, Lfm2, Glm, Seed, MiniMaxM2, MiniCpm5]
};

/// The markers that are control tokens of a model's vocabulary: those without words of their own.
fn tokens_of(format: ReplyFormat) -> Vec<&'static str> {
    let mut all: Vec<&str> = format.markers().collect();
    all.retain(|text| {
        let inner = text.strip_prefix('<').and_then(|t| t.strip_suffix('>'));
        let inner = inner.or(text.strip_prefix('[').and_then(|t| t.strip_suffix(']')));
        *text == "<|\"|>" || inner.is_some_and(|t| !t.is_empty() && !t.contains(['<', '[', ' ', '"', '=']))
    });
    all.sort_unstable();
    all.dedup();
    all
}

/// What was made of the tools is right, or the limits are met, or a schema is refused.
fn compile(grammar: &ReplyGrammar) -> Option<Grammar> {
    let answer = Form::gbnf("root ::= \"4\" \"2\"");
    match compile_reply(grammar, Some(&answer), &limits(), &|| false) {
        Ok(grammar) => Some(grammar),
        Err(EngineError::Parts(PartsError::Schema { .. })) => None,
        Err(EngineError::Parts(PartsError::Grammar(error))) if error.kind() == GrammarErrorKind::Limit => None,
        Err(error) => panic!("{error}\n{}", grammar.gbnf),
    }
}

/// A tool's name and schema.
fn declared(tool: &Value) -> Option<(&str, &Value)> {
    let tool = tool.get("function").unwrap_or(tool);
    Some((tool.get("name")?.as_str()?, tool.get("parameters").unwrap_or(&Value::Null)))
}

/// Whether a tool's schema allows arguments; true if no grammar can tell.
fn allows(schema: &Value, arguments: &Value) -> bool {
    let grammar = Grammar::from_json_schema_with(&schema.to_string(), Reading::Specification, &limits());
    let accepts = grammar
        .ok()
        .and_then(|grammar| Recognizer::new(&grammar).ok()?.accepts(arguments.to_string().as_bytes()).ok());
    accepts.unwrap_or(true)
}

fn check(reply: &Reply, shape: &ReplyShape<'_>, text: &str) {
    let must_call = matches!(shape.choice, ToolChoice::Required | ToolChoice::Named(_));
    assert!(!must_call || !reply.tool_calls.is_empty(), "no call in {text:?}");
    assert!(!must_call || reply.malformed.is_empty(), "{:?} in {text:?}", reply.malformed);
    for call in &reply.tool_calls {
        let mut named =
            shape.tools.iter().filter_map(declared).filter(|(name, _)| *name == call.name).peekable();
        assert!(named.peek().is_some(), "{call:?} in {text:?}");
        if let ToolChoice::Named(name) = &shape.choice {
            assert_eq!(*name, call.name);
        }
        let missing = |schema: &Value| {
            let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            let known = |key: &&str| schema.get("properties").is_some_and(|keys| keys.get(*key).is_some());
            required.filter_map(Value::as_str).filter(known).any(|key| !call.arguments.contains_key(key))
        };
        assert!(!must_call || named.clone().any(|(_, schema)| !missing(schema)), "{call:?} in {text:?}");
        // Calls in the notations of small models are free text, where calls are not required.
        if must_call && !NOT_JSON.contains(&shape.format) {
            let arguments = Value::Object(call.arguments.clone());
            assert!(named.any(|(_, schema)| allows(schema, &arguments)), "{call:?} in {text:?}");
        }
    }
}

// The format, how to ask, tools as JSON, a byte 0, and the text that is followed as far as the grammar allows it.
fuzz_target!(|bytes: &[u8]| {
    let [format, how, bytes @ ..] = bytes else { return };
    let format = ReplyFormat::ALL[usize::from(*format) % ReplyFormat::ALL.len()];
    let input = String::from_utf8_lossy(bytes);
    let (tools, text) = input.split_once('\0').unwrap_or((&input, ""));
    let tools: Vec<Value> = match serde_json::from_str(tools) {
        Ok(Value::Array(tools)) => tools,
        Ok(tool) => vec![tool],
        Err(_) => return,
    };
    let is = |bit: u8| how >> bit & 1 != 0;
    let choice = match how & 3 {
        0 => ToolChoice::None,
        1 => ToolChoice::Auto,
        2 => ToolChoice::Required,
        _ => ToolChoice::Named(tools.iter().find_map(declared).map_or("f", |(name, _)| name).to_owned()),
    };
    let tokens = if is(2) { tokens_of(format) } else { Vec::new() };
    let start = if format == ReplyFormat::Harmony { "<|start|>assistant" } else { "" };
    let thinking = format.thinking().map_or("<|channel|>analysis<|message|>", |(open, _)| open);
    let prompt = format!("{start}{}", if is(3) { thinking } else { "" });
    let parser = ReplyParser::new(format).with_tools(&tools).unwrap().with_tokens(|text| tokens.contains(&text)).unwrap();
    let mut parser = parser.after_prompt(&prompt).unwrap();
    let token = |text: &str| tokens.iter().position(|token| *token == text).map(|i| 256 + i as u32);
    let shape = ReplyShape {
        format,
        opened: parser.channel(),
        may_think: is(4),
        tools: &tools,
        choice,
        answer: is(5),
        token: &token,
    };
    let Ok(Some(grammar)) = reply_grammar(&shape) else { return };
    let Some(grammar) = compile(&grammar) else { return };
    let Some(mut walk) = Walk::new(&grammar, &tokens) else { return };
    walk.follow(text);
    let markers: Vec<&str> = format.markers().collect();
    if walk.finish(&markers) {
        for (piece, control) in walk.pieces() {
            if control {
                parser.push_control(&piece)
            } else {
                parser.push(&piece)
            }
            .unwrap();
        }
        check(&parser.finish().unwrap().1, &shape, &walk.text());
    }
});
