//! Arbitrary templates and contexts: an error or a text, within the fuel, and never a panic.
#![no_main]

use happy_chat::ChatTemplate;
use happy_fuzz::contexts::context;
use libfuzzer_sys::fuzz_target;

// The input is a template and, after a byte 0, a context; without one, a conversation is used.
fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (source, rest) = text.split_once('\0').unwrap_or((&text, ""));
    let Ok(mut template) = ChatTemplate::new(source) else { return };
    template.set_fuel(20_000);
    // A unit of fuel is worth 64 bytes at most.
    if let Ok(out) = template.render_context(&context(rest), "2026-03-14T09:26:53".parse().ok()) {
        assert!(out.len() < 64 << 20, "{} bytes", out.len());
    }
});
