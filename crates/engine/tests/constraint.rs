//! Grammars and schemas in generation.

mod common;

use happy_engine::{Constraint, Event, FinishReason, GenerateOptions, LoadOptions};
use happy_grammar::Grammar;
use happy_sampler::Sampler;

/// The text that a constrained generation gives, and why it ended.
fn generate(grammar: &Grammar, sampler: Sampler, ignore_end: bool) -> (String, FinishReason) {
    let options = LoadOptions { threads: Some(1), context: Some(200), ..LoadOptions::default() };
    let engine = common::engine(&options).unwrap();
    let constraint = Constraint::new(grammar, &engine.vocabulary().unwrap()).unwrap();
    let mut context = engine.context().unwrap();
    let options =
        GenerateOptions { sampler, ignore_end, constraint: Some(constraint), ..GenerateOptions::default() };
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
    let grammars = [
        Grammar::from_gbnf("root ::= [ab]{3} \"é\" | \"yes\"").unwrap(),
        Grammar::from_json_schema(r#"{"enum": ["red", "green", 7]}"#).unwrap(),
        Grammar::from_json_schema(
            r#"{"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
                "required": ["n"], "additionalProperties": false}"#,
        )
        .unwrap(),
    ];
    for (i, grammar) in grammars.iter().enumerate() {
        let mut recognizer = happy_grammar::Recognizer::new(grammar).unwrap();
        for sampler in [Sampler::greedy(), drawn(1), drawn(2), drawn(3)] {
            let (text, reason) = generate(grammar, sampler, false);
            if reason != FinishReason::ContextFull {
                assert!(recognizer.accepts(text.as_bytes()).unwrap(), "grammar {i}: {text:?}");
                assert_eq!(reason, FinishReason::EndOfGeneration(2), "grammar {i}: {text:?}");
            }
        }
    }
}

#[test]
fn a_grammar_that_allows_nothing_more_ends_the_text() {
    let grammar = Grammar::from_gbnf("root ::= \"ab\"").unwrap();
    let (text, reason) = generate(&grammar, Sampler::greedy(), true);
    assert_eq!((text.as_str(), reason), ("ab", FinishReason::GrammarEnd));
}

#[test]
fn a_grammar_that_names_a_token_that_is_not_there_is_an_error() {
    let engine = common::engine(&LoadOptions { threads: Some(1), ..LoadOptions::default() }).unwrap();
    let grammar = Grammar::from_gbnf("root ::= <think>").unwrap();
    let error = Constraint::new(&grammar, &engine.vocabulary().unwrap()).unwrap_err().to_string();
    assert!(error.contains("<think>"), "{error}");
}
