//! Answers: a generation whose text is taken apart into content, reasoning and calls while it comes.
//!
//! ```text
//! decode loop -- text, markers --> reply parser -- content --> stop strings --> events
//!                                               -- reasoning, calls ---------> events
//! ```

use crate::chat::{Channel, NameError, Reply, ReplyEvent, ReplyParser};
use crate::decode_loop::{DecodeLoop, Step};
use crate::text::StopBuffer;
use crate::transcript::{Recorder, Said};
use crate::{Context, EngineError, Finish, FinishReason};
use std::collections::VecDeque;
use std::time::Duration;

/// Something that happened while answering.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AnswerEvent {
    /// A chunk of a long prompt has been computed; more follow.
    Prefilling {
        /// Tokens that are done.
        done: usize,
        /// Tokens that are to be computed.
        total: usize,
    },
    /// The prompt has been computed.
    Prefilled {
        /// Tokens that were computed.
        tokens: usize,
        /// How long it took.
        time: Duration,
    },
    /// A part of the reply.
    Reply(ReplyEvent),
    /// The end; nothing follows.
    Done {
        /// Why, and what it took.
        finish: Finish,
        /// The reply as a whole.
        reply: Reply,
    },
}

/// A running answer: yields [`AnswerEvent`]s, the last of which is [`AnswerEvent::Done`] or an error.
pub struct Answer<'a> {
    pub(crate) context: &'a mut Context,
    pub(crate) state: AnswerState,
}

/// A running answer without its context, which every step is given: for callers that keep both in one struct.
pub struct AnswerState {
    steps: DecodeLoop,
    /// `None` once the reply is whole.
    parser: Option<Box<ReplyParser>>,
    /// Content on its way out.
    content: StopBuffer,
    /// Bytes of content that went out.
    content_len: usize,
    /// Whether the reply is to satisfy a form or to be a call, so that an early end is unfinished wherever it falls.
    must_complete: bool,
    said: Said,
    recorder: Recorder,
    prefill: usize,
    reused: usize,
    left_out: Vec<NameError>,
    /// Events that one token gave.
    ready: VecDeque<AnswerEvent>,
    over: bool,
}

/// What an answer begins with.
pub(crate) struct Beginning {
    pub(crate) steps: DecodeLoop,
    pub(crate) parser: ReplyParser,
    pub(crate) stop: Vec<String>,
    pub(crate) must_complete: bool,
    pub(crate) recorder: Recorder,
    pub(crate) prefill: usize,
    pub(crate) reused: usize,
    pub(crate) left_out: Vec<NameError>,
}

impl Answer<'_> {
    /// Tokens of the prompt that the sequence held already.
    pub fn reused(&self) -> usize {
        self.state.reused
    }

    /// Tokens of the prompt that are to be computed.
    pub fn prefill(&self) -> usize {
        self.state.prefill
    }

    /// As [`AnswerState::left_out`].
    pub fn left_out(&self) -> &[NameError] {
        self.state.left_out()
    }
}

impl Iterator for Answer<'_> {
    type Item = Result<AnswerEvent, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.state.next(self.context)
    }
}

impl AnswerState {
    pub(crate) fn new(beginning: Beginning) -> Result<Self, EngineError> {
        Ok(Self {
            steps: beginning.steps,
            parser: Some(Box::new(beginning.parser)),
            content: StopBuffer::new(beginning.stop)?,
            content_len: 0,
            must_complete: beginning.must_complete,
            said: Said::default(),
            recorder: beginning.recorder,
            prefill: beginning.prefill,
            reused: beginning.reused,
            left_out: beginning.left_out,
            ready: VecDeque::new(),
            over: false,
        })
    }

    /// The next event, or `None` after the last; `context` is the one that this began in.
    ///
    /// # Errors
    /// If the model cannot compute a token; nothing follows.
    pub fn next(&mut self, context: &mut Context) -> Option<Result<AnswerEvent, EngineError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.over {
                return None;
            }
            if let Err(error) = self.step(context) {
                self.over = true;
                return Some(Err(error));
            }
        }
    }

    /// Ends the answer here, as [`GenerationState::stop`](crate::GenerationState::stop).
    pub fn stop(&mut self) {
        if !self.over && self.steps.ending().is_none() {
            self.steps.end(FinishReason::Cancelled);
        }
    }

    /// Tokens of the prompt that the sequence held already.
    pub fn reused(&self) -> usize {
        self.reused
    }

    /// Tokens of the prompt that are to be computed.
    pub fn prefill(&self) -> usize {
        self.prefill
    }

    /// The tools that this answer cannot call, since the reply format cannot carry one of their names, and which name that
    /// is. Empty where nothing is constrained.
    pub fn left_out(&self) -> &[NameError] {
        &self.left_out
    }

    fn step(&mut self, context: &mut Context) -> Result<(), EngineError> {
        match self.steps.step(context)? {
            Step::Prefilling { done, total } => {
                self.ready.push_back(AnswerEvent::Prefilling { done, total });
            }
            Step::Prefilled { tokens, time } => {
                self.ready.push_back(AnswerEvent::Prefilled { tokens, time });
            }
            Step::Token(token) => {
                if !matches!(self.steps.ending(), Some(FinishReason::EndOfGeneration(_))) {
                    self.said.push(token, self.steps.text(), self.steps.marker())?;
                }
                self.read()?;
            }
            Step::Ended => self.finish()?,
        }
        Ok(())
    }

    /// Hands what the last step completed to the parser.
    fn read(&mut self) -> Result<(), EngineError> {
        let Some(parser) = &mut self.parser else { return Ok(()) };
        let mut events = parser.push(self.steps.text());
        if let Some(marker) = self.steps.marker() {
            events.extend(parser.push_control(marker));
        }
        self.steps.set_thinking(parser.channel() == Channel::Reasoning);
        self.pass_on(events)?;
        if let Some(stop) = self.content.found() {
            self.steps.end(FinishReason::StopString(stop.to_owned()));
        }
        Ok(())
    }

    /// Content goes through the stop strings; everything else goes out as it is, and only before a stop string.
    fn pass_on(&mut self, events: Vec<ReplyEvent>) -> Result<(), EngineError> {
        for event in events {
            if self.content.found().is_some() {
                return Ok(());
            }
            match event {
                ReplyEvent::Content(text) => self.content.push(&text)?,
                other => {
                    // A stop string does not run over reasoning or a call.
                    self.content.finish();
                    self.release()?;
                    self.ready.push_back(AnswerEvent::Reply(other));
                }
            }
        }
        self.release()
    }

    /// Content that belongs to no stop string goes out.
    fn release(&mut self) -> Result<(), EngineError> {
        let text = self.content.take()?;
        if !text.is_empty() {
            self.content_len += text.len();
            self.ready.push_back(AnswerEvent::Reply(ReplyEvent::Content(text)));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), EngineError> {
        let Some(parser) = self.parser.take() else { return Ok(()) };
        let in_call = parser.channel() == Channel::Call;
        let (events, mut reply) = parser.finish();
        self.pass_on(events)?;
        self.content.finish();
        self.release()?;
        if self.content.found().is_some() {
            reply.content.truncate(self.content_len);
        }
        let finish = self.steps.finish(self.must_complete || in_call);
        self.recorder.record(&reply, std::mem::take(&mut self.said));
        self.ready.push_back(AnswerEvent::Done { finish, reply });
        self.over = true;
        Ok(())
    }
}
