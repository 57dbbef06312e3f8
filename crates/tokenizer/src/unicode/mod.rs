//! Character classes, as used in the pre-tokenizers' regular expressions (`\p{L}`, `\p{N}`, `\s` and so on).
//!
//! [`class`] returns one bit. ASCII has its own table. Other characters are found in the generated list of ranges, by
//! binary search among the ranges of their 128-character block.

mod cases;
mod classes;
mod decompositions;
mod marks;

use cases::RUNS;
use classes::RANGES;
use decompositions::FIRST_OF;
use marks::{SPACING, STRIPPED};

/// `\p{N}`: numbers.
pub(crate) const N: u8 = 1;
/// `\p{L}`: letters.
pub(crate) const L: u8 = 2;
/// `\p{M}`: combining marks.
pub(crate) const M: u8 = 4;
/// `\p{P}`: punctuation.
pub(crate) const P: u8 = 8;
/// `\p{S}`: symbols.
pub(crate) const S: u8 = 16;
/// `\s`: white space.
pub(crate) const W: u8 = 32;
/// `\p{C}` without unassigned characters: controls (those that are not white space), formats, surrogates, private use.
pub(crate) const C: u8 = 64;
/// Everything else: unassigned.
pub(crate) const O: u8 = 0;

const BLOCK_BITS: u32 = 7;
const BLOCKS: usize = 0x11_0000 >> BLOCK_BITS;

/// For each block of 128 code points, the range that contains its first code point, with one more entry for the end.
static BLOCK_START: [u16; BLOCKS + 1] = block_starts();
static ASCII: [u8; 128] = ascii();

const fn block_starts() -> [u16; BLOCKS + 1] {
    let mut starts = [0u16; BLOCKS + 1];
    let mut range = 0;
    let mut block = 0;
    while block <= BLOCKS {
        let first = (block << BLOCK_BITS) as u32;
        while range + 1 < RANGES.len() && RANGES[range + 1].0 <= first {
            range += 1;
        }
        starts[block] = range as u16;
        block += 1;
    }
    starts
}

const fn ascii() -> [u8; 128] {
    let mut classes = [0u8; 128];
    let mut range = 0;
    let mut point = 0;
    while point < 128 {
        while range + 1 < RANGES.len() && RANGES[range + 1].0 <= point as u32 {
            range += 1;
        }
        classes[point] = RANGES[range].1;
        point += 1;
    }
    classes
}

#[cfg(test)]
thread_local! {
    /// How often a class was looked up, so that tests can count work.
    pub(crate) static LOOKUPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The class of a character: one of `N`, `L`, `M`, `P`, `S`, `W`, `C`, `O`.
#[inline]
pub(crate) fn class(c: char) -> u8 {
    #[cfg(test)]
    LOOKUPS.with(|n| n.set(n.get() + 1));
    let point = c as u32;
    match ASCII.get(point as usize) {
        Some(&class) => class,
        None => class_in_ranges(point),
    }
}

fn class_in_ranges(point: u32) -> u8 {
    let block = (point >> BLOCK_BITS) as usize;
    let (Some(&low), Some(&high)) = (BLOCK_START.get(block), BLOCK_START.get(block + 1)) else {
        return O;
    };
    let ranges = RANGES.get(usize::from(low)..=usize::from(high)).unwrap_or(&[]);
    let after = ranges.partition_point(|&(start, _)| start <= point);
    ranges.get(after.wrapping_sub(1)).map_or(O, |&(_, class)| class)
}

/// Whether the character's class is one of `classes` (bits combined with `|`).
#[inline]
pub(crate) fn is(c: char, classes: u8) -> bool {
    class(c) & classes != 0
}

/// The cases in a run of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cases {
    /// `\p{Lu}` and `\p{Lt}`.
    Upper,
    /// `\p{Ll}`.
    Lower,
    /// Capital and small letters alternate, beginning with a capital.
    Pairs,
}

/// The run that contains the letter, and its index there.
fn case_run(c: char) -> Option<(Cases, u32)> {
    let point = c as u32;
    let after = RUNS.partition_point(|run| run.0 <= point);
    let &(first, last, cases) = RUNS.get(after.checked_sub(1)?)?;
    (point <= last).then(|| (cases, point - first))
}

