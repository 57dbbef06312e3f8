//! `tojson` as Python's `json.dumps(x, ensure_ascii=False)`, and `from_json`.

use std::fmt::Write;

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Error, ErrorKind, State, Value};

use super::text::{MAX_DEPTH, float_repr, too_deep};
use super::weight;

struct Style {
    ensure_ascii: bool,
    sort_keys: bool,
    /// What one level is indented by; `None`: all on one line.
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
}

/// `x|tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`, the signature of transformers.
pub(super) fn tojson(state: &State, value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let (positional, kwargs): (&[Value], Kwargs) = minijinja::value::from_args(&args)?;
    let given = |i: usize, name: &str| -> Result<Option<Value>, Error> {
        match positional.get(i) {
            Some(v) => Ok(Some(v.clone())),
            None => kwargs.get::<Option<Value>>(name),
        }
    };
    let ensure_ascii = given(0, "ensure_ascii")?.is_some_and(|v| v.is_true());
    let indent = match given(1, "indent")?.filter(|v| !v.is_none()) {
        None => None,
        Some(v) if v.kind() == ValueKind::String => v.as_str().map(str::to_owned),
        Some(v) if v.kind() == ValueKind::Bool => Some(" ".repeat(usize::from(v.is_true()))),
        Some(v) => {
            let n = i64::try_from(v)?.max(0);
            if n > 64 {
                return Err(Error::new(ErrorKind::InvalidOperation, "tojson: indent is limited to 64"));
            }
            Some(" ".repeat(n as usize))
        }
    };
    let separators = match given(2, "separators")?.filter(|v| !v.is_none()) {
        None => None,
        Some(v) => {
            let pair = (v.get_item_by_index(0)?, v.get_item_by_index(1)?);
            match (pair.0.as_str(), pair.1.as_str()) {
                (Some(item), Some(key)) if v.len() == Some(2) => Some((item.to_owned(), key.to_owned())),
                _ => {
                    return Err(Error::new(
                        ErrorKind::InvalidOperation,
                        "tojson: separators must be two strings",
                    ));
                }
            }
        }
    };
    let sort_keys = given(3, "sort_keys")?.is_some_and(|v| v.is_true());
    kwargs.assert_all_used()?;
    let (item_separator, key_separator) = separators.unwrap_or_else(|| {
        let item = if indent.is_some() { "," } else { ", " };
        (item.to_owned(), ": ".to_owned())
    });
    let style = Style { ensure_ascii, sort_keys, indent, item_separator, key_separator };
    let mut out = String::new();
    write_value(&mut out, state, &style, value, 0)?;
    Ok(Value::from(out))
}

fn not_json(value: &Value) -> Error {
    let what = match value.kind() {
        ValueKind::Undefined => "Undefined".to_owned(),
        kind => kind.to_string(),
    };
    Error::new(ErrorKind::BadSerialization, format!("tojson: value of type {what} is not JSON serializable"))
}

fn write_value(
    out: &mut String,
    state: &State,
    style: &Style,
    value: &Value,
    depth: usize,
) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    let before = out.len();
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&number(value)?),
        ValueKind::String => write_string(out, value.as_str().unwrap_or_default(), style.ensure_ascii),
        ValueKind::Seq => {
            let mut empty = true;
            out.push('[');
            for item in value.try_iter()?.checked() {
                separate(out, state, style, depth + 1, empty)?;
                empty = false;
                write_value(out, state, style, &item?, depth + 1)?;
            }
            close(out, style, depth, empty, ']');
        }
        ValueKind::Map => {
            let mut keys = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
            if let Some(key) = keys.iter().find(|key| weight::is_container(key)) {
                return Err(not_json(key));
            }
            if style.sort_keys {
                keys.sort_by_key(|k| k.to_string());
            }
            let mut empty = true;
            out.push('{');
            for key in keys {
                separate(out, state, style, depth + 1, empty)?;
                empty = false;
                let text = match key.kind() {
                    ValueKind::String => key.as_str().unwrap_or_default().to_owned(),
                    ValueKind::None => "null".to_owned(),
                    ValueKind::Bool => if key.is_true() { "true" } else { "false" }.to_owned(),
                    ValueKind::Number => number(&key)?,
                    _ => return Err(not_json(&key)),
                };
                weight::bytes(state, text.len() + style.key_separator.len())?;
                write_string(out, &text, style.ensure_ascii);
                out.push_str(&style.key_separator);
                write_value(out, state, style, &value.get_item(&key)?, depth + 1)?;
            }
            close(out, style, depth, empty, '}');
        }
        _ => return Err(not_json(value)),
    }
    // What stands inside of containers has been charged for; a scalar's text is at most six times as long as the value.
    state.consume_fuel(1)?;
    if weight::is_container(value) { Ok(()) } else { weight::bytes(state, out.len() - before) }
}

fn number(value: &Value) -> Result<String, Error> {
    if value.is_integer() {
        return Ok(value.to_string());
    }
    let x = f64::try_from(value.clone())?;
    Ok(if x.is_nan() {
        "NaN".to_owned()
    } else if x.is_infinite() {
        if x > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        float_repr(x)
    })
}

fn new_line(out: &mut String, style: &Style, depth: usize) {
    if let Some(indent) = &style.indent {
        out.push('\n');
        (0..depth).for_each(|_| out.push_str(indent));
    }
}

fn separate(out: &mut String, state: &State, style: &Style, depth: usize, first: bool) -> Result<(), Error> {
    let before = out.len();
    if !first {
        out.push_str(&style.item_separator);
    }
    new_line(out, style, depth);
    weight::bytes(state, out.len() - before)
}

fn close(out: &mut String, style: &Style, depth: usize, empty: bool, bracket: char) {
    if !empty {
        new_line(out, style, depth);
    }
    out.push(bracket);
}

fn write_string(out: &mut String, s: &str, ensure_ascii: bool) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || (ensure_ascii && !(' '..='~').contains(&c)) => {
                // 0x7f is ASCII and stays, also with ensure_ascii.
                if c == '\u{7f}' {
                    out.push(c);
                    continue;
                }
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// `json.loads`. Values take up to 60 times as many bytes as their text (`[[],[]]`).
pub(super) fn from_json(state: &State, text: &str) -> Result<Value, Error> {
    state.consume_fuel(text.len() as u64)?;
    let parsed: serde_json::Value = serde_json::from_str(text)
        .map_err(|e| Error::new(ErrorKind::InvalidOperation, format!("from_json: not valid JSON: {e}")))?;
    Ok(super::convert::from_json(&parsed))
}
