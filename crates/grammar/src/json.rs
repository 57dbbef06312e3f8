//! JSON read with fallible reservations.
//!
//! serde_json's own `Value` reserves infallibly: a long document ends the process where memory is scarce. Here texts and arrays
//! are reserved fallibly as they are read. What only serde_json can reserve is asked for first, and given back: the table of an
//! object, and the buffer in which it takes escapes out of a text. Between asking and using, another thread may take the
//! memory; for a single thread refusal is an error.
//!
//! This file stands in happy-chat and in happy-grammar, letter for letter: each is useful alone, and neither depends on
//! another crate of ours. Tidy checks that the two are equal.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Reads any JSON value, nested at most 128 deep.
///
/// # Errors
/// If the text is not JSON; and if memory is refused: then, and only then, the error
/// [`is_data`](serde_json::Error::is_data).
pub(crate) fn parse(text: &str) -> serde_json::Result<Value> {
    if text.contains('\\') {
        room::<serde_json::Error, u8>(2 * longest_text(text))?;
    }
    serde_json::from_str::<Reserved>(text).map(|Reserved(value)| value)
}

/// The most bytes between two quotes, with those that escapes hide.
fn longest_text(text: &str) -> usize {
    let mut escaped = false;
    let quotes = text.bytes().enumerate().filter(|&(_, byte)| {
        let quote = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        quote
    });
    let mut last = 0;
    quotes.fold(0, |longest: usize, (at, _)| longest.max(at - std::mem::replace(&mut last, at)))
}

/// An error unless there is room for `n` items, which is given back.
fn room<E: Error, T>(n: usize) -> Result<(), E> {
    reserve(&mut Vec::<T>::new(), n)
}

pub(super) fn reserve<E: Error, T>(list: &mut Vec<T>, more: usize) -> Result<(), E> {
    list.try_reserve(more).map_err(|_| E::custom("out of memory"))
}

/// A copy of a text.
fn copied<E: Error>(text: &str) -> Result<String, E> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).map_err(|_| E::custom("out of memory"))?;
    copy.push_str(text);
    Ok(copy)
}

/// A value that is read with fallible reservations.
pub(super) struct Reserved(pub(super) Value);

impl<'de> Deserialize<'de> for Reserved {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader).map(Reserved)
    }
}

/// The key of a member.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match from.deserialize_str(Reader)? {
            Value::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("expected a text as key")),
        }
    }
}

struct Reader;

/// Bytes that a member takes in the table of its object, with the index and what is free after growth.
type Entry = [u64; (size_of::<(usize, String, Value)>() + 4 * size_of::<usize>()).div_ceil(8)];

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        copied(text).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Reserved(item)) = items.next_element()? {
            reserve(&mut list, 1)?;
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some((Key(key), Reserved(value))) = members.next_entry()? {
            reserve(&mut list, 1)?;
            list.push((key, value));
        }
        room::<A::Error, Entry>(list.len())?;
        Ok(Value::Object(Map::from_iter(list)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_serde_json() {
        let texts = [
            "null",
            " true",
            "-0",
            "-0.0",
            "12345678901234567890",
            "-9223372036854775808",
            "1e3",
            "123456789012345678901",
            "1e400",
            r#""""#,
            r#""a\n\u00e9\ud83d\ude00\\\"b""#,
            r#""\ud800""#,
            "\"é\"",
            "[]",
            "[1,[2,{}],\"x\"]",
            "{}",
            r#"{"b":1,"a":{"c":null},"b":2}"#,
            r#"{"\u0061":1}"#,
            "{1:2}",
            "[1,]",
            "{\"a\"}",
            "",
            "nul",
            "1 2",
            "\"a",
            "[\"\\",
        ];
        let deep = ["[".repeat(127) + &"]".repeat(127), "[".repeat(129) + &"]".repeat(129)];
        for text in texts.iter().copied().chain(deep.iter().map(String::as_str)) {
            let (found, expected) = (parse(text), serde_json::from_str::<Value>(text));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.to_string(), expected.to_string(), "{text}"),
                (Err(found), Err(expected)) => assert_eq!(found.to_string(), expected.to_string(), "{text}"),
                (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn the_longest_text_counts_escapes() {
        for (text, most) in [("12", 0), (r#""ab""#, 3), (r#"{"a":"b\"cd"}"#, 6), (r#""\\" "abcd""#, 5)] {
            assert_eq!(longest_text(text), most, "{text}");
        }
    }
}
