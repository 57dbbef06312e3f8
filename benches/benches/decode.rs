//! Decode of a real model token by token, after a short and a long context, in tokens per second.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use happy_benches::{MODELS, context, tokens};

/// Tokens of one measurement.
const N: usize = 16;

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    group.sample_size(10);
    group.throughput(Throughput::Elements(N as u64));
    for name in MODELS {
        for threads in [1, 2] {
            let Some(mut context) = context(name, threads) else { continue };
            for depth in [1, 1024] {
                context.truncate(0, 0).expect("the sequence is there");
                context.prefill(0, &tokens(depth)).expect("the prompt fits");
                group.bench_function(BenchmarkId::new(format!("{name}/{threads}_threads"), depth), |b| {
                    b.iter(|| {
                        context.truncate(0, depth).expect("it is longer");
                        for token in tokens(N) {
                            context.decode(&[(0, token)]).expect("the token fits");
                        }
                    });
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
