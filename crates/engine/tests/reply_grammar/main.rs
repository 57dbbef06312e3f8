//! The grammar of a constrained reply against what models write, for every format: calls of three tools, thinking, and the
//! turns that the templates of the corpus render.

mod names;
mod notation;

use happy_chat::{
    Channel, ChatTemplate, ConstraintError, LocalTime, ReplyFormat, ReplyGrammar, ReplyParser, ReplyShape,
    ToolChoice, reply_grammar, without_schema,
};
use happy_engine::{Form, compile_reply};
use happy_grammar::{Grammar, Limits, Recognizer};
use notation::{Style, call};
use serde_json::{Map, Value, json};

use ReplyFormat::*;

/// Formats of several messages whose calls no grammar follows.
const WITHOUT_GRAMMAR: &[ReplyFormat] = &[GigaChat3, Functionary32, KimiK3, Atem, Solar];

/// Three tools: without parameters; strings, choices, numbers, an object and an array; references and alternatives.
fn tools() -> Vec<Value> {
    let tool = |name: &str, parameters: Value| json!({"type": "function", "function": {"name": name, "parameters": parameters}});
    vec![
        tool("now", json!({"type": "object", "properties": {}})),
        tool(
            "book",
            json!({"type": "object", "properties": {
                "city": {"type": "string"},
                "class": {"type": "string", "enum": ["first", "second"]},
                "seats": {"type": "integer"},
                "who": {"type": "object", "properties": {"name": {"type": "string"}, "adult": {"type": "boolean"}}, "required": ["name"]},
                "tags": {"type": "array", "items": {"type": "string"}}
            }, "required": ["city", "seats"]}),
        ),
        tool(
            "find",
            json!({"type": "object", "$defs": {"place": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]}},
                "properties": {
                    "at": {"$ref": "#/$defs/place"},
                    "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]}
                }, "required": ["at"]}),
        ),
    ]
}

/// Texts that are control tokens of a model's vocabulary: markers without words of their own.
fn tokens_of(format: ReplyFormat) -> Vec<&'static str> {
    let is_token = |text: &&str| {
        let inner = text.strip_prefix('<').and_then(|t| t.strip_suffix('>'));
        let inner = inner.or(text.strip_prefix('[').and_then(|t| t.strip_suffix(']')));
        inner.is_some_and(|t| !t.is_empty() && !t.contains(['<', '[', ' ', '"', '=']) || text == &"<|\"|>")
    };
    let mut all: Vec<&str> = format.markers().filter(is_token).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// A grammar under test, and the control tokens of its vocabulary.
struct Reply {
    recognizer: Recognizer,
    tokens: Vec<&'static str>,
}

impl Reply {
    fn new(shape: &ReplyShape<'_>, tokens: &[&'static str]) -> Result<Option<Self>, String> {
        let token = |text: &str| tokens.iter().position(|t| *t == text).map(|i| i as u32 + 5);
        let shape = ReplyShape { token: &token, tools: shape.tools, choice: shape.choice.clone(), ..*shape };
        let Some(grammar) = reply_grammar(&shape).map_err(|e| e.to_string())? else { return Ok(None) };
        let compiled = compile(&grammar).map_err(|e| format!("{e}\n{}", grammar.gbnf))?;
        let recognizer = Recognizer::new(&compiled).map_err(|e| e.to_string())?;
        Ok(Some(Reply { recognizer, tokens: tokens.to_vec() }))
    }

    /// Where the last prefix ends that is a whole reply, and how far the text can be written.
    fn follow(&mut self, text: &str) -> (Option<usize>, usize) {
        self.recognizer.reset();
        let (mut at, mut complete) = (0, self.recognizer.is_complete().then_some(0));
        while at < text.len() && !self.recognizer.is_dead() {
            let rest = &text[at..];
            let token = (0..self.tokens.len()).filter(|i| rest.starts_with(self.tokens[*i]));
            let token = token.max_by_key(|i| self.tokens[*i].len());
            let len = token.map_or(rest.ceil_char_boundary(1), |i| self.tokens[i].len());
            let bytes = &text.as_bytes()[at..at + len];
            match token {
                // A vocabulary's control tokens have no text.
                Some(i) => self.recognizer.push_token(Some(i as u32 + 5), b"").unwrap(),
                None => self.recognizer.push(bytes).unwrap(),
            }
            if !self.recognizer.is_dead() {
                at += len;
            }
            if self.recognizer.is_complete() {
                complete = Some(at);
            }
        }
        (complete, at)
    }

    fn accepts(&mut self, text: &str) -> bool {
        self.follow(text) == (Some(text.len()), text.len())
    }
}

