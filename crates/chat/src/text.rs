//! Python's `str()` and `repr()` of template values.

use std::fmt::Write;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use super::weight;

/// How deep nested containers may be written.
pub(super) const MAX_DEPTH: usize = 100;

pub(super) fn too_deep() -> Error {
    Error::new(ErrorKind::InvalidOperation, "value is nested more than 100 deep")
}

/// Whether minijinja writes this value as Python does (everything but containers and floats).
pub(super) fn needs_own_text(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Seq | ValueKind::Map => true,
        ValueKind::Number => !value.is_integer(),
        _ => false,
    }
}

/// `str(value)`, once the walk over the value has been charged for.
pub(super) fn to_str(state: &State, value: &Value) -> Result<String, Error> {
    weight::charge(state, value)?;
    if needs_own_text(value) {
        let mut out = String::new();
        repr(&mut out, value, 0)?;
        Ok(out)
    } else {
        Ok(value.to_string())
    }
}

/// `repr(float)`: the shortest digits that read back, exponents below 1e-4 and from 1e16 on.
pub(super) fn float_repr(x: f64) -> String {
    if x.is_nan() {
        return "nan".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf" } else { "-inf" }.into();
    }
    let magnitude = x.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{x:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        return format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs());
    }
    let text = x.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

/// Appends `repr(value)`.
pub(super) fn repr(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    match value.kind() {
        ValueKind::String => {
            string_repr(out, value.as_str().unwrap_or_default());
            Ok(())
        }
        ValueKind::Number if !value.is_integer() => {
            out.push_str(&float_repr(f64::try_from(value.clone())?));
            Ok(())
        }
        ValueKind::Seq => {
            let tuple = value.is_tuple();
            out.push(if tuple { '(' } else { '[' });
            let mut count = 0;
            for item in value.try_iter()?.checked() {
                if count > 0 {
                    out.push_str(", ");
                }
                repr(out, &item?, depth + 1)?;
                count += 1;
            }
            out.push_str(match tuple {
                true if count == 1 => ",)",
                true => ")",
                false => "]",
            });
            Ok(())
        }
        ValueKind::Map => {
            out.push('{');
            for (i, key) in value.try_iter()?.checked().enumerate() {
                let key = key?;
                if i > 0 {
                    out.push_str(", ");
                }
                repr(out, &key, depth + 1)?;
                out.push_str(": ");
                repr(out, &value.get_item(&key)?, depth + 1)?;
            }
            out.push('}');
            Ok(())
        }
        ValueKind::Undefined => {
            out.push_str("Undefined");
            Ok(())
        }
        _ => {
            out.push_str(&value.to_string());
            Ok(())
        }
    }
}

/// `repr(str)`: single quotes unless there are only single ones inside; control characters escaped.
fn string_repr(out: &mut String, s: &str) {
    let quote = if s.contains('\'') && !s.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in s.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c => {
                // Python escapes what is not printable: controls, separators other than the space, private use ...
                // The categories that occur in practice are these.
                let hidden = c.is_control()
                    || (c.is_whitespace() && c != ' ')
                    || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}');
                let code = c as u32;
                // Writing to a String cannot fail.
                let _ = match code {
                    _ if !hidden => write!(out, "{c}"),
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_python() {
        let cases = [
            (Value::from(vec![Value::from("a"), Value::from(1), Value::from(true)]), "['a', 1, True]"),
            (Value::from(1e16), "1e+16"),
            (Value::from(1e-5), "1e-05"),
            (Value::from(123456789.125), "123456789.125"),
            (Value::from(2.0), "2.0"),
            (Value::from(-0.0), "-0.0"),
            (Value::from_pairs([("k\n'", Value::from(()))]), "{\"k\\n'\": None}"),
            (Value::from(vec!["\u{7f}\u{2028}é'\""]), "['\\x7f\\u2028é\\'\"']"),
        ];
        for (value, expect) in cases {
            let mut text = String::new();
            repr(&mut text, &value, 0).unwrap();
            assert_eq!(text, expect);
        }
    }
}
