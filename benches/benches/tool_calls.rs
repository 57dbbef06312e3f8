//! Tool calls of a small model: how many are valid, with and without a forced choice.
//!
//! ```text
//! cargo bench -p happy-benches --bench tool_calls -- qwen25.gguf     # prints a table and what failed
//! ```
//! 60 prompts over five tools (`benches/data/tools`), greedy, at most 512 tokens, as `happy run --temp 0 -n 512 --tools`.
//! `required`: the 40 prompts that ask for a tool. `auto`: all 60. Not a timing: the counts are the same on every machine.

use happy_engine::chat::{Message, Reply, ToolChoice};
use happy_engine::{
    Conversation, ConversationOptions, Engine, EngineError, Event, FinishReason, GenerateOptions, LoadOptions,
};
use serde_json::Value;

const TOOLS: &str = include_str!("../data/tools/tools.json");
const PROMPTS: &str = include_str!("../data/tools/prompts.jsonl");

/// What became of the prompts with one choice.
#[derive(Default)]
struct Count {
    prompts: usize,
    /// Replies with a call, and calls whose arguments fit their tool.
    calling: usize,
    calls: usize,
    valid: usize,
    malformed: usize,
    unfinished: usize,
    notes: Vec<String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(model) = std::env::args().skip(1).find(|arg| !arg.starts_with('-')) else {
        println!("NOT RUN: name a model that calls tools: cargo bench --bench tool_calls -- MODEL.gguf");
        return Ok(());
    };
    let tools: Vec<Value> = serde_json::from_str(TOOLS)?;
    let prompts: Vec<Value> = PROMPTS.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let engine = Engine::open(&model, &LoadOptions::default())?;
    println!("| choice | prompts | replies with a call | calls | valid | malformed | unfinished |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    let mut notes = Vec::new();
    for (name, choice, asks) in [
        ("required, a tool is asked for", ToolChoice::Required, true),
        ("auto, a tool is asked for", ToolChoice::Auto, true),
        ("auto, none is", ToolChoice::Auto, false),
    ] {
        let mut count = Count::default();
        for prompt in prompts.iter().filter(|prompt| prompt["calls"] == asks) {
            let prompt = prompt["prompt"].as_str().ok_or("a prompt is text")?;
            let (reply, end) = answer(&engine, &tools, &choice, prompt)?;
            count.add(&tools, prompt, &reply, &end);
        }
        let Count { prompts, calling, calls, valid, malformed, unfinished, .. } = count;
        println!("| {name} | {prompts} | {calling} | {calls} | {valid} | {malformed} | {unfinished} |");
        notes.extend(count.notes.into_iter().map(|note| format!("{name}: {note}")));
    }
    notes.iter().for_each(|note| println!("{note}"));
    Ok(())
}

fn answer(
    engine: &Engine,
    tools: &[Value],
    choice: &ToolChoice,
    prompt: &str,
) -> Result<(Reply, FinishReason), EngineError> {
    let (tools, tool_choice) = (Some(tools.to_vec()), choice.clone());
    let begin = ConversationOptions { tools, tool_choice, ..ConversationOptions::default() };
    let mut conversation = Conversation::with_options(engine, begin)?;
    conversation.push(Message::new("user", prompt));
    let mut context = engine.context()?;
    let options = GenerateOptions { max_tokens: Some(512), ..GenerateOptions::default() };
    let mut reply = Reply::default();
    for event in conversation.answer(&mut context, 0, options)? {
        match event? {
            Event::Reply(whole) => reply = whole,
            Event::Done(finish) => return Ok((reply, finish.reason)),
            _ => {}
        }
    }
    Err(EngineError::Cancelled)
}

impl Count {
    fn add(&mut self, tools: &[Value], prompt: &str, reply: &Reply, end: &FinishReason) {
        self.prompts += 1;
        self.calling += usize::from(!reply.tool_calls.is_empty());
        self.calls += reply.tool_calls.len();
        self.malformed += reply.malformed.len();
        self.unfinished += usize::from(end.is_unfinished());
        for call in &reply.tool_calls {
            let tool = tools.iter().find(|tool| tool["function"]["name"] == call.name.as_str());
            let arguments = Value::Object(call.arguments.clone());
            match tool.map(|tool| fits(&tool["function"]["parameters"], &arguments)) {
                Some(true) => self.valid += 1,
                _ => self.notes.push(format!("{prompt:?}: {}({arguments}) does not fit its tool", call.name)),
            }
        }
        let odd = reply.tool_calls.is_empty() || end.is_unfinished() || !reply.malformed.is_empty();
        if odd {
            self.notes.push(format!("{prompt:?}: {end}: {:?} {:?}", reply.content, reply.malformed));
        }
    }
}

/// Whether a value fits a schema, by the keywords that `tools.json` uses: an own reading, not the grammar's.
fn fits(schema: &Value, value: &Value) -> bool {
    let number = |key: &str| schema[key].as_f64();
    let kind = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        Some("number") => value.is_number(),
        _ => false,
    };
    let within = value.as_f64().is_none_or(|n| {
        number("minimum").is_none_or(|least| n >= least) && number("maximum").is_none_or(|most| n <= most)
    });
    let one_of = schema["enum"].as_array().is_none_or(|values| values.contains(value));
    let date = schema["format"] != "date"
        || value.as_str().is_some_and(|text| {
            let digits: Vec<usize> = text.split('-').map(str::len).collect();
            digits == [4, 2, 2] && text.bytes().all(|b| b.is_ascii_digit() || b == b'-')
        });
    let items = value.as_array().is_none_or(|items| {
        number("maxItems").is_none_or(|most| items.len() as f64 <= most)
            && items.iter().all(|item| fits(&schema["items"], item))
    });
    let members = value.as_object().is_none_or(|members| {
        let properties = &schema["properties"];
        let required = schema["required"].as_array().into_iter().flatten();
        required.filter_map(Value::as_str).all(|name| members.contains_key(name))
            && members.iter().all(|(name, member)| properties.get(name).is_some_and(|p| fits(p, member)))
    });
    kind && within && one_of && date && items && members
}
