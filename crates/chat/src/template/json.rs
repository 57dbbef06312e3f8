//! `tojson` as Python's `json.dumps(x, ensure_ascii=False)`, and `from_json`.

use super::args::{Args, given};
use super::budget::gathered;
use super::error::{Fail, R, fail};
use super::heap::Cx;
use super::print::float_repr;
use super::text::{Builder, Text};
use super::value::{Id, MAX_DEPTH, Value, too_deep};
use crate::digits;

struct Style {
    ensure_ascii: bool,
    sort_keys: bool,
    /// The indentation of one level. If it is `None`, everything is on one line.
    indent: Option<Text>,
    item_separator: Text,
    key_separator: Text,
}

/// `x|tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`, the signature of transformers.
pub(super) fn tojson(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    let [ensure_ascii, indent, separators, sort_keys] =
        args.bind("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"])?;
    let indent = match given(indent) {
        None => None,
        Some(Value::Str(text)) => Some(text),
        Some(count) => {
            let mut spaces = Builder::default();
            spaces.repeat(&cx.budget, &Text::plain(" "), usize::try_from(count.index()?).unwrap_or(0))?;
            Some(spaces.finish())
        }
    };
    let (item_separator, key_separator) = match given(separators) {
        None => (Text::plain(if indent.is_some() { "," } else { ", " }), Text::plain(": ")),
        Some(pair) => match cx.collect(&pair)?.as_slice() {
            [Value::Str(item), Value::Str(key)] => (item.clone(), key.clone()),
            _ => return fail("tojson: separators must be two strings"),
        },
    };
    let style = Style {
        ensure_ascii: ensure_ascii.is_some_and(|value| cx.truth(&value)),
        sort_keys: sort_keys.is_some_and(|value| cx.truth(&value)),
        indent,
        item_separator,
        key_separator,
    };
    let mut out = Builder::default();
    write_value(cx, &mut out, &style, &value, 0)?;
    Ok(Value::Str(out.finish()))
}

fn not_json<T>(value: &Value) -> R<T> {
    fail(format!("tojson: Object of type {} is not JSON serializable", value.type_name()))
}

fn write_value(cx: &Cx<'_>, out: &mut Builder, style: &Style, value: &Value, depth: usize) -> R<()> {
    cx.budget.charge(1)?;
    if depth > MAX_DEPTH {
        // A list that contains itself also ends here. Python says "Circular reference detected".
        return too_deep();
    }
    match value {
        Value::Str(text) => write_string(cx, out, text, style.ensure_ascii),
        Value::List(items) | Value::Tuple(items) => {
            let items = cx.items_of(*items);
            out.str(&cx.budget, "[", None)?;
            for (i, item) in items.iter().enumerate() {
                separate(cx, out, style, depth + 1, i == 0)?;
                write_value(cx, out, style, item, depth + 1)?;
            }
            close(cx, out, style, depth, items.is_empty(), "]")
        }
        Value::Dict(dict) => write_dict(cx, out, style, *dict, depth),
        _ => match scalar(value) {
            Some(text) => out.str(&cx.budget, &text, None),
            None => not_json(value),
        },
    }
}

/// Writes numbers, booleans and none.
fn scalar(value: &Value) -> Option<String> {
    Some(match value {
        Value::None => "null".into(),
        Value::Bool(b) => if *b { "true" } else { "false" }.into(),
        Value::Int(i) => i.to_string(),
        Value::Big(digits) => digits.to_string(),
        Value::Float(x) if x.is_nan() => "NaN".into(),
        Value::Float(x) if x.is_infinite() => if *x > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        Value::Float(x) => float_repr(*x),
        _ => return None,
    })
}

fn write_dict(cx: &Cx<'_>, out: &mut Builder, style: &Style, dict: Id, depth: usize) -> R<()> {
    let dict = cx.dict_of(dict)?;
    cx.budget.items(dict.len())?;
    if style.sort_keys {
        let entries = cx.sort_by_key(gathered(dict.len(), dict.values().cloned())?, false)?;
        write_entries(cx, out, style, entries.iter(), depth)
    } else {
        write_entries(cx, out, style, dict.values(), depth)
    }
}

