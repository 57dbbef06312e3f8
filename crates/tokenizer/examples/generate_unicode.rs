//! Writes the tables in `src/unicode/` from files in the format of the Unicode Character Database's
//! `UnicodeData.txt` (Debian: package `unicode-data`, version 15.0; `unicode/additions-15.1.txt` holds the
//! 627 characters that 15.1 added):
//!
//! ```text
//! for table in classes cases decompositions marks; do
//!     cargo run -p happy-tokenizer --example generate_unicode -- $table \
//!         /usr/share/unicode/UnicodeData.txt crates/tokenizer/unicode/additions-15.1.txt \
//!         > crates/tokenizer/src/unicode/$table.rs
//! done
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

const CODE_POINTS: usize = 0x11_0000;
const USAGE: &str =
    "usage: generate_unicode classes|cases|decompositions|marks UnicodeData.txt [additions ...] > table.rs";

/// The name that the table gives to a general category, grouped like the `\p{..}` of regular expressions. White space
/// means `\s`: the separators, and the five controls that are spaces.
fn class_of(code_point: usize, category: &str) -> &'static str {
    match (code_point, category.as_bytes().first()) {
        (0x09..=0x0D | 0x85, _) | (_, Some(b'Z')) => "W",
        (_, Some(b'N')) => "N",
        (_, Some(b'L')) => "L",
        (_, Some(b'M')) => "M",
        (_, Some(b'P')) => "P",
        (_, Some(b'S')) => "S",
        (_, Some(b'C')) => "C",
        _ => "O",
    }
}

/// The case of a general category; `None` for letters without cases, and for everything else.
fn case_of(category: &str) -> Option<&'static str> {
    match category {
        "Lu" | "Lt" => Some("Upper"),
        "Ll" => Some("Lower"),
        _ => None,
    }
}

/// The contents of the files.
struct Data {
    /// By code point.
    classes: Vec<&'static str>,
    /// By code point.
    cases: Vec<Option<&'static str>>,
    /// The kind of each combining mark, by code point.
    marks: BTreeMap<usize, Mark>,
    /// Each canonical decomposition, one level deep.
    decompositions: BTreeMap<usize, Vec<usize>>,
}

/// Whether a combining mark takes space of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// It is above, below or within another character.
    Nonspacing,
    /// It takes space of its own, or encloses a character.
    Spacing,
}

impl Data {
    /// The complete canonical decomposition of a character.
    fn decomposed(&self, point: usize) -> Vec<usize> {
        match self.decompositions.get(&point) {
            Some(parts) => parts.iter().flat_map(|part| self.decomposed(*part)).collect(),
            None => vec![point],
        }
    }
}

fn read(paths: &[String]) -> Result<Data, Box<dyn std::error::Error>> {
    let mut data = Data {
        classes: vec!["O"; CODE_POINTS],
        cases: vec![None; CODE_POINTS],
        marks: BTreeMap::new(),
        decompositions: BTreeMap::new(),
    };
    for path in paths {
        let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {path}: {e}"))?;
        let mut range_start = None;
        for (number, line) in text.lines().enumerate() {
            let fields: Vec<&str> = line.split(';').collect();
            let &[code, name, category, _, _, decomposition, ..] = fields.as_slice() else {
                return Err(format!("{path}:{}: fewer than six fields", number + 1).into());
            };
            let code = usize::from_str_radix(code, 16)?;
            if code >= CODE_POINTS {
                return Err(format!("{path}:{}: code point out of range", number + 1).into());
            }
            if name.ends_with(", First>") {
                range_start = Some(code);
                continue;
            }
            let first = if name.ends_with(", Last>") { range_start.take().unwrap_or(code) } else { code };
            for point in first..=code {
                data.classes[point] = class_of(point, category);
                data.cases[point] = case_of(category);
                match category {
                    "Mn" => drop(data.marks.insert(point, Mark::Nonspacing)),
                    "Mc" | "Me" => drop(data.marks.insert(point, Mark::Spacing)),
                    _ => {}
                }
            }
            // A compatibility decomposition begins with its kind in angle brackets.
            if !decomposition.is_empty() && !decomposition.starts_with('<') {
                let parts: Result<Vec<usize>, _> =
                    decomposition.split(' ').map(|part| usize::from_str_radix(part, 16)).collect();
                data.decompositions.insert(code, parts?);
            }
        }
    }
    Ok(data)
}

/// Runs of letters with cases: first, last, and the case of all, or `Pairs` if capital and small letters alternate.
fn case_runs(cases: &[Option<&'static str>]) -> Vec<(usize, usize, &'static str)> {
    let mut runs = Vec::new();
    let mut at = 0;
    while let Some(&case) = cases.get(at) {
        let Some(case) = case else {
            at += 1;
            continue;
        };
        let length = |fits: &dyn Fn(usize) -> Option<&'static str>| {
            (0..).take_while(|&i| cases.get(at + i).is_some_and(|found| *found == fits(i))).count()
        };
        let same = length(&|_| Some(case));
        let pairs = length(&|i| Some(if i % 2 == 0 { "Upper" } else { "Lower" }));
        let (length, kind) = if pairs > same { (pairs, "Pairs") } else { (same, case) };
        runs.push((at, at + length - 1, kind));
        at += length;
    }
    runs
}

