//! Methods of Python's str, dict and list that `minijinja_contrib::pycompat` does not have or does differently.

use minijinja::value::{Kwargs, Rest, ValueOrKwargs, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use super::{filters, text, weight};

fn wrong(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}

/// Python's idea of whitespace in `str.strip()` and `str.split()`: Unicode's, and the four information separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The callback for methods that minijinja does not know.
pub(super) fn call(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(s) = value.as_str() {
        state.consume_fuel(1)?;
        weight::bytes(state, s.len())?;
        if let Some(result) = growing_method(state, s, method, args)? {
            return Ok(result);
        }
        if let Some(result) = string_method(s, method, args)? {
            return Ok(result);
        }
    } else if method == "count" {
        // Every item is compared. What is looked for was charged for by `guard.rs`.
        weight::charge(state, value)?;
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}

/// Methods whose result may be much longer than what they are given: it is charged for before it is made.
fn growing_method(state: &State, s: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "join" => {
            let (values,): (&Value,) = from_args(args)?;
            filters::join_with(state, s, values, None).map(|text| Some(Value::from(text)))
        }
        "replace" => {
            let (positional, kwargs): (&[Value], Kwargs) = from_args(args)?;
            let (old, new, count): (&str, &str, Option<i64>) = from_args(positional)?;
            let count = match count {
                Some(count) => Some(count),
                None => kwargs.get::<Option<i64>>("count")?,
            };
            kwargs.assert_all_used()?;
            let count = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
            if new.len() > old.len() {
                let found = s.matches(old).take(count).count();
                weight::bytes(state, found.saturating_mul(new.len()))?;
            }
            Ok(Some(Value::from(s.replacen(old, new, count))))
        }
        "format" => {
            charge_format(state, s, '{', args)?;
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// Longest number in a format: a width or precision of a megabyte is more than anybody wants.
const MAX_WIDTH_DIGITS: usize = 6;

/// Charges for what a format with fields that begin with `mark` may become: widths and precisions, and for each field
/// the longest argument, since fields may repeat it.
fn charge_format(state: &State, format: &str, mark: char, args: &[Value]) -> Result<(), Error> {
    let mut widths = 0u64;
    for number in format.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty()) {
        let width = number.parse::<u64>().ok().filter(|_| number.len() <= MAX_WIDTH_DIGITS);
        widths += width.ok_or_else(|| wrong("a number in a format has more than 6 digits"))?;
    }
    let fields = format.matches(mark).count() as u64;
    let longest = args.iter().map(|arg| arg.as_str().map_or(0, str::len)).max().unwrap_or(0) as u64;
    state.consume_fuel((fields.saturating_mul(longest) + widths) / weight::BYTES_PER_FUEL)?;
    // Containers: their walk, field by field.
    for arg in args.iter().filter(|arg| arg.as_str().is_none()) {
        for _ in 0..fields {
            weight::charge(state, arg)?;
        }
    }
    Ok(())
}

/// The filter `format`, as minijinja has it.
pub(super) fn printf(state: &mut State, format: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let values: Vec<Value> = args.iter().cloned().map(ValueOrKwargs::into_value).collect();
    charge_format(state, format.as_str().unwrap_or_default(), '%', &values)?;
    minijinja::filters::format(state, format, args)
}

/// The filter `trim(chars=None)`.
pub(super) fn trim(state: &State, value: &Value, chars: Option<&str>) -> Result<Value, Error> {
    let strip = |s: &str| -> String {
        match chars {
            Some(set) => s.trim_matches(|c| set.contains(c)).to_owned(),
            None => s.trim_matches(is_space).to_owned(),
        }
    };
    match value.as_str() {
        Some(s) if value.is_safe() => Ok(Value::from_safe_string(strip(s))),
        Some(s) => Ok(Value::from(strip(s))),
        None => text::to_str(state, value).map(|text| Value::from(strip(&text))),
    }
}

fn string_method(s: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            let strips = |c: char| chars.map_or_else(|| is_space(c), |set| set.contains(c));
            Value::from(match method {
                "strip" => s.trim_matches(strips),
                "lstrip" => s.trim_start_matches(strips),
                _ => s.trim_end_matches(strips),
            })
        }
        "split" | "rsplit" => {
            let (positional, kwargs): (&[Value], Kwargs) = from_args(args)?;
            let separator = match positional.first() {
                Some(v) => Some(v.clone()),
                None => kwargs.get::<Option<Value>>("sep")?,
            };
            let separator = separator.filter(|v| !v.is_none());
            let limit = match positional.get(1) {
                Some(v) => i64::try_from(v.clone())?,
                None => kwargs.get::<Option<i64>>("maxsplit")?.unwrap_or(-1),
            };
            kwargs.assert_all_used()?;
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let parts = match separator.as_ref().map(Value::as_str) {
                Some(Some("")) => return Err(wrong("split: empty separator")),
                Some(Some(sep)) => split_at(s, sep, limit, method == "rsplit"),
                Some(None) => return Err(wrong("split: separator must be a string")),
                None => split_words(s, limit, method == "rsplit"),
            };
            parts.into_iter().map(Value::from).collect()
        }
        "partition" | "rpartition" => {
            let (sep,): (&str,) = from_args(args)?;
            if sep.is_empty() {
                return Err(wrong("partition: empty separator"));
            }
            let parts = match method {
                "partition" => s.split_once(sep).map_or([s, "", ""], |(a, b)| [a, sep, b]),
                _ => s.rsplit_once(sep).map_or(["", "", s], |(a, b)| [a, sep, b]),
            };
            Value::from(minijinja::value::Tuple::from(parts.map(Value::from)))
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(s.strip_prefix(prefix).unwrap_or(s))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(s.strip_suffix(suffix).unwrap_or(s))
        }
        "index" | "rindex" => {
            let (what,): (&str,) = from_args(args)?;
            let at = if method == "index" { s.find(what) } else { s.rfind(what) };
            let at = at.ok_or_else(|| wrong("substring not found"))?;
            Value::from(s.chars().zip(s.char_indices()).take_while(|(_, (i, _))| *i < at).count())
        }
        "casefold" => Value::from(s.to_lowercase()),
        "swapcase" => {
            let swap = |c: char| -> String {
                if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
            };
            Value::from(s.chars().map(swap).collect::<String>())
        }
        "zfill" | "ljust" | "rjust" | "center" => return pad(s, method, args).map(Some),
        "splitlines" => {
            let (positional, kwargs): (&[Value], Kwargs) = from_args(args)?;
            let keep = match positional.first() {
                Some(v) => v.is_true(),
                None => kwargs.get::<Option<bool>>("keepends")?.unwrap_or(false),
            };
            kwargs.assert_all_used()?;
            split_lines(s, keep).into_iter().map(Value::from).collect()
        }
        _ => return Ok(None),
    }))
}

