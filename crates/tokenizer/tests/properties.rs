//! Properties for arbitrary texts, ids and descriptions, with small vocabularies made here.

use happy_tokenizer::{
    CharsMap, DecodeOptions, DecodeStream, EncodeOptions, GrowingText, Scores, Strings, TokenId, TokenType,
    Tokenizer, TokenizerError, TokenizerSpec,
};
use proptest::prelude::*;

/// The characters that stand for bytes in byte-level vocabularies.
fn stand_in(byte: u8) -> char {
    let printable = |b: u8| matches!(b, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|b| !printable(*b)).count() as u32;
    char::from_u32(0x100 + before).unwrap()
}

/// All bytes, some merges, a control and a user-defined token.
fn byte_level(pre: &str) -> Tokenizer {
    let mut tokens: Vec<String> = (0..=255u8).map(|b| stand_in(b).to_string()).collect();
    let merges = ["a a", "aa aa", "Ġ a", "b c", "a b", "Ã ©", "Ġ Ġ", "1 2", "ä ¸", "Ċ Ċ"];
    tokens.extend(merges.iter().map(|m| m.replace(' ', "")));
    let mut types = vec![TokenType::Normal; tokens.len()];
    tokens.extend(["<|end|>".to_owned(), "[USER]".to_owned()]);
    types.extend([TokenType::Control, TokenType::UserDefined]);
    let mut spec = TokenizerSpec::new("gpt2", Strings::from_list(tokens).unwrap());
    spec.token_types = types;
    spec.merges = Some(Strings::from_list(merges).unwrap());
    spec.pre = Some(pre.to_owned());
    Tokenizer::new(spec).unwrap()
}

/// All bytes as fallback, and some words.
fn sentence_piece() -> Tokenizer {
    let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
    tokens.extend((0..=255u8).map(|b| format!("<0x{b:02X}>")));
    let words = ["▁", "a", "b", "ab", "▁a", "▁ab", "▁▁", "a▁b", "é", "中文", "中", "文", "aa", "aaa"];
    let mut types = vec![TokenType::Control; 3];
    types.extend([TokenType::Byte; 256]);
    types.extend(vec![TokenType::Normal; words.len()]);
    tokens.extend(words.map(str::to_owned));
    let mut spec = TokenizerSpec::new("llama", Strings::from_list(&tokens).unwrap());
    spec.token_types = types;
    spec.scores = Some(Scores::from_list(&(0..tokens.len()).map(|i| -((i % 5) as f32)).collect::<Vec<_>>()));
    Tokenizer::new(spec).unwrap()
}

/// All bytes as fallback, some words, and what the kind requires.
fn with_bytes(model: &str) -> Tokenizer {
    let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned(), "<pad>".to_owned()];
    tokens.extend((0..=255u8).map(|b| format!("<0x{b:02X}>")));
    let words = ["▁", "a", "b", " ", "\n", "é", "中", "ab", "▁a", " a", "aa", "\n\n", "中文", "▁▁"];
    let mut types = vec![TokenType::Control; 4];
    types.extend([TokenType::Byte; 256]);
    types.extend(vec![TokenType::Normal; words.len()]);
    tokens.extend(words.map(str::to_owned));
    let mut spec = TokenizerSpec::new(model, Strings::from_list(&tokens).unwrap());
    spec.token_types = types;
    spec.merges = Some(Strings::from_list(["a b", "▁ a", "a a", "▁ ▁", "中 文"]).unwrap());
    spec.scores = Some(Scores::from_list(&(0..tokens.len()).map(|i| -((i % 5) as f32)).collect::<Vec<_>>()));
    Tokenizer::new(spec).unwrap()
}

/// Every byte, escaped, and some words.
fn rwkv() -> Tokenizer {
    let mut tokens = vec!["<s>".to_owned()];
    tokens.extend((0..=255u8).map(|b| format!("\\x{b:02x}")));
    tokens.extend(["aa", "ab", " a", "\\n\\n", "\\xe4\\xb8", "é"].map(str::to_owned));
    Tokenizer::new(TokenizerSpec::new("rwkv", Strings::from_list(tokens).unwrap())).unwrap()
}

/// All kinds whose tokens decode to the original text.
fn reversible() -> Vec<Tokenizer> {
    vec![
        byte_level("gpt-2"),
        byte_level("kimi-k2"),
        sentence_piece(),
        with_bytes("gemma4"),
        with_bytes("plamo2"),
        rwkv(),
    ]
}

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };
const EXACT: DecodeOptions = DecodeOptions { special: true, clean_spaces: false };

/// Any text, mostly of characters that the small vocabularies know.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,80}",
        "[a-cé中文 \n\t1-3'!<|end>\\[USER\\]]{0,120}",
        "(a|aa| |\n|<\\|end\\|>|\\[USER\\]){0,80}"
    ]
}

/// How many bytes at the end are the beginning of a character.
fn unfinished(bytes: &[u8]) -> usize {
    let begins = |n: &usize| {
        let last = bytes.get(bytes.len() - n..).unwrap_or(&[]);
        std::str::from_utf8(last).is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none())
    };
    (1..=bytes.len().min(3)).find(begins).unwrap_or(0)
}

