//! A prompt as ids, with everything that its generation needs but a context.
//!
//! Rendering a template, encoding its text and compiling a grammar take milliseconds to seconds. A program with many
//! conversations does them on any thread, and gives the context's thread what came out.

use super::{Conversation, Fitted, tools_of};
use crate::calls::{Constrained, Unconstrained};
use crate::chat::{NameError, ReplyParser, ToolChoice};
use crate::chooser::Thinking;
use crate::constraint::Constraint;
use crate::decode_loop::DecodeLoop;
use crate::generate::Prepared;
use crate::policy::ContextPolicy;
use crate::reply_reader::ReplyReader;
use crate::reserve::reserve;
use crate::{Context, Engine, EngineError, GenerateOptions, PartialAnswer, partial_answer};
use happy_tokenizer::TokenId;
use std::borrow::Cow;

/// A prompt that was rendered and encoded, with its grammar compiled: see [`Conversation::compose`] and [`Engine::compose`].
pub struct Composed {
    ids: Vec<TokenId>,
    options: GenerateOptions,
    constraint: Option<Constraint>,
    /// Whether a text that the constraint does not let end is unfinished wherever its end falls.
    must_complete: bool,
    /// Of a conversation's answer.
    reply: Option<Reading>,
}

/// How a reply is read.
struct Reading {
    reader: Box<ReplyReader>,
    markers: Vec<TokenId>,
    thinking: Option<Thinking>,
    left_out: Vec<NameError>,
    unconstrained: Vec<Unconstrained>,
    /// Messages that the prompt leaves out.
    dropped: usize,
}

impl Conversation {
    /// The answer to the last message, before there is a context for it.
    ///
    /// # Errors
    /// As [`Conversation::prompt`]; [`EngineError::Unused`] if the template has no place for the tools, the system message or
    /// a variable; and if a form or the tools' schemas cannot be followed. That the prompt fits is checked by
    /// [`Composed::prepare`].
    pub fn compose(&self, mut options: GenerateOptions) -> Result<Composed, EngineError> {
        options.shift |= self.policy == ContextPolicy::Shift;
        let cancel = options.cancel.clone();
        let cancelled = || cancel.is_cancelled();
        let Fitted { rendered, ids, dropped } = self.fitted(&cancelled)?;
        if dropped == 0 {
            // A shorter conversation is not what was given.
            self.check_used(&rendered, &cancelled)?;
        }
        let parser = ReplyParser::new(self.format)
            .with_tools(tools_of(&self.input))?
            .after_conversation(rendered.said())?
            .with_tokens(|marker| self.marker_token(marker).is_some())?
            .after_prompt(&rendered.text)?;
        let Constrained { constraint, left_out, unconstrained } =
            self.constrained(&parser, options.form.as_ref(), &cancel)?;
        let must_complete =
            options.form.is_some() || matches!(self.tool_choice, ToolChoice::Required | ToolChoice::Named(_));
        let room = self.engine.plan().context.saturating_sub(ids.len());
        let room = options.max_tokens.map_or(room, |most| most.min(room));
        let thinking = if must_complete { self.thinking(room, &parser)? } else { None };
        let reader = Box::new(ReplyReader::new(parser, self.recorder.clone()));
        let reply =
            Reading { reader, markers: self.markers.clone(), thinking, left_out, unconstrained, dropped };
        Ok(Composed { ids, options, constraint, must_complete, reply: Some(reply) })
    }
}

impl Engine {
    /// A text that continues these ids, before there is a context for it. Unlike [`Context::prepare`], the sequence is
    /// shortened to what it has in common with them.
    ///
    /// # Errors
    /// If the form is not valid.
    pub fn compose(&self, ids: Vec<TokenId>, options: GenerateOptions) -> Result<Composed, EngineError> {
        let form = options.form.as_ref();
        let constraint = form.map(|form| self.constraint(form, &options.cancel)).transpose()?;
        Ok(Composed { ids, options, constraint, must_complete: true, reply: None })
    }
}

impl Composed {
    /// Returns the token ids of the whole prompt.
    pub fn ids(&self) -> &[TokenId] {
        &self.ids
    }

    /// What the sequence has in common with the prompt is kept, the rest of the sequence is dropped.
    ///
    /// # Errors
    /// If the prompt is empty or does not fit, or the sequence does not exist.
    pub fn prepare(self, context: &mut Context, sequence: u32) -> Result<Prepared, EngineError> {
        self.prepare_with(context, sequence, None)
    }

    /// Prepares like [`prepare`](Self::prepare) to go on with an answer that was begun before, maybe by another process: with the same
    /// prompt and the same options; only the seed may differ. It yields the events of the answer's tokens again, without computing
    /// them, so that a reader sees the whole answer. Then it computes what the sequence lacks and goes on with the same text as if
    /// nothing had happened.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare), and [`SessionError::OtherAnswer`](crate::session::SessionError::OtherAnswer) if prompt or options
    /// differ.
    pub fn resume(
        self,
        context: &mut Context,
        sequence: u32,
        answer: &PartialAnswer,
    ) -> Result<Prepared, EngineError> {
        self.prepare_with(context, sequence, Some(answer))
    }

    fn prepare_with(
        self,
        context: &mut Context,
        sequence: u32,
        answer: Option<&PartialAnswer>,
    ) -> Result<Prepared, EngineError> {
        let Self { ids, mut options, constraint, must_complete, reply } = self;
        let identity = partial_answer::of_options(&options, must_complete);
        let mut all = Cow::Borrowed(&ids[..]);
        if let Some(answer) = answer {
            answer.check(&ids, identity)?;
            let known = answer.tokens();
            let mut both = Vec::new();
            reserve(&mut both, ids.len() + known.len(), "tokens of the answer")?;
            both.extend_from_slice(&ids);
            both.extend_from_slice(known);
            // The last token of an answer that fills the context has no position.
            both.truncate(ids.len().max(context.capacity()));
            all = Cow::Owned(both);
        }
        let reused = context.keep_common_prefix(sequence, &all)?;
        let rest = all.get(reused..).unwrap_or_default();
        let stop = std::mem::take(&mut options.stop);
        let mut steps = DecodeLoop::new(context, sequence, rest, (options, identity), constraint)?;
        let Some(Reading { reader, markers, thinking, left_out, unconstrained, dropped }) = reply else {
            if let Some(answer) = answer {
                steps.resume(&ids, answer)?;
            }
            return Prepared::new(steps, stop, must_complete, None);
        };
        steps = steps.with_reply(markers, thinking);
        if let Some(answer) = answer {
            steps.resume(&ids, answer)?;
        }
        let mut prepared = Prepared::new(steps, stop, must_complete, Some(reader))?;
        prepared.left_out = left_out;
        prepared.unconstrained = unconstrained;
        prepared.dropped = dropped;
        Ok(prepared)
    }
}
