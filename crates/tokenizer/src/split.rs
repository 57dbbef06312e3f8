//! Pre-tokenizers: a text is cut into pieces that the merges never cross.
//!
//! llama.cpp and the original tokenizers describe the cuts by regular expressions, applied one after the other:
//! each cuts the pieces of the one before into its matches and what lies between them. Here every expression is a
//! [`Stage`], a hand-written function that says how many bytes the first piece of a text has; the expression stands
//! beside it. Look-aheads see the end of the piece as the end of the text, as there.

use crate::unicode::{L, M, N, P, S, W, class, is};

/// One expression of a pre-tokenizer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    /// `[class]`: every character of the class alone.
    Each(fn(char) -> bool),
    /// `[class]+`
    Run(fn(char) -> bool),
    /// `[class]{1,3}`
    UpToThree(fn(char) -> bool),
    /// `[0-9][0-9][0-9]`
    ThreeDigits,
    /// `\s?[class]+`
    SpacedRun(fn(char) -> bool),
    /// ` ?[class]+`
    BlankedRun(fn(char) -> bool),
    /// `\s+$`
    TrailingSpace,
    /// `[^\n]+|[\n]+`
    Lines,
    /// See [`gpt2`].
    Gpt2,
    /// See [`words`].
    Words(Words),
    /// See [`cased`].
    Cased(Cased),
    /// See [`deepseek3`].
    DeepSeek3,
}

impl Stage {
    /// Bytes of the first piece of `text`: at least one character of a text that has one.
    fn first(self, text: &str) -> usize {
        match self {
            Stage::Each(class) => match text.chars().next() {
                Some(c) if class(c) => c.len_utf8(),
                _ => run(text, 0, |c| !class(c)),
            },
            Stage::Run(class) => either_run(text, class),
            Stage::UpToThree(class) => match run_up_to(text, 0, 3, class) {
                0 => run(text, 0, |c| !class(c)),
                end => end,
            },
            Stage::ThreeDigits => search(text, |rest| {
                let digits = rest.as_bytes().get(..3)?;
                digits.iter().all(u8::is_ascii_digit).then_some(3)
            }),
            Stage::SpacedRun(class) => search(text, |rest| led_run(rest, |c| is(c, W), class)),
            Stage::BlankedRun(class) => search(text, |rest| led_run(rest, |c| c == ' ', class)),
            Stage::TrailingSpace => match text.trim_end_matches(|c| is(c, W)).len() {
                0 => text.len(),
                end => end,
            },
            Stage::Lines => either_run(text, |c| c == '\n'),
            Stage::Gpt2 => gpt2(text),
            Stage::Words(options) => words(text, options),
            Stage::Cased(options) => cased(text, options),
            Stage::DeepSeek3 => search(text, deepseek3),
        }
    }
}

/// Cuts `text` by all stages and hands the pieces to `each`, in order.
pub(crate) fn split<F: FnMut(&str)>(stages: &[Stage], text: &str, each: &mut F) {
    let Some((stage, later)) = stages.split_first() else {
        each(text);
        return;
    };
    let mut rest = text;
    while !rest.is_empty() {
        let length = stage.first(rest).max(1);
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        split(later, piece, each);
        rest = after;
    }
}

/// End of the characters from byte `start` on that satisfy `wanted`.
#[inline]
fn run(text: &str, start: usize, wanted: impl Fn(char) -> bool) -> usize {
    let rest = text.get(start..).unwrap_or("");
    rest.find(|c| !wanted(c)).map_or(text.len(), |length| start + length)
}

/// As [`run`], at most `most` characters.
fn run_up_to(text: &str, start: usize, most: usize, wanted: impl Fn(char) -> bool) -> usize {
    let rest = text.get(start..).unwrap_or("");
    start + rest.chars().take(most).take_while(|&c| wanted(c)).map(char::len_utf8).sum::<usize>()
}

/// The characters at the beginning that are all of the class, or all not.
fn either_run(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    let first = text.chars().next().is_some_and(&wanted);
    run(text, 0, |c| wanted(c) == first)
}

/// `[lead]?[class]+`
fn led_run(text: &str, lead: impl Fn(char) -> bool, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let first = text.chars().next()?;
    let start = if lead(first) && char_at(text, first.len_utf8()).is_some_and(&wanted) {
        first.len_utf8()
    } else {
        0
    };
    let end = run(text, start, wanted);
    (end > start).then_some(end)
}

/// The match at the beginning, or the text before the first match.
fn search(text: &str, matched: impl Fn(&str) -> Option<usize>) -> usize {
    if let Some(length) = matched(text) {
        return length;
    }
    let later = text.char_indices().skip(1).find(|&(at, _)| text.get(at..).and_then(&matched).is_some());
    later.map_or(text.len(), |(at, _)| at)
}

