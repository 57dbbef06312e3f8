//! Masks over a vocabulary of 152,000 tokens while real documents are written: per token, with what earlier documents taught
//! (`warm`) and from nothing (`cold`, in which the states of the grammar are met for the first time).
//!
//! Needs the conformance data's vocabularies (`HAPPY_CONFORMANCE`).

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use happy_gguf::GgufFile;
use happy_grammar::{Grammar, Matcher, Piece, TokenSet, Vocabulary};
use happy_testkit::Corpus;
use happy_tokenizer::{EncodeOptions, TokenId, Tokenizer};
use std::hint::black_box;

/// A customer with orders: formats, patterns, bounds, `uniqueItems`.
const SCHEMA: &str = include_str!("../data/customer.schema.json");

const DOCUMENT: &str = include_str!("../data/customer.json");

fn tokenizer(name: &str) -> Tokenizer {
    let files = Corpus::repository().open("tokenizer").expect("a corpus");
    let bytes = files.unpacked(&format!("vocabs/{name}.gguf.zst")).expect("a vocabulary");
    let file = GgufFile::from_shared(std::sync::Arc::new(bytes), &happy_gguf::Limits::default())
        .expect("a vocabulary-only file");
    Tokenizer::from_gguf(&file).expect("a tokenizer")
}

fn vocabulary(tokenizer: &Tokenizer, pieces: &[Vec<u8>]) -> Vocabulary {
    let pieces = pieces.iter().enumerate().map(|(id, bytes)| {
        if tokenizer.is_control(id as TokenId) { Piece::Special(bytes) } else { Piece::Text(bytes) }
    });
    let end: Vec<u32> = (0..tokenizer.vocab_size() as u32).filter(|id| tokenizer.is_eog(*id)).collect();
    Vocabulary::new(pieces, &end).expect("a vocabulary")
}

/// Writes the document: the mask and the step of each token.
fn write(matcher: &mut Matcher, ids: &[TokenId], allowed: &mut TokenSet) {
    for &id in ids {
        matcher.mask(allowed).expect("within the limits");
        assert!(allowed.contains(id), "token {id} is part of a valid document");
        matcher.accept(id).expect("an allowed token");
    }
    assert!(matcher.is_complete());
}

fn grammar(c: &mut Criterion) {
    let tokenizer = tokenizer("qwen2.5");
    let json = Corpus::repository()
        .open("grammar")
        .and_then(|files| files.text("gbnf/json.gbnf"))
        .expect("a grammar");
    let pieces: Vec<Vec<u8>> =
        (0..tokenizer.vocab_size()).map(|id| tokenizer.piece(id as TokenId).expect("a token")).collect();
    let vocabulary_ready = vocabulary(&tokenizer, &pieces);
    let n = vocabulary_ready.len();
    eprintln!("{n} tokens, {:.1} bytes of memory a token", vocabulary_ready.memory() as f64 / n as f64);
    let options = EncodeOptions { add_special: false, parse_special: false };
    let ids = tokenizer.encode(DOCUMENT.trim_end(), options).expect("the document's tokens");

    let mut group = c.benchmark_group("grammar");
    group.sample_size(10);
    group.bench_function("vocabulary", |b| b.iter(|| vocabulary(&tokenizer, &pieces).len()));
    group.bench_function("compile-schema", |b| {
        b.iter(|| Grammar::from_json_schema(black_box(SCHEMA)).is_ok())
    });
    group.throughput(Throughput::Elements(ids.len() as u64));
    let grammars = [
        ("json.gbnf", Grammar::from_gbnf(&json).expect("a grammar")),
        ("schema", Grammar::from_json_schema(SCHEMA).expect("a grammar")),
    ];
    for (name, grammar) in grammars {
        let mut allowed = TokenSet::new(n);
        let new = || Matcher::new(&grammar, &vocabulary_ready).expect("a matcher");
        group.bench_function(format!("cold/{name}"), |b| b.iter(|| write(&mut new(), &ids, &mut allowed)));
        let mut matcher = new();
        group.bench_function(format!("warm/{name}"), |b| {
            b.iter(|| {
                matcher.reset();
                write(&mut matcher, &ids, &mut allowed);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, grammar);
criterion_main!(benches);
