//! Grammars and schemas in generation.

mod common;

use happy_engine::{Event, FinishReason, Form, GenerateOptions, LoadOptions, Unfinished};
use happy_grammar::Grammar;
use happy_sampler::Sampler;

/// The text that a constrained generation gives, and why it ended.
fn generate(form: Form, options: GenerateOptions) -> (String, FinishReason) {
    let load = LoadOptions { threads: Some(1), context: Some(200), ..LoadOptions::default() };
    let engine = common::engine(&load).unwrap();
    let mut context = engine.context().unwrap();
    let options = GenerateOptions { form: Some(form), ..options };
    let (mut text, mut reason) = (String::new(), None);
    for event in context.generate(0, &[1, 70, 71], options).unwrap() {
        match event.unwrap() {
            Event::Text(piece) => text.push_str(&piece),
            Event::Done(finish) => reason = Some(finish.reason),
            _ => {}
        }
    }
    (text, reason.unwrap())
}

#[test]
fn the_text_matches_and_ends_where_the_grammar_does() {
    let drawn = |seed| Sampler::builder().temperature(1.5).top_k(40).seed(seed).build().unwrap();
    let gbnf = "root ::= [ab]{3} \"é\" | \"yes\"";
    let schemas = [
        r#"{"enum": ["red", "green", 7]}"#,
        r#"{"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
            "required": ["n"], "additionalProperties": false}"#,
    ];
    let mut forms = vec![(Form::gbnf(gbnf), Grammar::from_gbnf(gbnf).unwrap())];
    forms.extend(schemas.map(|s| (Form::json_schema(s), Grammar::from_json_schema(s).unwrap())));
    for (i, (form, grammar)) in forms.iter().enumerate() {
        let mut recognizer = happy_grammar::Recognizer::new(grammar).unwrap();
        for sampler in [Sampler::greedy(), drawn(1), drawn(2), drawn(3)] {
            let (text, reason) =
                generate(form.clone(), GenerateOptions { sampler, ..GenerateOptions::default() });
            if reason != FinishReason::Unfinished(Unfinished::ContextFull) {
                assert!(recognizer.accepts(text.as_bytes()).unwrap(), "form {i}: {text:?}");
                assert_eq!(reason, FinishReason::EndOfGeneration(2), "form {i}: {text:?}");
            }
        }
    }
}

/// Why a constrained text ended, and whether it was complete then.
#[test]
fn an_end_before_the_form_is_complete_is_unfinished() {
    let options = |max_tokens, ignore_end, stop: &[&str]| GenerateOptions {
        max_tokens,
        ignore_end,
        stop: stop.iter().map(|s| (*s).to_owned()).collect(),
        ..GenerateOptions::default()
    };
    let cut = FinishReason::Unfinished;
    let cases = [
        // Nothing more is allowed, and the text is complete.
        ("root ::= \"ab\"", options(None, true, &[]), "ab", FinishReason::GrammarEnd),
        ("root ::= \"abcd\"", options(Some(2), false, &[]), "ab", cut(Unfinished::Length)),
        ("root ::= \"ab\"", options(Some(2), false, &[]), "ab", FinishReason::Length),
        ("root ::= \"abc\"", options(None, false, &["b"]), "a", FinishReason::StopString("b".into())),
        ("root ::= \"ab\" \"c\"?", options(None, false, &["b"]), "a", FinishReason::StopString("b".into())),
    ];
    for (grammar, options, text, reason) in cases {
        assert_eq!(generate(Form::gbnf(grammar), options), (text.to_owned(), reason), "{grammar}");
    }
}

#[test]
fn forms_that_are_not_valid_are_errors() {
    let engine = common::engine(&LoadOptions { threads: Some(1), ..LoadOptions::default() }).unwrap();
    let context = engine.context().unwrap();
    let cases = [
        // A token that the vocabulary does not have.
        (Form::gbnf("root ::= <think>"), "<think>"),
        (Form::gbnf("root ::= \"a"), "line 1"),
        (Form::json_schema("{\"type\": \"nothing\"}"), "nothing"),
    ];
    for (form, told) in cases {
        let options = GenerateOptions { form: Some(form), ..GenerateOptions::default() };
        let error = context.prepare(0, &[1, 70], options).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}