#[inline]
fn char_at(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

/// `'s|'t|'re|'ve|'m|'ll|'d` at byte `at`: its length, 0 when there is none.
fn contraction(text: &str, at: usize, any_case: bool) -> usize {
    let bytes = text.as_bytes().get(at..).unwrap_or(&[]);
    let letter = |i: usize| {
        let b = bytes.get(i).copied().unwrap_or(0);
        if any_case { b.to_ascii_lowercase() } else { b }
    };
    if letter(0) != b'\'' {
        return 0;
    }
    match (letter(1), letter(2)) {
        (b's' | b't' | b'm' | b'd', _) => 2,
        (b'r' | b'v', b'e') | (b'l', b'l') => 3,
        _ => 0,
    }
}

/// `\s+(?!\S)|\s+`: white space, of which the last character is left for the word behind.
fn white_space(text: &str) -> usize {
    let end = run(text, 0, |c| is(c, W));
    let last = text.get(..end).and_then(|space| space.char_indices().next_back()).map_or(0, |(at, _)| at);
    if end < text.len() && last > 0 { last } else { end }
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+`
fn white_space_by_lines(text: &str) -> usize {
    let end = run(text, 0, |c| is(c, W));
    match text.get(..end).and_then(|space| space.rfind(['\r', '\n'])) {
        Some(at) => at + 1,
        None => white_space(text),
    }
}

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
fn gpt2(text: &str) -> usize {
    let length = contraction(text, 0, false);
    if length > 0 {
        return length;
    }
    let start = usize::from(text.starts_with(' '));
    match char_at(text, start).map(class) {
        None | Some(W) => white_space(text),
        Some(L) => run(text, start, |c| is(c, L)),
        Some(N) => run(text, start, |c| is(c, N)),
        Some(_) => run(text, start, |c| !is(c, L | N | W)),
    }
}

/// The family of Llama 3 and Qwen 2.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    /// Numbers at most so long; 0: of any length.
    pub(crate) digits: usize,
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)` first.
    pub(crate) contractions: bool,
    /// Classes of a word: `\p{L}`, or `\p{L}` and `\p{M}`.
    pub(crate) word: u8,
    /// Line ends belong to the punctuation before them.
    pub(crate) line_ends: bool,
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|`
/// `\s*[\r\n]+|\s+(?!\S)|\s+`
fn words(text: &str, options: Words) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    if options.contractions {
        let length = contraction(text, 0, true);
        if length > 0 {
            return length;
        }
    }
    let is_word = |c| is(c, options.word);
    let second = first.len_utf8();
    if !matches!(first, '\r' | '\n')
        && !is(first, N)
        && (is_word(first) || char_at(text, second).is_some_and(is_word))
    {
        return run(text, second, is_word);
    }
    if is(first, N) {
        return numbers(text, options.digits);
    }
    punctuation(text, L | N | W | options.word, if options.line_ends { "\r\n" } else { "" })
        .unwrap_or_else(|| white_space_by_lines(text))
}

fn numbers(text: &str, most: usize) -> usize {
    if most == 0 { run(text, 0, |c| is(c, N)) } else { run_up_to(text, 0, most, |c| is(c, N)) }
}

/// ` ?[^classes]+[trail]*`
fn punctuation(text: &str, classes: u8, trail: &str) -> Option<usize> {
    let start = usize::from(text.starts_with(' '));
    let end = run(text, start, |c| !is(c, classes));
    (end > start).then(|| run(text, end, |c| trail.contains(c)))
}

/// The family of GPT-4o and Tekken, where words are cut before capitals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cased {
    /// Numbers at most so long.
    pub(crate) digits: usize,
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)?` behind words.
    pub(crate) contractions: bool,
    /// Classes of a word: `\p{L}`, or `\p{L}` and `\p{M}`.
    pub(crate) word: u8,
}

/// With U = word characters that are not `a-z`, V = word characters that are not `A-Z`:
/// `[^\r\n\p{L}\p{N}]?U*V+(?:'s|..)?|[^\r\n\p{L}\p{N}]?U+V*(?:'s|..)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|`
/// `\s*[\r\n]+|\s+(?!\S)|\s+`
///
/// (The original tokenizers tell cases apart in every script; llama.cpp, and the files made for it, in ASCII only.)
fn cased(text: &str, options: Cased) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    let upper = |c: char| !c.is_ascii_lowercase() && is(c, options.word);
    let lower = |c: char| !c.is_ascii_uppercase() && is(c, options.word);
    // U*V+, greedy with backtracking: V+ begins at the end of the U's, else at the last of them that is also a V.
    let lower_word = |start: usize| {
        let capitals = run(text, start, upper);
        let end = run(text, capitals, lower);
        if end > capitals {
            return Some(end);
        }
        let both = text.get(start..capitals)?.char_indices().rev().find(|&(_, c)| lower(c));
        both.map(|(at, c)| start + at + c.len_utf8())
    };
    let upper_word = |start: usize| {
        let capitals = run(text, start, upper);
        (capitals > start).then(|| run(text, capitals, lower))
    };
    let lead = if matches!(first, '\r' | '\n') || is(first, L | N) { 0 } else { first.len_utf8() };
    let word = lower_word(lead)
        .or_else(|| if lead > 0 { lower_word(0) } else { None })
        .or_else(|| upper_word(lead))
        .or_else(|| if lead > 0 { upper_word(0) } else { None });
    if let Some(end) = word {
        return end + if options.contractions { contraction(text, end, true) } else { 0 };
    }
    if is(first, N) {
        return numbers(text, options.digits);
    }
    punctuation(text, L | N | W, "\r\n/").unwrap_or_else(|| white_space_by_lines(text))
}

