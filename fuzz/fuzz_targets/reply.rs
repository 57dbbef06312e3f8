//! Arbitrary replies in every format: no panic, the same in pieces as whole, nothing lost.
#![no_main]

use happy_chat::{ReplyFormat, ReplyParser};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

// The format, a number, and the reply: bytes above 127 are markers, so that whole ones are easily found.
fuzz_target!(|bytes: &[u8]| {
    let [format, how, bytes @ ..] = bytes else { return };
    let format = ReplyFormat::ALL[usize::from(*format) % ReplyFormat::ALL.len()];
    let markers: Vec<&str> = format.markers().collect();
    let (with_tools, with_tokens, thinks) = (how & 0x80 != 0, how & 0x40 != 0, how & 0x20 != 0);
    let pieces = bytes.iter().map(|byte| match byte {
        0..=127 => (char::from(*byte).to_string(), false),
        _ => (markers[usize::from(*byte - 128) % markers.len()].to_owned(), with_tokens),
    });
    let pieces: Vec<(String, bool)> = pieces.collect();
    let text: String = pieces.iter().map(|(text, _)| text.as_str()).collect();
    let tools = [json!({"name": "f", "parameters": {"type": "object", "properties": {
        "a": {"type": "string"}, "b": {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "c": {"enum": ["x", 1]}
    }}})];
    // In pieces of up to so many characters; control tokens stand alone.
    let read = |most: usize| {
        let mut parser = ReplyParser::new(format).with_tools(if with_tools { &tools } else { &[] }).unwrap();
        parser = parser.with_tokens(|marker| with_tokens && markers.contains(&marker)).unwrap();
        if let (true, Some((open, _))) = (thinks, format.thinking()) {
            parser = parser.after_prompt(open).unwrap();
        }
        for run in pieces.chunk_by(|a, b| !a.1 && !b.1) {
            let text: Vec<char> = run.iter().flat_map(|(text, _)| text.chars()).collect();
            for piece in text.chunks(if run[0].1 { text.len() } else { most }) {
                let piece: String = piece.iter().collect();
                if run[0].1 {
                    parser.push_control(&piece)
                } else {
                    parser.push(&piece)
                }
                .unwrap();
            }
        }
        parser.finish().unwrap().1
    };
    let whole = read(usize::MAX);
    assert_eq!(whole, read(usize::from(how % 17) + 1));

    for malformed in &whole.malformed {
        assert!(whole.content.contains(&malformed.text), "{malformed:?} is lost");
        assert!(text.contains(&malformed.text), "{malformed:?} was never there");
    }
    assert!(whole.reasoning.len() + whole.content.len() <= 2 * text.len() + 1);
});
