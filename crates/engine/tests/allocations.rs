//! Nothing is allocated while tokens are generated.

mod common;

use happy_engine::{Context, Event, GenerateOptions, LoadOptions, Speculation};
use happy_sampler::Sampler;
use happy_testkit::{Meter, process_calls};

#[global_allocator]
static METER: Meter = Meter;

/// Allocations while the last 298 of 300 tokens are generated after a fresh prompt.
fn allocations(context: &mut Context, sampler: Sampler) -> usize {
    context.truncate(0, 0).unwrap();
    let options = GenerateOptions {
        sampler,
        max_tokens: Some(300),
        stop: vec!["never this".to_owned()],
        ignore_end: true,
        ..GenerateOptions::default()
    };
    let mut tokens = 0;
    let (mut first, mut last) = (0, 0);
    for event in context.generate(0, &[1, 70, 71], options).unwrap() {
        if let Event::Token(_) = event.unwrap() {
            tokens += 1;
            match tokens {
                2 => first = process_calls(),
                300 => last = process_calls(),
                _ => {}
            }
        }
    }
    assert_eq!(tokens, 300);
    last - first
}

#[test]
fn no_allocation_per_generated_token() {
    let options =
        LoadOptions { threads: Some(2), context: Some(400), draft_tokens: 7, ..LoadOptions::default() };
    let engine = common::engine(&options).unwrap();
    let mut context = engine.context().unwrap();
    let chain = Sampler::builder().top_k(40).top_p(0.95).min_p(0.01).temperature(0.8).seed(3);
    let chain = chain.build().unwrap();
    let draft = |context| Speculation::draft(context).always();
    let ways = [
        ("greedy", Sampler::greedy(), None),
        ("chain", chain.clone(), None),
        ("guessing", Sampler::greedy(), Some(Speculation::lookup().always())),
        ("drafting", chain, Some(draft(engine.context().unwrap()))),
    ];
    for (name, sampler, speculation) in ways {
        context.set_speculation(speculation).unwrap();
        // The count is the whole process's, and the test harness's own thread allocates once when it starts to wait
        // for this test, whenever that is. What generation allocates, it allocates every time.
        let runs = [(); 3].map(|()| allocations(&mut context, sampler.clone()));
        assert_eq!(
            runs.iter().min(),
            Some(&0),
            "{name}: allocations while 298 tokens were generated: {runs:?}"
        );
        let stats = context.speculation_stats();
        assert!(stats.is_none_or(|stats| stats.accepted > 50 && stats.guessed > stats.accepted), "{stats:?}");
    }
}
