//! Work, depth and sizes: linear for any strings, cancelled soon, on a small stack.

use happy_tokenizer::{
    CharsMap, DecodeStream, EncodeOptions, GrowingText, Scores, Strings, TokenId, TokenType, Tokenizer,
    TokenizerError, TokenizerSpec,
};
use std::cell::Cell;
use std::sync::Arc;

const KINDS: [&str; 7] = ["gpt2", "llama", "gemma4", "bert", "t5", "rwkv", "plamo2"];
/// Units of work between two checks for cancellation.
const BLOCK: usize = 1 << 13;

/// A tokenizer with all bytes, and more tokens of a given type.
fn tokenizer(kind: &str, more: &[String], more_type: TokenType) -> Tokenizer {
    Tokenizer::new(spec(kind, more, more_type)).unwrap()
}

fn spec(kind: &str, more: &[String], more_type: TokenType) -> TokenizerSpec {
    let mut tokens: Vec<String> = (0..=255u8).map(|b| format!("<0x{b:02X}>")).collect();
    let mut types = vec![TokenType::Byte; 256];
    tokens.extend((' '..='~').chain("▁Ġ".chars()).map(String::from));
    types.resize(tokens.len(), TokenType::Normal);
    tokens.extend(more.iter().cloned());
    types.resize(tokens.len(), more_type);
    let mut spec = TokenizerSpec::new(kind, Strings::from_list(&tokens).unwrap());
    spec.token_types = types;
    spec.scores = Some(Scores::from_list(&vec![-1.0; tokens.len()]));
    spec.merges = Some(Strings::from_list(["a a", "aa aa", "aaaa aaaa", "Ġ Ġ", "▁ ▁"]).unwrap());
    spec
}

/// How often encoding a text checks for cancellation.
fn asked(tokenizer: &Tokenizer, text: &str) -> usize {
    let asked = Cell::new(0);
    let ask = || {
        asked.set(asked.get() + 1);
        false
    };
    tokenizer.count_with(text, EncodeOptions { add_special: false, parse_special: true }, &ask).unwrap();
    asked.get()
}

/// 999 tokens of one letter and a text of 8,000,000 of that letter (llama.cpp #8029). This takes hours if each length
/// is tried at each position.
#[test]
fn special_tokens_of_one_letter_take_linear_work() {
    let tokens: Vec<String> = (2..=1000).map(|n| "a".repeat(n)).collect();
    for more_type in [TokenType::UserDefined, TokenType::Control] {
        let tokenizer = tokenizer("gpt2", &tokens, more_type);
        let text = "a".repeat(8_000_000);
        assert!(asked(&tokenizer, &text) <= 4 * text.len() / BLOCK);
        assert_eq!(tokenizer.count(&text, EncodeOptions::default()).unwrap(), 8_000);
        // Control tokens are not searched for here, but their strings occur on the way.
        let plain = EncodeOptions { add_special: false, parse_special: false };
        assert!(tokenizer.count(&text, plain).is_ok());
    }
}

