//! Methods of str. They work on ranges of bytes, so that parts keep their origin.

use super::super::budget::gathered;
use std::ops::Range;

use super::super::args::{Args, given};
use super::super::error::{R, fail};
use super::super::format;
use super::super::heap::Cx;
use super::super::lexer::is_space;
use super::super::text::{Builder, Text};
use super::super::value::Value;

pub(in super::super) const NAMES: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
    "format_map",
];

pub(in super::super) fn call(cx: &mut Cx<'_>, text: &Text, name: &'static str, args: Args) -> R<Value> {
    let string = text.as_str();
    cx.budget.bytes(string.len())?;
    let result = match name {
        "upper" => {
            args.all(name, [])?;
            text.map_chars(&cx.budget, |c, push| c.to_uppercase().for_each(push))?
        }
        "lower" => {
            args.all(name, [])?;
            lower(cx, text)?
        }
        "casefold" => {
            args.all(name, [])?;
            text.map_chars(&cx.budget, |c, push| match c {
                'ß' | 'ẞ' => "ss".chars().for_each(push),
                'ς' => push('σ'),
                c => c.to_lowercase().for_each(push),
            })?
        }
        "swapcase" => {
            args.all(name, [])?;
            let mut sigmas = sigmas(string);
            text.map_chars(&cx.budget, |c, push| {
                if c.is_uppercase() {
                    lower_char(c, &mut sigmas).for_each(push);
                } else {
                    c.to_uppercase().for_each(push);
                }
            })?
        }
        "capitalize" => {
            args.all(name, [])?;
            let (mut first, mut sigmas) = (true, sigmas(string));
            text.map_chars(&cx.budget, |c, push| {
                if first {
                    upper_char(c, &mut sigmas).for_each(push);
                } else {
                    lower_char(c, &mut sigmas).for_each(push);
                }
                first = false;
            })?
        }
        "title" => {
            args.all(name, [])?;
            let (mut inside, mut sigmas) = (false, sigmas(string));
            text.map_chars(&cx.budget, |c, push| {
                if inside {
                    lower_char(c, &mut sigmas).for_each(push);
                } else {
                    upper_char(c, &mut sigmas).for_each(push);
                }
                inside = c.is_lowercase() || c.is_uppercase();
            })?
        }
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = args.bind(name, ["chars"])?;
            let range = stripped(string, name, given(chars).as_ref())?;
            text.slice(&cx.budget, range)?
        }
        "removeprefix" | "removesuffix" => {
            let [part] = args.all(name, ["part"])?;
            let part = part.as_text()?.as_str();
            let len = string.len();
            let range = match name {
                "removeprefix" if string.starts_with(part) => part.len()..len,
                "removesuffix" if string.ends_with(part) => 0..len - part.len(),
                _ => 0..len,
            };
            text.slice(&cx.budget, range)?
        }
        "replace" => {
            let [old, new, count] = args.bind(name, ["old", "new", "count"])?;
            let (Some(old), Some(new)) = (old, new) else {
                return fail("replace expected at least 2 arguments");
            };
            let count = count.map_or(Ok(-1), |count| count.index())?;
            replace(cx, text, old.as_text()?, new.as_text()?, count)?.with_safe(text.safe)
        }
        "join" => {
            let [items] = args.all(name, ["iterable"])?;
            let mut out = Builder::default();
            for (i, item) in cx.collect(&items)?.iter().enumerate() {
                cx.budget.charge(1)?;
                if i > 0 {
                    out.text(&cx.budget, text)?;
                }
                let Value::Str(item) = item else {
                    let kind = item.type_name();
                    return fail(format!("sequence item {i}: expected str instance, {kind} found"));
                };
                out.text(&cx.budget, item)?;
            }
            out.finish()
        }
        "ljust" | "rjust" | "center" | "zfill" => padded(cx, text, name, args)?,
        "expandtabs" => {
            let [size] = args.bind(name, ["tabsize"])?;
            let size = usize::try_from(size.map_or(Ok(8), |size| size.index())?).unwrap_or(0).min(1 << 16);
            let mut column = 0usize;
            text.map_chars(&cx.budget, |c, push| match c {
                '\t' => {
                    let width = size - column.checked_rem(size).unwrap_or(0);
                    column += width;
                    (0..width).for_each(|_| push(' '));
                }
                c => {
                    column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
                    push(c);
                }
            })?
        }
        "format" => format::braces(cx, text, args)?,
        "format_map" => {
            let [map] = args.all(name, ["mapping"])?;
            let Value::Dict(dict) = map else { return fail("format_map: expected a mapping") };
            let pairs: Vec<(Value, Value)> =
                gathered(cx.dict_of(dict)?.len(), cx.dict_of(dict)?.values().cloned())?;
            cx.budget.items(pairs.len())?;
            let named =
                pairs.into_iter().filter_map(|(key, value)| Some((key.as_text().ok()?.clone(), value)));
            format::braces(cx, text, Args { positional: Vec::new(), named: named.collect() })?
        }
        "encode" | "translate" => return fail(format!("str.{name}() is not supported")),
        "split" | "rsplit" | "splitlines" | "partition" | "rpartition" => return parts(cx, text, name, args),
        _ => return ask(cx, text, name, args),
    };
    Ok(Value::Str(result))
}

