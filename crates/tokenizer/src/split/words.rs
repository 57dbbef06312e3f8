//! The large families of pre-tokenizers: GPT-2, Llama 3 and Qwen 2, GPT-4o and Tekken.

use super::{char_at, contraction, run, run_up_to, white_space, white_space_by_lines};
use crate::unicode::{L, N, W, class, is, is_lower, is_upper};

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
pub(super) fn gpt2(text: &str) -> usize {
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
    /// The maximum number of digits in a piece; 0 means any number.
    pub(crate) digits: usize,
    /// Whether `(?i:'s|'t|'re|'ve|'m|'ll|'d)` comes first.
    pub(crate) contractions: bool,
    /// The classes of a word: `\p{L}`, or `\p{L}` and `\p{M}`.
    pub(crate) word: u8,
    /// Whether line ends belong to the punctuation before them.
    pub(crate) line_ends: bool,
    /// Whether white space is cut into pieces of 512, 256, ... 8, 4, 2 or 1 characters: see [`cascade`].
    pub(crate) cascade: bool,
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|`
/// `\s*[\r\n]+|\s+(?!\S)|\s+`
pub(super) fn words(text: &str, options: Words) -> usize {
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

pub(super) fn numbers(text: &str, most: usize) -> usize {
    if most == 0 { run(text, 0, |c| is(c, N)) } else { run_up_to(text, 0, most, |c| is(c, N)) }
}

/// ` ?[^classes]+[trail]*`
pub(super) fn punctuation(text: &str, classes: u8, trail: &str) -> Option<usize> {
    let start = usize::from(text.starts_with(' '));
    let end = run(text, start, |c| !is(c, classes));
    (end > start).then(|| run(text, end, |c| trail.contains(c)))
}

/// Which capitals begin a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capitals {
    /// No capitals do. (Where llama.cpp translates expressions by itself, it reads `\p{Lu}` and `\p{Ll}` as `\p{L}`.)
    None,
    /// `A-Z`: llama.cpp's translation of expressions that have `\p{Lu}` in the original.
    Ascii,
    /// `\p{Lu}` and `\p{Lt}`, as in the original expressions.
    All,
}

/// The family of GPT-4o and Tekken, where words are cut before capitals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cased {
    /// The maximum number of digits in a piece.
    pub(crate) digits: usize,
    /// Whether `(?i:'s|'t|'re|'ve|'m|'ll|'d)?` follows words.
    pub(crate) contractions: bool,
    /// The classes of a word: `\p{L}`, or `\p{L}` and `\p{M}`.
    pub(crate) word: u8,
    pub(crate) capitals: Capitals,
}

/// With U = word characters that are not lower case, V = word characters that are not capitals:
/// `[^\r\n\p{L}\p{N}]?U*V+(?:'s|..)?|[^\r\n\p{L}\p{N}]?U+V*(?:'s|..)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|`
/// `\s*[\r\n]+|\s+(?!\S)|\s+`
pub(super) fn cased(text: &str, options: Cased) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    let (small, capital): (fn(char) -> bool, fn(char) -> bool) = match options.capitals {
        Capitals::None => (|_| false, |_| false),
        Capitals::Ascii => (|c| c.is_ascii_lowercase(), |c| c.is_ascii_uppercase()),
        Capitals::All => (is_lower, is_upper),
    };
    let upper = |c: char| is(c, options.word) && !small(c);
    let lower = |c: char| is(c, options.word) && !capital(c);
    // U*V+ is greedy with backtracking: V+ begins at the end of the U's, otherwise at the last U that is also a V.
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

/// Like [`words`], with white space cut by
/// `\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|..|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`.
pub(super) fn cascade<E>(
    text: &str,
    options: Words,
    mut each: impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    let mut at = 0;
    // Up to here, the text is white space without line ends.
    let mut clear = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let space = rest.starts_with(|c| is(c, W));
        if space && at >= clear {
            let end = at + run(rest, 0, |c| is(c, W));
            if let Some(line) = text.get(at..end).and_then(|space| space.rfind(['\r', '\n'])) {
                each(text.get(at..at + line + 1).unwrap_or(""))?;
                at += line + 1;
                continue;
            }
            clear = end;
        }
        let length = if space && (at + first < clear || clear == text.len()) {
            let run = text.get(at..clear).unwrap_or("");
            let known = run.chars().take(513).count();
            // Whether a piece of `size` characters is followed by white space or by the end of the text.
            let fits = |size: usize| known > size || (known == size && clear == text.len());
            let size = [512, 256, 128, 64, 32, 16, 8, 4, 2].into_iter().find(|size| fits(*size)).unwrap_or(1);
            run.chars().take(size).map(char::len_utf8).sum()
        } else {
            words(rest, options).max(1)
        };
        each(rest.get(..length).unwrap_or(rest))?;
        at += length;
    }
    Ok(())
}
