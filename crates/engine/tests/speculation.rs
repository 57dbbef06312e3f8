//! Speculation changes how long a text takes, and nothing else: the same tokens, the same ends, the same bits afterwards.

mod common;
#[path = "speculation/head.rs"]
mod head;
#[path = "../../model/tests/common/mod.rs"]
mod model;

use common::script::ids;
use happy_engine::model::{Batch, NoHook, Want};
use happy_engine::{
    Cancel, Context, Engine, EngineError, Event, FinishReason, Form, GenerateOptions, LoadOptions,
    Speculation,
};
use happy_sampler::steps::Penalties;
use happy_sampler::{Candidates, Sampler, Step};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Layers that see everything, layers with a window of 32, layers with states.
const SHAPES: [&str; 3] = ["llama-plain", "gemma3-plain", "lfm2-plain"];

fn options(draft_tokens: usize) -> LoadOptions {
    LoadOptions { threads: Some(1), context: Some(192), batch: 32, draft_tokens, ..LoadOptions::default() }
}

/// A recipe's model, with tokens.
fn engine(recipe: &str, options: &LoadOptions) -> Result<Engine, EngineError> {
    // The corpus is read once.
    static RECIPES: LazyLock<Vec<serde_json::Value>> =
        LazyLock::new(|| model::recipes::named(&[&SHAPES[..], &head::HEADS].concat()));
    let mut recipe = RECIPES.iter().find(|r| r["name"] == recipe).unwrap().clone();
    common::spell(&mut recipe);
    Engine::new(model::recipes::build(&recipe), "recipe".to_owned(), options)
}

fn context(recipe: &str, speculation: Option<Speculation>) -> Context {
    context_of(engine(recipe, &options(7)).unwrap(), speculation)
}

fn context_of(engine: Engine, speculation: Option<Speculation>) -> Context {
    let mut context = engine.context().unwrap();
    context.set_speculation(speculation).unwrap();
    context
}

/// Everything that a generation says, and how the sequence goes on.
#[derive(Debug, PartialEq)]
struct Said {
    tokens: Vec<u32>,
    text: String,
    reason: FinishReason,
    held: Vec<u32>,
    next: Vec<u32>,
}

/// Generates after `prompt` in a sequence that is empty, or begins with it; cancels after so many tokens.
fn say(context: &mut Context, prompt: &[u32], options: GenerateOptions, cancel_after: usize) -> Said {
    let kept = context.keep_common_prefix(0, prompt).unwrap();
    let cancel = options.cancel.clone();
    let (mut tokens, mut text, mut reason) = (Vec::new(), String::new(), None);
    for event in context.generate(0, &prompt[kept..], options).unwrap() {
        match event.unwrap() {
            Event::Token(token) => tokens.push(token),
            Event::Text(piece) => text.push_str(&piece),
            Event::Done(finish) => reason = Some(finish.reason),
            _ => {}
        }
        if tokens.len() == cancel_after {
            cancel.cancel();
        }
    }
    let held = context.tokens(0).to_vec();
    let next = if held.len() < context.capacity() { context.prefill(0, &[9]).unwrap() } else { &[] };
    let next = next.iter().map(|logit| logit.to_bits()).collect();
    Said { tokens, text, reason: reason.unwrap(), held, next }
}

/// Words that come again.
fn prompt(i: u32) -> Vec<u32> {
    let word = |n: u32| (0..3 + n % 3).map(move |k| 3 + (n * 37 + k * k * 11 + k) % 120);
    let words: Vec<Vec<u32>> = (0..3).map(|n| word(i + n).collect()).collect();
    let mut all = vec![1];
    (0..4).for_each(|n| all.extend(&words[(i as usize + n * n) % 3]));
    all
}

fn draw(i: u32) -> GenerateOptions {
    let temperature = [0.0, 0.8, 1.5][i as usize % 3];
    let mut sampler = Sampler::builder().seed(u64::from(i));
    if i % 2 == 1 {
        sampler = sampler.penalties(Penalties { repeat: 1.2, frequency: 0.1, ..Penalties::default() });
    }
    let sampler =
        if temperature > 0.0 { sampler.top_k(30).temperature(temperature) } else { sampler.greedy() };
    let form = (i % 4 == 2).then(|| Form::gbnf("root ::= ([a-e] [a-e ] [x-z]?){1,3} \"!\""));
    let stop = if i % 5 == 3 { vec!["a".to_owned(), "QQ".to_owned()] } else { Vec::new() };
    let sampler = sampler.build().unwrap();
    GenerateOptions {
        sampler,
        max_tokens: Some(12),
        form,
        stop,
        ignore_end: i.is_multiple_of(7),
        ..Default::default()
    }
}