pub(in super::super) fn lower(cx: &Cx<'_>, text: &Text) -> R<Text> {
    let mut sigmas = sigmas(text.as_str());
    text.map_chars(&cx.budget, |c, push| lower_char(c, &mut sigmas).for_each(push))
}

/// Returns the lower case of each `Σ` of a text. It is a different letter at the end of a word.
fn sigmas(string: &str) -> std::vec::IntoIter<char> {
    let mut out = Vec::new();
    let mut before = ' ';
    let mut chars = string.chars().peekable();
    while let Some(c) = chars.next() {
        if c == 'Σ' {
            let ends = before.is_alphabetic() && !chars.peek().is_some_and(|next| next.is_alphabetic());
            out.push(if ends { 'ς' } else { 'σ' });
        }
        before = c;
    }
    out.into_iter()
}

/// Converts a character to lower case. `sigmas` has the lower case of the text's remaining sigmas.
fn lower_char(c: char, sigmas: &mut std::vec::IntoIter<char>) -> std::char::ToLowercase {
    let c = if c == 'Σ' { sigmas.next().unwrap_or('σ') } else { c };
    c.to_lowercase()
}

/// Converts a character to upper case, and skips the entry of a sigma.
fn upper_char(c: char, sigmas: &mut std::vec::IntoIter<char>) -> std::char::ToUppercase {
    if c == 'Σ' {
        sigmas.next();
    }
    c.to_uppercase()
}

fn stripped(string: &str, name: &str, chars: Option<&Value>) -> R<Range<usize>> {
    let chars = chars.map(Value::as_text).transpose()?.map(Text::as_str);
    // The set has few characters, so it is searched one by one.
    let strips = |c: char| chars.map_or_else(|| is_space(c), |set| set.contains(c));
    let start = if name == "rstrip" { 0 } else { string.len() - string.trim_start_matches(strips).len() };
    let rest = string.get(start..).unwrap_or_default();
    let end = if name == "lstrip" { rest.len() } else { rest.trim_end_matches(strips).len() };
    Ok(start..start + end)
}

/// `text.replace(old, new, count)`. A negative count means all.
pub(in super::super) fn replace(cx: &Cx<'_>, text: &Text, old: &Text, new: &Text, count: i64) -> R<Text> {
    let string = text.as_str();
    cx.budget.bytes(string.len())?;
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let mut out = Builder::default();
    let mut at = 0;
    for (i, found) in string.match_indices(old.as_str()).take(most) {
        cx.budget.charge(1)?;
        out.part(&cx.budget, text, at..i)?;
        out.text(&cx.budget, new)?;
        at = i + found.len();
    }
    out.part(&cx.budget, text, at..string.len())?;
    Ok(out.finish())
}

fn padded(cx: &mut Cx<'_>, text: &Text, name: &'static str, args: Args) -> R<Text> {
    let [width, fill] = args.bind(name, ["width", "fillchar"])?;
    let Some(width) = width else { return fail(format!("{name} expected at least 1 argument, got 0")) };
    let fill = match fill {
        Some(fill) => fill.as_text()?.clone(),
        None => Text::plain(if name == "zfill" { "0" } else { " " }),
    };
    if fill.as_str().chars().count() != 1 {
        return fail("The fill character must be exactly one character long");
    }
    let len = text.as_str().chars().count();
    let width = usize::try_from(width.index()?).unwrap_or(0);
    let missing = width.saturating_sub(len);
    let sign = usize::from(name == "zfill" && text.as_str().starts_with(['+', '-']));
    let (left, right) = match name {
        "ljust" => (0, missing),
        "rjust" | "zfill" => (missing, 0),
        _ => {
            // As in CPython, an odd padding character goes to the left if the width is odd.
            let left = missing / 2 + (missing & width & 1);
            (left, missing - left)
        }
    };
    let mut out = Builder::default();
    out.part(&cx.budget, text, 0..sign)?;
    out.repeat(&cx.budget, &fill, left)?;
    out.part(&cx.budget, text, sign..text.as_str().len())?;
    out.repeat(&cx.budget, &fill, right)?;
    Ok(out.finish().with_safe(text.safe))
}

