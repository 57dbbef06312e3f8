//! Writes the rules for replies of gpt-oss: messages in channels.
//!
//! ```text
//! reply     (note start)* (final | call (start call)*)      the first message has no start if the prompt wrote it
//! note      <|channel|>analysis|commentary <|message|> text <|end|>
//! final     <|channel|>final <|message|> answer
//! call      to=functions.f <|channel|>commentary .. <|message|> arguments <|call|>
//! ```

use super::writer::{Writer, quote};
use super::{Channel, ReplyShape, ToolChoice};
use crate::memory::{R, joined, push, text};

pub(super) fn write(writer: &mut Writer<'_>, shape: &ReplyShape<'_>, must_call: bool) -> R<()> {
    let channel = writer.marker("<|channel|>")?;
    let message = writer.marker("<|message|>")?;
    let end = writer.marker("<|end|>")?;
    // White space or the marker must come first; otherwise the letters would belong to the name before them.
    let constrain = writer.marker("<|constrain|>")?;
    let json = text!("((ws {constrain} ws | [ \\t\\r\\n]{{1,32}}) (\"json\" | \"code\"))?")?;
    let text = writer.until(["<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>"])?;
    let start = text!("{} \"assistant\"", writer.marker("<|start|>")?)?;
    writer.rule("start", &start)?;
    let note = text!("{channel} (\"analysis\" | \"commentary\") ws {message} {text} {end}")?;
    writer.rule("note", &note)?;
    let answer = if shape.answer { writer.answer()? } else { text!("{text}")? };
    // The model ends with a special token, or with the token that ends generation.
    let over = text!("({} | {end})?", writer.marker("<|return|>")?)?;
    writer.rule("final", &text!("{channel} \"final\" {json} ws {message} {answer} ws {over}")?)?;
    let mut last = if must_call { "" } else { "final" };
    if shape.choice != ToolChoice::None && writer.has_tools() {
        let mut calls = Vec::new();
        for (_, tool) in writer.tools() {
            let arguments = writer.arguments(tool)?;
            let name = quote(&text!("functions.{}", tool.name)?)?;
            let (a, b) = ("\"analysis\"", "\"commentary\"");
            let call = text!(
                "(\" to=\" {name} ws {channel} ({a} | {b}) | {channel} ({a} | {b}) \" to=\" {name}) {json} ws {message} ws {arguments}"
            )?;
            push(&mut calls, call)?;
        }
        writer.rule("call-body", &joined(&calls, " | ")?)?;
        writer.rule("call", &text!("call-body ws ({} | {end})?", writer.marker("<|call|>")?)?)?;
        last = if must_call { "call (start call)*" } else { "final | call (start call)*" };
    }
    let messages = format!("(note start)* ({last})");
    let root = match shape.opened {
        Channel::Reasoning => text!("{text} {end} start {messages}")?,
        Channel::Content | Channel::Call => text!("start? {messages}")?,
        Channel::Control => messages,
    };
    writer.rule("root", &root)
}