/// A clock that goes on by a millisecond each time it is read.
fn ticks() -> impl FnMut() -> Duration + Send + Sync {
    let mut now = Duration::ZERO;
    move || {
        now += Duration::from_millis(1);
        now
    }
}

#[test]
fn two_hundred_texts_are_the_same_with_and_without() {
    let (mut compared, mut guessed, mut accepted, mut ends) = (0, 0, 0, [0; 4]);
    for (shape, recipe) in SHAPES.into_iter().enumerate() {
        // The same model guesses right, another one wrong; one with states guesses in a copy.
        let draft = |recipe| {
            let options = LoadOptions { sequences: 2, ..options(0) };
            engine(recipe, &options).unwrap().context().unwrap()
        };
        let ways = [
            Speculation::lookup().always(),
            Speculation::draft(draft(recipe)).always().with_most(2),
            Speculation::draft(draft(SHAPES[(shape + 1) % 3])).always().with_most(2),
            // Passes of every size take the same time, so that the number of guesses is the same on every machine.
            Speculation::lookup().with_draft(draft(recipe)).with_clock(ticks()),
        ];
        let mut plain = context(recipe, None);
        let mut contexts = ways.map(|way| context(recipe, Some(way)));
        for i in 0..68 {
            // Several draws from a prompt, so that most time goes into guesses.
            let prompt = prompt(i / 4);
            let expected = say(&mut plain, &prompt, draw(i), usize::MAX);
            let found = say(&mut contexts[i as usize / 4 % 4], &prompt, draw(i), usize::MAX);
            assert_eq!(found, expected, "{recipe}, {i}");
            compared += 1;
            ends[match expected.reason {
                FinishReason::Length => 0,
                FinishReason::EndOfGeneration(_) | FinishReason::GrammarEnd => 1,
                FinishReason::StopString(_) => 2,
                _ => 3,
            }] += 1;
        }
        for context in &contexts {
            let stats = context.speculation_stats().unwrap();
            assert_eq!(stats.passes.iter().zip(0..).map(|(n, k)| n * k).sum::<u64>(), stats.guessed);
            (guessed, accepted) = (guessed + stats.guessed, accepted + stats.accepted);
        }
    }
    println!("{compared} texts, {guessed} guesses, {accepted} right, ends {ends:?}");
    assert!(compared >= 200 && accepted > 150 && guessed > accepted, "{guessed} guesses, {accepted} right");
    assert!(ends[..3].iter().all(|n| *n > 5), "ends: {ends:?}");
}

/// Leaves only the next token of a script.
#[derive(Clone)]
struct Script(std::vec::IntoIter<u32>);

impl Step for Script {
    fn apply(&mut self, candidates: &mut Candidates) {
        let next = self.0.next();
        candidates.retain(|c| Some(c.id) == next);
    }
}

/// A model that says this.
fn scripted(tokens: &[u32]) -> GenerateOptions {
    let script = tokens.to_vec();
    let sampler = Sampler::builder().step(Script(script.into_iter())).greedy().build().unwrap();
    GenerateOptions { sampler, ..GenerateOptions::default() }
}

/// Guesses go on where the text ends: at its end, at the end of the context, where it is cancelled, at a stop string.
#[test]
fn a_text_may_end_among_its_guesses() {
    // Any ids of the vocabulary do: these say again what the prompt says, or the beginning of it.
    let said: Vec<u32> = ids("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", &[]).iter().map(|id| id - 45).collect();
    let prompt = [&[1], &said[..], &[2], &said[..9]].concat();
    let rest: Vec<u32> = said[9..].iter().chain(&[2]).copied().collect();
    let long: Vec<u32> = rest.iter().filter(|id| **id != 2).cycle().take(400).copied().collect();
    for recipe in SHAPES {
        let (mut plain, mut fast) =
            (context(recipe, None), context(recipe, Some(Speculation::lookup().always())));
        let text = plain.engine().tokenizer().unwrap().token_text(rest[6]).unwrap().to_vec();
        let mut both = |options: &dyn Fn() -> GenerateOptions, cancel_after| {
            let before = fast.speculation_stats().unwrap();
            let expected = say(&mut plain, &prompt, options(), cancel_after);
            assert_eq!(say(&mut fast, &prompt, options(), cancel_after), expected, "{recipe}");
            let after = fast.speculation_stats().unwrap();
            (expected, after.accepted - before.accepted, after.guessed - before.guessed)
        };
        let (ended, accepted, guessed) = both(&|| scripted(&rest), usize::MAX);
        assert_eq!((ended.tokens.len(), ended.reason), (rest.len(), FinishReason::EndOfGeneration(2)));
        assert!(accepted >= 20 && guessed > accepted, "{recipe}: {accepted} of {guessed}");
        let (full, accepted, _) = both(&|| scripted(&long), usize::MAX);
        assert_eq!((full.held.len(), full.reason), (192, FinishReason::ContextFull));
        assert!(accepted > 60, "{recipe}: {accepted}");
        for cancel_after in 3..12 {
            let (cut, ..) = both(&|| scripted(&long), cancel_after);
            assert_eq!((cut.tokens.len(), cut.reason), (cancel_after, FinishReason::Cancelled));
        }
        for most in 1..12 {
            let (cut, _, guessed) =
                both(&|| GenerateOptions { max_tokens: Some(most), ..scripted(&long) }, usize::MAX);
            assert_eq!((cut.tokens.len(), cut.reason), (most, FinishReason::Length));
            assert!(guessed < most as u64, "{recipe}: {guessed} guesses for {most} tokens");
        }
        let stop = vec![String::from_utf8(text).unwrap()];
        let (stopped, ..) = both(&|| GenerateOptions { stop: stop.clone(), ..scripted(&rest) }, usize::MAX);
        assert_eq!((stopped.tokens.len(), stopped.reason), (7, FinishReason::StopString(stop[0].clone())));
    }
}

