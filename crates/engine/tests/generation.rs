//! Plans, sequences and generation on a small model.

mod common;

use happy_engine::{Context, EngineError, Event, Finish, FinishReason, GenerateOptions, LoadOptions};
use happy_sampler::Sampler;

fn options() -> LoadOptions {
    LoadOptions { threads: Some(2), batch: 8, context: Some(128), sequences: 3, ..LoadOptions::default() }
}

fn context() -> Context {
    common::engine(&options()).unwrap().context().unwrap()
}

/// Runs a generation to its end.
fn run(context: &mut Context, prompt: &[u32], options: GenerateOptions) -> (Vec<u32>, String, Finish) {
    let (mut tokens, mut text, mut finish) = (Vec::new(), String::new(), None);
    for event in context.generate(0, prompt, options).unwrap() {
        match event.unwrap() {
            Event::Token(token) => tokens.push(token),
            Event::Text(piece) => text.push_str(&piece),
            Event::Done(end) => finish = Some(end),
            _ => {}
        }
    }
    (tokens, text, finish.expect("the last event is Done"))
}

fn logits(context: &mut Context, sequence: u32, tokens: &[u32]) -> Vec<f32> {
    context.prefill(sequence, tokens).unwrap().to_vec()
}

#[test]
fn a_plan_over_the_budget_is_refused_with_numbers() {
    let wanted = LoadOptions { context: Some(1 << 20), memory_budget: Some(16 << 20), ..options() };
    let Err(EngineError::OverBudget(over)) = common::engine(&wanted).map(|_| ()) else {
        panic!("must be refused")
    };
    let fitting = over.fitting.expect("a smaller context fits");
    assert!(
        over.plan.anon_bytes() > over.budget.bytes && over.to_string().contains(&fitting.to_string()),
        "{over}"
    );
    let engine = common::engine(&LoadOptions { context: Some(fitting), ..wanted.clone() }).unwrap();
    assert!(engine.plan().anon_bytes() <= 16 << 20);
    // Without a wish the largest that fits is taken; a budget that nothing fits is refused.
    assert!(common::engine(&LoadOptions { context: None, ..wanted.clone() }).is_ok());
    let none = common::engine(&LoadOptions { memory_budget: Some(1), ..wanted }).map(|_| ());
    assert!(matches!(none, Err(EngineError::OverBudget(over)) if over.fitting.is_none()));
}

#[test]
fn impossible_options_are_errors() {
    let cases = [
        LoadOptions { threads: Some(0), ..options() },
        LoadOptions { threads: Some(1 << 20), ..options() },
        LoadOptions { batch: 0, ..options() },
        LoadOptions { sequences: 0, ..options() },
        LoadOptions { context: Some(0), ..options() },
    ];
    for case in cases {
        let error = common::engine(&case).map(|_| ()).unwrap_err();
        assert!(matches!(error, EngineError::Option { .. }), "{case:?}: {error}");
    }
}

#[test]
fn generation_ends_for_the_reasons_it_names() {
    let mut context = context();
    let greedy = || GenerateOptions { max_tokens: Some(20), ignore_end: true, ..GenerateOptions::default() };
    let prompt = [1, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79];
    let (tokens, _, finish) = run(&mut context, &prompt, greedy());
    assert_eq!((finish.reason, tokens.len(), finish.generated_tokens), (FinishReason::Length, 20, 20));
    assert_eq!((finish.prompt_tokens, finish.decoded_tokens), (prompt.len(), 19));
    // The same again, from nothing and from a kept prefix.
    let kept = context.keep_common_prefix(0, &prompt).unwrap();
    assert_eq!(kept, prompt.len() - 1);
    assert_eq!(run(&mut context, &prompt[kept..], greedy()).0, tokens);
    // A stop string made of what was generated.
    context.truncate(0, 0).unwrap();
    let stop = char::from((tokens[4] - 3) as u8);
    if stop.is_ascii() {
        let options = GenerateOptions { stop: vec![stop.to_string()], ..greedy() };
        let (_, text, finish) = run(&mut context, &prompt, options);
        assert_eq!(finish.reason, FinishReason::StopString(stop.to_string()));
        assert!(!text.contains(stop));
    }
    context.truncate(0, 0).unwrap();
    let (_, _, finish) = run(&mut context, &prompt, GenerateOptions { max_tokens: None, ..greedy() });
    assert_eq!(finish.reason, FinishReason::ContextFull);
    assert_eq!(context.tokens(0).len(), context.capacity());
    context.truncate(0, 0).unwrap();
    let cancelled = greedy();
    cancelled.cancel.cancel();
    assert_eq!(run(&mut context, &prompt, cancelled).2.reason, FinishReason::Cancelled);
}

