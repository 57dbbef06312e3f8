//! Parses a reply while it comes in pieces: reasoning, content and a tool call.
//!
//! ```text
//! cargo run -p happy-chat --example stream_reply
//! ```

use happy_chat::{OutOfMemory, ReplyFormat, ReplyParser};

const PIECES: [&str; 7] = [
    "<think>The user asks",
    " for the time.</thi",
    "nk>\n\nOne mo",
    "ment.\n<tool",
    "_call>{\"name\": \"now\", \"argu",
    "ments\": {\"zone\": \"UTC\"}}</tool_",
    "call>",
];

fn main() -> Result<(), OutOfMemory> {
    let mut parser = ReplyParser::new(ReplyFormat::Hermes);
    for piece in PIECES {
        let events = parser.push(piece)?;
        println!("{piece:?} -> {:?} {events:?}", parser.channel());
    }
    let (events, reply) = parser.finish()?;
    println!("end -> {events:?}\n\n{reply:#?}");
    Ok(())
}
