//! JSON whose numbers keep their digits.
//!
//! `serde_json` stores a number in 64 bits, so that 12345678901234567890123 and 1.10 do not come out as they went in. Its
//! feature `arbitrary_precision` keeps the digits, but for every crate of a program, and it breaks numbers in tagged and
//! untagged enums. So the text is kept beside the value: the n-th number of a value is the n-th number of its text.

use std::ops::Range;

use crate::memory::{R, Text, gathered, json_text, push};
use serde::de::Error;
use serde_json::Value as Json;

/// The member beside a call's `arguments` that holds their text. It exists if the text has digits that the value lost.
pub(crate) const TEXT_KEY: &str = "arguments_text";

/// Returns the numbers of a JSON text, in order.
pub(crate) fn numbers(json: &str) -> R<Vec<&str>> {
    gathered(places(json)?.into_iter().filter_map(|place| json.get(place)))
}

/// Returns the positions of the numbers of a JSON text.
fn places(json: &str) -> R<Vec<Range<usize>>> {
    let mut found = Vec::new();
    // The state before the current byte.
    let (mut in_string, mut escaped, mut number) = (false, false, None);
    for (i, byte) in json.bytes().enumerate() {
        let in_number = matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E' | b'0'..=b'9');
        match number {
            Some(_) if in_number => continue,
            Some(start) => push(&mut found, start..i)?,
            None => {}
        }
        number = (!in_string && (byte == b'-' || byte.is_ascii_digit())).then_some(i);
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ => {}
        }
    }
    number.map_or(Ok(()), |start| push(&mut found, start..json.len()))?;
    Ok(found)
}

/// Returns the JSON text of `value`, with its numbers as they are in `written`. If those are other numbers, as for a text
/// that has a key twice, the numbers are as `serde_json` writes them.
pub(crate) fn text_of(value: &Json, written: &[impl AsRef<str>]) -> R<String> {
    let plain = json_text(value)?;
    let places = places(&plain)?;
    let mut out = Text::default();
    let mut done = 0;
    for (place, written) in places.iter().zip(written) {
        let between = plain.get(done..place.start).unwrap_or_default();
        let rounded = plain.get(place.clone()).unwrap_or_default();
        if !is_same(rounded, written.as_ref()) {
            return Ok(plain);
        }
        out.add(between)?;
        out.add(written.as_ref())?;
        done = place.end;
    }
    out.add(plain.get(done..).unwrap_or_default())?;
    Ok(if places.len() == written.len() { out.0 } else { plain })
}

/// Returns whether `serde_json` reads `written` as `rounded`. It may round to either of the two nearest floats.
pub(crate) fn is_same(rounded: &str, written: &str) -> bool {
    if rounded == written {
        return true;
    }
    match (rounded.parse::<f64>(), written.parse::<f64>()) {
        (Ok(a), Ok(b)) => !is_integer(rounded) && (a - b).abs() <= 2.0 * f64::EPSILON * a.abs(),
        _ => false,
    }
}

/// Returns whether a number has neither a fraction nor an exponent.
pub(crate) fn is_integer(number: &str) -> bool {
    !number.contains(['.', 'e', 'E'])
}

/// Reads a message, or an array of messages, from JSON.
///
/// Numbers in the arguments of calls keep their digits. If a value cannot hold them, `arguments_text` is added beside
/// `arguments`, and templates take the digits from it.
///
/// # Errors
/// If the text is not valid JSON, nests more than 128 deep, or has a number that does not fit in a 64-bit float. If memory
/// is refused, as for [`json::parse`](crate::json::parse).
pub fn messages_from_json(text: &str) -> serde_json::Result<Json> {
    let mut json = crate::json::parse(text)?;
    keep_all(&mut json, text).map_err(|_| Error::custom("out of memory"))?;
    Ok(json)
}

/// Counts the numbers in a value.
pub(crate) fn count(json: &Json) -> usize {
    match json {
        Json::Number(_) => 1,
        Json::Array(items) => items.iter().map(count).sum(),
        Json::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

/// Adds the texts of arguments to a value that was read from `text`.
fn keep_all(json: &mut Json, text: &str) -> R<()> {
    let numbers = numbers(text)?;
    // If a key occurs twice, only its last value is left, and it is unknown which numbers belong to it.
    if numbers.len() == count(json) { keep(json, &mut numbers.as_slice()) } else { Ok(()) }
}

/// Adds the texts of arguments. `rest` has the numbers from this value on.
fn keep(json: &mut Json, rest: &mut &[&str]) -> R<()> {
    match json {
        Json::Array(items) => items.iter_mut().try_for_each(|item| keep(item, rest))?,
        Json::Object(map) => {
            let mut text = None;
            for (key, value) in map.iter_mut() {
                if key == "arguments" && value.is_object() {
                    let (own, after) = rest.split_at_checked(count(value)).unwrap_or_default();
                    *rest = after;
                    text = lossless(value, own)?;
                } else {
                    keep(value, rest)?;
                }
            }
            if let Some(text) = text {
                map.insert(TEXT_KEY.to_owned(), text.into());
            }
        }
        Json::Number(_) => *rest = rest.get(1..).unwrap_or_default(),
        _ => {}
    }
    Ok(())
}

/// Returns the text of `value`, unless `serde_json` writes the same text.
fn lossless(value: &Json, written: &[&str]) -> R<Option<String>> {
    let (plain, text) = (json_text(value)?, text_of(value, written)?);
    Ok((text != plain).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_outside_of_strings() {
        let text = r#"{"a-1": [-0, 1e5,"\"2\\",3.10], "b": true,"c":12345678901234567890123}"#;
        assert_eq!(numbers(text).unwrap(), ["-0", "1e5", "3.10", "12345678901234567890123"]);
        assert_eq!(numbers("12").unwrap(), ["12"]);
        assert_eq!(numbers("").unwrap(), [""; 0]);
    }

    #[test]
    fn texts_keep_the_digits_of_their_numbers() {
        let cases = [
            (r#"{"a": 1.10, "b": "1.10"}"#, r#"{"a":1.10,"b":"1.10"}"#),
            ("[12345678901234567890123, -0, 1E5]", "[12345678901234567890123,-0,1E5]"),
            ("[0.1234567890123456789012, 7]", "[0.1234567890123456789012,7]"),
            // A key that occurs twice: the first value is gone.
            (r#"{"a": 1.10, "a": 2.50}"#, r#"{"a":2.5}"#),
            (r#"{"a": "x", "b": 1.10, "a": 2.50}"#, r#"{"a":2.5,"b":1.1}"#),
            ("[]", "[]"),
        ];
        for (text, expect) in cases {
            let value: Json = serde_json::from_str(text).unwrap();
            assert_eq!(text_of(&value, &numbers(text).unwrap()).unwrap(), expect, "{text}");
        }
    }
}
