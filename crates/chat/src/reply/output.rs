//! The results so far: events that were not returned yet, and the reply.

use serde_json::Value as Json;

use super::fault::{Reason, Step, fault, same};
use super::{MAX_NAME, Malformed, Reply, ReplyEvent, ToolCall, scan, schema};
use crate::memory::{R, Text, add, begun, copied, push};
use crate::{digits, json};

/// A text with markers in it. White space next to the markers is dropped.
#[derive(Debug, Default)]
struct Flow {
    /// White space that belongs to the text if more of it follows.
    pending: Text,
    /// Whether the last thing was a marker.
    fresh: bool,
}

impl Flow {
    /// Adds to `text` what has to be written for `c`. `empty` means that nothing was written before.
    fn push(&mut self, c: char, empty: bool, text: &mut Text) -> R<()> {
        if c.is_whitespace() {
            return if self.fresh { Ok(()) } else { self.pending.add_char(c) };
        }
        text.add(&self.pending)?;
        self.pending.clear();
        // Parts of a text that a marker separates become lines.
        if std::mem::take(&mut self.fresh) && !empty {
            text.add_char('\n')?;
        }
        text.add_char(c)
    }

    /// Takes a marker and returns the white space before it.
    fn marker(&mut self) -> Text {
        self.fresh = true;
        std::mem::take(&mut self.pending)
    }
}

/// Where all results are collected.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) events: Vec<ReplyEvent>,
    pub(super) reply: Reply,
    content: Flow,
    reasoning: Flow,
    /// What one character adds: kept, since it would be a new allocation for each.
    more: Text,
}

impl Output {
    pub(super) fn content(&mut self, c: char) -> R<()> {
        self.more.clear();
        self.content.push(c, self.reply.content.is_empty(), &mut self.more)?;
        write_content(&mut self.reply, &mut self.events, &self.more)
    }

    pub(super) fn reasoning(&mut self, c: char) -> R<()> {
        self.more.clear();
        self.reasoning.push(c, self.reply.reasoning.is_empty(), &mut self.more)?;
        if self.more.is_empty() {
            return Ok(());
        }
        add(&mut self.reply.reasoning, &self.more)?;
        match self.events.last_mut() {
            Some(ReplyEvent::Reasoning(last)) => add(last, &self.more),
            _ => push(&mut self.events, ReplyEvent::Reasoning(begun(&self.more)?)),
        }
    }

    /// Takes a marker of any kind and returns the white space of the content before it.
    pub(super) fn marker(&mut self) -> Text {
        self.reasoning.marker();
        self.content.marker()
    }

    /// Adds content exactly as it is.
    pub(super) fn verbatim(&mut self, text: &str) -> R<()> {
        self.content.fresh = false;
        self.write_pending()?;
        write_content(&mut self.reply, &mut self.events, text)
    }

    /// The white space that was held back is content.
    fn write_pending(&mut self) -> R<()> {
        write_content(&mut self.reply, &mut self.events, &self.content.pending)?;
        self.content.pending.clear();
        Ok(())
    }

    /// Adds text that looked like a call but cannot be read as one.
    pub(super) fn malformed(&mut self, index: Option<usize>, reason: Reason, text: &str) -> R<()> {
        push(&mut self.events, ReplyEvent::Malformed { index, reason: same(&reason)? })?;
        push(&mut self.reply.malformed, Malformed { reason, text: copied(text)? })?;
        self.verbatim(text)
    }

    /// Adds text to the last malformed call.
    pub(super) fn debris(&mut self, text: &str) -> R<()> {
        if let Some(last) = self.reply.malformed.last_mut() {
            add(&mut last.text, text)?;
        }
        self.verbatim(text)
    }

    /// Returns whether content that comes now begins a line.
    pub(super) fn begins_line(&self) -> bool {
        self.content.pending.contains('\n')
    }

    /// Adds calls that were read on trial.
    pub(super) fn adopt(&mut self, mut other: Output) -> R<()> {
        self.marker();
        let before = self.reply.tool_calls.len();
        self.events.try_reserve(other.events.len())?;
        self.reply.tool_calls.try_reserve(other.reply.tool_calls.len())?;
        self.events.extend(other.events.into_iter().map(|event| match event {
            ReplyEvent::CallStart { index, name, id } => {
                ReplyEvent::CallStart { index: index + before, name, id }
            }
            ReplyEvent::CallArguments { index, delta } => {
                ReplyEvent::CallArguments { index: index + before, delta }
            }
            ReplyEvent::CallEnd { index, call } => ReplyEvent::CallEnd { index: index + before, call },
            event => event,
        }));
        self.reply.tool_calls.append(&mut other.reply.tool_calls);
        Ok(())
    }