/// A generation that is dropped while guesses wait leaves what it chose: to read, to copy, to save and to go on with.
#[test]
fn guesses_that_wait_are_not_part_of_the_sequence() {
    let said: Vec<u32> = (10..60).collect();
    let prompt = [&said[..], &[70], &said[..8]].concat();
    for recipe in SHAPES {
        let load = LoadOptions { sequences: 2, ..options(7) };
        let contexts = [None, Some(Speculation::lookup().always())].map(|speculation| {
            let mut context = engine(recipe, &load).unwrap().context().unwrap();
            context.set_speculation(speculation).unwrap();
            let mut generation = context.generate(0, &prompt, scripted(&said[8..])).unwrap();
            let mut tokens = 0;
            while tokens < 5 {
                tokens += usize::from(matches!(generation.next(), Some(Ok(Event::Token(_)))));
            }
            drop(generation);
            context
        });
        let [mut plain, mut fast] = contexts;
        assert!(fast.speculation_stats().unwrap().guessed > 4, "{recipe}");
        assert_eq!(fast.tokens(0), plain.tokens(0));
        assert!(fast.has_room(0, 192 - plain.tokens(0).len()));
        let export = |context: &Context| {
            let mut bytes = Vec::new();
            context.export(0, &mut bytes).unwrap();
            bytes
        };
        assert!(export(&fast) == export(&plain), "{recipe}: exported while guesses wait");
        let len = plain.tokens(0).len();
        assert!(fast.truncate(0, len + 1).is_err());
        fast.fork(0, 1).unwrap();
        plain.fork(0, 1).unwrap();
        for sequence in [1, 0] {
            let expected = plain.prefill(sequence, &[33, 34]).unwrap().to_vec();
            assert_eq!(fast.prefill(sequence, &[33, 34]).unwrap(), expected, "{recipe}");
        }
    }
}

/// What left the sequence is said again: the second time it is guessed from the first, although the prompt is another.
#[test]
fn an_answer_is_guessed_from_the_one_before() {
    let answer: Vec<u32> = (10..60).chain([2]).collect();
    let mut context = context("llama-plain", Some(Speculation::lookup().always()));
    say(&mut context, &[1, 80, 81], scripted(&answer), usize::MAX);
    let first = context.speculation_stats().unwrap();
    say(&mut context, &[1, 90, 91, 92], scripted(&answer), usize::MAX);
    let again = context.speculation_stats().unwrap();
    assert_eq!(first.accepted, 0);
    assert!(again.accepted >= 40, "{again:?}");
}

/// By this clock every pass takes a millisecond, whatever its rows: guesses cost nothing, and the counts are the same in every run.
#[test]
fn the_clock_decides_how_many_are_guessed() {
    let text: Vec<u32> = (10..40).cycle().take(150).collect();
    let stats = || {
        let time = AtomicU64::new(0);
        let clock = move || Duration::from_millis(time.fetch_add(1, Ordering::Relaxed));
        let mut context = context("llama-plain", Some(Speculation::lookup().with_clock(clock)));
        let options = GenerateOptions { max_tokens: Some(text.len()), ..scripted(&text) };
        say(&mut context, &[1], options, usize::MAX);
        context.speculation_stats().unwrap()
    };
    let found = stats();
    assert_eq!(found, stats());
    assert!(found.passes[2..].iter().sum::<u64>() > 5 && found.tokens_per_pass() > 2.0, "{found:?}");
    assert_eq!(found.tokens(), text.len() as u64 - 1);
}

