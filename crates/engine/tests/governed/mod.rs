//! Threads and pace that change while an answer is written.

mod closed_loop;

use crate::common::{Folder, engine};
use happy_engine::governor::{Decision, Goal, Reason, Sample};
use happy_engine::{
    Cancel, Context, Engine, EngineError, Event, FinishReason, GenerateOptions, GovernorOptions, Guide,
    LoadOptions,
};
use std::sync::{Arc, Mutex};

fn tiny(threads: usize) -> Engine {
    engine(&LoadOptions { threads: Some(threads), ..LoadOptions::default() }).expect("a model")
}

fn decision(threads: usize) -> Decision {
    Decision { threads, tokens_per_second_cap: None, reason: Reason::Fastest }
}

/// Another number of threads at every token.
struct Restless {
    threads: usize,
    most: usize,
    samples: Arc<Mutex<Vec<Sample>>>,
}

impl Guide for Restless {
    fn decision(&self) -> Decision {
        decision(self.threads)
    }

    fn observe(&mut self, sample: &Sample) -> Decision {
        self.samples.lock().unwrap().push(*sample);
        self.threads = self.threads % self.most + 1;
        decision(self.threads)
    }
}

/// The ids of an answer of 40 tokens.
fn answer(context: &mut Context) -> Vec<u32> {
    let options = GenerateOptions { max_tokens: Some(40), ignore_end: true, ..GenerateOptions::default() };
    let mut generation = context.generate(0, &[1, 80, 81, 82], options).expect("a prompt");
    assert!(generation.by_ref().all(|event| event.is_ok()));
    drop(generation);
    context.tokens(0).to_vec()
}

#[test]
fn threads_that_change_at_every_token_change_no_text() {
    let engine = tiny(4);
    let plain = answer(&mut engine.context().unwrap());
    let mut context = engine.context().unwrap();
    assert_eq!(context.decision(), None);
    let samples = Arc::new(Mutex::new(Vec::new()));
    context.set_guide(Some(Box::new(Restless { threads: 2, most: 4, samples: samples.clone() })));
    assert_eq!(answer(&mut context), plain);
    let samples = samples.lock().unwrap();
    // each token is told before the next one is computed
    assert_eq!(samples.len(), plain.len() - 4 - 1);
    for (i, sample) in samples.iter().enumerate() {
        assert_eq!((sample.threads, sample.tokens), ((i + 1) % 4 + 1, 1), "{i}");
        assert!(i == 0 || sample.at >= samples[i - 1].at);
    }
    context.set_guide(None);
    context.truncate(0, 0).unwrap();
    assert_eq!((answer(&mut context), context.decision()), (plain, None));
}

/// A pause of a quarter of an hour after the third token, in which somebody cancels.
struct Endless(Cancel, usize);

impl Guide for Endless {
    fn decision(&self) -> Decision {
        decision(1)
    }

    fn observe(&mut self, _: &Sample) -> Decision {
        self.1 += 1;
        let cap = (self.1 == 3).then(|| {
            self.0.cancel();
            0.001
        });
        Decision { tokens_per_second_cap: cap, reason: Reason::Goal, ..decision(1) }
    }
}

#[test]
fn a_pause_ends_when_it_is_cancelled() {
    let mut context = tiny(1).context().unwrap();
    let cancel = Cancel::new();
    context.set_guide(Some(Box::new(Endless(cancel.clone(), 0))));
    let options = GenerateOptions { ignore_end: true, cancel, ..GenerateOptions::default() };
    let mut generation = context.generate(0, &[1, 80], options).expect("a prompt");
    let last = generation.by_ref().last();
    assert!(matches!(last, Some(Ok(Event::Done(finish))) if finish.reason == FinishReason::Cancelled));
    drop(generation);
    assert_eq!(context.tokens(0).len(), 2 + 3);
}

#[test]
fn measured_speeds_are_kept_and_a_damaged_file_is_measured_anew() {
    let folder = Folder::new("governed");
    let (path, engine) = (folder.0.join("cache/governor.txt"), tiny(2));
    let governed = |goal| {
        let mut context = engine.context().unwrap();
        let cache = Some(path.clone());
        let device = Some("a phone".to_owned());
        let done = context.govern(GovernorOptions { goal, cache, device, ..Default::default() });
        done.map(|()| context)
    };
    let reason = |context: &Context| context.decision().map(|decision| decision.reason);
    let mut context = governed(Goal::Fastest).unwrap();
    assert_eq!(reason(&context), Some(Reason::Start));
    // both counts, 200 ms each
    while matches!(reason(&context), Some(Reason::Start | Reason::Survey)) {
        context.truncate(0, 0).unwrap();
        context.prefill(0, &[1, 80]).unwrap();
        for i in 0..200 {
            context.step(0, i % 100 + 3).unwrap();
        }
    }
    drop(context);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("happy-governor 1\ta phone\tllama 0 MiB f32"), "{text}");
    let known = governed(Goal::Rate(5.0)).unwrap();
    let decision = known.decision().unwrap();
    assert_eq!((decision.tokens_per_second_cap, decision.reason), (Some(5.0), Reason::Goal));
    drop(known);
    std::fs::write(&path, text.replace("1=", "1=x")).unwrap();
    assert_eq!(reason(&governed(Goal::Fastest).unwrap()), Some(Reason::Start));
    let error = governed(Goal::Rate(f64::NAN)).map(drop).unwrap_err().to_string();
    assert!(error.contains("rate is NaN, expected 0.01 to 1000000"), "{error}");
}

#[test]
fn a_paused_engine_waits_until_it_is_resumed_or_cancelled() {
    let engine = tiny(2);
    let expected = answer(&mut engine.context().unwrap());
    engine.pause();
    assert!(engine.clone().is_paused());
    let done = Arc::new(Mutex::new(false));
    let (other, flag) = (engine.clone(), done.clone());
    let waiting = std::thread::spawn(move || {
        let answer = answer(&mut other.context().unwrap());
        *flag.lock().unwrap() = true;
        answer
    });
    // one that is cancelled does not wait for the others
    let (mut context, cancel) = (engine.context().unwrap(), Cancel::new());
    cancel.cancel();
    let cancelled = context.prefill_until(0, &[1, 80], &cancel).map(drop);
    assert!(matches!(cancelled, Err(EngineError::Cancelled)));
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(!*done.lock().unwrap());
    engine.resume();
    assert_eq!(waiting.join().unwrap(), expected);
    assert_eq!(answer(&mut context), expected);
}
