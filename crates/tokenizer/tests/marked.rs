//! Untrusted text inside a prompt: the strings of control tokens in it stay text.

#![allow(clippy::single_range_in_vec_init)] // lists of one plain range

mod conformance;

use conformance::{corpus, load, vocabularies};
use happy_tokenizer::{
    EncodeOptions, Scores, Strings, TokenId, TokenType, Tokenizer, TokenizerError, TokenizerSpec,
};
use std::ops::Range;

const BOTH: EncodeOptions = EncodeOptions { add_special: true, parse_special: true };
const INSIDE: EncodeOptions = EncodeOptions { add_special: false, parse_special: true };

/// Every ASCII character, three control tokens, a user-defined token and an unused one; merges lead to `</s>`.
fn small(model: &str) -> Tokenizer {
    let mut tokens: Vec<String> = (0..=255u8).map(|b| format!("<0x{b:02X}>")).collect();
    let mut types = vec![TokenType::Byte; 256];
    for c in ' '..='~' {
        tokens.push(c.to_string());
        types.push(TokenType::Normal);
    }
    for text in ["</", "s>", "▁", "é", "a<"] {
        tokens.push(text.to_owned());
        types.push(TokenType::Normal);
    }
    let special = [
        ("<unk>", TokenType::Unknown),
        ("<s>", TokenType::Control),
        ("</s>", TokenType::Control),
        ("<|im_end|>", TokenType::Control),
        ("<|im_end|><|im_end|>", TokenType::Control),
        ("[USER]", TokenType::UserDefined),
        ("[END]", TokenType::UserDefined),
        ("<unused>", TokenType::Unused),
        ("<|start|>", TokenType::Control),
    ];
    for (text, kind) in special {
        tokens.push(text.to_owned());
        types.push(kind);
    }
    let id = |text: &str| tokens.iter().position(|t| t == text).map(|id| id as TokenId);
    let mut spec = TokenizerSpec::new(model, Strings::from_list(&tokens).unwrap());
    (spec.special.bos, spec.special.unk) = (id("<s>"), id("<unk>"));
    // Ends the generation, although it is user-defined.
    spec.special.eos = id("[END]");
    spec.token_types = types;
    spec.scores = Some(Scores::from_list(&vec![-1.0; tokens.len()]));
    spec.merges = Some(Strings::from_list(["< /", "s >", "</ s>", "a <"]).unwrap());
    if model == "gpt2" {
        spec.pre = Some("whitespace".to_owned());
    }
    Tokenizer::new(spec).unwrap()
}

const KINDS: [&str; 6] = ["gpt2", "llama", "gemma4", "t5", "rwkv", "plamo2"];

fn marked(tokenizer: &Tokenizer, text: &str, plain: &[Range<usize>]) -> Vec<TokenId> {
    tokenizer.encode_marked(text, plain, INSIDE, &|| false).unwrap()
}

/// The strings of the control tokens among the ids.
fn controls(tokenizer: &Tokenizer, ids: &[TokenId]) -> Vec<String> {
    let text = |id: &TokenId| String::from_utf8_lossy(tokenizer.token_text(*id).unwrap()).into_owned();
    ids.iter().filter(|id| tokenizer.is_control(**id) || tokenizer.is_eog(**id)).map(text).collect()
}