/// ``[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|``
/// `\s*[\r\n]+|\s+(?!\S)|\s+`
fn deepseek3(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    let second = char_at(text, first.len_utf8());
    if first.is_ascii_punctuation() && second.is_some_and(|c| c.is_ascii_alphabetic()) {
        return Some(run(text, 1, |c| c.is_ascii_alphabetic()));
    }
    let leads = !matches!(first, '\r' | '\n') && !is(first, L | P | S);
    if is(first, L | M) || (leads && second.is_some_and(|c| is(c, L | M))) {
        return Some(run(text, first.len_utf8(), |c| is(c, L | M)));
    }
    if let Some(end) = led_run(text, |c| c == ' ', |c| is(c, P | S)) {
        return Some(run(text, end, |c| matches!(c, '\r' | '\n')));
    }
    is(first, W).then(|| white_space_by_lines(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pre::PreTokenizer;

    fn pieces(name: &str, text: &str) -> Vec<String> {
        let pre = PreTokenizer::by_name(name).expect("known");
        let mut pieces = Vec::new();
        split(pre.stages, text, &mut |piece| pieces.push(piece.to_string()));
        assert_eq!(pieces.concat(), text);
        pieces
    }

    #[test]
    fn cuts() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("gpt-2", "", &[]),
            (
                "gpt-2",
                "Hello  world's 1234!\n\n x",
                &["Hello", " ", " world", "'s", " 1234", "!", "\n\n", " x"],
            ),
            ("gpt-2", "it'S  ", &["it", "'", "S", "  "]),
            ("smollm", "a 12\u{a0}x", &["a", " ", "1", "2", "\u{a0}", "x"]),
            (
                "llama-bpe",
                "it'S 12345  x.\n\n\ty",
                &["it", "'S", " ", "123", "45", " ", " x", ".\n\n", "\ty"],
            ),
            ("llama-bpe", "a\n \n b", &["a", "\n \n", " b"]),
            ("qwen2", "x=123\r\n", &["x", "=", "1", "2", "3", "\r\n"]),
            ("qwen35", "กั้น!", &["กั้น", "!"]),
            ("gpt-4o", "HelloWorld's ABc ÀB", &["Hello", "World's", " ABc", " À", "B"]),
            ("deepseek-v3", "a1234.net .x中文", &["a", "123", "4", ".net", " .", "x", "中文"]),
            ("falcon", "a--b 1234567", &["a", "--", "b", " ", "123", "456", "7"]),
            ("deepseek-llm", "x  y\n  ", &["x", " ", " y", "\n", "  "]),
            ("bloom", "a b. c", &["a", " b", ".", " c"]),
        ];
        let wrong: Vec<_> =
            cases.iter().filter(|(name, text, expected)| pieces(name, text) != *expected).collect();
        let found: Vec<_> = wrong.iter().map(|(name, text, _)| pieces(name, text)).collect();
        assert!(wrong.is_empty(), "expected {wrong:?}, found {found:?}");
    }

    #[test]
    fn long_runs_take_linear_time() {
        for name in PreTokenizer::names() {
            for unit in ["a", "A", "é", "1", " ", "\n", "!", "\u{301}", "\0", "a\u{301}", "ÀB", " \n", "1 "]
            {
                let text = unit.repeat(20_000);
                let pre = PreTokenizer::by_name(name).expect("known");
                let mut length = 0;
                split(pre.stages, &text, &mut |piece| length += piece.len());
                assert_eq!(length, text.len());
            }
        }
    }
}