/// Splits a text into words at runs of white space.
pub(in super::super) fn word_ranges(string: &str) -> Vec<Range<usize>> {
    split_words(string, usize::MAX, false)
}

/// `str.split(None, limit)`. The rest after the limit keeps its white space, except at the cut.
fn split_words(string: &str, limit: usize, from_end: bool) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut rest = 0..string.len();
    loop {
        let inside = string.get(rest.clone()).unwrap_or_default();
        let cut = if from_end {
            let inside = inside.trim_end_matches(is_space);
            rest.end = rest.start + inside.len();
            rest.start + inside.trim_end_matches(|c| !is_space(c)).len()..rest.end
        } else {
            let inside = inside.trim_start_matches(is_space);
            rest.start = rest.end - inside.len();
            rest.start..rest.start + inside.find(is_space).unwrap_or(inside.len())
        };
        if rest.is_empty() {
            break;
        }
        if out.len() >= limit {
            out.push(rest);
            break;
        }
        if from_end {
            rest.end = cut.start;
        } else {
            rest.start = cut.end;
        }
        out.push(cut);
    }
    if from_end {
        out.reverse();
    }
    out
}

/// `str.split(sep, limit)` and `str.rsplit(sep, limit)`.
fn split_at(string: &str, separator: &str, limit: usize, from_end: bool) -> Vec<Range<usize>> {
    let mut cuts: Vec<(usize, usize)> = Vec::new();
    if from_end {
        cuts.extend(string.rmatch_indices(separator).take(limit).map(|(i, s)| (i, i + s.len())));
        cuts.reverse();
    } else {
        cuts.extend(string.match_indices(separator).take(limit).map(|(i, s)| (i, i + s.len())));
    }
    let mut at = 0;
    let mut out = Vec::new();
    for (start, end) in cuts {
        out.push(at..start);
        at = end;
    }
    out.push(at..string.len());
    out
}

/// Splits a text into lines as `str.splitlines()` does, each with the end of its line break.
pub(in super::super) fn line_ranges(string: &str) -> Vec<(Range<usize>, usize)> {
    let ends = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut out = Vec::new();
    let mut at = 0;
    while at < string.len() {
        let rest = string.get(at..).unwrap_or_default();
        let line = rest.find(ends).unwrap_or(rest.len());
        let tail = rest.get(line..).unwrap_or_default();
        let len = if tail.starts_with("\r\n") { 2 } else { tail.chars().next().map_or(0, char::len_utf8) };
        out.push((at..at + line, at + line + len));
        at += line + len;
    }
    out
}

/// Methods that split a text.
fn parts(cx: &mut Cx<'_>, text: &Text, name: &'static str, args: Args) -> R<Value> {
    let string = text.as_str();
    let ranges = match name {
        "splitlines" => {
            let [keep] = args.bind(name, ["keepends"])?;
            let keep = keep.is_some_and(|keep| cx.truth(&keep));
            let lines = line_ranges(string).into_iter();
            lines.map(|(line, end)| line.start..if keep { end } else { line.end }).collect()
        }
        "partition" | "rpartition" => {
            let [separator] = args.all(name, ["sep"])?;
            let separator = separator.as_text()?;
            if separator.as_str().is_empty() {
                return fail("empty separator");
            }
            let at = if name == "partition" {
                string.find(separator.as_str())
            } else {
                string.rfind(separator.as_str())
            };
            let len = string.len();
            let end = separator.as_str().len();
            let [a, b, c] = match at {
                Some(at) => [0..at, at..at + end, at + end..len],
                None if name == "partition" => [0..len, len..len, len..len],
                None => [0..0, 0..0, 0..len],
            };
            let items = [a, b, c].map(|range| text.slice(&cx.budget, range).map(Value::Str));
            let items = items.into_iter().collect::<R<Vec<_>>>()?;
            return cx.tuple(items);
        }
        _ => {
            let [separator, limit] = args.bind(name, ["sep", "maxsplit"])?;
            let limit = usize::try_from(limit.map_or(Ok(-1), |limit| limit.index())?).unwrap_or(usize::MAX);
            match given(separator) {
                None => split_words(string, limit, name == "rsplit"),
                Some(separator) => {
                    let separator = separator.as_text()?.as_str();
                    if separator.is_empty() {
                        return fail("empty separator");
                    }
                    // A position takes as much memory as a value.
                    cx.budget.items(string.len() / separator.len() / 4)?;
                    split_at(string, separator, limit, name == "rsplit")
                }
            }
        }
    };
    cx.budget.items(ranges.len())?;
    let parts = ranges.into_iter().map(|range| text.slice(&cx.budget, range).map(Value::Str));
    let parts = parts.collect::<R<Vec<_>>>()?;
    cx.list(parts)
}

