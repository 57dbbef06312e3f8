//! Arbitrary templates and contexts: the text is that of rendering without marks; marks ascend, are disjoint, and lie on whole
//! characters; and a character that only a message has stays that message's.
#![no_main]

use happy_chat::{ChatTemplate, Origin, TemplateInput};
use happy_fuzz::contexts;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// A character for each message that nothing else has.
fn sign(message: usize) -> char {
    char::from_u32(0xE100 + message as u32).expect("private use")
}

/// Appends the message's sign to each of its texts.
fn signed(value: &mut Value, message: usize) {
    match value {
        Value::String(text) => text.push(sign(message)),
        Value::Array(items) => items.iter_mut().for_each(|item| signed(item, message)),
        Value::Object(map) => map
            .iter_mut()
            .filter(|(key, _)| !matches!(key.as_str(), "role" | "type"))
            .for_each(|(_, value)| signed(value, message)),
        _ => {}
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (source, rest) = text.split_once('\0').unwrap_or((&text, ""));
    let signs = |text: &str| text.contains(|c| ('\u{E100}'..='\u{E1FF}').contains(&c));
    // Templates may spell a character by its number.
    if signs(&text) || text.to_ascii_lowercase().contains("\\ue1") {
        return;
    }
    let Ok(mut template) = ChatTemplate::new(source) else { return };
    template.set_fuel(20_000);
    let mut input: TemplateInput = contexts::input(rest);
    input.messages.truncate(256);
    (0..).zip(&mut input.messages).for_each(|(i, message)| signed(message, i));
    let marked = template.render_marked(&input, &|| false);
    assert_eq!(template.render(&input), marked.clone().map(|rendered| rendered.text));
    let Ok(rendered) = marked else { return };
    let mut at = 0;
    for span in &rendered.spans {
        assert!(at <= span.range.start && span.range.start < span.range.end, "{:?}", rendered.spans);
        assert!(rendered.text.get(span.range.clone()).is_some(), "{:?}", rendered.spans);
        at = span.range.end;
        if let Origin::Message(i) = span.origin {
            assert!(i < input.messages.len());
        }
    }
    for (at, c) in rendered.text.char_indices().filter(|(_, c)| ('\u{E100}'..='\u{E1FF}').contains(c)) {
        let message = c as usize - 0xE100;
        let span = rendered.spans.iter().find(|span| span.range.contains(&at));
        assert_eq!(span.map(|span| span.origin), Some(Origin::Message(message)), "{:?}", rendered.text);
    }
});
