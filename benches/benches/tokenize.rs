//! Building a tokenizer from a real model's file, and encoding with it, in bytes per second.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use happy_benches::{MODELS, model};
use happy_gguf::GgufFile;
use happy_tokenizer::{EncodeOptions, Tokenizer};

/// Bytes of a text.
const SIZE: usize = 1 << 20;

const ENGLISH: &str = "The keeper of the lighthouse wrote down what the sea had brought: 3 barrels, a chair, \
                       and (he would not say whose) a letter. ";
const CODE: &str =
    "fn main() {\n    let mut sum = 0u64;\n    for i in 0..1_000 {\n        sum += i * i;\n    }\n}\n";
const MIXED: &str = "Привет, мир! 今日は良い天気ですね。 مرحبا بالعالم 😀 naïve café — ελληνικά 12345\n";

fn tokenize(c: &mut Criterion) {
    for name in MODELS {
        let Some(path) = model(name) else { continue };
        let file = GgufFile::read(&path).expect("a model that was checked when it was fetched");
        let mut group = c.benchmark_group(format!("tokenize/{name}"));
        group.sample_size(10);
        group.bench_function("load", |b| {
            b.iter_batched(
                || (),
                |()| Tokenizer::from_gguf(&file).map(|t| t.vocab_size()),
                BatchSize::PerIteration,
            )
        });
        let tokenizer = Tokenizer::from_gguf(&file).expect("the model has a tokenizer");
        for (what, text) in [("english", ENGLISH), ("code", CODE), ("mixed", MIXED)] {
            let text = text.repeat(SIZE / text.len());
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(what, |b| {
                b.iter(|| tokenizer.encode(&text, EncodeOptions::default()).map(|ids| ids.len()))
            });
        }
        group.finish();
    }
}

criterion_group!(benches, tokenize);
criterion_main!(benches);