proptest! {
    #[test]
    fn byte_level_texts_come_back(text in texts(), parse_special: bool) {
        for pre in ["gpt-2", "smollm", "llama-bpe", "qwen2", "gpt-4o", "deepseek-v3", "deepseek-llm", "default"] {
            let tokenizer = byte_level(pre);
            // Twice: the second time uses what was learned about whole pieces.
            let options = EncodeOptions { add_special: false, parse_special };
            let ids = tokenizer.encode(&text, options).unwrap();
            prop_assert_eq!(&ids, &tokenizer.encode(&text, options).unwrap());
            prop_assert_eq!(&text, &tokenizer.decode(&ids, EXACT).unwrap());
        }
    }

    #[test]
    fn texts_come_back_from_all_kinds(text in texts(), before in texts()) {
        prop_assume!(!text.contains('\u{2581}') && !before.contains('\u{2581}'));
        prop_assume!(!text.contains('\u{FEFF}') && !before.contains('\u{FEFF}'));
        for tokenizer in reversible() {
            let ids = tokenizer.encode(&text, PLAIN).unwrap();
            prop_assert_eq!(&ids, &tokenizer.encode(&text, PLAIN).unwrap());
            prop_assert_eq!(&text, &tokenizer.decode(&ids, EXACT).unwrap());
            prop_assert_eq!(ids.len(), tokenizer.count(&text, PLAIN).unwrap());
            let encoded = tokenizer.encode_with_ranges(&text, PLAIN).unwrap();
            prop_assert_eq!(&ids, &encoded.ids);
            prop_assert!(encoded.ranges.iter().all(|r| r.start <= r.end && r.end <= text.len()));
            prop_assert!(encoded.ranges.windows(2).all(|r| r[0].start <= r[1].start));
            let mut growing = GrowingText::new(&tokenizer, PLAIN);
            growing.update(&before).unwrap();
            let grown = format!("{before}{text}");
            growing.update(&grown).unwrap();
            prop_assert_eq!(growing.ids(), tokenizer.encode(&grown, PLAIN).unwrap());
            growing.update(&text).unwrap();
            prop_assert_eq!(growing.ids(), &ids);
        }
    }

    /// Any bytes, as tokens of single bytes: decoding returns the same bytes, all at once or one by one.
    #[test]
    fn bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let tokenizer = rwkv();
        let ids: Vec<TokenId> = bytes.iter().map(|b| TokenId::from(*b) + 1).collect();
        prop_assert_eq!(&bytes, &tokenizer.decode_bytes(&ids, EXACT).unwrap());
        let mut stream = DecodeStream::new();
        let text: String = ids.iter().map(|id| stream.push(&tokenizer, *id).unwrap().to_owned()).collect();
        prop_assert_eq!(stream.finish(), unfinished(&bytes));
        prop_assert_eq!(text, String::from_utf8_lossy(&bytes[..bytes.len() - unfinished(&bytes)]));
    }

    #[test]
    fn streams_equal_whole_texts(ids in prop::collection::vec(0u32..268, 0..60), special: bool) {
        for tokenizer in [byte_level("gpt-2"), sentence_piece()] {
            let (mut stream, mut whole) = (DecodeStream::with_special(special), Vec::new());
            let mut streamed = String::new();
            for id in &ids {
                streamed.push_str(stream.push(&tokenizer, *id).unwrap());
                tokenizer.token_bytes(*id, special, &mut whole).unwrap();
            }
            prop_assert_eq!(stream.finish(), unfinished(&whole));
            whole.truncate(whole.len() - unfinished(&whole));
            prop_assert_eq!(streamed, String::from_utf8_lossy(&whole));
        }
    }

    #[test]
    fn ids_out_of_range_are_errors(id in 300u32..) {
        for tokenizer in [byte_level("gpt-2"), sentence_piece()] {
            let size = tokenizer.vocab_size();
            let error = tokenizer.decode(&[id], EXACT).unwrap_err();
            prop_assert_eq!(&error, &TokenizerError::TokenOutOfRange { id, vocab_size: size });
            prop_assert!(DecodeStream::new().push(&tokenizer, id).is_err() && !tokenizer.is_eog(id));
            prop_assert!(tokenizer.token_text(id).is_err());
        }
    }

    #[test]
    fn no_description_panics(
        tokens in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..30),
        merges in prop::collection::vec("[ -c ]{0,6}", 0..20),
        types in prop::collection::vec(-1i64..8, 0..40),
        scores in prop::collection::vec(any::<f32>(), 0..40),
        special in prop::option::of(any::<u32>()),
        text in texts(),
        ids in prop::collection::vec(0u32..40, 0..20),
        map in prop::collection::vec(any::<u8>(), 9..200),
        flags: (bool, bool, bool),
    ) {
        let charsmap = |trie: u8| {
            let bytes: Vec<u8> = [trie, 0, 0, 0].into_iter().chain(map.iter().copied()).collect();
            let len = bytes.len();
            CharsMap::in_storage(std::sync::Arc::new(bytes), 0, len).ok()
        };
        for model in ["gpt2", "llama", "gemma4", "bert", "t5", "rwkv", "plamo2"] {
            let mut spec = TokenizerSpec::new(model, Strings::from_list(&tokens).unwrap());
            spec.merges = Some(Strings::from_list(&merges).unwrap());
            spec.token_types = types.iter().map(|t| TokenType::from(*t)).collect();
            spec.scores = Some(Scores::from_list(&scores));
            (spec.special.bos, spec.special.eos, spec.special.unk) = (special, special, special);
            (spec.add_bos, spec.add_eos) = (Some(true), Some(true));
            (spec.add_space_prefix, spec.remove_extra_whitespaces) = (Some(flags.0), Some(flags.1));
            spec.normalizer.lowercase = Some(flags.2);
            spec.charsmap = charsmap(map.len() as u8 / 2);
            let Ok(tokenizer) = Tokenizer::new(spec) else { continue };
            for id in tokenizer.encode(&text, EncodeOptions::default()).unwrap() {
                prop_assert!((id as usize) < tokenizer.vocab_size());
            }
            let _ = tokenizer.decode(&ids, DecodeOptions::default());
        }
    }
}

