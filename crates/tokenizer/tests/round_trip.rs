//! Encoding and decoding returns the original text, for every real vocabulary that can.

mod conformance;

use conformance::{corpus, load, vocabularies};
use happy_tokenizer::{DecodeOptions, EncodeOptions, TokenId, Tokenizer};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// WordPiece and Unigram normalize text, and have no token for much of it.
const CHANGE_TEXTS: [&str; 2] = ["bert-bge", "nomic-bert-moe"];

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };
const EXACT: DecodeOptions = DecodeOptions { special: true, clean_spaces: false };

/// Any Unicode text, any bytes (invalid ones as U+FFFD), and the texts of some tokens, in any order.
fn texts(tokenizer: &Tokenizer) -> impl Strategy<Value = String> {
    let bytes = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let said = |ids: Vec<TokenId>| tokenizer.decode(&ids, EXACT).unwrap();
    prop_oneof![
        prop::collection::vec(any::<char>(), 0..80).prop_map(String::from_iter),
        "\\PC{0,80}",
        prop::collection::vec(any::<u8>(), 0..160).prop_map(bytes),
        prop::collection::vec(0..tokenizer.vocab_size() as TokenId, 0..40).prop_map(said),
    ]
}

/// Bytes that occur in text but that a vocabulary cannot spell alone: Falcon has no token for some that begin
/// characters of unused scripts.
fn bytes_without_token(tokenizer: &Tokenizer) -> Vec<u8> {
    let mut has = [false; 256];
    for id in 0..tokenizer.vocab_size() as TokenId {
        if let [byte] = *tokenizer.piece(id).unwrap() {
            has[usize::from(byte)] = true;
        }
    }
    (0..=0xF4).filter(|byte| !has[usize::from(*byte)] && !matches!(byte, 0xC0 | 0xC1)).collect()
}

#[test]
fn texts_come_back() {
    let folder = corpus();
    for (name, info) in &vocabularies(&folder) {
        if CHANGE_TEXTS.contains(&name.as_str()) {
            continue;
        }
        let tokenizer = Tokenizer::from_gguf(&load(&folder, info)).unwrap();
        let missing = bytes_without_token(&tokenizer);
        if !missing.is_empty() {
            println!("{name}: no token for the bytes {missing:02x?}");
        }
        // These spell a space as U+2581, and cannot distinguish the two.
        let escaped = tokenizer.encode("\u{2581}", PLAIN) == tokenizer.encode(" ", PLAIN);
        let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
        let result = TestRunner::new(config).run(&texts(&tokenizer), |text| {
            let mut text = if escaped { text.replace('\u{2581}', " ") } else { text };
            text.retain(|c| !c.encode_utf8(&mut [0; 4]).bytes().any(|byte| missing.contains(&byte)));
            let ids = tokenizer.encode(&text, PLAIN).unwrap();
            prop_assert_eq!(&tokenizer.decode(&ids, EXACT).unwrap(), &text, "{:?}", ids);
            Ok(())
        });
        assert!(result.is_ok(), "{name}: {}", result.unwrap_err());
    }
}
