//! Half an hour of answers on simulated phones: the same loop as in happy-governor's tests, closed through generation itself.
//!
//! ```text
//! Context::generate ── pass by the threads of the decision ──> Clock::passed: the phone computes a token, and gets warm
//!        ^                                                                       │
//!        └── pause ── Clock::sleep: it cools ── Governor <── Monitor <── Source: headroom, status, clocks
//! ```
//! The passes are those of a tiny model, by as many real threads as the governor says; what they take is the phone's.

use crate::common::engine;
use crate::phone::{Device, Phone, models, run};
use happy_engine::governor::Decision;
use happy_engine::{Clock, Context, Event, GenerateOptions, GovernorOptions, LoadOptions};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Minimum share of the tokens of the best constant setting of threads and cap.
const LEAST: f64 = 0.95;
/// The same in air that is not at 25 °C, which is not a constant of a phone. Warmer air cools less after the one time that the cliff
/// is met, so that the half hour ends before the loss is made good.
const LEAST_ELSEWHERE: f64 = 0.92;
/// Tokens of an answer.
const ANSWER: usize = 250;

/// The phone's time.
struct PhoneClock(Arc<Mutex<Device>>);

impl Clock for PhoneClock {
    fn now(&mut self) -> Duration {
        Duration::from_secs_f64(run::locked(&self.0).time)
    }

    fn sleep(&mut self, time: Duration) {
        run::locked(&self.0).rest(time.as_secs_f64());
    }

    fn passed(&mut self, by: &Decision) -> Duration {
        run::locked(&self.0).token(by.threads, by.tokens_per_second_cap);
        self.now()
    }
}

/// The ids of an answer of at most so many tokens, which ends after half an hour.
fn answer(context: &mut Context, device: &Mutex<Device>) -> Vec<u32> {
    context.truncate(0, 0).unwrap();
    let options = GenerateOptions { max_tokens: Some(ANSWER), ignore_end: true, ..Default::default() };
    let mut generation = context.generate(0, &[1, 80, 81, 82], options).unwrap();
    for event in &mut generation {
        if let Event::Token(_) = event.unwrap()
            && run::locked(device).time >= run::HALF_AN_HOUR
        {
            break;
        }
    }
    drop(generation);
    context.tokens(0)[4..].to_vec()
}

/// Governs half an hour on a phone. Returns the number of tokens.
fn governed(phone: &Phone, expected: &[u32]) -> usize {
    let load =
        LoadOptions { threads: Some(phone.n_cores()), context: Some(ANSWER + 8), ..LoadOptions::default() };
    let mut context = engine(&load).unwrap().context().unwrap();
    let device = Arc::new(Mutex::new(Device::new(phone)));
    let options = GovernorOptions {
        source: Some(Box::new(run::Sensors::new(&device, true))),
        clock: Some(Box::new(PhoneClock(device.clone()))),
        device: Some(phone.name.to_owned()),
        ..GovernorOptions::default()
    };
    context.govern(options).unwrap();
    let mut tokens = 0;
    while run::locked(&device).time < run::HALF_AN_HOUR {
        let said = answer(&mut context, &device);
        assert!(expected.starts_with(&said), "{}: a token changed", phone.name);
        tokens += said.len();
    }
    tokens
}

/// The phones as they are; if `HAPPY_SWEEP` is set, with each constant 30 % smaller and larger.
#[test]
fn half_an_hour_of_answers_is_near_the_best_constant_setting() {
    // The phones' language model has 1.5 billion weights and would answer with up to 60,000 tokens in the time. A larger one leaves
    // fewer passes.
    let all = happy_testkit::is_sweep();
    let larger = if all { 4.0 } else { 16.0 };
    let mut context =
        engine(&LoadOptions { threads: Some(1), ..LoadOptions::default() }).unwrap().context().unwrap();
    let still = Mutex::new(Device::new(&models::pixel_6()));
    let expected = answer(&mut context, &still);
    assert_eq!(expected.len(), ANSWER - 1);
    let mut failures = Vec::new();
    for phone in models::all() {
        let variants = models::variants(&phone);
        for (what, varied) in variants.into_iter().take(if all { usize::MAX } else { 1 }) {
            let varied = varied.with_larger_model(larger);
            let (naive, (threads, cap, best)) = (run::naive(&varied), run::best_constant(&varied));
            let tokens = governed(&varied, &expected) as f64;
            let line = format!(
                "{}, {what}: {tokens} tokens, {:.3} of {best:.0} ({threads} threads, cap {cap:.2?}), {:.3} of naive",
                phone.name,
                tokens / best,
                tokens / naive
            );
            println!("{line}");
            let least = if what.starts_with("air") { LEAST_ELSEWHERE } else { LEAST };
            if tokens < least * best || tokens < naive {
                failures.push(line);
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
