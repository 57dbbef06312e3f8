//! One turn with a tool, from the prompt to the next prompt. The model's replies are made up.
//!
//! ```text
//! cargo run -p happy-chat --example tool_round_trip
//! ```

use happy_chat::{ChatTemplate, Message, ReplyFormat, ReplyParser, TemplateInput};
use serde_json::{Value, json};

const TEMPLATE: &str = "\
{%- if tools %}<|im_start|>system
<tools>{{ tools | tojson }}</tools><|im_end|>
{% endif %}
{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}
{%- for call in m.tool_calls %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let template = ChatTemplate::new(TEMPLATE)?;
    let format = ReplyFormat::of_template(TEMPLATE);
    let mut input = TemplateInput::new([Message::new("user", "How warm is it in Bern?")]);
    input.tools = Some(vec![json!({
        "type": "function",
        "function": {
            "name": "temperature",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    })]);

    let replies = [
        r#"<tool_call>{"name": "temperature", "arguments": {"city": "Bern"}}</tool_call>"#,
        "It is 21 degrees in Bern.",
    ];
    for generated in replies {
        let prompt = template.render(&input)?;
        println!("--- prompt\n{prompt}--- reply\n{generated}");

        // The tools tell the parser which calls to expect, and the prompt where the reply begins.
        let tools = input.tools.as_deref().unwrap_or_default();
        let mut parser = ReplyParser::new(format).with_tools(tools)?.after_prompt(&prompt)?;
        parser.push(generated)?;
        let (_, reply) = parser.finish()?;

        // The reply becomes a message of the next turn, followed by the result of each call, with the call's id.
        let message = reply.message()?;
        let ids: Vec<Value> =
            message["tool_calls"].as_array().into_iter().flatten().map(|call| call["id"].clone()).collect();
        input.messages.push(message);
        for (call, id) in reply.tool_calls.iter().zip(ids) {
            let result = match call.name.as_str() {
                "temperature" => format!("21 degrees in {}", call.arguments["city"]),
                name => format!("unknown tool {name}"),
            };
            input.messages.push(json!({"role": "tool", "content": result, "tool_call_id": id}));
        }
    }
    Ok(())
}
