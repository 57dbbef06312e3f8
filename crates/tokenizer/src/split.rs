//! Pre-tokenizers split a text into pieces that merges never cross.
//!
//! llama.cpp and the original tokenizers describe this by regular expressions that are applied one after the other:
//! each splits the pieces of the previous one into its matches and what lies between them. Here every expression is a
//! [`Stage`], a hand-written function that returns the length of the first piece of a text, with the expression in its
//! documentation. Lookaheads see the end of the piece as the end of the text, as in the originals.

mod numbers;
mod phrases;
#[cfg(feature = "regex")]
#[cfg_attr(not(test), allow(dead_code))] // used by tests only
mod regex;
#[cfg(test)]
mod tests;
mod words;

use crate::unicode::{W, is};
pub(crate) use phrases::DeepSeek;
pub(crate) use words::{Capitals, Cased, Words};

/// One expression of a pre-tokenizer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    /// `[class]`: every character of the class is a piece of its own.
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
    /// `[class 1]+|[class 2]+|...`, for classes that have no character in common.
    RunOfOne(&'static [fn(char) -> bool]),
    /// Groups of three `\p{N}` from the right; the first group stays with the text before it.
    NumbersFromTheRight,
    /// `(?=(\d{3})+(?!\d))`: a cut before every group of three digits from the right.
    BeforeThreeDigits,
    /// `<sentinel:[0-9]+>`
    Sentinels,
    /// `IMGIMG[A-I]{1,4}Z`
    Images,
    /// `[\t\n]|    |  ` (four spaces, two spaces)
    Tabs,
    /// See [`words::gpt2`].
    Gpt2,
    /// See [`words::words`].
    Words(Words),
    /// See [`words::cased`].
    Cased(Cased),
    /// See [`phrases::deepseek`].
    DeepSeek(DeepSeek),
    /// See [`phrases::phrases`].
    Phrases,
    /// See [`phrases::kimi`].
    Kimi,
}

impl Stage {
    /// The length of the first piece of `text` in bytes: at least one character, if the text has one.
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
            Stage::RunOfOne(classes) => {
                let class_of = |c: char| classes.iter().position(|class| class(c));
                let first = text.chars().next().and_then(class_of);
                run(text, 0, |c| class_of(c) == first)
            }
            Stage::Sentinels => search(text, phrases::sentinel),
            Stage::Images => search(text, phrases::image),
            Stage::Tabs => search(text, |rest| match rest.as_bytes() {
                [b'\t' | b'\n', ..] => Some(1),
                [b' ', b' ', b' ', b' ', ..] => Some(4),
                [b' ', b' ', ..] => Some(2),
                _ => None,
            }),
            Stage::Gpt2 => words::gpt2(text),
            Stage::Words(options) => words::words(text, options),
            Stage::Cased(options) => words::cased(text, options),
            Stage::DeepSeek(options) => search(text, |rest| phrases::deepseek(rest, options)),
            Stage::Phrases => phrases::phrases(text),
            Stage::Kimi => phrases::kimi(text),
            // These need to look further ahead than one piece: see `split`.
            Stage::NumbersFromTheRight | Stage::BeforeThreeDigits => text.len(),
        }
    }
}

/// Splits `text` by all stages, and passes the pieces to `each`, in order.
///
/// Stops at the first error of `each`.
pub(crate) fn split<E, F: FnMut(&str) -> Result<(), E>>(
    stages: &[Stage],
    text: &str,
    each: &mut F,
) -> Result<(), E> {
    let Some((stage, later)) = stages.split_first() else {
        return each(text);
    };
    match stage {
        Stage::NumbersFromTheRight => return numbers::from_the_right(text, |p| split(later, p, each)),
        Stage::BeforeThreeDigits => return numbers::before_three_digits(text, |p| split(later, p, each)),
        Stage::Words(options) if options.cascade => {
            return words::cascade(text, *options, |p| split(later, p, each));
        }
        _ => {}
    }
    let mut rest = text;
    while !rest.is_empty() {
        let length = stage.first(rest).max(1);
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        split(later, piece, each)?;
        rest = after;
    }
    Ok(())
}

/// The end of the run of characters from byte `start` on that satisfy `wanted`.
#[inline]
fn run(text: &str, start: usize, wanted: impl Fn(char) -> bool) -> usize {
    let rest = text.get(start..).unwrap_or("");
    rest.find(|c| !wanted(c)).map_or(text.len(), |length| start + length)
}

/// Like [`run`], for at most `most` characters.
fn run_up_to(text: &str, start: usize, most: usize, wanted: impl Fn(char) -> bool) -> usize {
    let rest = text.get(start..).unwrap_or("");
    start + rest.chars().take(most).take_while(|&c| wanted(c)).map(char::len_utf8).sum::<usize>()
}

/// The length of the first run of characters that are all of the class, or all not.
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

/// The length of the match at the beginning, or of the text before the first match.
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

/// The length of a match of `'s|'t|'re|'ve|'m|'ll|'d` at byte `at`; 0 if there is no match.
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

/// `\s+(?!\S)|\s+`: white space, of which the last character is left for the word after it.
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