/// `str.split(sep, limit)` and `str.rsplit(sep, limit)`.
fn split_at<'a>(s: &'a str, sep: &str, limit: usize, from_end: bool) -> Vec<&'a str> {
    let parts = limit.saturating_add(1);
    if from_end {
        let mut out: Vec<&str> = s.rsplitn(parts, sep).collect();
        out.reverse();
        out
    } else {
        s.splitn(parts, sep).collect()
    }
}

/// `str.split(None, limit)`: at runs of whitespace, none at the ends; what is left after the limit keeps its inner space.
fn split_words(s: &str, limit: usize, from_end: bool) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = s.trim_matches(is_space);
    while !rest.is_empty() {
        let cut = if out.len() >= limit {
            None
        } else if from_end {
            rest.rfind(is_space)
        } else {
            rest.find(is_space)
        };
        let Some(cut) = cut else {
            out.push(rest);
            break;
        };
        let (head, tail) = rest.split_at(cut);
        if from_end {
            out.push(tail.trim_start_matches(is_space));
            rest = head.trim_end_matches(is_space);
        } else {
            out.push(head);
            rest = tail.trim_start_matches(is_space);
        }
    }
    if from_end {
        out.reverse();
    }
    out
}

/// `str.splitlines()`.
fn split_lines(s: &str, keep: bool) -> Vec<&str> {
    let ends = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut out = Vec::new();
    let mut rest = s;
    while !rest.is_empty() {
        let (line, end) = match rest.find(ends) {
            None => (rest.len(), rest.len()),
            Some(i) => {
                let tail = rest.get(i..).unwrap_or_default();
                let len =
                    if tail.starts_with("\r\n") { 2 } else { tail.chars().next().map_or(0, char::len_utf8) };
                (i, i + len)
            }
        };
        out.push(rest.get(..if keep { end } else { line }).unwrap_or_default());
        rest = rest.get(end..).unwrap_or_default();
    }
    out
}

fn pad(s: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, fill): (i64, Option<&str>) = from_args(args)?;
    let mut fill_chars = fill.unwrap_or(if method == "zfill" { "0" } else { " " }).chars();
    let (Some(fill), None) = (fill_chars.next(), fill_chars.next()) else {
        return Err(wrong("the fill character must be exactly one character long"));
    };
    let len = s.chars().count();
    let width = usize::try_from(width).unwrap_or(0);
    if width > 1 << 20 {
        return Err(wrong("a padded string is limited to 1048576 characters"));
    }
    let missing = width.saturating_sub(len);
    let run = |n: usize| fill.to_string().repeat(n);
    Ok(Value::from(match method {
        "ljust" => format!("{s}{}", run(missing)),
        "rjust" => format!("{}{s}", run(missing)),
        "center" => {
            // CPython: the odd character goes left if the width is odd.
            let left = missing / 2 + (missing & width & 1);
            format!("{}{s}{}", run(left), run(missing - left))
        }
        _ => {
            let (sign, digits) = match s.chars().next() {
                Some('+' | '-') => s.split_at(1),
                _ => ("", s),
            };
            format!("{sign}{}{digits}", run(missing))
        }
    }))
}
