//! What templates are rendered with.

use happy_chat::TemplateInput;
use serde_json::{Value, json};

/// The context in a text; a conversation with a call if it is not a JSON object.
pub fn context(text: &str) -> Value {
    serde_json::from_str(text).ok().filter(Value::is_object).unwrap_or_else(|| {
        let call =
            json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": {"a": [1, 2.5]}}});
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

/// The same as messages, tools and variables. The clock stands still.
pub fn input(text: &str) -> TemplateInput {
    let Value::Object(mut vars) = context(text) else { return TemplateInput::default() };
    let mut list = |key: &str| match vars.remove(key) {
        Some(Value::Array(items)) => Some(items),
        _ => None,
    };
    let (messages, tools) = (list("messages").unwrap_or_default(), list("tools"));
    TemplateInput {
        messages,
        tools,
        vars,
        now: "2026-03-14T09:26:53".parse().ok(),
        ..TemplateInput::default()
    }
}
