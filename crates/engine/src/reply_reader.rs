//! Takes a reply apart while it comes, and keeps its tokens for the next prompt.

use crate::chat::{Channel, Reply, ReplyEvent, ReplyParser};
use crate::decode_loop::DecodeLoop;
use crate::reserve::reserve;
use crate::transcript::{Recorder, Said};
use crate::{EngineError, Event, FinishReason};
use happy_tokenizer::TokenId;
use std::sync::Arc;

/// Reads the tokens of one reply.
pub(crate) struct ReplyReader {
    parser: ReplyParser,
    said: Said,
    recorder: Recorder,
}

impl ReplyReader {
    /// A reader at the beginning of a reply; `recorder` is given its tokens.
    pub(crate) fn new(parser: ReplyParser, recorder: Recorder) -> Self {
        Self { parser, said: Said::default(), recorder }
    }

    /// Reads the text and the marker that a token completed, and tells the loop whether the model is thinking.
    pub(crate) fn read(
        &mut self,
        token: TokenId,
        steps: &mut DecodeLoop,
    ) -> Result<Vec<ReplyEvent>, EngineError> {
        if !matches!(steps.ending(), Some(FinishReason::EndOfGeneration(_))) {
            self.said.push(token, steps.text(), steps.marker())?;
        }
        let mut events = self.parser.push(steps.text())?;
        if let Some(marker) = steps.marker() {
            let mut more = self.parser.push_control(marker)?;
            reserve(&mut events, more.len(), "events of a token")?;
            events.append(&mut more);
        }
        steps.set_thinking(self.parser.channel() == Channel::Reasoning);
        Ok(events)
    }

    /// Whether a call has begun and not ended.
    pub(crate) fn is_in_call(&self) -> bool {
        self.parser.channel() == Channel::Call
    }

    /// No more tokens will come: the last events, the reply as a whole, and what records it.
    pub(crate) fn finish(mut self) -> Result<(Vec<ReplyEvent>, Reply, impl FnOnce(&Reply)), EngineError> {
        let (events, reply) = self.parser.finish()?;
        Ok((events, reply, move |reply: &Reply| self.recorder.record(reply, self.said)))
    }
}

/// An event of the parser as one of a generation; `tool` is the tool of the last call.
pub(crate) fn event_of(event: ReplyEvent, tool: &mut Arc<str>) -> Option<Event> {
    Some(match event {
        ReplyEvent::Content(text) => Event::Text(text.into()),
        ReplyEvent::Reasoning(text) => Event::Reasoning(text.into()),
        ReplyEvent::CallStart { index, name, id } => {
            *tool = name.into();
            Event::CallStart { index, name: tool.clone(), id }
        }
        ReplyEvent::CallArguments { index, delta } => {
            Event::CallArguments { index, name: tool.clone(), text: delta.into() }
        }
        ReplyEvent::CallEnd { index, call } => Event::Call { index, call },
        ReplyEvent::Malformed { index, reason } => {
            Event::MalformedCall { index, reason: reason.into_owned() }
        }
        _ => return None,
    })
}
