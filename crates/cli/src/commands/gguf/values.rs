//! Converts metadata values to text and JSON, and from what people type.

use crate::error::{CliError, CliResult};
use happy_gguf::{Array, OwnedArray, OwnedValue, Value, ValueType};
use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use std::io::{self, Write};

/// Writes a whole value as JSON while it is read, since a vocabulary in memory would take many times its bytes. Numbers
/// that JSON cannot express become text.
pub(super) struct AsJson<'a>(pub(super) Value<'a>);

impl Serialize for AsJson<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let float = |v: f64, to: S| if v.is_finite() { to.serialize_f64(v) } else { to.collect_str(&v) };
        match self.0 {
            Value::String(s) => to.serialize_str(&s.to_string_lossy()),
            Value::Bool(v) => to.serialize_bool(v),
            // Through its shortest text, so that 0.1 does not become 0.10000000149011612.
            Value::F32(v) => float(v.to_string().parse().unwrap_or(v.into()), to),
            Value::F64(v) => float(v, to),
            Value::U64(v) => to.serialize_u64(v),
            Value::Array(array) => to.collect_seq(array.iter().map(AsJson)),
            integer => integer.as_integer().and_then(|v| i64::try_from(v).ok()).serialize(to),
        }
    }
}

/// Returns whether two values are the same, including their types. Any NaN equals any other.
pub(super) fn same(a: Value<'_>, b: Value<'_>) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.element_type() == b.element_type()
                && a.len() == b.len()
                && a.iter().zip(b.iter()).all(|(a, b)| same(a, b))
        }
        (Value::F32(a), Value::F32(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Value::F64(a), Value::F64(b)) => a == b || (a.is_nan() && b.is_nan()),
        (a, b) => a == b,
    }
}

/// Writes items as a JSON array. The function makes them, one at a time.
pub(super) struct List<F>(pub(super) F);

impl<V: Serialize, I: Iterator<Item = V>, F: Fn() -> I> Serialize for List<F> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq((self.0)())
    }
}

/// Writes pairs as a JSON object. The function makes them, one at a time.
pub(super) struct Pairs<F>(pub(super) F);

impl<K: Serialize, V: Serialize, I: Iterator<Item = (K, V)>, F: Fn() -> I> Serialize for Pairs<F> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map((self.0)())
    }
}

/// Returns the name of a type, such as `u32` or `array:string`.
pub(super) fn type_of(value: &Value<'_>) -> String {
    match value {
        Value::Array(array) => format!("array:{}", array.element_type()),
        value => value.value_type().to_string(),
    }
}

/// Returns a value in one line; long ones are shortened.
pub(super) fn line_of(value: Value<'_>) -> String {
    /// Of an array and of a string.
    const SHOWN: (usize, usize) = (8, 80);
    let text = match value {
        Value::String(s) => s.to_string_lossy().into_owned(),
        Value::Array(array) => return array_line(array, SHOWN.0),
        value => number_text(value),
    };
    let cut = text.char_indices().nth(SHOWN.1).map(|(at, _)| at);
    let more = if cut.is_some() { format!("... ({} bytes)", text.len()) } else { String::new() };
    let shown = text[..cut.unwrap_or(text.len())].chars();
    let escaped: String =
        shown.map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect();
    escaped + &more
}

fn array_line(array: Array<'_>, shown: usize) -> String {
    let items: Vec<String> = array.iter().take(shown).map(line_of).collect();
    let more = if array.len() > shown { ", ..." } else { "" };
    format!("{} x {} [{}{more}]", array.len(), array.element_type(), items.join(", "))
}

/// Writes a whole value: a string as it is, an array as JSON.
pub(super) fn write_text(value: Value<'_>, out: &mut impl Write) -> io::Result<()> {
    match value {
        Value::String(s) => write!(out, "{}", s.to_string_lossy()),
        Value::Array(_) => Ok(serde_json::to_writer(out, &AsJson(value))?),
        number => write!(out, "{}", number_text(number)),
    }
}

/// Returns a number or a bool as text.
fn number_text(value: Value<'_>) -> String {
    match value {
        Value::F32(v) => v.to_string(),
        Value::F64(v) => v.to_string(),
        Value::Bool(v) => v.to_string(),
        integer => integer.as_integer().map(|v| v.to_string()).unwrap_or_default(),
    }
}

/// Parses the type of a value to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    One(ValueType),
    ArrayOf(ValueType),
}

impl Kind {
    /// Returns the type of an existing value; `None` for types that cannot be typed in (arrays of arrays).
    pub(super) fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Array(array) if array.element_type() == ValueType::Array => None,
            Value::Array(array) => Some(Self::ArrayOf(array.element_type())),
            value => Some(Self::One(value.value_type())),
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scalar =
            |name: &str| ValueType::ALL.into_iter().find(|ty| ty.name() == name && *ty != ValueType::Array);
        let found = match text.strip_prefix("array:") {
            Some(element) => scalar(element).map(Self::ArrayOf),
            None => scalar(text).map(Self::One),
        };
        found.ok_or_else(|| "expected u8, i8 .. f64, bool, string, or array:TYPE".to_owned())
    }
}

