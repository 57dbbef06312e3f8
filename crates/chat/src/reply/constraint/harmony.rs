//! gpt-oss: messages in channels.
//!
//! ```text
//! reply     (note start)* (final | call (start call)*)      the first message without its start, if the prompt wrote that
//! note      <|channel|>analysis|commentary <|message|> text <|end|>
//! final     <|channel|>final <|message|> answer
//! call      to=functions.f <|channel|>commentary .. <|message|> arguments <|call|>
//! ```

use super::writer::{Writer, quote};
use super::{Channel, ReplyShape, ToolChoice};

pub(super) fn write(writer: &mut Writer<'_>, shape: &ReplyShape<'_>, must_call: bool) {
    let channel = writer.marker("<|channel|>");
    let message = writer.marker("<|message|>");
    let end = writer.marker("<|end|>");
    // White space or the marker: the letters alone would belong to the name before them.
    let constrain = writer.marker("<|constrain|>");
    let json = format!("((ws {constrain} ws | [ \\t\\r\\n]{{1,32}}) (\"json\" | \"code\"))?");
    let text = writer.until(["<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>"]);
    let start = format!("{} \"assistant\"", writer.marker("<|start|>"));
    writer.rule("start", &start);
    writer.rule("note", &format!("{channel} (\"analysis\" | \"commentary\") ws {message} {text} {end}"));
    let answer = if shape.answer { writer.answer() } else { text.clone() };
    // The model ends with a token of its own, or with the one that ends generation.
    let over = format!("({} | {end})?", writer.marker("<|return|>"));
    writer.rule("final", &format!("{channel} \"final\" {json} ws {message} {answer} ws {over}"));
    let mut last = Vec::new();
    if !must_call {
        last.push("final".to_owned());
    }
    if shape.choice != ToolChoice::None && writer.has_tools() {
        let mut calls = Vec::new();
        for (_, tool) in writer.tools() {
            let arguments = writer.arguments(tool);
            let name = quote(&format!("functions.{}", tool.name));
            let (a, b) = ("\"analysis\"", "\"commentary\"");
            calls.push(format!(
                "(\" to=\" {name} ws {channel} ({a} | {b}) | {channel} ({a} | {b}) \" to=\" {name}) {json} ws {message} ws {arguments}"
            ));
        }
        writer.rule("call-body", &calls.join(" | "));
        writer.rule("call", &format!("call-body ws ({} | {end})?", writer.marker("<|call|>")));
        last.push("call (start call)*".to_owned());
    }
    let messages = format!("(note start)* ({})", last.join(" | "));
    let root = match shape.opened {
        Channel::Reasoning => format!("{text} {end} start {messages}"),
        Channel::Content | Channel::Call => format!("start? {messages}"),
        Channel::Control => messages,
    };
    writer.rule("root", &root);
}