/// Returns the range of bytes between two indices of characters, with the rules of slices.
fn window(string: &str, start: Option<Value>, end: Option<Value>) -> R<Option<Range<usize>>> {
    let len = string.chars().count() as i64;
    let clamp = |value: Option<Value>, default: i64| -> R<i64> {
        let index = given(value).map_or(Ok(default), |value| value.index())?;
        Ok(if index < 0 { index.saturating_add(len).max(0) } else { index })
    };
    let (start, end) = (clamp(start, 0)?, clamp(end, len)?.min(len));
    if start > end {
        return Ok(None);
    }
    let byte = |i: i64| {
        string.char_indices().nth(usize::try_from(i).unwrap_or(0)).map_or(string.len(), |(at, _)| at)
    };
    Ok(Some(byte(start)..byte(end)))
}

/// Methods that examine a text.
fn ask(cx: &mut Cx<'_>, text: &Text, name: &'static str, args: Args) -> R<Value> {
    let string = text.as_str();
    match name {
        "startswith" | "endswith" => {
            let [part, start, end] = args.bind(name, ["prefix", "start", "end"])?;
            let Some(part) = part else { return fail(format!("{name} expected at least 1 argument, got 0")) };
            let parts = match &part {
                Value::Tuple(parts) => {
                    gathered(cx.items_of(*parts).len(), cx.items_of(*parts).iter().cloned())?
                }
                _ => vec![part],
            };
            let Some(range) = window(string, start, end)? else { return Ok(Value::Bool(false)) };
            let string = string.get(range).unwrap_or_default();
            for part in &parts {
                let Value::Str(part) = part else {
                    return fail(format!(
                        "{name} first arg must be str or a tuple of str, not {}",
                        part.type_name()
                    ));
                };
                let part = part.as_str();
                if if name == "startswith" { string.starts_with(part) } else { string.ends_with(part) } {
                    return Ok(Value::Bool(true));
                }
            }
            return Ok(Value::Bool(false));
        }
        "find" | "rfind" | "index" | "rindex" | "count" => {
            let [part, start, end] = args.bind(name, ["sub", "start", "end"])?;
            let Some(part) = part else { return fail(format!("{name} expected at least 1 argument, got 0")) };
            let part = part.as_text()?.as_str();
            let range = window(string, start, end)?;
            let inside = range.clone().and_then(|range| string.get(range));
            if name == "count" {
                return Ok(Value::from(inside.map_or(0, |inside| inside.matches(part).count())));
            }
            let first = matches!(name, "find" | "index");
            let at = inside.and_then(|inside| if first { inside.find(part) } else { inside.rfind(part) });
            return match at.zip(range) {
                Some((at, range)) => {
                    Ok(Value::from(string.get(..range.start + at).unwrap_or_default().chars().count()))
                }
                None if matches!(name, "find" | "rfind") => Ok(Value::Int(-1)),
                None => fail("substring not found"),
            };
        }
        _ => args.all(name, []).map(|[]| ())?,
    }
    let all = |f: &dyn Fn(char) -> bool| !string.is_empty() && string.chars().all(f);
    let word = |c: char| c.is_alphanumeric() || c == '_';
    Ok(Value::Bool(match name {
        "isalnum" => all(&char::is_alphanumeric),
        "isalpha" => all(&char::is_alphabetic),
        "isascii" => string.is_ascii(),
        "isdecimal" | "isdigit" => all(&|c| c.is_numeric() && !c.is_alphabetic() && is_digit(c)),
        "isnumeric" => all(&char::is_numeric),
        "isidentifier" => all(&word) && !string.starts_with(|c: char| c.is_numeric()),
        "isspace" => all(&is_space),
        "isprintable" => string.chars().all(|c| !c.is_control() && (c == ' ' || !is_space(c))),
        "islower" => string.chars().any(char::is_lowercase) && !string.chars().any(char::is_uppercase),
        "isupper" => string.chars().any(char::is_uppercase) && !string.chars().any(char::is_lowercase),
        _ => is_title(string),
    }))
}

/// Returns whether a character is a decimal digit of a common script, or a superscript digit.
fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
        || matches!(c, '²' | '³' | '¹' | '⁰' | '⁴'..='⁹' | '₀'..='₉' | '٠'..='٩' | '۰'..='۹' | '०'..='९' | '০'..='৯' | '０'..='９')
}

fn is_title(string: &str) -> bool {
    let (mut inside, mut any) = (false, false);
    for c in string.chars() {
        if c.is_uppercase() {
            if inside {
                return false;
            }
            (inside, any) = (true, true);
        } else if c.is_lowercase() {
            if !inside {
                return false;
            }
            any = true;
        } else {
            inside = false;
        }
    }
    any
}
