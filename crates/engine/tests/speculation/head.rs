//! Guesses of the file's own draft head.

use super::{Said, context_of, draw, engine, options, prompt, say, scripted, ticks};
use happy_engine::model::{Batch, Want};
use happy_engine::{Cancel, Context, EngineError, GenerateOptions, LoadOptions, Speculation};
use happy_kernels::{Ctx, Pool};
use std::sync::atomic::AtomicBool;

/// Layers with states, one with attention, and a head; the head has matrices of its own in one of them, and experts in another.
pub(super) const HEADS: [&str; 3] = ["qwen35-nextn", "qwen35-array", "qwen35moe-nextn"];

fn with_head() -> LoadOptions {
    LoadOptions { draft_head: true, ..options(7) }
}

fn guessing(recipe: &str, speculation: Speculation) -> Context {
    context_of(engine(recipe, &with_head()).unwrap(), Some(speculation))
}

#[test]
fn texts_are_the_same_with_and_without_a_head() {
    let (mut drafted, mut accepted) = (0, 0);
    for recipe in HEADS {
        let ways = [
            Speculation::head().always(),
            Speculation::head().always().with_most(1),
            Speculation::lookup().with_head().always(),
            Speculation::lookup().with_head().with_clock(ticks()),
        ];
        let mut plain = context_of(engine(recipe, &options(7)).unwrap(), None);
        let mut contexts = ways.map(|way| guessing(recipe, way));
        for i in 0..32 {
            let prompt = prompt(i / 4);
            let expected: Said = say(&mut plain, &prompt, draw(i), usize::MAX);
            assert_eq!(
                say(&mut contexts[i as usize % 4], &prompt, draw(i), usize::MAX),
                expected,
                "{recipe}, {i}"
            );
        }
        for context in &contexts {
            let stats = context.speculation_stats().unwrap();
            (drafted, accepted) = (drafted + stats.drafted, accepted + stats.accepted);
        }
    }
    assert!(drafted > 300 && accepted > 10, "{drafted} guesses of heads, {accepted} guesses right");
}

/// A text in which each token is what the head makes of the one before it, computed token by token.
fn expected_by_the_head(recipe: &str, prompt: &[u32], n: usize) -> Vec<u32> {
    let engine = engine(recipe, &with_head()).unwrap();
    let (mut context, head) = (context_of(engine.clone(), None), engine.draft_head().unwrap());
    let (run, kv) = (
        happy_engine::model::RunOptions { n_batch: 1, n_outputs: 1, threads: 1, n_ctx: 192, adapter_rank: 0 },
        happy_engine::model::KvOptions::new(with_head().kv, 1, 192),
    );
    let (mut scratch, mut kv, pool) =
        (head.scratch(&run).unwrap(), head.kv_cache(kv).unwrap(), Pool::new(1).unwrap());
    let (mut hidden, mut text) = (vec![0.0; head.n_embd()], prompt.to_vec());
    for i in 0..prompt.len() + n - 1 {
        let mut row = Batch::with_capacity(1);
        row.push(text[i], i as u32, 0, Want::Logits).unwrap();
        let (cx, flag) = (Ctx::new(&pool, engine.kernels()), AtomicBool::new(false));
        let output = head.forward_after(cx, (&row, &hidden), &mut kv, &mut scratch, &flag).unwrap();
        let best = (engine.kernels().ops.argmax)(output.logits(0).unwrap()).unwrap() as u32;
        if i + 1 >= prompt.len() {
            text.push(best);
        }
        hidden = context.decode(&[(0, text[i])]).unwrap().hidden(0).unwrap().to_vec();
    }
    text.split_off(prompt.len())
}

