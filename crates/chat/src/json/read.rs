//! JSON read with fallible reservations.
//!
//! serde_json's own `Value` reserves infallibly: a long document ends the process where memory is scarce. Here texts and arrays
//! are reserved fallibly as they are read. What only serde_json can reserve is asked for first, and given back: the table of an
//! object, and, to say what is wrong with a text that is not JSON, the buffer in which it takes escapes out of a text. Between
//! asking and using, another thread may take the memory; for a single thread refusal is an error.
//!
//! This file stands in happy-chat and in happy-grammar, letter for letter: each is useful alone, and neither depends on
//! another crate of ours. Tidy checks that the two are equal.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::collections::TryReserveError;
use std::fmt;

/// The deepest nesting, which is serde_json's.
const MAX_DEPTH: usize = 127;

/// Reads any JSON value, nested at most 128 deep.
///
/// # Errors
/// If the text is not JSON; and if memory is refused: then, and only then, the error
/// [`is_data`](serde_json::Error::is_data).
pub(crate) fn parse(text: &str) -> serde_json::Result<Value> {
    match read(text) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => explained(text),
        Err(_) => Err(Error::custom("out of memory")),
    }
}

/// A JSON value; `None` if the text is not JSON.
pub(crate) fn read(text: &str) -> Result<Option<Value>, TryReserveError> {
    let mut source = Source { rest: text };
    match source.value(0) {
        Ok(value) => Ok(Some(value).filter(|_| source.next().is_empty())),
        Err(Stop::NotJson) => Ok(None),
        Err(Stop::Memory(error)) => Err(error),
    }
}

/// What serde_json says of a text that is not JSON.
pub(crate) fn explained(text: &str) -> serde_json::Result<Value> {
    if text.contains('\\') {
        reserve::<serde_json::Error, u8>(&mut Vec::new(), 2 * longest_text(text))?;
    }
    serde_json::from_str::<Reserved>(text).map(|Reserved(value)| value)
}

/// Why nothing is read.
enum Stop {
    NotJson,
    Memory(TryReserveError),
}

impl From<TryReserveError> for Stop {
    fn from(error: TryReserveError) -> Self {
        Stop::Memory(error)
    }
}

/// Text that is read from its beginning.
struct Source<'a> {
    rest: &'a str,
}

impl<'a> Source<'a> {
    /// What comes after white space.
    fn next(&mut self) -> &'a str {
        self.rest = self.rest.trim_start_matches([' ', '\n', '\r', '\t']);
        self.rest
    }

    fn take(&mut self, word: &str) -> bool {
        let after = self.next().strip_prefix(word);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn expect(&mut self, word: &str) -> Result<(), Stop> {
        if self.take(word) { Ok(()) } else { Err(Stop::NotJson) }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        match self.next().as_bytes().first() {
            Some(b'{' | b'[') if depth >= MAX_DEPTH => Err(Stop::NotJson),
            Some(b'{') => {
                let mut members = Vec::new();
                self.items("{", "}", |source| {
                    let key = source.string()?;
                    source.expect(":")?;
                    let value = source.value(depth + 1)?;
                    members.try_reserve(1)?;
                    members.push((key, value));
                    Ok(())
                })?;
                Ok(Value::Object(object(members)?))
            }
            Some(b'[') => {
                let mut items = Vec::new();
                self.items("[", "]", |source| {
                    let item = source.value(depth + 1)?;
                    items.try_reserve(1)?;
                    items.push(item);
                    Ok(())
                })?;
                Ok(Value::Array(items))
            }
            Some(b'"') => self.string().map(Value::String),
            _ => {
                let is_end = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
                let (word, rest) = self.rest.split_at(self.rest.find(is_end).unwrap_or(self.rest.len()));
                self.rest = rest;
                match word {
                    "null" => Ok(Value::Null),
                    "true" => Ok(Value::Bool(true)),
                    "false" => Ok(Value::Bool(false)),
                    _ if word.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                        // A number needs no memory.
                        serde_json::from_str(word).map(|Reserved(value)| value).map_err(|_| Stop::NotJson)
                    }
                    _ => Err(Stop::NotJson),
                }
            }
        }
    }

    /// What stands between brackets, with commas between.
    fn items(
        &mut self,
        open: &str,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        self.expect(open)?;
        if self.take(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.take(close) {
                return Ok(());
            }
            self.expect(",")?;
        }
    }

    fn string(&mut self) -> Result<String, Stop> {
        self.expect("\"")?;
        let (mut end, mut has_escapes) = (0, false);
        loop {
            end += match self.rest.as_bytes().get(end) {
                None | Some(0..b' ') => return Err(Stop::NotJson),
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    2
                }
                Some(_) => 1,
            };
        }
        let (mut written, rest) = self.rest.split_at_checked(end).ok_or(Stop::NotJson)?;
        self.rest = rest.get(1..).unwrap_or_default();
        let mut text = String::new();
        // No character is longer than its escape.
        text.try_reserve_exact(written.len())?;
        while has_escapes && let Some((plain, after)) = written.split_once('\\') {
            let (c, rest) = unescaped(after).ok_or(Stop::NotJson)?;
            text.push_str(plain);
            text.push(c);
            written = rest;
        }
        text.push_str(written);
        Ok(text)
    }
}

/// The character of an escape, without its backslash, and what stands after it.
fn unescaped(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    let c = match chars.next()? {
        c @ ('"' | '\\' | '/') => c,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let (first, rest) = code(chars.as_str())?;
            let Some(c) = char::from_u32(first) else {
                // A pair of surrogates.
                let (second, rest) = code(rest.strip_prefix("\\u")?)?;
                let pair =
                    char::decode_utf16([u16::try_from(first).ok()?, u16::try_from(second).ok()?]).next()?;
                return Some((pair.ok()?, rest));
            };
            return Some((c, rest));
        }
        _ => return None,
    };
    Some((c, chars.as_str()))
}

/// A number of four hexadecimal digits, and what stands after it.
fn code(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then_some(())?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
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

fn reserve<E: Error, T>(list: &mut Vec<T>, more: usize) -> Result<(), E> {
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
struct Reserved(Value);

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

/// An object of these members; of two with the same key the last one counts.
pub(crate) fn object(members: Vec<(String, Value)>) -> Result<Map<String, Value>, TryReserveError> {
    // Given back at once: `Map` takes memory only in ways that can't fail. One more, since small tables have empty places.
    Vec::<Entry>::new().try_reserve(members.len() + 1)?;
    Ok(Map::from_iter(members))
}

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
        object(list).map(Value::Object).map_err(|_| A::Error::custom("out of memory"))
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
            r#""\ud800\u0041""#,
            r#""\udc00\ud800""#,
            r#""\u+041""#,
            r#""\u00é""#,
            r#""\x""#,
            r#""\b\f\r\t\/\u0000\u00E9""#,
            "\"a\nb\"",
            "[1 ,\t2\r\n]",
            "[1\u{a0}]",
            "{\"a\" : 1 , \"b\":[ ]}",
            "{\"a\":1,}",
            "{,}",
            "[,]",
            "[1 2]",
            "{\"a\" 1}",
            "01",
            "+1",
            "1.",
            "1e",
            ".5",
            "-",
            "1x",
            "NaN",
            "true1",
            "[true,false]",
            "[1,\"\\\"\",{\"\\\\\":\"\\\\\"}]",
            "[1]]",
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
        let deep = [127, 128, 129].map(|n| "[".repeat(n) + &"]".repeat(n));
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
