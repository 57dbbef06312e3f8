//! Choosing a token out of 262,144: the usual chain, single steps, log-probabilities.

use criterion::{Criterion, criterion_group, criterion_main};
use happy_sampler::steps::{Dry, Penalties, Temperature, Xtc};
use happy_sampler::{AdaptiveP, LogProbs, Mirostat, MirostatVersion, Params, Rng, Sampler};
use std::hint::black_box;

/// Tokens of the largest vocabularies in use.
const VOCAB: usize = 262_144;

/// Rows that take turns, so that no run finds its row's branches predicted.
const ROWS: usize = 8;

/// Logits like a model's: a bell of ordinary tokens (standard deviation 2.5) and about fifty that stand out.
fn rows() -> Vec<Vec<f32>> {
    let mut rng = Rng::new(5);
    let mut logit = || {
        let bell = (0..6).map(|_| rng.next_f64()).sum::<f64>() - 3.0;
        let peak = if rng.next_f64() < 2e-4 { rng.next_f64() * 12.0 } else { 0.0 };
        (bell * 3.5 + peak) as f32
    };
    (0..ROWS).map(|_| (0..VOCAB).map(|_| logit()).collect()).collect()
}

fn sampler(c: &mut Criterion) {
    let mut params = Params::default();
    params.penalties.repeat = 1.1;
    // Where it does not say greedy, a draw of what the step leaves follows.
    let b = || Sampler::builder().seed(1);
    let mirostat = |version| Mirostat { version, ..Mirostat::default() };
    let samplers = [
        ("default chain", params.build()),
        ("greedy", Ok(Sampler::greedy())),
        ("penalties", b().penalties(Penalties { repeat: 1.1, ..Penalties::default() }).greedy().build()),
        (
            "dry",
            b().dry(Dry { multiplier: 0.8, last_n: 1024, breakers: vec![vec![1]], ..Dry::default() })
                .greedy()
                .build(),
        ),
        ("top_k 40", b().top_k(40).build()),
        ("top_k 1000", b().top_k(1000).build()),
        ("top_p 0.5", b().top_p(0.5).build()),
        ("top_p 0.95", b().top_p(0.95).build()),
        ("min_p", b().min_p(0.05).build()),
        ("top_n_sigma", b().top_n_sigma(1.0).top_k(40).build()),
        ("typical", b().typical(0.9).build()),
        ("xtc", b().xtc(Xtc { probability: 1.0, ..Xtc::default() }).build()),
        ("temperature", b().temperature(0.8).build()),
        ("dynamic_temperature", b().temperature(Temperature { t: 0.8, delta: 0.3, exponent: 1.0 }).build()),
        ("draw", b().build()),
        ("mirostat", b().mirostat(mirostat(MirostatVersion::V1)).build()),
        ("mirostat_v2", b().mirostat(mirostat(MirostatVersion::V2)).build()),
        ("adaptive_p", b().top_k(100).adaptive_p(AdaptiveP { target: Some(0.3), decay: 0.9 }).build()),
    ];
    let rows = rows();
    let mut group = c.benchmark_group("sampler/262144");
    group.sample_size(30);
    for (name, sampler) in samplers {
        let mut sampler = sampler.expect("parameters in their ranges");
        let mut turns = rows.iter().cycle();
        group.bench_function(name, |bench| {
            bench.iter(|| turns.next().map(|row| sampler.sample(black_box(row))));
        });
    }
    // An order of the logits in which every token is the best so far.
    let ascending: Vec<f32> = (0..VOCAB).map(|i| i as f32 * 1e-4).collect();
    if let Ok(mut sampler) = params.build() {
        group.bench_function("default chain, ascending", |bench| {
            bench.iter(|| sampler.sample(black_box(&ascending)));
        });
    }
    let mut log_probs = LogProbs::new();
    let mut turns = rows.iter().cycle();
    group.bench_function("log_probs 20", |bench| {
        bench.iter(|| turns.next().and_then(|row| log_probs.best(black_box(row), 20).ok().map(<[_]>::len)));
    });
    group.finish();
}

criterion_group!(benches, sampler);
criterion_main!(benches);