fn compile(grammar: &ReplyGrammar) -> Result<Grammar, String> {
    let answer = Form::gbnf("root ::= \"4\" \"2\"");
    compile_reply(grammar, Some(&answer), &Limits::default(), &|| false).map_err(|e| e.to_string())
}

/// Thinking as the models of a family write it; `None` if they mark none.
fn thinking(format: ReplyFormat) -> Option<(&'static str, &'static str)> {
    Some(match format {
        Harmony => ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant"),
        Mistral => ("[THINK]", "[/THINK]"),
        Seed => ("<seed:think>", "</seed:think>"),
        Gemma4 => ("<|channel>thought\n", "<channel|>"),
        Apertus => ("<|inner_prefix|>", "<|inner_suffix|>"),
        Cohere => ("<|START_THINKING|>", "<|END_THINKING|>"),
        _ => ("<think>", "</think>"),
    })
}

fn constrained() -> impl Iterator<Item = ReplyFormat> {
    ReplyFormat::ALL.iter().copied().filter(|f| *f != Plain && !WITHOUT_GRAMMAR.contains(f))
}

/// A final answer.
fn prose(format: ReplyFormat, text: &str) -> String {
    if format == Harmony { format!("<|channel|>final<|message|>{text}") } else { text.to_owned() }
}

fn shape(format: ReplyFormat, tools: &[Value], choice: ToolChoice) -> ReplyShape<'_> {
    let opened = if format == Harmony { Channel::Control } else { Channel::Content };
    ReplyShape { format, opened, may_think: true, tools, choice, answer: false, token: &|_| None }
}

fn named(name: &str) -> ToolChoice {
    ToolChoice::Named(name.to_owned())
}

/// Calls, and whether they are right.
fn calls() -> Vec<(&'static str, Value, bool)> {
    let book = json!({"city": "Zürich, \"old\" town's", "class": "first", "seats": 2,
        "who": {"name": "Al", "adult": true}, "tags": ["a", "b"]});
    vec![
        ("now", json!({}), true),
        ("book", book, true),
        ("book", json!({"city": "Rome", "seats": -1}), true),
        ("book", json!({"city": "Rome", "seats": 12, "tags": []}), true),
        ("find", json!({"at": {"lat": -1.5}, "limit": 3}), true),
        ("find", json!({"at": {"lat": 2}, "limit": null}), true),
        ("find", json!({"at": {"lat": 2}}), true),
        ("later", json!({}), false),
        ("no", json!({}), false),
        ("book", json!({}), false),
        ("book", json!({"city": "Rome"}), false),
        ("book", json!({"city": "Rome", "seats": true}), false),
        ("book", json!({"city": "Rome", "class": "third", "seats": 2}), false),
        ("book", json!({"city": "Rome", "seats": 2, "who": {"adult": true}}), false),
        ("book", json!({"city": "Rome", "seats": 2, "who": {"name": "Al", "adult": 1}}), false),
        ("book", json!({"city": "Rome", "seats": 2, "tags": 7}), false),
        ("find", json!({"at": {"lat": true}}), false),
        ("find", json!({"at": {}}), false),
        ("find", json!({"at": {"lat": 2}, "limit": 1.5}), false),
    ]
}