/// Strings that overlap in many ways, few of which fit.
#[test]
fn overlapping_special_tokens_take_linear_work() {
    let vocabularies: &[(&str, Vec<String>)] = &[
        ("a..ab", (1..300).map(|n| format!("{}b", "a".repeat(n))).collect()),
        ("ba..a", (1..300).map(|n| format!("b{}", "a".repeat(n))).collect()),
        ("a..b..", (1..600).map(|n| format!("{}{}", "a".repeat(n / 2), "b".repeat(n - n / 2))).collect()),
        ("powers", (0..12).map(|n| "ab".repeat(1 << n)).collect()),
        (
            "two letters",
            (0..2000u32).map(|n| format!("{n:011b}").replace('0', "a").replace('1', "b")).collect(),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, tokens) in vocabularies {
        let tokenizer = tokenizer("gpt2", tokens, TokenType::UserDefined);
        for unit in
            ["a", "ab", "aab", "aaaaaaaab", "abbbbbbbbbbbbbbbb", &"a".repeat(299), &("a".repeat(298) + "b")]
        {
            let text = unit.repeat((1 << 17) / unit.len());
            let most = 40 * text.len() / BLOCK;
            let found = asked(&tokenizer, &text);
            if found > most {
                wrong.push(format!(
                    "{name}, text of {} bytes {unit:.9}: asked {found} times, at most {most}",
                    unit.len()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Twice the text takes about twice the work, for every kind.
#[test]
fn every_kind_takes_linear_work() {
    let tokens: Vec<String> = (2..=64).map(|n| "a".repeat(n)).chain(["▁▁".into(), "ab".into()]).collect();
    let mut wrong = Vec::new();
    for kind in KINDS {
        let tokenizer = tokenizer(kind, &tokens, TokenType::Normal);
        for unit in ["a", " ", "ab", "a b ", "\n", "1", "'", "é", "aaaaaaaaab", "<", "\u{301}", "中"] {
            let text = unit.repeat((1 << 18) / unit.len());
            let half = text.len() / 2 / unit.len() * unit.len();
            let (short, long) = (asked(&tokenizer, &text[..half]), asked(&tokenizer, &text));
            if long > 2 * short + short / 4 + 8 || long < text.len() / BLOCK / 4 {
                wrong.push(format!("{kind} {unit:?}: asked {short} times, then {long}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Wherever it is cancelled, it stops checking and returns the error.
#[test]
fn everything_can_be_cancelled() {
    let tokens: Vec<String> = (0..30_000).map(|n| format!("[{n}]")).collect();
    let text = "a aa [7] é".repeat(10_000);
    for kind in KINDS {
        let built = tokenizer(kind, &tokens, TokenType::UserDefined);
        let options = EncodeOptions::default();
        type Operation<'o> = &'o dyn Fn(&dyn Fn() -> bool) -> Result<(), TokenizerError>;
        let operations: [(&str, Operation<'_>); 6] = [
            ("encode", &|c| built.encode_with(&text, options, c).map(drop)),
            ("marked", &|c| built.encode_marked(&text, &[0..4, 4..9], options, c).map(drop)),
            ("count", &|c| built.count_with(&text, options, c).map(drop)),
            ("batch", &|c| built.encode_batch_with([&text, &text], options, c).map(drop)),
            ("growing", &|c| GrowingText::new(&built, options).update_with(&text, c).map(drop)),
            ("load", &|c| Tokenizer::new_with(spec(kind, &tokens, TokenType::UserDefined), c).map(drop)),
        ];
        for (name, operation) in operations {
            let all = Cell::new(0);
            operation(&|| {
                all.set(all.get() + 1);
                false
            })
            .unwrap();
            assert!(all.get() >= 4, "{kind} {name}: asked {} times", all.get());
            for last in [1, 2, all.get() / 2, all.get()] {
                let asked = Cell::new(0);
                let result = operation(&|| {
                    asked.set(asked.get() + 1);
                    asked.get() >= last
                });
                assert_eq!((result, asked.get()), (Err(TokenizerError::Cancelled), last), "{kind} {name}");
            }
        }
    }
}

#[test]
fn a_long_token_is_refused() {
    for (length, accepted) in [(4096, true), (4097, false), (900_000, false)] {
        for more_type in [TokenType::Normal, TokenType::UserDefined, TokenType::Control] {
            let result = Tokenizer::new(spec("gpt2", &["a".repeat(length)], more_type));
            match result {
                Ok(_) => assert!(accepted, "{length}"),
                Err(error) => {
                    let id = 256 + 95 + 2;
                    assert_eq!(error, TokenizerError::TokenTooLong { id, length, limit: 4096 });
                    assert!(!accepted, "{length}");
                }
            }
        }
    }
}

/// Texts and vocabularies that would overflow the stack if anything recursed along them.
#[test]
fn nothing_recurses_along_its_input() {
    let run = || {
        let tokens: Vec<String> = (1..=1000).map(|n| "a".repeat(4 * n)).collect();
        for kind in KINDS {
            for more_type in [TokenType::Normal, TokenType::UserDefined] {
                let built = tokenizer(kind, &tokens, more_type);
                for unit in ["a", "\n", "1", "<0x41>", "中", "a "] {
                    let ids = built.encode(&unit.repeat(20_000), EncodeOptions::default()).unwrap();
                    let mut stream = DecodeStream::new();
                    for id in ids {
                        stream.push(&built, id).unwrap();
                    }
                }
            }
        }
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_stream_drops_what_was_not_completed() {
    let built = tokenizer("llama", &[], TokenType::Normal);
    let id = |byte: u8| TokenId::from(byte);
    // Bytes, the resulting text, and how many bytes are dropped at the end.
    let cases: &[(&[u8], &str, usize)] = &[
        (b"ok ", "ok ", 0),
        ("ok 🫠".as_bytes(), "ok 🫠", 0),
        (b"ok \xF0", "ok ", 1),
        (b"ok \xF0\x9F", "ok ", 2),
        (b"ok \xF0\x9F\xAB", "ok ", 3),
        (b"\xE4\xB8", "", 2),
        (b"\x80", "\u{FFFD}", 0),
        (b"a\xF0\x9Fb", "a\u{FFFD}b", 0),
        (b"\xC3\xC3", "\u{FFFD}", 1),
        (b"\xED\xA0", "\u{FFFD}\u{FFFD}", 0),
    ];
    let mut stream = DecodeStream::new();
    for (bytes, expected, dropped) in cases {
        let text: String = bytes.iter().map(|b| stream.push(&built, id(*b)).unwrap().to_owned()).collect();
        assert_eq!((text.as_str(), stream.incomplete().len()), (*expected, *dropped), "{bytes:x?}");
        assert_eq!(stream.finish(), *dropped, "{bytes:x?}");
        assert!(stream.incomplete().is_empty());
    }
}

#[test]
fn more_ends_of_the_generation() {
    let with = |eos: Option<TokenId>, more: &[TokenId]| {
        let mut spec = spec("gpt2", &["<x>".into(), "<y>".into()], TokenType::Control);
        (spec.special.eos, spec.eos_ids) = (eos, more.to_vec());
        Tokenizer::new(spec).unwrap()
    };
    let ends = |tokenizer: &Tokenizer, ids: &[TokenId]| ids.iter().all(|id| tokenizer.is_eog(*id));
    let both = with(Some(353), &[354, 20]);
    assert!(ends(&both, &[353, 354, 20]) && both.eos() == Some(353) && !both.is_eog(21));
    // Without a single id, the first valid one in the list takes its place.
    let list = with(None, &[9_999_999, 354, 20]);
    assert!(ends(&list, &[354, 20]) && list.eos() == Some(354));
    assert_eq!(with(None, &[TokenId::MAX]).eos(), with(None, &[]).eos());
}

#[test]
fn a_second_bos_is_noticed() {
    let mut spec = spec("llama", &["<s>".into()], TokenType::Control);
    (spec.special.bos, spec.add_bos) = (Some(353), Some(true));
    let built = Tokenizer::new(spec).unwrap();
    for (text, add_special, twice) in
        [("<s>a", true, true), ("<s>a", false, false), ("a<s>", true, false), ("", true, false)]
    {
        let ids = built.encode(text, EncodeOptions { add_special, parse_special: true }).unwrap();
        assert_eq!(built.has_double_bos(&ids), twice, "{text} {add_special}");
    }
}

/// A map that writes a hundred times what it reads leads to an error, not to an endless loop.
#[test]
fn a_map_cannot_write_without_end() {
    let mut bytes = 8u32.to_le_bytes().to_vec();
    bytes.extend([0; 8]);
    bytes.extend([b'x'; 100]);
    let len = bytes.len();
    let mut spec = spec("t5", &[], TokenType::Normal);
    spec.charsmap = Some(CharsMap::in_storage(Arc::new(bytes), 0, len).unwrap());
    let built = Tokenizer::new(spec).unwrap();
    assert!(built.encode(&"a".repeat(1000), EncodeOptions::default()).is_ok());
}
