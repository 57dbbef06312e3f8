//! Embeddings by the engine: what a text gives does not depend on its neighbors, and what cannot be had is an error.

mod common;

use common::{TEMPLATE, file_bytes};
use happy_engine::model::Pooling;
use happy_engine::{Cancel, EmbedOptions, Embedding, Engine, EngineError, LoadOptions, TooLong};
use happy_gguf::{GgufFile, Limits};
use std::sync::Arc;

fn engine(options: LoadOptions) -> Engine {
    let file = GgufFile::from_shared(Arc::new(file_bytes(TEMPLATE, &[])), &Limits::default()).unwrap();
    Engine::new(file, "tiny".to_owned(), &options).unwrap()
}

fn embedding(context: usize) -> Engine {
    engine(LoadOptions { threads: Some(2), context: Some(context), ..LoadOptions::embeddings() })
}

fn mean() -> EmbedOptions {
    EmbedOptions { pooling: Some(Pooling::Mean), ..EmbedOptions::default() }
}

fn bits(found: &Embedding) -> Vec<u32> {
    found.values.iter().map(|x| x.to_bits()).collect()
}

/// More texts than a pass holds, long and short: each has the bits that it has alone.
#[test]
fn texts_in_any_number_have_the_bits_that_they_have_alone() {
    let engine = embedding(64);
    let texts: Vec<String> = (0..75).map(|i| "w,".repeat(i % 11) + &i.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut embedder = engine.embedder(&mean()).unwrap();
    let all = embedder.embed(&texts, &Cancel::new()).unwrap();
    assert_eq!(all.len(), texts.len());
    for (text, found) in texts.iter().zip(&all) {
        let alone = engine.embed(&[text], &mean(), &Cancel::new()).unwrap();
        assert_eq!((alone[0].tokens, bits(&alone[0])), (found.tokens, bits(found)), "{text:?}");
        // The tokens are bytes, after one that begins the text.
        assert_eq!(found.tokens, text.len() + 1);
    }
    assert_ne!(bits(&all[0]), bits(&all[1]));
    assert_eq!(engine.embed(&[], &mean(), &Cancel::new()).unwrap(), []);
}

#[test]
fn long_texts_are_refused_or_cut_and_the_embedder_goes_on() {
    let engine = embedding(16);
    let texts = ["short", "a-text-of-more-than-sixteen-bytes"];
    let mut embedder = engine.embedder(&mean()).unwrap();
    let refused = embedder.embed(&texts, &Cancel::new());
    assert!(
        matches!(refused, Err(EngineError::TextTooLong { index: 1, tokens: 34, most: 16 })),
        "{refused:?}"
    );
    let short = embedder.embed(&texts[..1], &Cancel::new()).unwrap();
    let options = EmbedOptions { too_long: TooLong::Truncate, ..mean() };
    let cut = engine.embed(&texts, &options, &Cancel::new()).unwrap();
    assert_eq!((cut[1].tokens, cut[1].left_out), (16, 18));
    assert_eq!(bits(&cut[0]), bits(&short[0]));
    assert_eq!(bits(&cut[1]), bits(&embedder.embed(&["a-text-of-more-"], &Cancel::new()).unwrap()[0]));
    let cancel = Cancel::new();
    cancel.cancel();
    assert!(matches!(embedder.embed(&texts[..1], &cancel), Err(EngineError::Cancelled)));
    assert_eq!(embedder.embed(&texts[..1], &Cancel::new()).unwrap(), short);
}

#[test]
fn engines_do_what_they_were_loaded_for() {
    let sessions = engine(LoadOptions { threads: Some(1), context: Some(16), ..LoadOptions::default() });
    assert!(matches!(sessions.embedder(&mean()), Err(EngineError::NotForEmbeddings)));
    let texts = embedding(16);
    assert!(matches!(texts.context(), Err(EngineError::OnlyEmbeddings)));
    assert!(matches!(texts.embedder(&EmbedOptions::default()), Err(EngineError::NoPooling)));
    let ranks = EmbedOptions { pooling: Some(Pooling::Rank), ..mean() };
    assert!(matches!(texts.embedder(&ranks), Err(EngineError::Forward(_))));
    let wide = EmbedOptions { dimensions: Some(65), ..mean() };
    assert!(matches!(texts.embedder(&wide), Err(EngineError::Dimensions { found: 65, width: 64 })));
    let mut embedder = texts.embedder(&mean()).unwrap();
    assert!(matches!(embedder.rank("a", &["b"], &Cancel::new()), Err(EngineError::NotRanking)));
}