#[test]
fn what_each_choice_allows() {
    let tools = tools();
    let mut wrong = Vec::new();
    for format in constrained() {
        for tokens in [vec![], tokens_of(format)] {
            for choice in [ToolChoice::None, ToolChoice::Auto, ToolChoice::Required, named("book")] {
                let kind = format!("{format} {choice:?} {} tokens", tokens.len());
                let mut reply = match Reply::new(&shape(format, &tools, choice.clone()), &tokens) {
                    Ok(Some(reply)) => reply,
                    other => {
                        wrong.push(format!("{kind}: {:?}", other.err()));
                        continue;
                    }
                };
                let mut check = |text: &str, allowed: bool| {
                    let found = reply.follow(text);
                    if (found == (Some(text.len()), text.len())) != allowed {
                        wrong.push(format!("{kind}: {text:?} should be {allowed}, found {found:?}"));
                    }
                };
                let (open, close) = thinking(format).unwrap();
                for (name, arguments, right) in calls() {
                    for style in [Style::Spaced, Style::Tight, Style::Lines] {
                        let text = call(format, name, &arguments, style);
                        let allowed = match &choice {
                            ToolChoice::None => false,
                            ToolChoice::Named(only) => right && only == name,
                            _ => right,
                        };
                        check(&text, allowed);
                        check(&format!("{open}Hm, <b> & so.{close}{text}"), allowed);
                    }
                }
                let free = matches!(choice, ToolChoice::None | ToolChoice::Auto);
                check(&prose(format, "It is 4."), free);
                check(&format!("{open}Hm.{close}{}", prose(format, "It is 4.")), free);
            }
        }
    }
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

/// Content before a call, several calls, and thinking that the prompt opened.
#[test]
fn what_stands_around_calls() {
    let tools = tools();
    let mut wrong = Vec::new();
    for format in constrained() {
        for tokens in [vec![], tokens_of(format)] {
            let a = call(format, "now", &json!({}), Style::Spaced);
            let b = call(format, "find", &json!({"at": {"lat": 1}}), Style::Spaced);
            let bad = call(format, "find", &json!({"at": {}}), Style::Spaced);
            let (_, close) = thinking(format).unwrap();
            let next = if format == Harmony { "<|start|>assistant" } else { "\n" };
            let before = match format {
                Harmony => "<|channel|>commentary<|message|>Well.<|end|><|start|>assistant",
                _ => "Well.\n",
            };
            let cases = [
                (ToolChoice::Auto, false, format!("{before}{a}"), true),
                (ToolChoice::Auto, false, format!("{a}{next}{b}"), true),
                (ToolChoice::Required, false, format!("{a}{next}{b}"), true),
                (ToolChoice::Auto, false, format!("{before}{bad}"), false),
                (ToolChoice::Auto, false, format!("{a}{next}{bad}"), false),
                (ToolChoice::Auto, true, format!("Hm.{close}{a}"), true),
                (ToolChoice::Auto, true, format!("Hm.{close}{}", prose(format, "Yes.")), true),
                (ToolChoice::Auto, true, format!("Hm.{close}{bad}"), false),
                (ToolChoice::Required, true, format!("Hm.{close}{a}"), true),
                (ToolChoice::Required, true, format!("Hm.{close}\n\n{a}"), format != Harmony),
                (ToolChoice::Required, true, format!("Hm.{close}{}", prose(format, "Yes.")), false),
                (ToolChoice::Required, true, "Hm.".to_owned(), false),
                (named("find"), true, format!("Hm.{close}{b}"), true),
                (named("find"), true, format!("Hm.{close}{a}"), false),
            ];
            for (choice, thinks, text, allowed) in cases {
                let mut shape = shape(format, &tools, choice.clone());
                if thinks {
                    shape.opened = Channel::Reasoning;
                }
                let found = Reply::new(&shape, &tokens).map(|reply| reply.unwrap().follow(&text));
                if (found == Ok((Some(text.len()), text.len()))) != allowed {
                    wrong.push(format!(
                        "{format} {choice:?} {}: {text:?} should be {allowed}, found {found:?}",
                        tokens.len()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

/// What stands after a name needs something between: `functions.nowjson` is a call of the tool `nowjson`.
#[test]
fn words_after_a_name_are_apart() {
    let tools = tools();
    let mut wrong = Vec::new();
    for tokens in [vec![], tokens_of(Harmony)] {
        let mut call = Reply::new(&shape(Harmony, &tools, ToolChoice::Required), &tokens).unwrap().unwrap();
        let answer = ReplyShape { answer: true, ..shape(Harmony, &tools, ToolChoice::None) };
        let mut answer = Reply::new(&answer, &tokens).unwrap().unwrap();
        for (between, allowed) in [
            ("", true),
            ("json", false),
            (" json", true),
            ("<|constrain|>json", true),
            (" <|constrain|> json", true),
        ] {
            let called = format!("<|channel|>commentary to=functions.now{between}<|message|>{{}}<|call|>");
            let answered = format!("<|channel|>final{between}<|message|>42");
            for (text, found) in [(&called, call.accepts(&called)), (&answered, answer.accepts(&answered))] {
                if found != allowed {
                    wrong.push(format!("{} tokens: {text:?} should be {allowed}", tokens.len()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whatever a tool's schema says, arguments are an object: the parser takes nothing else.
#[test]
fn arguments_are_objects() {
    let object = json!({"a": 1});
    let cases = [
        (json!({"properties": {"a": {"type": "integer"}}}), true),
        (json!({"type": ["object", "null"], "properties": {"a": {"type": "integer"}}}), true),
        (json!({"anyOf": [{"type": "string"}, {"properties": {"a": {}}}]}), true),
        (json!({"minProperties": 1}), true),
        (json!({"enum": [true, {"a": 1}]}), true),
        (json!({"type": "string", "minLength": 1}), false),
        (json!({"type": ["string", "null"], "allOf": [{}]}), false),
        (json!({"enum": ["x"]}), false),
    ];
    let mut wrong = Vec::new();
    for (parameters, possible) in cases {
        let tools = [json!({"name": "f", "parameters": parameters})];
        let reply = Reply::new(&shape(Hermes, &tools, ToolChoice::Required), &[]);
        let text = |arguments: &Value| call(Hermes, "f", arguments, Style::Spaced);
        let fits = match reply {
            Ok(Some(mut reply)) => {
                let others = [json!(true), json!("x"), json!(null), json!([])];
                possible && reply.accepts(&text(&object)) && !others.iter().any(|a| reply.accepts(&text(a)))
            }
            Ok(None) => false,
            Err(error) => !possible && error.contains("part 'arguments-0'"),
        };
        if !fits {
            wrong.push(parameters.to_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Text that only looks as if a call began stays possible where the model decides.
#[test]
fn prose_is_free() {
    let tools = tools();
    let texts = [
        "",
        "It is 4.",
        "a < b and c <tool, or [TOOL and [THINK",
        "A <tool",
        "The list [1, 2] and f(x) = {x: 1}.",
        "{\"name\": \"Alice\", \"age\": 7}",
        "```json\n{\"name\": \"book\", \"arguments\": {}}\n```\n",
        "Ends in <",
        "Ends in [",
        "Ends in <|",
        "import functools",
        "Zürich — 東京 \u{1f600}\n\n\n",
        "a > b >> c",
    ];
    let mut wrong = Vec::new();
    for format in constrained() {
        for tokens in [vec![], tokens_of(format)] {
            for choice in [ToolChoice::None, ToolChoice::Auto] {
                let mut reply = Reply::new(&shape(format, &tools, choice.clone()), &tokens).unwrap().unwrap();
                for text in texts {
                    let text = prose(format, text);
                    if !reply.accepts(&text) {
                        wrong.push(format!(
                            "{format} {choice:?} {}: {text:?} {:?}",
                            tokens.len(),
                            reply.follow(&text)
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

/// An answer under a grammar, before which the model may think, or instead of which it may call.
#[test]
fn answers_under_a_grammar() {
    let tools = tools();
    let mut wrong = Vec::new();
    for format in constrained() {
        let (open, close) = thinking(format).unwrap();
        let a = call(format, "now", &json!({}), Style::Spaced);
        let answer = prose(format, "42");
        let cases = [
            (ToolChoice::Auto, answer.clone(), true),
            (ToolChoice::Auto, format!("{open}Hm.{close}{answer}"), true),
            (ToolChoice::Auto, a.clone(), true),
            (ToolChoice::Auto, prose(format, "43"), false),
            (ToolChoice::Auto, prose(format, "It is 42"), false),
            (ToolChoice::None, answer.clone(), true),
            (ToolChoice::None, a.clone(), false),
            (ToolChoice::Required, answer.clone(), false),
            (ToolChoice::Required, a.clone(), true),
        ];
        for tokens in [vec![], tokens_of(format)] {
            for (choice, text, allowed) in &cases {
                let shape = ReplyShape { answer: true, ..shape(format, &tools, choice.clone()) };
                let found = Reply::new(&shape, &tokens).map(|reply| reply.unwrap().follow(text));
                if (found == Ok((Some(text.len()), text.len()))) != *allowed {
                    wrong.push(format!(
                        "{format} {choice:?} {}: {text:?} should be {allowed}, found {found:?}",
                        tokens.len()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

/// A notation without a grammar is refused by name where a call is asked for, and left alone otherwise.
#[test]
fn notations_without_a_grammar() {
    let tools = tools();
    for format in WITHOUT_GRAMMAR.iter().copied() {
        for choice in [ToolChoice::Required, named("book")] {
            let error = reply_grammar(&shape(format, &tools, choice)).unwrap_err();
            assert_eq!(error, ConstraintError::Unsupported(format));
            assert!(error.to_string().contains(&format!("`{format}`")), "{error}");
        }
        assert_eq!(reply_grammar(&shape(format, &tools, ToolChoice::Auto)), Ok(None), "{format}");
    }
    let refused = |choice, tools: &[Value]| reply_grammar(&shape(Plain, tools, choice)).unwrap_err();
    assert_eq!(refused(ToolChoice::Required, &tools), ConstraintError::NoCalls(Plain));
    assert_eq!(refused(ToolChoice::Required, &[]), ConstraintError::NoTools);
    let expected = "now, book, find".to_owned();
    let unknown = ConstraintError::UnknownTool { name: "later".into(), expected };
    assert_eq!(refused(named("later"), &tools), unknown);
    assert_eq!(reply_grammar(&shape(Plain, &tools, ToolChoice::Auto)), Ok(None));
}

/// Schemas that refer to themselves many times over neither take long nor make a long grammar.
#[test]
fn schemas_that_refer_to_themselves() {
    let many: Vec<Value> = (0..100).map(|_| json!({"$ref": "#/$defs/a"})).collect();
    let properties: Map<String, Value> =
        (0..100).map(|i| (format!("p{i:03}"), json!({"$ref": "#/$defs/a"}))).collect();
    let kinds = [
        json!({"anyOf": many}),
        json!({"allOf": many}),
        json!({"type": "object", "properties": properties}),
        json!({"type": "array", "items": {"$ref": "#/$defs/a"}}),
        json!({"$ref": "#/$defs/a"}),
    ];
    for kind in kinds {
        let parameters = json!({"type": "object", "$defs": {"a": kind}, "properties": properties});
        let tools = [json!({"name": "f", "parameters": parameters})];
        for format in constrained() {
            let grammar = reply_grammar(&shape(format, &tools, ToolChoice::Required)).unwrap().unwrap();
            assert!(grammar.gbnf.len() < 4 << 20, "{format}: {} bytes", grammar.gbnf.len());
        }
    }
}

/// The prompt before message `i`, and the text that stands for the message.
fn turn(template: &ChatTemplate, vars: &Map<String, Value>, i: usize) -> Option<(String, String)> {
    let now: Option<LocalTime> = "2026-03-14T09:26:53".parse().ok();
    let messages = vars["messages"].as_array()?;
    let render = |n: usize, prompt: bool| {
        let mut vars = vars.clone();
        vars.insert("messages".into(), messages[..n].into());
        vars.insert("add_generation_prompt".into(), prompt.into());
        template.render_context(&Value::Object(vars), now).ok()
    };
    let (prompt, whole) = (render(i, true)?, render(i + 1, false)?);
    let turn = whole.strip_prefix(&prompt)?.to_owned();
    Some((prompt, turn))
}

/// What templates make of calls is what models have learned to write.
#[test]
fn rendered_calls_are_allowed() {
    let mut wrong = Vec::new();
    for corpus in happy_testkit::Corpus::all() {
        let files = corpus.open("chat-templates").unwrap();
        let cases = String::from_utf8(files.unpacked("renderings.jsonl.gz").unwrap()).unwrap();
        let mut count = 0;
        for case in cases.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let (name, conv) = (case["template"].as_str().unwrap(), case["conv"].as_str().unwrap());
            if !["c06", "c07", "c08"].iter().any(|c| conv.starts_with(c)) {
                continue;
            }
            let source = files.text(&format!("templates/{name}.jinja")).unwrap();
            let format = ReplyFormat::of_template(&source);
            if format == Plain || WITHOUT_GRAMMAR.contains(&format) {
                continue;
            }
            let vars = case["vars"].as_object().unwrap();
            let messages = vars["messages"].as_array().unwrap();
            let i = messages.iter().position(|m| m.get("tool_calls").is_some()).unwrap();
            let calls = messages[i]["tool_calls"].as_array().unwrap();
            let names: Vec<&str> = calls.iter().map(|c| c["function"]["name"].as_str().unwrap()).collect();
            let turn = ChatTemplate::new(&source).ok().and_then(|t| turn(&t, vars, i));
            let Some((prompt, turn)) = turn.filter(|(_, turn)| turn.contains(names[0])) else { continue };
            let tools = vars["tools"].as_array().cloned().unwrap_or_default();
            let opened = match ReplyParser::new(format).after_prompt(&prompt).unwrap().channel() {
                // The rendered turn has no thinking.
                Channel::Reasoning if !turn.contains(thinking(format).unwrap().1) => Channel::Content,
                opened => opened,
            };
            // As text in quotes: read, but not what a constrained model writes.
            if turn.contains("\\\"city\\\"") {
                continue;
            }
            let content = messages[i]["content"].as_str().unwrap_or_default();
            let tokens = tokens_of(format);
            for tokens in [&[][..], &tokens] {
                for choice in [ToolChoice::Auto, ToolChoice::Required] {
                    // Content before the call is possible only if no call is required.
                    if choice == ToolChoice::Required && turn.contains(content) && !content.is_empty() {
                        continue;
                    }
                    let shape = ReplyShape { opened, ..shape(format, &tools, choice.clone()) };
                    let found = Reply::new(&shape, tokens).map(|reply| reply.unwrap().follow(&turn));
                    // What ends the turn is not the reply's.
                    let right = match &found {
                        Ok((Some(end), _)) => !names.iter().any(|name| turn[*end..].contains(name)),
                        _ => false,
                    };
                    count += 1;
                    if !right {
                        wrong.push(format!(
                            "{name} {conv} ({format}, {choice:?}, {}): {turn:?} {found:?}",
                            tokens.len()
                        ));
                    }
                }
            }
        }
        println!("{}: {count} turns", corpus.name());
        assert!(count > 0);
    }
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}
