//! Generation as an iterator of events: the decode loop, its text as pieces, and stop strings.

use crate::decode_loop::{DecodeLoop, Step};
use crate::text::StopBuffer;
use crate::{Cancel, Context, EngineError, Event, FinishReason, Form};
use happy_sampler::Sampler;
use happy_tokenizer::TokenId;

/// How to generate.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// Chooses the tokens. Default: greedy.
    pub sampler: Sampler,
    /// Maximum number of tokens to generate. Default: `None`, until the context is full.
    pub max_tokens: Option<usize>,
    /// Strings that end the text; they are not part of it. In an answer they count in its content only, not in
    /// reasoning or calls. Default: none.
    pub stop: Vec<String>,
    /// Go on when the model chooses a token that ends generation. Default: false.
    pub ignore_end: bool,
    /// What the text must match; tokens that would not are never chosen. In an answer it applies where the answer
    /// begins: after reasoning. Default: `None`.
    pub form: Option<Form>,
    /// Ends the work early.
    pub cancel: Cancel,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            sampler: Sampler::greedy(),
            max_tokens: None,
            stop: Vec::new(),
            ignore_end: false,
            form: None,
            cancel: Cancel::new(),
        }
    }
}

/// A running generation: yields [`Event`]s, the last of which is [`Event::Done`] or an error.
pub struct Generation<'a> {
    context: &'a mut Context,
    state: GenerationState,
}

/// A running generation without its context, which every step is given: for callers that keep both in one struct.
pub struct GenerationState {
    steps: DecodeLoop,
    text: StopBuffer,
    over: bool,
}

impl Context {
    /// Continues a sequence with `prompt` and generates what follows.
    ///
    /// To go on with a conversation, call [`Context::keep_common_prefix`] with all of its tokens first and give the
    /// rest as the prompt.
    ///
    /// # Errors
    /// If the file has no tokenizer, the prompt is empty or does not fit the context, or the form is not valid.
    pub fn generate(
        &mut self,
        sequence: u32,
        prompt: &[TokenId],
        options: GenerateOptions,
    ) -> Result<Generation<'_>, EngineError> {
        let state = self.begin(sequence, prompt, options)?;
        Ok(Generation { context: self, state })
    }

    /// As [`generate`](Self::generate), for steps that are given this context each time.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn begin(
        &self,
        sequence: u32,
        prompt: &[TokenId],
        mut options: GenerateOptions,
    ) -> Result<GenerationState, EngineError> {
        let form = options.form.as_ref();
        let constraint = form.map(|form| self.engine.constraint(form, &options.cancel)).transpose()?;
        let text = StopBuffer::new(std::mem::take(&mut options.stop))?;
        let steps = DecodeLoop::new(self, sequence, prompt, options, constraint)?;
        Ok(GenerationState { steps, text, over: false })
    }
}

impl GenerationState {
    /// The next event, or `None` after the last; `context` is the one that this began in.
    ///
    /// # Errors
    /// If the model cannot compute a token; nothing follows.
    pub fn next(&mut self, context: &mut Context) -> Option<Result<Event, EngineError>> {
        if let Some(piece) = self.text.pop() {
            return Some(Ok(Event::Text(piece)));
        }
        if self.over {
            return None;
        }
        let event = self.step(context);
        self.over = matches!(event, Ok(Event::Done(_)) | Err(_));
        Some(event)
    }

    fn step(&mut self, context: &mut Context) -> Result<Event, EngineError> {
        Ok(match self.steps.step(context)? {
            Step::Prefilling { done, total } => Event::Prefilling { done, total },
            Step::Prefilled { tokens, time } => Event::Prefilled { tokens, time },
            Step::Token(token) => {
                self.text.push(self.steps.text())?;
                if let Some(stop) = self.text.found() {
                    self.steps.end(FinishReason::StopString(stop.to_owned()));
                }
                Event::Token(token)
            }
            Step::Ended => {
                self.text.finish();
                match self.text.pop() {
                    Some(piece) => Event::Text(piece),
                    None => Event::Done(self.steps.finish(true)),
                }
            }
        })
    }

    /// Ends the text here, as if the [`Cancel`] had been raised and noticed: text that was held back comes, then
    /// [`Event::Done`].
    pub fn stop(&mut self) {
        if !self.over && self.steps.ending().is_none() {
            self.steps.end(FinishReason::Cancelled);
        }
    }
}

impl Iterator for Generation<'_> {
    type Item = Result<Event, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.state.next(self.context)
    }
}
