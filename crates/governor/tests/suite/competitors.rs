//! Other programs on one or two of the cores.

use crate::phone::{Phone, models, run};

/// Tokens in two minutes with competitors between `from` and `to` seconds.
fn governed(phone: &Phone, competitors: usize, from: f64, to: f64) -> f64 {
    let mut governor = run::governor(phone);
    let points = run::governed(phone, &mut governor, true, 120.0, |device| {
        device.competitors = if (from..to).contains(&device.time) { competitors } else { 0 };
    });
    points.last().expect("a run has points").tokens
}

/// The best constant number of threads in the same time.
fn best(phone: &Phone, competitors: usize, from: f64, to: f64) -> f64 {
    let busy = (to - from) / 120.0;
    let tokens = |threads: usize| {
        let rate = |competitors| phone.rate(threads, crate::phone::Limit::NONE, competitors);
        (rate(competitors) * busy + rate(0) * (1.0 - busy)) * 120.0
    };
    (1..=phone.n_cores()).map(tokens).fold(0.0, f64::max)
}

#[test]
fn stragglers_are_backed_off() {
    let mut failures = Vec::new();
    for phone in models::all() {
        // Two minutes from a cold start, in which heat does not matter.
        for competitors in [1, 2] {
            for (from, to) in [(0.0, 120.0), (40.0, 80.0), (5.0, 120.0)] {
                let share = governed(&phone, competitors, from, to) / best(&phone, competitors, from, to);
                println!("{}: {competitors} from {from} to {to}: {share:.3}", phone.name);
                if share < 0.9 {
                    failures.push(format!("{}: {competitors} from {from} to {to}: {share:.3}", phone.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
