//! After the first token, sampling allocates nothing.

use happy_sampler::steps::{Dry, Infill, Penalties, Temperature, Xtc};
use happy_sampler::{AdaptiveP, LogProbs, Mirostat, MirostatVersion, Sampler};
use happy_testkit::{Meter, measured};

#[global_allocator]
static METER: Meter = Meter;

#[test]
fn no_allocation_per_token() {
    let b = || Sampler::builder().seed(3);
    let mirostat = |version| Mirostat { version, ..Mirostat::default() };
    let pieces: Vec<String> = (0..50_000).map(|i| i.to_string()).collect();
    let samplers = [
        ("greedy", Sampler::greedy()),
        ("draw", b().build().unwrap()),
        ("temperature", b().temperature(0.7).build().unwrap()),
        (
            "penalties",
            b().penalties(Penalties { last_n: 16, repeat: 1.2, frequency: 0.1, presence: 0.1 })
                .logit_bias([(5, 1.0)])
                .greedy()
                .build()
                .unwrap(),
        ),
        (
            "usual",
            b().penalties(Penalties { repeat: 1.1, ..Default::default() })
                .top_k(40)
                .top_p(0.95)
                .min_p(0.05)
                .temperature(0.8)
                .build()
                .unwrap(),
        ),
        ("top_p", b().top_p(0.9).build().unwrap()),
        ("min_p", b().min_p(0.01).build().unwrap()),
        ("mirostat", b().mirostat(mirostat(MirostatVersion::V1)).build().unwrap()),
        ("mirostat_v2", b().temperature(0.9).mirostat(mirostat(MirostatVersion::V2)).build().unwrap()),
        (
            "adaptive_p",
            b().top_k(50).adaptive_p(AdaptiveP { target: Some(0.3), decay: 0.9 }).build().unwrap(),
        ),
        ("large k", b().top_k(2000).build().unwrap()),
        ("infill", b().top_k(100).step(Infill::new(&pieces, [7, 9], 7).unwrap()).build().unwrap()),
        ("typical", b().typical(0.9).build().unwrap()),
        ("dynamic", b().temperature(Temperature { t: 0.8, delta: 0.3, exponent: 1.0 }).build().unwrap()),
        (
            "dry",
            b().dry(Dry { multiplier: 0.8, breakers: vec![vec![1], vec![2, 3]], ..Default::default() })
                .xtc(Xtc { probability: 0.5, ..Default::default() })
                .top_n_sigma(1.0)
                .build()
                .unwrap(),
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
