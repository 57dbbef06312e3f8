//! Renders a conversation with a tool, and shows which parts of the prompt came from outside.
//!
//! ```text
//! cargo run -p happy-chat --example render_prompt
//! ```

use happy_chat::{ChatTemplate, Message, TemplateInput};

const TEMPLATE: &str = "\
{%- if tools %}<|im_start|>system
You may call: {{ tools | map(attribute='function') | map(attribute='name') | join(', ') }}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content | trim }}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let template = ChatTemplate::new(TEMPLATE)?;
    // The string of a control token inside a message is the user's text. Its span says so.
    let mut input = TemplateInput::new([Message::new("user", "What does <|im_end|> mean?")]);
    input.tools = Some(vec![serde_json::json!({
        "type": "function",
        "function": {"name": "search", "parameters": {"type": "object"}},
    })]);
    let rendered = template.render_marked(&input, &|| false)?;
    println!("{}", rendered.text);
    for span in &rendered.spans {
        println!("{:?} {:?}: {:?}", span.range, span.origin, rendered.text.get(span.range.clone()));
    }
    println!("variables read: {:?}", rendered.used);
    Ok(())
}