/// A generation in a context of its own says the same as one that borrows it, and gives the context back at any time.
#[test]
fn a_generation_may_own_its_context() {
    let mut context = context();
    let greedy = || GenerateOptions { max_tokens: Some(12), ignore_end: true, ..GenerateOptions::default() };
    let prompt: Vec<u32> = (70..90).collect();
    let (tokens, text, borrowed) = run(&mut context, &prompt, greedy());
    context.truncate(0, 2).unwrap();
    let refused = context.prepare(0, &[5; 200], greedy()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, EngineError::PromptTooLong { .. }), "the context is still there: {refused}");
    let mut generation = context.prepare(0, &prompt[2..], greedy()).unwrap().run(context);
    assert_eq!((generation.reused(), generation.prefill()), (2, prompt.len() - 2));
    let events: Vec<Event> = generation.by_ref().map(Result::unwrap).collect();
    assert!(
        matches!(
            events[..3],
            [
                Event::Prefill { done: 8, total: 18 },
                Event::Prefill { done: 16, total: 18 },
                Event::Prefill { done: 18, total: 18 },
            ]
        ),
        "{events:?}"
    );
    let chosen =
        events.iter().filter_map(|event| if let Event::Token(id) = event { Some(*id) } else { None });
    let pieces =
        events.iter().filter_map(|event| if let Event::Text(piece) = event { Some(&**piece) } else { None });
    assert_eq!((chosen.collect::<Vec<_>>(), pieces.collect::<String>()), (tokens, text));
    let Some(Event::Done(finish)) = events.last() else { panic!("{events:?}") };
    assert_eq!((finish.reused_tokens, finish.prompt_tokens), (2, prompt.len() - 2));
    assert_eq!((borrowed.reused_tokens, &finish.reason), (0, &borrowed.reason));
    // One that is stopped says so, and nothing follows.
    let mut context = generation.into_context();
    context.truncate(0, 0).unwrap();
    let mut generation = context.prepare(0, &prompt, greedy()).unwrap().run(context);
    while !matches!(generation.next(), Some(Ok(Event::Token(_)))) {}
    generation.stop();
    let rest: Vec<Event> = generation.by_ref().map(Result::unwrap).collect();
    assert!(matches!(rest.as_slice(), [.., Event::Done(finish)] if finish.reason == FinishReason::Cancelled));
    assert!(generation.next().is_none() && generation.context().tokens(0) == prompt);
}

#[test]
fn wrong_prompts_change_nothing() {
    let mut context = context();
    logits(&mut context, 0, &[1, 2, 3]);
    let long = vec![5; 126];
    let cases: [(&[u32], &str); 3] = [(&[], "empty"), (&long, "does not fit"), (&[5, 9999], "9999")];
    for (prompt, expected) in cases {
        let error = context.prefill(0, prompt).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(context.tokens(0), [1, 2, 3]);
    }
    assert!(context.decode(&[(7, 5)]).is_err(), "there is no sequence 7");
    let twice = context.decode(&[(0, 5), (0, 6)]).map(|_| ()).map_err(|e| e.to_string());
    assert_eq!(twice.unwrap_err(), "token 1 is another one of sequence 0, expected one of each sequence");
    assert!(context.truncate(0, 4).is_err());
}

#[test]
fn sequences_chunks_and_forks_give_the_same_bits() {
    let tokens: Vec<u32> = (0..40).map(|i| 3 + i * 5 % 250).collect();
    let mut context = context();
    let whole = logits(&mut context, 0, &tokens);
    for part in tokens.chunks(7) {
        logits(&mut context, 1, part);
    }
    context.fork(0, 2).unwrap();
    let next = |context: &mut Context, list: &[(u32, u32)]| -> Vec<Vec<f32>> {
        let output = context.decode(list).unwrap();
        (0..list.len()).map(|i| output.logits(i).unwrap().to_vec()).collect()
    };
    let alone = next(&mut context, &[(0, 99)]);
    let both = next(&mut context, &[(1, 99), (2, 99)]);
    assert_eq!((&both[0], &both[1]), (&alone[0], &alone[0]));
    assert_eq!(context.tokens(2).len(), 41);
    context.truncate(0, 0).unwrap();
    assert_eq!(logits(&mut context, 0, &tokens), whole);
}

#[test]
fn a_seed_gives_the_same_text() {
    let mut context = context();
    let mut texts = Vec::new();
    for _ in 0..2 {
        context.truncate(0, 0).unwrap();
        let sampler = Sampler::builder().top_k(40).temperature(0.9).seed(11).build().unwrap();
        let options = GenerateOptions { sampler, max_tokens: Some(30), ..GenerateOptions::default() };
        texts.push(run(&mut context, &[1, 80, 81], options).0);
    }
    assert_eq!(texts[0], texts[1]);
}

#[test]
fn the_file_tells_tokenizer_and_template() {
    let engine = common::engine(&options()).unwrap();
    assert_eq!(engine.require_tokenizer().unwrap().encode("A", Default::default()).unwrap(), [1, 3 + 65]);
    assert!(engine.chat_template().unwrap().is_some());
}
