//! Arbitrary templates and contexts: an error or a text, within the fuel, and never a panic.
#![no_main]

use happy_engine::chat::{ChatTemplate, TemplateError};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// The input is a template and, after a byte 0, a context; without one, a conversation is used.
fn context(text: &str) -> Value {
    serde_json::from_str(text).ok().filter(Value::is_object).unwrap_or_else(|| {
        let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": {"a": [1, 2.5]}}});
        json!({
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "hello <b> 'quoted'\n"},
                {"role": "assistant", "content": null, "tool_calls": [call]},
                {"role": "tool", "content": [{"type": "text", "text": "x"}]},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {}}}}],
            "add_generation_prompt": true,
            "bos_token": "<s>",
            "eos_token": "</s>",
        })
    })
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (source, rest) = text.split_once('\0').unwrap_or((&text, ""));
    let Ok(mut template) = ChatTemplate::new(source) else { return };
    template.set_fuel(20_000);
    let rendered = template.render_context(&context(rest), "2026-03-14T09:26:53".parse().ok());
    if let Err(TemplateError::Runtime { message, .. }) = &rendered {
        assert!(!message.contains("panicked"), "{message}");
    }
    // A unit of fuel is worth 64 bytes at most.
    if let Ok(out) = rendered {
        assert!(out.len() < 64 << 20, "{} bytes", out.len());
    }
});
