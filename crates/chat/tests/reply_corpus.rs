//! Parses the calls that templates render: the assistant's turn is cut out of the rendered conversation, and its calls are
//! compared with the template's input.

mod corpus;

use std::collections::{BTreeMap, BTreeSet};

use corpus::{Corpus, now};
use happy_chat::{ChatTemplate, ReplyFormat, ReplyParser};
use serde_json::{Map, Value};

/// Templates, or single conversations of a template, whose calls are not read back, with the reason.
const NOT_COVERED: &[(&str, &[&str])] = &[
    // The calls of the other conversations are read.
    ("the template puts arguments that are a string between braces", &["gguf-vocab-gemma-4 c08_str_args"]),
    (
        "the template renders the first of several calls only",
        &["GigaChat3-10B-A1.8B c07_parallel", "GigaChat3.1-10B-A1.8B c07_parallel"],
    ),
    ("the template renders content and calls as two turns", &["NVIDIA-Nemotron-Nano-v2 c07_parallel"]),
];

/// Returns the calls in the template's input.
fn given(message: &Value) -> Vec<(String, Value)> {
    let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
    let call = |call: Value| {
        let function = &call["function"];
        let arguments = match &function["arguments"] {
            Value::String(text) => serde_json::from_str(text).unwrap(),
            other => other.clone(),
        };
        (function["name"].as_str().unwrap().to_owned(), arguments)
    };
    calls.into_iter().map(call).collect()
}

/// Returns the prompt before message `i`, and the text of the message.
fn turn(template: &ChatTemplate, vars: &Map<String, Value>, i: usize) -> Option<(String, String)> {
    let messages = vars["messages"].as_array()?;
    let render = |n: usize, prompt: bool| {
        let mut vars = vars.clone();
        vars.insert("messages".into(), messages[..n].into());
        vars.insert("add_generation_prompt".into(), prompt.into());
        template.render_context(&Value::Object(vars), now()).ok()
    };
    let (prompt, whole) = (render(i, true)?, render(i + 1, false)?);
    if let Some(turn) = whole.strip_prefix(&prompt) {
        return Some((prompt.clone(), turn.to_owned()));
    }
    // The generation prompt opens or closes the thinking, and the rendered turn has none.
    let common: usize =
        prompt.chars().zip(whole.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    // The cut must not be inside of a marker.
    let cut = whole[..common].rfind('<').filter(|i| !whole[*i..common].contains('>')).unwrap_or(common);
    Some((String::new(), whole[cut..].to_owned()))
}

#[test]
fn rendered_calls_are_read_back() {
    let corpus = Corpus::open();
    let not_covered: BTreeSet<&str> =
        NOT_COVERED.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    let mut outcomes: BTreeMap<String, (ReplyFormat, usize)> = BTreeMap::new();
    for case in corpus.renderings() {
        let (name, conv) = (case["template"].as_str().unwrap(), case["conv"].as_str().unwrap());
        if !["c06", "c07", "c08"].iter().any(|c| conv.starts_with(c)) {
            continue;
        }
        let source = corpus.source(&case["template"]);
        let (format, passed) =
            outcomes.entry(name.to_owned()).or_insert_with(|| (ReplyFormat::of_template(&source), 0));
        let vars = case["vars"].as_object().unwrap();
        let messages = vars["messages"].as_array().unwrap();
        let i = messages.iter().position(|m| m.get("tool_calls").is_some()).unwrap();
        let calls = given(&messages[i]);
        let turn = ChatTemplate::new(&source).ok().and_then(|t| turn(&t, vars, i));
        let Some((prompt, turn)) = turn.filter(|(_, turn)| turn.contains(&calls[0].0)) else {
            // It renders no call, or the template refuses the conversation or cannot render it.
            continue;
        };
        let tools = vars["tools"].as_array().cloned().unwrap_or_default();
        let mut parser = ReplyParser::new(*format).with_tools(&tools).unwrap().after_prompt(&prompt).unwrap();
        // In pieces, like a model's output.
        let mut rest = turn.as_str();
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(rest.ceil_char_boundary(3.min(rest.len())));
            parser.push(piece).unwrap();
            rest = tail;
        }
        let (_, reply) = parser.finish().unwrap();
        let found: Vec<(String, Value)> =
            reply.tool_calls.iter().map(|c| (c.name.clone(), Value::Object(c.arguments.clone()))).collect();
        let content = messages[i]["content"].as_str().unwrap_or_default();
        let kept = !turn.contains(content) || reply.content.contains(content);
        let right = found == calls && reply.malformed.is_empty() && kept;
        let id = format!("{name} {conv}");
        match not_covered.iter().find(|listed| id.starts_with(**listed)) {
            Some(listed) if right => wrong.push(format!("{listed} is listed as not covered, but is read")),
            Some(listed) => {
                seen.insert(*listed);
            }
            None if right => *passed += 1,
            None => wrong.push(format!("{id} ({format}): {turn:?}\n    {reply:?}")),
        }
    }
    // The selection has only some of the templates.
    let missing = not_covered.difference(&seen).filter(|_| corpus.full);
    wrong.extend(missing.map(|listed| format!("{listed} is listed, but does not occur")));
    let (mut total, mut covered, mut silent) = (0, Vec::new(), Vec::new());
    for (name, (format, passed)) in &outcomes {
        total += passed;
        if *passed > 0 {
            covered.push(format!("{name} ({format})"));
        } else if !seen.iter().any(|listed| listed.starts_with(name.as_str())) {
            silent.push(name.as_str());
        }
    }
    println!("{total} turns of {} templates read back: {}", covered.len(), covered.join(", "));
    for (reason, names) in NOT_COVERED {
        println!("not covered, {reason}: {}", names.join(", "));
    }
    println!("{} templates render no calls: {}", silent.len(), silent.join(", "));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let expected = if corpus.full { 100 } else { 1 };
    assert!(total >= expected, "only {total} turns were read back");
}
