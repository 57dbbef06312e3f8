//! After the first token, sampling allocates nothing.

use happy_sampler::steps::Infill;
use happy_sampler::{LogProbs, Sampler};
use happy_testkit::{Meter, measured};

#[global_allocator]
static METER: Meter = Meter;

#[test]
fn no_allocation_per_token() {
    let b = || Sampler::builder().seed(3);
    let pieces: Vec<String> = (0..50_000).map(|i| i.to_string()).collect();
    let samplers = [
        ("greedy", Sampler::greedy()),
        ("draw", b().build().unwrap()),
        ("temperature", b().temperature(0.7).build().unwrap()),
        ("penalties", b().penalties(16, 1.2, 0.1, 0.1).logit_bias([(5, 1.0)]).greedy().build().unwrap()),
        (
            "usual",
            b().penalties(64, 1.1, 0.0, 0.0)
                .top_k(40)
                .top_p(0.95)
                .min_p(0.05)
                .temperature(0.8)
                .build()
                .unwrap(),
        ),
        ("top_p", b().top_p(0.9).build().unwrap()),
        ("min_p", b().min_p(0.01).build().unwrap()),
        ("mirostat", b().mirostat(5.0, 0.1).build().unwrap()),
        ("mirostat_v2", b().temperature(0.9).mirostat_v2(5.0, 0.1).build().unwrap()),
        ("adaptive_p", b().top_k(50).adaptive_p(0.3, 0.9).build().unwrap()),
        ("large k", b().top_k(2000).build().unwrap()),
        ("infill", b().top_k(100).step(Infill::new(&pieces, [7, 9], 7)).build().unwrap()),
        ("typical", b().typical(0.9).build().unwrap()),
        ("dynamic", b().dynamic_temperature(0.8, 0.3, 1.0).build().unwrap()),
        (
            "dry",
            b().dry(0.8, 1.75, 2, 64, [vec![1], vec![2, 3]]).xtc(0.5, 0.1).top_n_sigma(1.0).build().unwrap(),
        ),
    ];
    // Rows of different logits: later ones must not need larger buffers.
    let mut rng = happy_sampler::Rng::new(11);
    let rows: Vec<Vec<f32>> =
        (0..12).map(|_| (0..50_000).map(|_| (rng.next_f64() * 30.0 - 15.0) as f32).collect()).collect();
    for (name, mut s) in samplers {
        s.sample(&rows[0]).unwrap();
        let ((), used) = measured(|| {
            for row in &rows[1..] {
                s.sample(row).unwrap();
            }
        });
        assert_eq!(used.calls, 0, "{name}");
    }
    let mut log_probs = LogProbs::new();
    log_probs.best(&rows[0], 20).unwrap();
    let ((), used) = measured(|| {
        for row in &rows[1..] {
            log_probs.best(row, 20).unwrap();
        }
    });
    assert_eq!(used.calls, 0, "log_probs");
}
