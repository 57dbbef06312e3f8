//! Half an hour in a closed loop, compared with the best constant setting and with the phone's own throttling alone.

use crate::phone::{Phone, models, run};

/// Minimum share of the tokens of the best constant setting, which is found by trying all of them in the same simulation.
const LEAST: f64 = 0.95;
/// The same for air that is not at 25 °C (which is not a constant of the phone), and for clocks that cannot be read.
const LEAST_ELSEWHERE: f64 = 0.94;

fn hold(phone: &Phone) {
    let mut failures = Vec::new();
    for (what, varied) in models::variants(phone) {
        let naive = run::naive(&varied);
        let (threads, cap, best) = run::best_constant(&varied);
        for clocks in [true, false] {
            let mut governor = run::governor(&varied);
            let points = run::governed(&varied, &mut governor, clocks, run::HALF_AN_HOUR, |_| ());
            let tokens = points.last().expect("a run has points").tokens;
            let least = if clocks && !what.starts_with("air") { LEAST } else { LEAST_ELSEWHERE };
            let line = format!(
                "{what}, clocks {clocks}: {tokens:.0} tokens, {:.3} of {best:.0} ({threads} threads, cap {cap:.1?}), {:.3} of naive",
                tokens / best,
                tokens / naive
            );
            println!("{line}");
            if tokens < least * best || tokens < naive {
                failures.push(line);
            }
        }
    }
    assert!(failures.is_empty(), "{}: {failures:#?}", phone.name);
}

#[test]
fn a_phone_whose_throttling_finds_its_balance() {
    hold(&models::pixel_6());
}

#[test]
fn a_phone_with_a_cliff() {
    hold(&models::galaxy_s25());
}

#[test]
fn a_phone_with_steps() {
    hold(&models::pixel_2_xl());
}

/// The second session knows where the cliff is and does not go over it.
#[test]
fn a_cached_knee_is_not_reached_again() {
    let phone = models::galaxy_s25();
    let mut first = run::governor(&phone);
    let points = run::governed(&phone, &mut first, true, run::HALF_AN_HOUR, |_| ());
    assert!(points.iter().any(|point| point.clock < 1.0), "the first session reaches the cliff");
    let table = first.table().to_string().parse().expect("the table is text");
    let mut second = run::governor_with(&phone, Some(table));
    let again = run::governed(&phone, &mut second, true, run::HALF_AN_HOUR, |_| ());
    assert!(again.iter().all(|point| point.clock == 1.0), "the second session stays below it");
    // It also measures nothing before the first answer.
    assert_ne!(second.decision().reason, happy_governor::Reason::Start);
    assert!(again[0].decision.reason != happy_governor::Reason::Survey);
}

#[test]
fn two_runs_are_the_same() {
    let phone = models::galaxy_s25();
    let run = || run::governed(&phone, &mut run::governor(&phone), true, 600.0, |_| ());
    let (a, b) = (run(), run());
    assert_eq!(a.len(), b.len());
    assert!(
        a.iter().zip(&b).all(|(a, b)| a.decision == b.decision && a.tokens.to_bits() == b.tokens.to_bits())
    );
}