    /// Handles the end. White space at the end is content only if there is no other content.
    pub(super) fn finish(&mut self) -> R<()> {
        self.write_pending()
    }
}

fn write_content(reply: &mut Reply, events: &mut Vec<ReplyEvent>, text: &str) -> R<()> {
    if text.is_empty() {
        return Ok(());
    }
    add(&mut reply.content, text)?;
    match events.last_mut() {
        Some(ReplyEvent::Content(last)) => add(last, text),
        _ => push(events, ReplyEvent::Content(begun(text)?)),
    }
}

/// A call that is being read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    id: Option<String>,
    pub(super) name: Option<String>,
    /// The name of the parameter whose value comes next.
    pub(super) key: Option<String>,
    arguments: Text,
    /// Number of bytes of `arguments` that were passed on.
    sent: usize,
    announced: bool,
}

impl Draft {
    pub(super) fn set_id(&mut self, id: &str) -> R<()> {
        self.id = Some(copied(id.trim())?).filter(|id| !id.is_empty());
        Ok(())
    }

    pub(super) fn set_name(&mut self, name: &str) -> Step<()> {
        let name = name.trim();
        if name.is_empty() {
            return Err("the call has no name".into());
        }
        if name.len() > MAX_NAME {
            return Err(fault!("the name has {} bytes, at most {MAX_NAME} are allowed", name.len()));
        }
        self.name = Some(copied(name)?);
        Ok(())
    }

    /// Returns whether no arguments were written yet.
    pub(super) fn has_no_arguments(&self) -> bool {
        self.arguments.is_empty()
    }

    /// Adds to the text of the arguments, and passes it on once the name is known.
    pub(super) fn arguments(&mut self, text: &str, out: &mut Output) -> R<()> {
        self.arguments.add(text)?;
        self.hand_on(out)
    }

    /// Takes an object inside of a JSON string, which is how many programs pass arguments on.
    pub(super) fn quoted_arguments(&mut self, text: &str, out: &mut Output) -> Step<()> {
        let Some(Json::String(inner)) = json::read(text)? else {
            return Err("the arguments are not a JSON object".into());
        };
        let inner = scan::mended(inner.trim())?;
        schema::object(&inner)?;
        Ok(self.arguments(&inner, out)?)
    }

    fn hand_on(&mut self, out: &mut Output) -> R<()> {
        let Some(name) = &self.name else { return Ok(()) };
        let index = out.reply.tool_calls.len();
        if !self.announced {
            let (name, id) = (copied(name)?, self.id.as_deref().map(copied).transpose()?);
            push(&mut out.events, ReplyEvent::CallStart { index, name, id })?;
            self.announced = true;
        }
        let Some(delta) = self.arguments.get(self.sent..).filter(|delta| !delta.is_empty()) else {
            return Ok(());
        };
        match out.events.last_mut() {
            Some(ReplyEvent::CallArguments { delta: last, .. }) => add(last, delta)?,
            _ => push(&mut out.events, ReplyEvent::CallArguments { index, delta: begun(delta)? })?,
        }
        self.sent = self.arguments.len();
        Ok(())
    }

    /// Completes the call.
    pub(super) fn finish(&mut self, out: &mut Output) -> Step<()> {
        if self.name.is_none() {
            return Err("the call has no name".into());
        }
        if self.arguments.is_empty() {
            self.arguments.add("{}")?;
        }
        self.hand_on(out)?;
        let arguments = Json::Object(schema::object(&self.arguments)?);
        let arguments_text = digits::text_of(&arguments, &digits::numbers(&self.arguments)?)?;
        let Json::Object(arguments) = arguments else { return Ok(()) };
        let done = std::mem::take(self);
        let call = ToolCall { id: done.id, name: done.name.unwrap_or_default(), arguments, arguments_text };
        let (index, copy) = (out.reply.tool_calls.len(), call.copy()?);
        push(&mut out.reply.tool_calls, call)?;
        Ok(push(&mut out.events, ReplyEvent::CallEnd { index, call: copy })?)
    }

    /// Drops the call. Returns its index if its start was announced.
    pub(super) fn withdraw(&mut self, out: &Output) -> Option<usize> {
        let announced = std::mem::take(self).announced;
        announced.then_some(out.reply.tool_calls.len())
    }
}
