//! Arbitrary replies in every format: no panic, the same in pieces as whole, nothing lost.
#![no_main]

use happy_engine::chat::{ReplyFormat, ReplyParser};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [format, step, bytes @ ..] = bytes else { return };
    let format = ReplyFormat::ALL[usize::from(*format) % ReplyFormat::ALL.len()];
    // Bytes above 127 are markers, so that whole ones are easily found.
    let markers: Vec<&str> = format.markers().collect();
    let mut text = String::new();
    for byte in bytes {
        match byte {
            0..=127 => text.push(char::from(*byte)),
            _ => text.push_str(markers[usize::from(*byte - 128) % markers.len()]),
        }
    }
    let mut whole = ReplyParser::new(format);
    whole.push(&text);
    let (_, whole) = whole.finish();

    let mut parts = ReplyParser::new(format);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let n = rest.ceil_char_boundary((usize::from(*step) % 17 + 1).min(rest.len()));
        let (piece, tail) = rest.split_at(n);
        parts.push(piece);
        rest = tail;
    }
    let (_, parts) = parts.finish();
    assert_eq!(whole, parts);

    for malformed in &whole.malformed {
        assert!(whole.content.contains(&malformed.text), "{malformed:?} is lost");
        assert!(text.contains(&malformed.text), "{malformed:?} was never there");
    }
    assert!(whole.reasoning.len() + whole.content.len() <= 2 * text.len() + 1);
});