/// `[\p{Lu}\p{Lt}]`: capitals, and ligatures that begin with one.
pub(crate) fn is_upper(c: char) -> bool {
    c.is_ascii_uppercase()
        || !c.is_ascii()
            && case_run(c)
                .is_some_and(|(cases, at)| cases == Cases::Upper || cases == Cases::Pairs && at % 2 == 0)
}

/// `\p{Ll}`: small letters.
pub(crate) fn is_lower(c: char) -> bool {
    c.is_ascii_lowercase()
        || !c.is_ascii()
            && case_run(c)
                .is_some_and(|(cases, at)| cases == Cases::Lower || cases == Cases::Pairs && at % 2 == 1)
}

/// A nonspacing mark, `\p{Mn}`: an accent.
fn is_accent(c: char) -> bool {
    let point = c as u32;
    let after = SPACING.partition_point(|&(first, _)| first <= point);
    let is_spacing = SPACING.get(after.wrapping_sub(1)).is_some_and(|&(_, last)| point <= last);
    is(c, M) && !is_spacing
}

/// The canonical decomposition of a character without its nonspacing marks: a letter without accents, nothing for an
/// accent, the two or three letters of a Hangul syllable. At most three characters.
pub(crate) fn without_accents(c: char) -> impl Iterator<Item = char> {
    let stripped = |point: u32| match STRIPPED.binary_search_by_key(&point, |entry| entry.0) {
        Ok(at) => STRIPPED.get(at).map_or([0; 3], |entry| entry.1),
        Err(_) => {
            let found = FIRST_OF.binary_search_by_key(&point, |entry| entry.0);
            let first = found.ok().and_then(|at| FIRST_OF.get(at)).map_or(point, |entry| entry.1);
            [first, 0, 0]
        }
    };
    let parts = match c {
        // NUL is the padding of shorter entries, so it is handled here.
        '\0' => [0; 3],
        c if c.is_ascii() => [c as u32, 0, 0],
        '\u{AC00}'..='\u{D7A3}' => hangul(c as u32 - 0xAC00),
        c => stripped(c as u32),
    };
    parts
        .into_iter()
        .filter(|point| *point != 0)
        .filter_map(char::from_u32)
        .filter(|c| c.is_ascii() || !is_accent(*c))
}

