//! Prefill of a real model, in tokens per second.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use happy_benches::{MODELS, context, tokens};

fn prefill(c: &mut Criterion) {
    let mut group = c.benchmark_group("prefill");
    group.sample_size(10);
    for name in MODELS {
        for threads in [1, 2] {
            let Some(mut context) = context(name, threads) else { continue };
            for n in [28, 512] {
                let prompt = tokens(n);
                group.throughput(Throughput::Elements(n as u64));
                group.bench_function(BenchmarkId::new(format!("{name}/{threads}_threads"), n), |b| {
                    b.iter(|| {
                        context.truncate(0, 0).expect("the sequence is there");
                        context.prefill(0, &prompt).map(<[f32]>::len)
                    });
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, prefill);
criterion_main!(benches);