/// Parses what was typed for `key` as a value of this type. Without a type it is guessed: `true` or `false`, a whole
/// number (u32 if it fits), a number (f32), else a string.
pub(super) fn parse(key: &str, text: &str, kind: Option<Kind>) -> CliResult<OwnedValue> {
    let wrong = |ty: &str| CliError::usage(format!("`{key}`: expected {ty}, found `{text}`"));
    match kind {
        Some(Kind::One(ty)) => one(ty, text).ok_or_else(|| wrong(ty.name())),
        Some(Kind::ArrayOf(ty)) => {
            let items: Vec<Json> = serde_json::from_str(text).map_err(|_| wrong("JSON array"))?;
            array(ty, &items).ok_or_else(|| wrong(&format!("array of {ty}")))
        }
        None => Ok(guess(text)),
    }
}

fn guess(text: &str) -> OwnedValue {
    let looks_like_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let types: &[ValueType] = match text {
        "true" | "false" => &[ValueType::Bool],
        _ if looks_like_number => {
            &[ValueType::U32, ValueType::I32, ValueType::U64, ValueType::I64, ValueType::F32]
        }
        _ => &[],
    };
    types.iter().find_map(|ty| one(*ty, text)).unwrap_or_else(|| text.into())
}

fn one(ty: ValueType, text: &str) -> Option<OwnedValue> {
    Some(match ty {
        ValueType::U8 => OwnedValue::U8(text.parse().ok()?),
        ValueType::I8 => OwnedValue::I8(text.parse().ok()?),
        ValueType::U16 => OwnedValue::U16(text.parse().ok()?),
        ValueType::I16 => OwnedValue::I16(text.parse().ok()?),
        ValueType::U32 => OwnedValue::U32(text.parse().ok()?),
        ValueType::I32 => OwnedValue::I32(text.parse().ok()?),
        ValueType::U64 => OwnedValue::U64(text.parse().ok()?),
        ValueType::I64 => OwnedValue::I64(text.parse().ok()?),
        ValueType::F32 => OwnedValue::F32(text.parse().ok()?),
        ValueType::F64 => OwnedValue::F64(text.parse().ok()?),
        ValueType::Bool => OwnedValue::Bool(text.parse().ok()?),
        ValueType::String => text.into(),
        ValueType::Array => return None,
    })
}

/// Parses an array of one type from JSON: strings as they are, everything else by its text.
fn array(ty: ValueType, items: &[Json]) -> Option<OwnedValue> {
    macro_rules! packed {
        ($t:ty) => {{
            let items: Option<Vec<$t>> = items.iter().map(|item| item.to_string().parse().ok()).collect();
            OwnedArray::packed(items?)
        }};
    }
    Some(OwnedValue::from(match ty {
        ValueType::U8 => packed!(u8),
        ValueType::I8 => packed!(i8),
        ValueType::U16 => packed!(u16),
        ValueType::I16 => packed!(i16),
        ValueType::U32 => packed!(u32),
        ValueType::I32 => packed!(i32),
        ValueType::U64 => packed!(u64),
        ValueType::I64 => packed!(i64),
        ValueType::F32 => packed!(f32),
        ValueType::F64 => packed!(f64),
        ValueType::Bool => packed!(bool),
        ValueType::String => {
            let items: Option<Vec<&str>> = items.iter().map(Json::as_str).collect();
            OwnedArray::strings(items?)
        }
        ValueType::Array => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed() {
        let cases: &[(&str, Option<&str>, OwnedValue)] = &[
            ("7", None, 7u32.into()),
            ("-7", None, (-7i32).into()),
            ("5000000000", None, 5_000_000_000u64.into()),
            ("0.5", None, 0.5f32.into()),
            ("true", None, true.into()),
            ("inf", None, "inf".into()),
            ("7B", None, "7B".into()),
            ("7", Some("string"), "7".into()),
            ("7", Some("u16"), 7u16.into()),
            ("[1, 2]", Some("array:i32"), vec![1i32, 2].into()),
            ("[\"a\"]", Some("array:string"), vec!["a"].into()),
            ("[]", Some("array:f32"), OwnedArray::new(ValueType::F32).into()),
            ("[true]", Some("array:bool"), vec![true].into()),
        ];
        for (text, kind, value) in cases {
            let kind = kind.map(|k| k.parse().unwrap());
            assert_eq!(parse("k", text, kind).ok().as_ref(), Some(value), "{text} {kind:?}");
        }
        for (text, kind) in
            [("256", "u8"), ("x", "f32"), ("1", "array:u8"), ("[\"a\"]", "array:u8"), ("[1]", "array:string")]
        {
            assert!(parse("k", text, Some(kind.parse().unwrap())).is_err(), "{text} {kind}");
        }
        for kind in ["", "array", "array:array", "uint32"] {
            assert!(kind.parse::<Kind>().is_err(), "{kind}");
        }
    }
}
