//! Reading a GGUF header with a vocabulary of 150,000 tokens, in bytes per second: the whole of `Gguf::parse`, every
//! check included.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use happy_gguf::{GgmlType, Gguf, GgufWriter};

const TOKENS: usize = 150_000;

fn parse(c: &mut Criterion) {
    let text = |i: usize| format!("\u{120}token{}", i * 7919 % TOKENS);
    let mut writer = GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("tokenizer.ggml.model", "gpt2")
        .kv("tokenizer.ggml.tokens", (0..TOKENS).map(text).collect::<Vec<_>>())
        .kv("tokenizer.ggml.token_type", vec![1i32; TOKENS])
        .kv("tokenizer.ggml.merges", (0..TOKENS).map(|i| format!("{} {i}", text(i))).collect::<Vec<_>>());
    for layer in 0..300 {
        writer = writer.tensor(format!("blk.{layer}.attn_norm.weight"), GgmlType::F32, &[16], vec![0; 64]);
    }
    let file = writer.to_vec().expect("a valid file");
    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Bytes(file.len() as u64));
    group.bench_function("150k_tokens", |b| b.iter(|| Gguf::parse(&file).map(|g| g.tensors().len())));
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
