//! A loop that goes on with an answer which another loop began.
//!
//! ```text
//! prompt    what the sequence lacks of the prompt and of the answer so far
//! sampler   has accepted all of it, and takes over the saved numbers
//! steps     say the tokens again, which advances grammar, text and reader; prefill; go on
//! ```

use super::{DecodeLoop, State};
use crate::session::SessionError;
use crate::{Context, EngineError, PartialAnswer};
use happy_tokenizer::TokenId;

impl DecodeLoop {
    /// Returns how far the answer has come.
    pub(crate) fn partial_answer(&self, context: &Context) -> Result<PartialAnswer, EngineError> {
        if self.shifted > 0 {
            return Err(SessionError::Shifted.into());
        }
        let known = context.tokens(self.sequence);
        let said = known.get(self.answer_at..).unwrap_or_default();
        let mut tokens = Vec::new();
        crate::reserve::reserve(
            &mut tokens,
            self.repeated.len().max(said.len() + 1),
            "tokens of the answer",
        )?;
        // A resumed answer is longer than the sequence until its tokens are computed again.
        if said.len() + usize::from(self.pending.is_some()) < self.repeated.len() {
            tokens.extend_from_slice(&self.repeated);
        } else {
            tokens.extend_from_slice(said);
            tokens.extend(self.pending);
        }
        let ids = known.iter().take(self.reused).chain(&self.prompt).copied();
        Ok(PartialAnswer::new((self.answer_at, ids), self.identity, tokens, self.chooser.state()?))
    }

    /// Returns the number of tokens after those of the resumed answer.
    pub(crate) fn new_tokens(&self) -> usize {
        self.generated.saturating_sub(self.repeated.len())
    }

    /// Goes on with an answer to the first `prompt` tokens, the rest of which the loop's prompt ends with.
    pub(crate) fn resume(&mut self, prompt: &[TokenId], answer: &PartialAnswer) -> Result<(), EngineError> {
        answer.check(prompt, self.identity)?;
        if !self.chooser.set_state(answer.state()) {
            return Err(SessionError::OtherAnswer { what: "sampler" }.into());
        }
        self.answer_at = prompt.len();
        self.repeated = answer.copied_tokens()?;
        self.state = State::Repeat(0);
        Ok(())
    }
}
