//! What has been found so far: events not yet handed on, and the reply.

use serde_json::Value as Json;

use super::{MAX_NAME, Malformed, Reply, ReplyEvent, ToolCall, scan, schema};
use crate::digits;

/// A text that grows beside markers: white space next to them is dropped.
#[derive(Debug, Default)]
struct Flow {
    /// White space that belongs to the text if more of it follows.
    pending: String,
    /// Whether the last thing was a marker.
    fresh: bool,
}

impl Flow {
    /// What has to be written for `c`, given whether anything was before.
    fn push(&mut self, c: char, empty: bool) -> String {
        if c.is_whitespace() {
            if !self.fresh {
                self.pending.push(c);
            }
            return String::new();
        }
        let mut text = std::mem::take(&mut self.pending);
        // Stretches of a text with markers between them are lines.
        if std::mem::take(&mut self.fresh) && !empty {
            text.push('\n');
        }
        text.push(c);
        text
    }

    /// A marker; returns the white space before it.
    fn marker(&mut self) -> String {
        self.fresh = true;
        std::mem::take(&mut self.pending)
    }
}

/// Where everything goes.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) events: Vec<ReplyEvent>,
    pub(super) reply: Reply,
    content: Flow,
    reasoning: Flow,
}

impl Output {
    pub(super) fn content(&mut self, c: char) {
        let text = self.content.push(c, self.reply.content.is_empty());
        self.write_content(&text);
    }

    pub(super) fn reasoning(&mut self, c: char) {
        let text = self.reasoning.push(c, self.reply.reasoning.is_empty());
        if text.is_empty() {
            return;
        }
        self.reply.reasoning.push_str(&text);
        match self.events.last_mut() {
            Some(ReplyEvent::Reasoning(last)) => last.push_str(&text),
            _ => self.events.push(ReplyEvent::Reasoning(text)),
        }
    }

    /// A marker of any kind; returns the white space of the content before it.
    pub(super) fn marker(&mut self) -> String {
        self.reasoning.marker();
        self.content.marker()
    }

    /// Content exactly as it is.
    pub(super) fn verbatim(&mut self, text: &str) {
        self.content.fresh = false;
        let pending = std::mem::take(&mut self.content.pending);
        self.write_content(&(pending + text));
    }

    fn write_content(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.reply.content.push_str(text);
        match self.events.last_mut() {
            Some(ReplyEvent::Content(last)) => last.push_str(text),
            _ => self.events.push(ReplyEvent::Content(text.to_owned())),
        }
    }

    /// Text that looked like a call and can't be read as one.
    pub(super) fn malformed(&mut self, index: Option<usize>, reason: String, text: &str) {
        self.events.push(ReplyEvent::Malformed { index, reason: reason.clone() });
        self.reply.malformed.push(Malformed { reason, text: text.to_owned() });
        self.verbatim(text);
    }

    /// More of the text of the last malformed call.
    pub(super) fn debris(&mut self, text: &str) {
        if let Some(last) = self.reply.malformed.last_mut() {
            last.text.push_str(text);
        }
        self.verbatim(text);
    }

    /// Whether content that comes now begins a line.
    pub(super) fn begins_line(&self) -> bool {
        self.content.pending.contains('\n')
    }

    /// Calls that were read on trial.
    pub(super) fn adopt(&mut self, other: Output) {
        self.marker();
        let before = self.reply.tool_calls.len();
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
        self.reply.tool_calls.extend(other.reply.tool_calls);
    }

    /// The end: white space at the end of the content is content if nothing but it was there.
    pub(super) fn finish(&mut self) {
        let rest = std::mem::take(&mut self.content.pending);
        self.write_content(&rest);
    }
}

/// A call that is being read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    id: Option<String>,
    pub(super) name: Option<String>,
    /// The name of the parameter whose value comes next.
    pub(super) key: Option<String>,
    arguments: String,
    /// Bytes of `arguments` that were handed on.
    sent: usize,
    announced: bool,
}

impl Draft {
    pub(super) fn set_id(&mut self, id: &str) {
        self.id = Some(id.trim().to_owned()).filter(|id| !id.is_empty());
    }

    pub(super) fn set_name(&mut self, name: &str) -> Result<(), String> {
        let name = name.trim();
        if name.is_empty() {
            return Err("the call has no name".to_owned());
        }
        if name.len() > MAX_NAME {
            return Err(format!("the name has {} bytes, at most {MAX_NAME} are allowed", name.len()));
        }
        self.name = Some(name.to_owned());
        Ok(())
    }

    /// Whether nothing of the arguments was written yet.
    pub(super) fn has_no_arguments(&self) -> bool {
        self.arguments.is_empty()
    }

    /// Adds to the text of the arguments, and hands it on once the name is known.
    pub(super) fn arguments(&mut self, text: &str, out: &mut Output) {
        self.arguments.push_str(text);
        self.hand_on(out);
    }

    /// Takes an object in a JSON string, which is how programs pass arguments on.
    pub(super) fn quoted_arguments(&mut self, text: &str, out: &mut Output) -> Result<(), String> {
        let inner: String =
            serde_json::from_str(text).map_err(|_| "the arguments are not a JSON object".to_owned())?;
        let inner = scan::mended(inner.trim())?;
        schema::object(&inner)?;
        self.arguments(&inner, out);
        Ok(())
    }

    fn hand_on(&mut self, out: &mut Output) {
        let Some(name) = &self.name else { return };
        let index = out.reply.tool_calls.len();
        if !self.announced {
            self.announced = true;
            out.events.push(ReplyEvent::CallStart { index, name: name.clone(), id: self.id.clone() });
        }
        let Some(delta) = self.arguments.get(self.sent..).filter(|delta| !delta.is_empty()) else { return };
        match out.events.last_mut() {
            Some(ReplyEvent::CallArguments { delta: last, .. }) => last.push_str(delta),
            _ => out.events.push(ReplyEvent::CallArguments { index, delta: delta.to_owned() }),
        }
        self.sent = self.arguments.len();
    }

    /// The call is complete.
    pub(super) fn finish(&mut self, out: &mut Output) -> Result<(), String> {
        if self.name.is_none() {
            return Err("the call has no name".to_owned());
        }
        if self.arguments.is_empty() {
            self.arguments.push_str("{}");
        }
        self.hand_on(out);
        let arguments = Json::Object(schema::object(&self.arguments)?);
        let numbers = digits::numbers(&self.arguments);
        let arguments_text = numbers.and_then(|numbers| digits::text_of(&arguments, &numbers));
        let arguments_text = arguments_text.map_err(|_| "out of memory")?;
        let Json::Object(arguments) = arguments else { return Ok(()) };
        let done = std::mem::take(self);
        let call = ToolCall { id: done.id, name: done.name.unwrap_or_default(), arguments, arguments_text };
        out.events.push(ReplyEvent::CallEnd { index: out.reply.tool_calls.len(), call: call.clone() });
        out.reply.tool_calls.push(call);
        Ok(())
    }

    /// Forgets the call; its place if it was announced.
    pub(super) fn withdraw(&mut self, out: &Output) -> Option<usize> {
        let announced = std::mem::take(self).announced;
        announced.then_some(out.reply.tool_calls.len())
    }
}