#[test]
fn special_strings() {
    let (control, user) = (266, 267);
    let tokenizer = byte_level("gpt-2");
    let encode = |text: &str, parse_special| {
        tokenizer.encode(text, EncodeOptions { add_special: false, parse_special }).unwrap()
    };
    let word = |text: &str| encode(text, false);
    let cases: &[(&str, bool, Vec<TokenId>)] = &[
        ("a<|end|>[USER]", true, [word("a"), vec![control, user]].concat()),
        ("a<|end|>[USER]", false, [word("a"), word("<|end|>"), vec![user]].concat()),
        ("<|end|", true, word("<|end|")),
        ("", true, vec![]),
    ];
    for (text, parse_special, expected) in cases {
        assert_eq!(encode(text, *parse_special), *expected, "{text} {parse_special}");
    }
    assert!(tokenizer.is_eog(control) && tokenizer.is_control(control) && !tokenizer.is_eog(user));
    assert_eq!(
        tokenizer.decode(&[control, user], DecodeOptions { special: false, ..EXACT }).unwrap(),
        "[USER]"
    );
}

#[test]
fn unsupported_kinds_are_named() {
    let tokens = || Strings::from_list(["a"]).unwrap();
    for model in ["no_vocab", "test", "hybriddna", ""] {
        let message = Tokenizer::new(TokenizerSpec::new(model, tokens())).unwrap_err().to_string();
        assert!(message.contains("unsupported") && message.contains(model), "{message}");
    }
    let mut spec = TokenizerSpec::new("gpt2", tokens());
    spec.merges = Some(Strings::from_list([""; 0]).unwrap());
    spec.pre = Some("tomorrow".to_owned());
    let message = Tokenizer::new(spec.clone()).unwrap_err().to_string();
    assert!(message.contains("unsupported") && message.contains("tomorrow"), "{message}");
    spec.pre = None;
    let tokenizer = Tokenizer::new(spec).unwrap();
    assert!(tokenizer.warnings().iter().any(|w| w.contains("tokenizer.ggml.pre")));
}

#[test]
fn missing_parts_are_named() {
    let tokens = || Strings::from_list(["a", "b"]).unwrap();
    let mut short = TokenizerSpec::new("llama", tokens());
    short.scores = Some(Scores::from_list(&[1.0]));
    let cases = [
        (TokenizerSpec::new("gpt2", tokens()), "tokenizer.ggml.merges"),
        (TokenizerSpec::new("llama", tokens()), "tokenizer.ggml.scores"),
        (short, "tokenizer.ggml.scores"),
        (TokenizerSpec::new("llama", Strings::from_list([""; 0]).unwrap()), "tokenizer.ggml.tokens"),
    ];
    for (spec, key) in cases {
        let message = Tokenizer::new(spec).unwrap_err().to_string();
        assert!(message.contains(key), "{message}");
    }
}

/// A megabyte of one letter, of spaces, of line ends; a word of 100 KB; many special tokens.
#[test]
fn long_runs_are_encoded() {
    for tokenizer in reversible() {
        for unit in ["a", " ", "\n", "中", "a b", "<", "[USER]"] {
            let text = unit.repeat((1 << 20) / unit.len());
            let ids = tokenizer.encode(&text, PLAIN).unwrap();
            assert!(tokenizer.decode(&ids, EXACT).unwrap() == text, "{unit:?}");
        }
        let word: String = (0..100_000).map(|i| if i % 7 * (i % 11) % 5 < 3 { 'a' } else { 'b' }).collect();
        assert!(tokenizer.decode(&tokenizer.encode(&word, PLAIN).unwrap(), EXACT).unwrap() == word);
    }
}

#[test]
fn it_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Tokenizer>();
}