/// The head reads what the model computed: prompts of several passes, rows of guesses, right and wrong ones, and after a change of the text.
#[test]
fn a_head_guesses_what_it_would_say_token_by_token() {
    for recipe in HEADS {
        let prompt: Vec<u32> = (0..75).map(|i| 3 + (i * 29 + 7) % 120).collect();
        let text = expected_by_the_head(recipe, &prompt, 40);
        let mut context = guessing(recipe, Speculation::head().always().with_most(1));
        let said = |context: &mut Context, text: &[u32]| {
            let before = context.speculation_stats().unwrap();
            let options =
                GenerateOptions { max_tokens: Some(text.len()), ignore_end: true, ..scripted(text) };
            let said = say(context, &prompt, options, usize::MAX);
            assert_eq!(said.tokens, text, "{recipe}");
            let after = context.speculation_stats().unwrap();
            (after.guessed - before.guessed, after.accepted - before.accepted)
        };
        // Every second token is a guess, each of which is right.
        let (guessed, accepted) = said(&mut context, &text);
        assert!(guessed == accepted && accepted >= 18, "{recipe}: {accepted} of {guessed}");
        // With other tokens among them, the guess of such a token is wrong, and what follows it is another text.
        let mut other = text.clone();
        other[21] = (other[21] + 1) % 120 + 3;
        let mut context = guessing(recipe, Speculation::head().always().with_most(1));
        let (guessed, accepted) = said(&mut context, &other);
        assert!(accepted >= 9 && guessed > accepted, "{recipe}: {accepted} of {guessed}");
    }
}

/// A sequence that the head has not seen, or of which it has seen a part, or that changed, is still guessed, and never differently said.
#[test]
fn a_head_goes_on_after_anything() {
    for recipe in HEADS {
        let load = LoadOptions { sequences: 2, ..with_head() };
        let ways = [None, Some(Speculation::head().always().with_most(2))];
        let [plain, fast] = ways.map(|way| {
            let mut context = context_of(engine(recipe, &load).unwrap(), way);
            let mut seen = Vec::new();
            let mut say = |context: &mut Context, sequence, prompt: &[u32]| {
                let kept = context.keep_common_prefix(sequence, prompt).unwrap();
                let options = GenerateOptions { max_tokens: Some(9), ignore_end: true, ..draw(3) };
                let options = GenerateOptions { stop: Vec::new(), ..options };
                context.generate(sequence, &prompt[kept..], options).unwrap().for_each(|event| {
                    event.unwrap();
                });
                seen.push(context.tokens(sequence).to_vec());
            };
            let (one, two) = (prompt(1), prompt(2));
            say(&mut context, 0, &one);
            say(&mut context, 1, &two);
            say(&mut context, 0, &one);
            say(&mut context, 0, &[&one[..9], &two[..]].concat());
            // A copy, and a batch of both, of which the head reads nothing.
            context.fork(0, 1).unwrap();
            context.decode(&[(0, 5), (1, 6)]).unwrap();
            let longer = [context.tokens(1), &[7, 8]].concat();
            say(&mut context, 1, &longer);
            context.trim(happy_engine::TrimLevel::Sequences).unwrap();
            say(&mut context, 0, &one);
            // A cancelled prompt.
            let cancel = Cancel::new();
            cancel.cancel();
            assert!(matches!(context.prefill_until(1, &two, &cancel), Err(EngineError::Cancelled)));
            say(&mut context, 1, &two);
            (seen, context.speculation_stats())
        });
        assert_eq!(fast.0, plain.0, "{recipe}");
        assert!(fast.1.unwrap().drafted > 60, "{recipe}: {:?}", fast.1);
    }
}

#[test]
fn heads_that_are_not_there_are_refused() {
    let error = engine("llama-plain", &with_head()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("its file has no layer that predicts further tokens"), "{error}");
    let mut context = context_of(engine("qwen35-nextn", &options(7)).unwrap(), None);
    let error = context.set_speculation(Some(Speculation::head())).unwrap_err();
    assert!(error.to_string().contains("LoadOptions::draft_head"), "{error}");
    assert!(context.speculation_stats().is_none());
    // Without memory for guesses, nothing of the head is loaded.
    let none = engine("qwen35-nextn", &options(0)).unwrap();
    let tight =
        LoadOptions { memory_budget: Some(none.plan().anon_bytes()), snapshot_bytes: 0, ..with_head() };
    let tight = engine("qwen35-nextn", &tight).unwrap();
    assert!(tight.draft_head().is_none() && tight.plan().draft_tokens == 0);
    assert!(engine("qwen35-nextn", &with_head()).unwrap().draft_head().is_some());
}