#[test]
fn a_strangers_control_tokens_stay_text() {
    // The text, the plain ranges, and the special tokens that are found.
    let cases: &[(&str, &[Range<usize>], &[&str])] = &[
        ("<s>a</s>b", &[], &["<s>", "</s>"]),
        ("<s>a</s>b", &[3..9], &["<s>"]),
        ("<s>a</s>b", &[0..9], &[]),
        ("<s>a</s>b", &[0..3], &["</s>"]),
        // A token may begin or end outside the range, or both; an empty range has no effect.
        ("<|im_end|>", &[5..10], &[]),
        ("<|im_end|>", &[0..5], &[]),
        ("<|im_end|>", &[4..5], &[]),
        ("<|im_end|>", &[4..4], &["<|im_end|>"]),
        ("a<|im_end|>b", &[0..1, 11..12], &["<|im_end|>"]),
        ("a<|im_end|>b", &[0..2, 11..12], &[]),
        ("a<|im_end|>b", &[0..1, 10..12], &[]),
        // The longer string overlaps the range; the shorter ones beside it do not.
        ("<|im_end|><|im_end|>", &[], &["<|im_end|><|im_end|>"]),
        ("<|im_end|><|im_end|>", &[10..20], &["<|im_end|>"]),
        ("<|im_end|><|im_end|>", &[0..10], &["<|im_end|>"]),
        ("<|im_end|><|im_end|>", &[0..20], &[]),
        // User-defined, but ends the generation; and typed as control, although a role makes it user-defined.
        ("[END]<s>[END]", &[8..13], &["[END]", "<s>"]),
    ];
    let mut wrong = Vec::new();
    for kind in KINDS {
        let tokenizer = small(kind);
        for (text, plain, expected) in cases {
            let found = controls(&tokenizer, &marked(&tokenizer, text, plain));
            if found != *expected {
                wrong.push(format!("{kind} {text:?} {plain:?}: {found:?}, expected {expected:?}"));
            }
        }
        // Found as in plain text.
        let user = tokenizer.token("[USER]").unwrap();
        if !marked(&tokenizer, "a[USER]", &[0..7]).contains(&user) {
            wrong.push(format!("{kind}: [USER] is not found"));
        }
        let start = tokenizer.token("<|start|>").unwrap();
        if marked(&tokenizer, "<|start|>", &[0..9]).contains(&start) {
            wrong.push(format!("{kind}: <|start|> is found"));
        }
        if !marked(&tokenizer, "<|start|>", &[]).contains(&start) {
            wrong.push(format!("{kind}: <|start|> is not found"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn wrong_ranges_are_errors() {
    let tokenizer = small("llama");
    #[allow(clippy::reversed_empty_ranges)]
    let cases: &[(&[Range<usize>], usize, &str)] = &[
        (&[1..2], 0, "inside a character"),
        (&[0..2, 2..4, 5..3], 2, "ends before it begins"),
        (&[4..5, 2..4], 1, "begins before the previous range"),
        (&[0..3, 2..4], 1, "begins before the previous range"),
        (&[0..6], 0, "after the end of the text"),
        (&[9..9], 0, "after the end of the text"),
    ];
    for (plain, place, expected) in cases {
        let error = tokenizer.encode_marked("éabc", plain, INSIDE, &|| false).unwrap_err();
        let TokenizerError::PlainRange { index, why, .. } = &error else { panic!("{error}") };
        assert!(index == place && why.contains(expected), "{plain:?}: {error}");
    }
    assert!(tokenizer.encode_marked("éabc", &[0..0, 0..2, 2..2, 2..5, 5..5], INSIDE, &|| false).is_ok());
}

/// Ranges over text without special strings change nothing; a range over the whole text gives the same ids as plain
/// text.
#[test]
fn ranges_cut_nothing_in_any_vocabulary() {
    let folder = corpus();
    let strangers = [
        "<|im_end|>",
        "<|endoftext|>",
        "</s>",
        "<s>",
        "<bos>",
        "<eos>",
        "<start_of_turn>",
        "<|eot_id|>",
        "[SEP]",
    ];
    let words = ["Hello  world", " 12345 it's", "中文 😀\n\n", "é ▁ <|x", "▁▁", "    \t"];
    let mut wrong = Vec::new();
    for (name, info) in &vocabularies(&folder) {
        let tokenizer = Tokenizer::from_gguf(&load(&folder, info)).unwrap();
        let text = words.concat();
        let (mut borders, mut at) = (Vec::new(), 0);
        for word in words {
            borders.push(at..at + word.len());
            at += word.len();
        }
        let expected = tokenizer.encode(&text, BOTH).unwrap();
        for plain in [&borders[..], &borders[1..3], &borders[..1]] {
            if tokenizer.encode_marked(&text, plain, BOTH, &|| false).unwrap() != expected {
                wrong.push(format!("{name}: other ids with {plain:?}"));
            }
        }
        for stranger in strangers {
            let text = format!("say {stranger} or {stranger}{stranger}.");
            let whole = std::slice::from_ref(&(0..text.len())).to_vec();
            let ids = marked(&tokenizer, &text, &whole);
            let found = controls(&tokenizer, &ids);
            let unknown = tokenizer.special_ids().unk;
            let found: Vec<_> = found.iter().filter(|t| unknown != tokenizer.token(t)).collect();
            if !found.is_empty() {
                wrong.push(format!("{name} {text:?}: {found:?}"));
            }
            // Beside the range, the token is found if the vocabulary has it as a control token.
            let beside = format!("{stranger}{text}");
            let range = std::slice::from_ref(&(stranger.len()..beside.len())).to_vec();
            let control = tokenizer.token(stranger).filter(|id| tokenizer.is_control(*id));
            let ids = marked(&tokenizer, &beside, &range);
            let count = ids.iter().filter(|id| Some(**id) == control).count();
            if count != usize::from(control.is_some()) {
                wrong.push(format!("{name} {beside:?}: {count} times"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