/// The clock is read only while a pass runs, so a pass doesn't seem slow because the app was in the background before it.
#[test]
fn a_pause_is_no_part_of_a_pass() {
    let engine = engine("llama-plain", &options(7)).unwrap();
    let (paused, reads) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let clock = {
        let (engine, paused, reads) = (engine.clone(), paused.clone(), reads.clone());
        move || {
            paused.fetch_add(u64::from(engine.is_paused()), Ordering::Relaxed);
            Duration::from_millis(reads.fetch_add(1, Ordering::Relaxed))
        }
    };
    let context = context_of(engine.clone(), Some(Speculation::lookup().with_clock(clock)));
    let text: Vec<u32> = (10..20).collect();
    let options = GenerateOptions { max_tokens: Some(text.len()), ..scripted(&text) };
    let mut generation = context.prepare(0, &[1], options).unwrap().run(context);
    assert!(generation.next().is_some());
    engine.pause();
    let resume = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        engine.resume();
    });
    generation.for_each(|event| drop(event.unwrap()));
    resume.join().unwrap();
    let [paused, reads] = [paused, reads].map(|n| n.load(Ordering::Relaxed));
    assert_eq!((paused, reads), (0, 2 * (text.len() as u64 - 1)));
}

#[test]
fn what_cannot_speculate_is_refused() {
    let mut unplanned = engine("llama-plain", &options(0)).unwrap().context().unwrap();
    let error = unplanned.set_speculation(Some(Speculation::lookup())).unwrap_err();
    assert!(error.to_string().contains("draft_tokens"), "{error}");
    assert!(matches!(engine("llama-plain", &options(8)), Err(EngineError::Option { found: 8, .. })));
    let refused = |draft: Engine| {
        let draft = Speculation::draft(draft.context().unwrap());
        let mut context = context("llama-plain", None);
        let error = context.set_speculation(Some(draft)).unwrap_err();
        assert!(matches!(error, EngineError::DraftModel { .. }) && context.speculation_stats().is_none());
        error.to_string()
    };
    let other = common::engine(&LoadOptions { threads: Some(1), ..LoadOptions::default() }).unwrap();
    assert!(refused(other).contains("259 tokens, expected 128"));
    assert!(refused(engine("lfm2-plain", &options(0)).unwrap()).contains("sequences"));
    // States of guesses take at most an eighth of the budget.
    let all = engine("lfm2-plain", &options(7)).unwrap();
    let none = engine("lfm2-plain", &options(0)).unwrap();
    let each = (all.plan().state_bytes - none.plan().state_bytes) / 8;
    assert!(each > 0 && all.plan().draft_tokens == 7, "{:?}", all.plan());
    let budget = all.plan().anon_bytes() + (1 << 20);
    let tight = LoadOptions { memory_budget: Some(budget), ..options(7) };
    let fit = (budget / 8 / each).saturating_sub(1).min(7) as usize;
    assert_eq!(engine("lfm2-plain", &tight).unwrap().plan().draft_tokens, fit);
    // A plan that fits without them goes without them.
    let bare = |draft_tokens| LoadOptions { snapshot_bytes: 0, ..options(draft_tokens) };
    let none = engine("llama-plain", &bare(0)).unwrap();
    let least = LoadOptions { memory_budget: Some(none.plan().anon_bytes()), ..bare(7) };
    let least = engine("llama-plain", &least).unwrap();
    assert_eq!((least.plan().draft_tokens, least.plan().context), (0, none.plan().context));
}

/// What a batch of the caller's own asks for is done in `forward`, too.
#[test]
fn forward_takes_snapshots_and_keeps_rows() {
    let mut context = context("lfm2-plain", None);
    let batch = |first: u32, n: u32| {
        let mut batch = Batch::with_capacity(32);
        (0..n).for_each(|i| batch.push(10 + i, first + i, 0, Want::Nothing).unwrap());
        batch
    };
    let mut prompt = batch(0, 30);
    prompt.set_snapshot(0, 20);
    prompt.set_snapshot(0, 10);
    // None of the rows ends there.
    prompt.set_snapshot(0, 31);
    assert_eq!(prompt.snapshots().collect::<Vec<_>>(), [(0, 10), (0, 20)]);
    context.forward(&prompt, &Cancel::new(), &mut NoHook).unwrap();
    assert_eq!(context.reachable(0, 19).unwrap(), 10);
    assert_eq!(context.truncate(0, 25).unwrap(), 20);
    let mut guesses = batch(20, 7);
    guesses.set_speculative(true);
    context.forward(&guesses, &Cancel::new(), &mut NoHook).unwrap();
    assert_eq!(context.truncate(0, 24).unwrap(), 24);
}