/// Writes the entries in lines of the usual width.
fn lines(out: &mut String, entries: impl Iterator<Item = String>) -> std::fmt::Result {
    let mut column = 0;
    for entry in entries {
        if column + entry.len() + 1 > 108 {
            out.push('\n');
            column = 0;
        }
        let lead = if column == 0 { "    " } else { " " };
        write!(out, "{lead}{entry}")?;
        column += lead.len() + entry.len();
    }
    out.push_str("\n];\n");
    Ok(())
}

/// Writes two tables: marks that stay when accents are stripped, and characters that leave more than the first character of
/// their decomposition.
fn marks(data: &Data, out: &mut String) -> std::fmt::Result {
    out.push_str(
        "//! What is left when accents are stripped (Unicode 15.1, without Hangul, which is computed).\n\
         //! Generated by `examples/generate_unicode.rs`; do not edit.\n\n\
         /// Ranges of spacing and enclosing marks: the first and the last of each.\n\
         #[rustfmt::skip]\npub(super) static SPACING: &[(u32, u32)] = &[\n",
    );
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for (&point, _) in data.marks.iter().filter(|(_, mark)| **mark == Mark::Spacing) {
        match ranges.last_mut().filter(|(_, last)| last + 1 == point) {
            Some((_, last)) => *last = point,
            None => ranges.push((point, point)),
        }
    }
    lines(out, ranges.iter().map(|(first, last)| format!("(0x{first:X},0x{last:X}),")))?;
    out.push_str(
        "\n/// Characters whose canonical decomposition without nonspacing marks is not just its first character: the character,\n\
         /// and what is left, padded with zeros.\n\
         #[rustfmt::skip]\npub(super) static STRIPPED: &[(u32, [u32; 3])] = &[\n",
    );
    let nonspacing = |point: &usize| data.marks.get(point) == Some(&Mark::Nonspacing);
    let entry = |&point: &usize| {
        let whole = data.decomposed(point);
        let first = whole.first().copied().filter(|first| !nonspacing(first));
        let mut rest: Vec<usize> = whole.into_iter().filter(|part| !nonspacing(part)).collect();
        let is_plain = rest.iter().copied().eq(first);
        rest.resize(3, 0);
        let [a, b, c] = rest.as_slice() else { return None };
        (!is_plain).then(|| format!("(0x{point:X},[0x{a:X},0x{b:X},0x{c:X}]),"))
    };
    lines(out, data.decompositions.keys().filter_map(entry))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [table, paths @ ..] = arguments.as_slice() else { return Err(USAGE.into()) };
    let data = read(paths)?;
    let mut out = String::new();
    match table.as_str() {
        "classes" => {
            out.push_str(
                "//! General categories of Unicode 15.1 as ranges: each entry holds from its code point to the next entry's.\n\
                 //! Generated by `examples/generate_unicode.rs`; do not edit.\n\n\
                 use super::{C, L, M, N, O, P, S, W};\n\n\
                 #[rustfmt::skip]\npub(super) static RANGES: &[(u32, u8)] = &[\n",
            );
            let mut previous = "";
            let changes = data.classes.iter().enumerate().filter(|(_, class)| {
                let changed = **class != previous;
                previous = class;
                changed
            });
            let entries: Vec<String> =
                changes.map(|(point, class)| format!("(0x{point:04X}, {class}),")).collect();
            lines(&mut out, entries.into_iter())?;
        }
        "cases" => {
            out.push_str(
                "//! Letters with cases of Unicode 15.1: capitals and title case, small letters, and both in turns.\n\
                 //! Generated by `examples/generate_unicode.rs`; do not edit.\n\n\
                 use super::Cases::{self, Lower, Pairs, Upper};\n\n\
                 #[rustfmt::skip]\npub(super) static RUNS: &[(u32, u32, Cases)] = &[\n",
            );
            let entry =
                |(first, last, kind): (usize, usize, &str)| format!("(0x{first:04X}, 0x{last:04X}, {kind}),");
            lines(&mut out, case_runs(&data.cases).into_iter().map(entry))?;
        }
        "decompositions" => {
            out.push_str(
                "//! The first character of the canonical decomposition of each character that has one (Unicode 15.1,\n\
                 //! without Hangul, which is computed), in ascending order: the characters, and beside them their firsts.\n\
                 //! Generated by `examples/generate_unicode.rs`; do not edit.\n\n\
                 #[rustfmt::skip]\npub(super) static FIRST_OF: &[(u32, u32)] = &[\n",
            );
            let first = |point: usize| data.decomposed(point).first().copied().unwrap_or(point);
            let entry = |from: &usize| format!("(0x{from:X},0x{:X}),", first(*from));
            lines(&mut out, data.decompositions.keys().map(entry))?;
        }
        "marks" => marks(&data, &mut out)?,
        _ => return Err(USAGE.into()),
    }
    print!("{out}");
    Ok(())
}
