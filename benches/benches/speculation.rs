//! What speculation gives: tokens a second with it, in those without it.
//!
//! ```text
//! HAPPY_MODELS=.. cargo bench -p happy-benches --bench speculation [-- TOKENS REPETITIONS MODEL..]
//! ```
//! Answers to three prompts: code is edited, a text that the prompt contains is summarized, a story is told. With and without take turns, and
//! medians are compared, because machines change their speed. Each turn begins without anything measured or kept from the one before, and
//! checks that the text is the same. `predicted` is what the passes of the turn would take if each cost what passes of so many rows cost alone.

use happy_engine::chat::Message;
use happy_engine::model::{Batch, NoHook, Want};
use happy_engine::{
    Cancel, Context, Conversation, Engine, Event, GenerateOptions, LoadOptions, Speculation, SpeculationStats,
};
use std::time::Instant;

type Error = Box<dyn std::error::Error>;

const MOST: usize = LoadOptions::MAX_DRAFT_TOKENS;

/// The prompts: name, instruction, and the text that it is about.
const PROMPTS: [(&str, &str, &str); 3] = [
    (
        "code edit",
        "Rename the struct `Cancel` to `StopFlag` everywhere in this file. Answer with the whole changed file and nothing else.\n\n",
        include_str!("../../crates/engine/src/cancel.rs"),
    ),
    (
        "summary",
        "Summarize the following text: quote its most important sentences, one on each line.\n\n",
        include_str!("../../SECURITY.md"),
    ),
    ("prose", "Tell me a long story about a lighthouse keeper and the sea.", ""),
];

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let number = |i: usize, default| arguments.get(i).map_or(Ok(default), |text| text.parse::<usize>());
    let (tokens, repetitions) = (number(0, 160)?, number(1, 5)?);
    let named = arguments.get(2..).filter(|names| !names.is_empty());
    let names = named.map_or(vec!["qwen25", "coder15"], |n| n.iter().map(String::as_str).collect());
    println!("{tokens} tokens, medians of {repetitions}; greedy");
    for name in names {
        measure(name, None, tokens, repetitions)?;
        if name == "coder15" {
            measure(name, Some("qwen25"), tokens, repetitions)?;
        }
    }
    Ok(())
}

fn open(name: &str, options: &LoadOptions) -> Result<Option<Engine>, Error> {
    let Some(path) = happy_benches::model(name) else { return Ok(None) };
    Ok(Some(Engine::open(path, options)?))
}

fn measure(name: &str, draft: Option<&str>, tokens: usize, repetitions: usize) -> Result<(), Error> {
    let load = LoadOptions { context: Some(2048), ..LoadOptions::default() };
    let Some(engine) = open(name, &LoadOptions { draft_tokens: MOST, ..load.clone() })? else {
        return Ok(());
    };
    let drafting = draft.map(|name| open(name, &load)).transpose()?.flatten();
    if draft.is_some() && drafting.is_none() {
        return Ok(());
    }
    let mut context = engine.context()?;
    println!("{name}, guesses from {}", draft.unwrap_or("the text"));
    for (what, question, text) in PROMPTS {
        let mut conversation = Conversation::new(&engine)?;
        conversation.push(Message::new("user", format!("{question}{text}")));
        let prompt = conversation.prompt_ids()?;
        let costs = costs(&mut context, &prompt)?;
        let (mut off, mut on, mut predicted) = (Vec::new(), Vec::new(), Vec::new());
        let mut processor = [0.0; 2];
        let mut said = Vec::new();
        let mut total = SpeculationStats::default();
        for _ in 0..repetitions {
            context.set_speculation(None)?;
            let before = processor_time();
            let (expected, rate) = answer(&conversation, &mut context, tokens)?;
            processor[0] += processor_time() - before;
            off.push(rate);
            // What is in the context is forgotten before it could be kept for guesses.
            context.truncate(0, prompt.len().min(context.tokens(0).len()))?;
            let speculation = match &drafting {
                Some(draft) => Speculation::draft(draft.context()?),
                None => Speculation::lookup(),
            };
            context.set_speculation(Some(speculation))?;
            let before = processor_time();
            let (found, rate) = answer(&conversation, &mut context, tokens)?;
            processor[1] += processor_time() - before;
            on.push(rate);
            assert!(found == expected, "the texts differ");
            said = found;
            total = context.speculation_stats().unwrap_or_default();
            let passes = total.passes.iter().zip(&costs).map(|(n, cost)| *n as f64 * cost).sum::<f64>();
            let time = passes + total.draft_time.as_secs_f64();
            predicted.push(total.tokens() as f64 * costs[0] / time);
        }
        let ratios: Vec<f64> = on.iter().zip(&off).map(|(on, off)| on / off).collect();
        println!(
            "  {what:10} {:4} tokens  off {:6.2} on {:6.2} tok/s  ratio {:.2} ({:.2} of single turns, {:.2} by processor time)  predicted {:.2}",
            said.len(),
            median(&mut off),
            median(&mut on),
            median(&mut on) / median(&mut off),
            median(&mut ratios.clone()),
            processor[0] / processor[1],
            median(&mut predicted),
        );
        let relative: Vec<String> = costs.iter().map(|cost| format!("{:.2}", cost / costs[0])).collect();
        println!(
            "             {} of {} guesses right, {:.2} tokens a pass, passes by guesses {:?}, drafting {:.0} ms, costs {}",
            total.accepted,
            total.guessed,
            total.tokens_per_pass(),
            total.passes,
            total.draft_time.as_secs_f64() * 1e3,
            relative.join(" ")
        );
    }
    Ok(())
}

/// Generates an answer; returns its tokens and their rate.
fn answer(conversation: &Conversation, context: &mut Context, most: usize) -> Result<(Vec<u32>, f64), Error> {
    let options = GenerateOptions { max_tokens: Some(most), ..GenerateOptions::default() };
    let (mut tokens, mut rate) = (Vec::new(), 0.0);
    for event in conversation.answer(context, 0, options)? {
        match event? {
            Event::Token(token) => tokens.push(token),
            Event::Done(finish) => rate = finish.decode_rate(),
            _ => {}
        }
    }
    Ok((tokens, rate))
}

/// Seconds that the threads of this process ran so far, for machines that do other work besides; 0 where the system does not tell.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, which ends in a parenthesis, may have spaces; then comes the state.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Seconds of a pass of 1 to 8 rows after a prompt: medians of 5, all taking turns.
fn costs(context: &mut Context, prompt: &[u32]) -> Result<[f64; MOST + 1], Error> {
    context.set_speculation(None)?;
    let kept = context.keep_common_prefix(0, prompt)?;
    context.prefill(0, &prompt[kept..])?;
    let mut samples = vec![Vec::new(); MOST + 1];
    for _ in 0..5 {
        for (more, samples) in samples.iter_mut().enumerate() {
            let mut batch = Batch::with_capacity(MOST + 1);
            for i in 0..=more {
                batch.push(prompt[i], (prompt.len() + i) as u32, 0, Want::Logits)?;
            }
            batch.set_speculative(more > 0);
            let started = Instant::now();
            context.forward(&batch, &Cancel::new(), &mut NoHook)?;
            samples.push(started.elapsed().as_secs_f64());
            context.truncate(0, prompt.len())?;
        }
    }
    let mut all = [0.0; MOST + 1];
    all.iter_mut().zip(&mut samples).for_each(|(cost, samples)| *cost = median(samples));
    Ok(all)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