fn write_entries<'v>(
    cx: &Cx<'_>,
    out: &mut Builder,
    style: &Style,
    entries: impl ExactSizeIterator<Item = &'v (Value, Value)>,
    depth: usize,
) -> R<()> {
    let empty = entries.len() == 0;
    out.str(&cx.budget, "{", None)?;
    for (i, (key, value)) in entries.enumerate() {
        separate(cx, out, style, depth + 1, i == 0)?;
        match (key, scalar(key)) {
            (Value::Str(text), _) => write_string(cx, out, text, style.ensure_ascii)?,
            (_, Some(text)) => out.str(&cx.budget, &format!("\"{text}\""), None)?,
            _ => {
                return fail(format!(
                    "tojson: keys must be strings, numbers, booleans or none, not {}",
                    key.type_name()
                ));
            }
        }
        out.text(&cx.budget, &style.key_separator)?;
        write_value(cx, out, style, value, depth + 1)?;
    }
    close(cx, out, style, depth, empty, "}")
}

fn new_line(cx: &Cx<'_>, out: &mut Builder, style: &Style, depth: usize) -> R<()> {
    let Some(indent) = &style.indent else { return Ok(()) };
    out.str(&cx.budget, "\n", None)?;
    out.repeat(&cx.budget, indent, depth)
}

fn separate(cx: &Cx<'_>, out: &mut Builder, style: &Style, depth: usize, first: bool) -> R<()> {
    if !first {
        out.text(&cx.budget, &style.item_separator)?;
    }
    new_line(cx, out, style, depth)
}

fn close(cx: &Cx<'_>, out: &mut Builder, style: &Style, depth: usize, empty: bool, bracket: &str) -> R<()> {
    if !empty {
        new_line(cx, out, style, depth)?;
    }
    out.str(&cx.budget, bracket, None)
}

fn write_string(cx: &Cx<'_>, out: &mut Builder, text: &Text, ensure_ascii: bool) -> R<()> {
    out.str(&cx.budget, "\"", None)?;
    let plain = |c: char| c >= ' ' && c != '"' && c != '\\' && (!ensure_ascii || c.is_ascii());
    // As bytes, which is faster: those of other characters are neither controls nor quotes.
    let clean = |b: u8| b >= b' ' && b != b'"' && b != b'\\' && (!ensure_ascii || b.is_ascii());
    if text.as_str().bytes().all(clean) {
        out.text(&cx.budget, text)?;
    } else {
        let escaped = text.map_chars(&cx.budget, |c, push| {
            let short = match c {
                '"' => Some('"'),
                '\\' => Some('\\'),
                '\n' => Some('n'),
                '\r' => Some('r'),
                '\t' => Some('t'),
                '\u{8}' => Some('b'),
                '\u{c}' => Some('f'),
                _ => None,
            };
            if let Some(short) = short {
                push('\\');
                push(short);
            } else if plain(c) {
                push(c);
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    format!("\\u{unit:04x}").chars().for_each(&mut *push);
                }
            }
        })?;
        out.text(&cx.budget, &escaped)?;
    }
    out.str(&cx.budget, "\"", None)
}

/// `json.loads`. Values take up to 60 times as many bytes as their text (`[[],[]]`).
pub(super) fn from_json(cx: &mut Cx<'_>, value: Value, args: Args) -> R<Value> {
    args.all("from_json", [])?;
    let text = value.as_text()?;
    cx.budget.charge(text.as_str().len() as u64)?;
    match crate::json::parse(text.as_str()) {
        Ok(json) => {
            // Python rounds floats, but not integers.
            let mut numbers = digits::numbers(text.as_str())?;
            numbers.iter_mut().filter(|number| !digits::is_integer(number)).for_each(|number| *number = "");
            cx.exact_json_value(&json, &numbers, text.origin(), 0)
        }
        Err(e) if e.is_data() => Err(Box::new(Fail::Memory)),
        Err(e) => fail(format!("from_json: not valid JSON: {e}")),
    }
}