/// The letters of a Hangul syllable by its number: a leading consonant, a vowel and, in most, a trailing consonant.
fn hangul(syllable: u32) -> [u32; 3] {
    let (vowels, trailing) = (21, 28);
    let last = syllable % trailing;
    [
        0x1100 + syllable / (vowels * trailing),
        0x1161 + syllable / trailing % vowels,
        if last == 0 { 0 } else { 0x11A7 + last },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_ascend_and_begin_at_zero() {
        assert_eq!(RANGES.first().map(|r| r.0), Some(0));
        assert!(RANGES.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 != w[1].1));
        assert!(RANGES.len() < usize::from(u16::MAX));
    }

    #[test]
    fn known_characters() {
        let cases: &[(char, u8)] = &[
            ('\0', C),
            ('\t', W),
            ('\n', W),
            (' ', W),
            ('!', P),
            ('$', S),
            ('0', N),
            ('A', L),
            ('_', P),
            ('`', S),
            ('z', L),
            ('~', S),
            ('\u{7f}', C),
            ('\u{85}', W),
            ('\u{a0}', W),
            ('\u{ad}', C),
            ('²', N),
            ('½', N),
            ('µ', L),
            ('×', S),
            ('é', L),
            ('\u{301}', M),
            ('я', L),
            ('\u{5b0}', M),
            ('٣', N),
            ('ก', L),
            ('ั', M),
            ('\u{1680}', W),
            ('\u{180e}', C),
            ('\u{2003}', W),
            ('\u{200b}', C),
            ('\u{2028}', W),
            ('—', P),
            ('Ⅷ', N),
            ('€', S),
            ('\u{2ffc}', S),
            ('\u{3000}', W),
            ('、', P),
            ('あ', L),
            ('\u{31ef}', S),
            ('中', L),
            ('한', L),
            ('\u{e000}', C),
            ('\u{ff01}', P),
            ('\u{ffff}', O),
            ('😀', S),
            ('\u{1f3fb}', S),
            ('\u{2ebf0}', L),
            ('\u{2ee5e}', O),
            ('\u{10ffff}', O),
        ];
        let wrong: Vec<_> = cases.iter().filter(|&&(c, expected)| class(c) != expected).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn accents_go() {
        let cases = [
            ('é', "e"),
            ('ế', "e"),
            ('Å', "A"),
            ('ø', "ø"),
            ('が', "か"),
            ('a', "a"),
            ('\u{301}', ""),
            ('\u{344}', ""),
            // The nukta is an accent; spacing vowel signs stay.
            ('\u{958}', "\u{915}"),
            ('\u{93E}', "\u{93E}"),
            ('\u{940}', "\u{940}"),
            ('\u{941}', ""),
            // Two spacing marks; and an accent before a spacing mark.
            ('\u{9CB}', "\u{9C7}\u{9BE}"),
            ('\u{CC0}', "\u{CD5}"),
        ];
        for (c, expected) in cases {
            assert_eq!(without_accents(c).collect::<String>(), expected, "{c}");
        }
        assert!(FIRST_OF.windows(2).all(|w| w[0].0 < w[1].0));
        assert!(STRIPPED.windows(2).all(|w| w[0].0 < w[1].0));
        assert!(SPACING.windows(2).all(|w| w[0].1 < w[1].0));
    }

    #[test]
    fn hangul_keeps_all_letters() {
        for (c, expected) in [
            ('가', "\u{1100}\u{1161}"),
            ('각', "\u{1100}\u{1161}\u{11A8}"),
            ('힣', "\u{1112}\u{1175}\u{11C2}"),
        ] {
            assert_eq!(without_accents(c).collect::<String>(), expected, "{c}");
        }
    }

    /// std's tables are made independently. They are newer and may contain more numbers and letters.
    #[test]
    fn agrees_with_std() {
        for c in '\0'..=char::MAX {
            let class = class(c);
            assert_eq!(class == W, c.is_whitespace(), "U+{:04X}", c as u32);
            assert!(class != N || c.is_numeric(), "U+{:04X}", c as u32);
            assert!(class != L || c.is_alphabetic(), "U+{:04X}", c as u32);
        }
    }

    /// std's properties are wider: other letters count as lower case there, and numerals and symbols have cases.
    #[test]
    fn cases_agree_with_std() {
        assert!(RUNS.windows(2).all(|w| w[0].1 < w[1].0));
        for c in '\0'..=char::MAX {
            let (upper, lower) = (is_upper(c), is_lower(c));
            assert!(!(upper && lower) && (!(upper || lower) || class(c) == L), "U+{:04X}", c as u32);
            // U+0295 lost its case in a later version.
            assert!(!lower || c.is_lowercase() || c == 'ʕ', "U+{:04X}", c as u32);
            // To std, title case is neither upper nor lower.
            let title = upper && !c.is_uppercase();
            assert_eq!(
                title,
                matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ') || ('\u{1F88}'..='\u{1FFC}').contains(&c) && title
            );
            assert!(upper || class(c) != L || !c.is_uppercase(), "U+{:04X}", c as u32);
        }
        let known = [
            ('ª', false, false),
            ('ʰ', false, false),
            ('ß', false, true),
            ('ǅ', true, false),
            ('Ж', true, false),
        ];
        for (c, upper, lower) in known {
            assert_eq!((is_upper(c), is_lower(c)), (upper, lower), "{c}");
        }
    }

    #[test]
    fn every_character_agrees_with_a_plain_search() {
        for c in '\0'..=char::MAX {
            let after = RANGES.partition_point(|r| r.0 <= c as u32);
            assert_eq!(class(c), RANGES[after - 1].1, "U+{:04X}", c as u32);
        }
    }
}
