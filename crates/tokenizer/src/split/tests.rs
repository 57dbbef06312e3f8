//! Examples of what the pre-tokenizers cut.

use super::*;
use crate::pre::PreTokenizer;

fn pieces(name: &str, text: &str) -> Vec<String> {
    let pre = PreTokenizer::by_name(name).expect("known");
    let mut pieces = Vec::new();
    let each = &mut |piece: &str| {
        pieces.push(piece.to_string());
        Ok::<(), ()>(())
    };
    split(pre.stages, text, each).expect("no error");
    assert_eq!(pieces.concat(), text);
    pieces
}

#[test]
fn cuts() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("gpt-2", "", &[]),
        ("gpt-2", "Hello  world's 1234!\n\n x", &["Hello", " ", " world", "'s", " 1234", "!", "\n\n", " x"]),
        ("gpt-2", "it'S  ", &["it", "'", "S", "  "]),
        ("smollm", "a 12\u{a0}x", &["a", " ", "1", "2", "\u{a0}", "x"]),
        ("llama-bpe", "it'S 12345  x.\n\n\ty", &["it", "'S", " ", "123", "45", " ", " x", ".\n\n", "\ty"]),
        ("llama-bpe", "a\n \n b", &["a", "\n \n", " b"]),
        ("qwen2", "x=123\r\n", &["x", "=", "1", "2", "3", "\r\n"]),
        ("qwen35", "กั้น!", &["กั้น", "!"]),
        ("gpt-4o", "HelloWorld's ABc ÀB", &["Hello", "World's", " ABc", " ÀB"]),
        ("gpt-4o", "ПриветМир हिन्दी กั้น", &["Привет", "Мир", " हिन्दी", " กั้น"]),
        ("tekken", "ÀB ПриветМир กั้น", &["À", "B", " ПриветМир", " ก", "ั้", "น"]),
        ("deepseek-v3", "a1234.net .x中文", &["a", "123", "4", ".net", " .", "x", "中文"]),
        ("falcon", "a--b 1234567", &["a", "--", "b", " ", "123", "456", "7"]),
        ("deepseek-llm", "x  y\n  ", &["x", " ", " y", "\n", "  "]),
        ("bloom", "a b. c", &["a", " b", ".", " c"]),
        ("spark2_5", "a1234.\n\n b", &["a", "1", "2", "3", "4", ".", "\n", "\n", " b"]),
        ("afmoe", "ab 1234567x", &["ab", " ", "1", "234", "567", "x"]),
        ("tiny_aya", "HelloWorld's 12345", &["HelloWorld's", " ", "12", "345"]),
        ("youtu", "中文、、한국x1", &["中文", "、、", "한국", "x", "1"]),
        ("exaone-moe", "ab cd ef  gh.\n\n12", &["ab cd ef", " ", " gh", ".\n", "\n", "1", "2"]),
        ("kimi-k2", "中文ab's 1234/\n", &["中文", "ab's", " ", "123", "4", "/\n"]),
        ("chameleon", "xIMGIMGABZ     a!b", &["x", "IMGIMGABZ", "    ", " a", "!", "b"]),
        ("superbpe", "ab c 1234567 x", &["ab c ", "1", "234", "567", " x"]),
        ("jais-2", "a          b\n  ", &["a", "        ", " ", " b", "\n", "  "]),
        ("gemma4", "a b\n\nc", &["a b", "\n\n", "c"]),
        ("whitespace", "a b", &["a", " ", "b"]),
    ];
    let wrong: Vec<_> =
        cases.iter().filter(|(name, text, expected)| pieces(name, text) != *expected).collect();
    let found: Vec<_> = wrong.iter().map(|(name, text, _)| pieces(name, text)).collect();
    assert!(wrong.is_empty(), "expected {wrong:?}, found {found:?}");
}

/// Work is counted as the number of characters that are classified.
#[test]
fn long_runs_take_linear_work() {
    let mut failures = Vec::new();
    for name in PreTokenizer::names() {
        let pre = PreTokenizer::by_name(name).expect("known");
        for unit in [
            "a",
            "A",
            "é",
            "1",
            "²",
            " ",
            "\n",
            "!",
            "'",
            "\u{301}",
            "\0",
            "a\u{301}",
            "ÀB",
            " \n",
            "1 ",
            " a",
            "中",
            "<sentinel:1",
            "IMGIMG",
            "'s",
            "\u{3000}",
        ] {
            let text = unit.repeat(20_000);
            let before = crate::unicode::LOOKUPS.get();
            let mut length = 0;
            let each = &mut |piece: &str| {
                length += piece.len();
                Ok::<(), ()>(())
            };
            split(pre.stages, &text, each).expect("no error");
            assert_eq!(length, text.len());
            let per_character = (crate::unicode::LOOKUPS.get() - before) / text.chars().count();
            if per_character > 40 {
                failures.push(format!("{name}: {per_character} lookups per character of {unit:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}
