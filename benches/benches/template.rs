//! Chat templates beside minijinja alone: what fuel, marks and Python's ways cost.
//!
//! ```text
//! HAPPY_CONFORMANCE=.. cargo bench -p happy-benches --bench template     # prints a table
//! ```
//! Both sides compile a template from its text and render a JSON conversation; minijinja has the same syntax settings and
//! Python's methods, but no fuel and its own filters. Rounds of both sides alternate; a cell is the median of a call.

use happy_engine::chat::ChatTemplate;
use happy_testkit::Corpus;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Templates of the corpus, from the shortest to long ones.
const TEMPLATES: [&str; 6] = [
    "inline-phi-4",
    "Qwen-Qwen2.5-7B-Instruct",
    "Qwen-Qwen3-0.6B",
    "meta-llama-Llama-3.1-8B-Instruct",
    "gguf-vocab-gemma-4",
    "deepseek-ai-DeepSeek-V3.1",
];
const ROUNDS: usize = 41;
/// A round lasts about this long.
const ROUND: Duration = Duration::from_millis(2);

fn now() -> Option<happy_engine::chat::LocalTime> {
    "2026-03-14T09:26:53".parse().ok()
}

/// minijinja as a program would set it up for chat templates.
fn plain(source: &str) -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    env.set_undefined_behavior(UndefinedBehavior::Lenient);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    env.add_function("strftime_now", |_: &str| "14 Mar 2026".to_owned());
    env.add_template_owned("chat", source.to_owned())?;
    Ok(env)
}

/// JSON as minijinja's value.
fn value(json: &Value) -> minijinja::Value {
    match json {
        Value::Null => ().into(),
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => n.as_f64().unwrap_or_default().into(),
        Value::String(s) => s.as_str().into(),
        Value::Array(items) => items.iter().map(value).collect(),
        Value::Object(map) => minijinja::Value::from_pairs(map.iter().map(|(k, v)| (k.as_str(), value(v)))),
    }
}

/// Conversations by name.
fn conversations() -> Vec<(&'static str, Value)> {
    let turn = |i: usize| {
        let role = if i.is_multiple_of(2) { "user" } else { "assistant" };
        json!({"role": role, "content": format!("Message number {i} of a conversation, with a few more words in it.")})
    };
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "description": "Tells something.", "parameters": {
            "type": "object", "properties": {"city": {"type": "string", "description": "The city."}}, "required": ["city"]}}})
    };
    let call = json!({"role": "assistant", "content": "", "tool_calls": [
        {"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": {"city": "Z\u{fc}rich"}}}]});
    let context = |messages: Vec<Value>, tools: Value| json!({"messages": messages, "tools": tools, "documents": null, "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"});
    let with_tools =
        vec![turn(0), call, json!({"role": "tool", "tool_call_id": "call00001", "content": "21"})];
    vec![
        ("1 message", context(vec![turn(0)], Value::Null)),
        ("41 messages", context((0..41).map(turn).collect(), Value::Null)),
        (
            "4 tools, a call",
            context(with_tools, ["weather", "news", "time", "sum"].map(tool).into_iter().collect()),
        ),
    ]
}

/// Median times of calls of two functions, in microseconds, in alternating rounds.
fn compare(mut ours: impl FnMut(), mut theirs: impl FnMut()) -> [f64; 2] {
    let calls = |f: &mut dyn FnMut()| {
        let start = Instant::now();
        f();
        (ROUND.as_secs_f64() / start.elapsed().as_secs_f64().max(1e-7)).ceil().min(10_000.0) as u32
    };
    // The second call is the first warm one.
    ours();
    theirs();
    let counts = [calls(&mut ours), calls(&mut theirs)];
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..2 * ROUNDS {
        let side = round % 2;
        let start = Instant::now();
        for _ in 0..counts[side] {
            if side == 0 { ours() } else { theirs() }
        }
        times[side].push(start.elapsed().as_secs_f64() * 1e6 / f64::from(counts[side]));
    }
    times.map(|mut t| {
        t.sort_by(f64::total_cmp);
        t[t.len() / 2]
    })
}

fn main() {
    let corpus = Corpus::full().unwrap_or_else(Corpus::repository);
    let files = corpus.open("chat-templates").expect("a corpus");
    println!("| template | | happy, \u{b5}s | minijinja, \u{b5}s | ratio |\n|---|---|--:|--:|--:|");
    for name in TEMPLATES {
        let Ok(source) = files.text(&format!("templates/{name}.jinja")) else {
            println!("{name} is in the full data only: set HAPPY_CONFORMANCE");
            continue;
        };
        let row = |what: &str, [ours, theirs]: [f64; 2]| {
            println!("| {name} | {what} | {ours:.0} | {theirs:.0} | {:.2} |", ours / theirs);
        };
        let ours = match ChatTemplate::new(&source) {
            Ok(template) => template,
            Err(e) => panic!("{name}: {e}"),
        };
        let theirs = match plain(&source) {
            Ok(env) => env,
            Err(e) => {
                println!("| {name} | compile | | fails: {} | |", e.kind());
                continue;
            }
        };
        row("compile", compare(|| drop(ChatTemplate::new(&source)), || drop(plain(&source))));
        for (what, context) in conversations() {
            // Both sides take JSON: what it costs to hand it over is part of a render.
            let render =
                |env: &Environment<'_>| env.get_template("chat").and_then(|t| t.render(value(&context)));
            if let Err(e) = ours.render_context(&context, now()) {
                // Some templates know no tools.
                println!("| {name} | {what} | refused: {e} | | |");
                continue;
            }
            if let Err(e) = render(&theirs) {
                println!("| {name} | {what} | | fails: {} | |", e.kind());
                continue;
            }
            row(what, compare(|| drop(ours.render_context(&context, now())), || drop(render(&theirs))));
        }
    }
}
