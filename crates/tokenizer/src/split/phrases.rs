//! The small families of pre-tokenizers: DeepSeek V3, EXAONE, Kimi, Chameleon.

use super::words::{numbers, punctuation};
use super::{char_at, contraction, led_run, run, run_up_to, white_space, white_space_by_lines};
use crate::unicode::{L, M, N, P, S, W, is};

/// The family of DeepSeek V3.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeepSeek {
    /// Line ends belong to the punctuation before them.
    pub(crate) line_ends: bool,
}

/// ``[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|``
/// `\s*[\r\n]+|\s+(?!\S)|\s+`
/// Without `line_ends`, the end is ` ?[\p{P}\p{S}]+|[\r
/// ]|\s+(?!\S)|\s+`.
pub(super) fn deepseek(text: &str, options: DeepSeek) -> Option<usize> {
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
        return Some(if options.line_ends { run(text, end, |c| matches!(c, '\r' | '\n')) } else { end });
    }
    if !options.line_ends && matches!(first, '\r' | '\n') {
        return Some(1);
    }
    is(first, W).then(|| if options.line_ends { white_space_by_lines(text) } else { white_space(text) })
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|`
/// ` ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+`: words with single spaces between them are one piece.
pub(super) fn phrases(text: &str) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    let length = contraction(text, 0, true);
    if length > 0 {
        return length;
    }
    let leads = !matches!(first, '\r' | '\n') && !is(first, L | N);
    let start = if leads { first.len_utf8() } else { 0 };
    if char_at(text, start).is_some_and(|c| is(c, L)) {
        let mut end = start;
        while let Some(c) = char_at(text, end) {
            let joins = c == ' ' && char_at(text, end + 1).is_some_and(|c| is(c, L));
            if !joins && !is(c, L | M) {
                break;
            }
            end += c.len_utf8();
        }
        return end;
    }
    if is(first, N) {
        return first.len_utf8();
    }
    match punctuation(text, L | N | W, "") {
        Some(end) => run_up_to(text, end, 1, |c| matches!(c, '\r' | '\n')),
        None => white_space_by_lines(text),
    }
}

/// Han characters, as Kimi defines them.
pub(super) fn is_han(c: char) -> bool {
    matches!(c as u32,
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2EBEF | 0xF900..=0xFAFF
        | 0x2F800..=0x2FA1F)
}

/// `[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{L}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|`
/// ` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
pub(super) fn kimi(text: &str) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    if is_han(first) {
        return run(text, 0, is_han);
    }
    let letter = |c: char| is(c, L) && !is_han(c);
    let leads = !matches!(first, '\r' | '\n') && !is(first, L | N);
    let start = if leads { first.len_utf8() } else { 0 };
    if char_at(text, start).is_some_and(letter) {
        let end = run(text, start, letter);
        return end + contraction(text, end, true);
    }
    if is(first, N) {
        return numbers(text, 3);
    }
    punctuation(text, L | N | W, "\r\n").unwrap_or_else(|| white_space_by_lines(text))
}

/// `<sentinel:[0-9]+>`
pub(super) fn sentinel(text: &str) -> Option<usize> {
    let start = text.starts_with("<sentinel:").then_some("<sentinel:".len())?;
    let end = run(text, start, |c| c.is_ascii_digit());
    (end > start && char_at(text, end) == Some('>')).then_some(end + 1)
}

/// `IMGIMG[A-I]{1,4}Z`
pub(super) fn image(text: &str) -> Option<usize> {
    let start = text.starts_with("IMGIMG").then_some("IMGIMG".len())?;
    let end = run_up_to(text, start, 4, |c| matches!(c, 'A'..='I'));
    (end > start && char_at(text, end) == Some('Z')).then_some(end + 1)
}
