//! Prints answers: content on standard output, reasoning dimmed on standard error, and calls as a line of JSON, the
//! last on standard output.

use crate::error::CliResult;
use crate::output;
use crate::terminal::{Page, visible};
use happy_engine::chat::{Reply, ToolCall};
use happy_engine::{Context, Event, Finish, Generation};
use std::io::{IsTerminal, Write};

/// Prints an answer as it comes, and calls `each` after every token. Returns the reply and how it ended.
pub(crate) fn stream(
    mut answer: Generation<&mut Context>,
    mut each: impl FnMut(&Generation<&mut Context>),
) -> CliResult<(Reply, Option<Finish>)> {
    for tool in answer.left_out() {
        output::note(&format!("[a tool cannot be called: {tool}]"));
    }
    if answer.dropped() > 0 {
        output::note(&format!(
            "[the context is full: the model does not see the oldest {} messages]",
            answer.dropped()
        ));
    }
    for tool in answer.unconstrained() {
        let (name, reason) = (&tool.tool, &tool.reason);
        output::note(&format!(
            "[calls of the tool `{name}` may have any arguments, no grammar can follow its schema: {reason}]"
        ));
    }
    let mut page = Page::new();
    let bar = output::progress(answer.prefill() as u64, "reading the prompt");
    let mut thinking = output::Aside::new("thinking");
    let mut done = (Reply::default(), None);
    while let Some(event) = answer.next() {
        match event? {
            Event::Token(_) => each(&answer),
            Event::Prefill { done, total } => output::advance(&bar, done, total),
            Event::Reasoning(text) => thinking.write(&text),
            Event::Text(text) => {
                thinking.end();
                page.write(&text)?;
            }
            Event::Reply(reply) => done.0 = reply,
            Event::Done(finish) => done.1 = Some(finish),
            _ => {}
        }
    }
    bar.finish_and_clear();
    thinking.end();
    let reply = &done.0;
    // A reply that only has calls prints only their line.
    if reply.tool_calls.is_empty() {
        page.close()?
    } else {
        page.end_line()?
    }
    if !reply.tool_calls.is_empty() {
        let (mut out, line) = (std::io::stdout(), calls(&reply.tool_calls)?);
        let line = if out.is_terminal() { visible(&line) } else { line.as_str().into() };
        writeln!(out, "{line}")?;
    }
    for malformed in &reply.malformed {
        output::note(&format!("[a tool call is malformed: {}]", malformed.reason));
    }
    Ok(done)
}

/// Formats calls as one line of JSON.
fn calls(tool_calls: &[ToolCall]) -> CliResult<String> {
    // Written directly: a JSON value in between would round the numbers of arguments.
    #[derive(serde::Serialize)]
    struct Line<'a> {
        tool_calls: &'a [ToolCall],
    }
    Ok(serde_json::to_string(&Line { tool_calls })?)
}
