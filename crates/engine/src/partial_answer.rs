//! How far an answer has come, so that another process can go on with it.
//!
//! ```text
//! prompt, options     hashes: another prompt or other options would give another answer
//! tokens              of the answer so far. Penalties, grammar, stop strings and the reader of replies follow from them
//! state               what does not follow from them: the sampler's random numbers, what it adapted, the rest of the time to think
//! ```
//! Speculation has no part in it: a guess that is not chosen leaves no trace.

use crate::reserve::{copied, reserve};
use crate::session::{Identity, SessionError};
use crate::{EngineError, Form, GenerateOptions};
use byteorder::{ByteOrder, LittleEndian as LE};
use happy_grammar::Reading;
use happy_tokenizer::TokenId;
use sha2::{Digest, Sha256};

const WHAT: &str = "an unfinished answer";

/// How far a generation has come: its tokens so far, and what will choose the next. [`Generation::partial_answer`](crate::Generation::partial_answer)
/// returns it, a [session](crate::session) saves it, and [`Conversation::resume_answer`](crate::Conversation::resume_answer)
/// or [`Composed::resume`](crate::Composed::resume) goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialAnswer {
    prompt_tokens: usize,
    prompt: Identity,
    options: Identity,
    tokens: Vec<TokenId>,
    state: Vec<u64>,
}

/// Bytes of a saved answer before its tokens.
const FIXED: usize = 64;

impl PartialAnswer {
    /// Makes the state of an answer to the first `prompt_tokens` of these ids.
    pub(crate) fn new(
        (prompt_tokens, ids): (usize, impl Iterator<Item = TokenId>),
        options: Identity,
        tokens: Vec<TokenId>,
        state: Vec<u64>,
    ) -> Self {
        Self { prompt_tokens, prompt: of_ids(ids.take(prompt_tokens)), options, tokens, state }
    }

    /// Returns the number of tokens of the prompt, the whole of it.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// Returns the tokens of the answer.
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// What chose the tokens.
    pub(crate) fn state(&self) -> &[u64] {
        &self.state
    }

    /// Checks that the answer was begun with this prompt and these options.
    pub(crate) fn check(&self, prompt: &[TokenId], options: Identity) -> Result<(), EngineError> {
        let what = match () {
            () if self.prompt_tokens != prompt.len() || self.prompt != of_ids(prompt.iter().copied()) => {
                "prompt"
            }
            () if self.options != options => "set of options",
            () => return Ok(()),
        };
        Err(SessionError::OtherAnswer { what }.into())
    }

    /// Returns the numbers of a record: tokens of the prompt, tokens of the answer, numbers of the state.
    pub(crate) fn numbers(&self) -> [u64; 3] {
        [self.prompt_tokens as u64, self.tokens.len() as u64, self.state.len() as u64]
    }

    /// Returns whether a payload of `len` bytes belongs to these numbers.
    pub(crate) fn fits([_, tokens, state]: [u64; 3], len: u64) -> bool {
        let bytes = tokens.checked_mul(4).zip(state.checked_mul(8));
        let bytes = bytes.and_then(|(tokens, state)| tokens.checked_add(state)?.checked_add(FIXED as u64));
        bytes == Some(len)
    }

    /// Returns the payload of a record.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, EngineError> {
        let mut bytes = Vec::new();
        reserve(&mut bytes, FIXED + 4 * self.tokens.len() + 8 * self.state.len(), WHAT)?;
        bytes.extend_from_slice(&self.prompt.0);
        bytes.extend_from_slice(&self.options.0);
        bytes.extend(self.tokens.iter().flat_map(|id| id.to_le_bytes()));
        bytes.extend(self.state.iter().flat_map(|number| number.to_le_bytes()));
        Ok(bytes)
    }

    /// Reads the payload of a record whose numbers [fit](Self::fits); `None` if they do not.
    pub(crate) fn decode(numbers: [u64; 3], bytes: &[u8]) -> Result<Option<Self>, EngineError> {
        let [prompt_tokens, n_tokens, _] = numbers.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let parts = bytes.split_first_chunk::<FIXED>().filter(|_| Self::fits(numbers, bytes.len() as u64));
        let Some((fixed, rest)) = parts else { return Ok(None) };
        let (tokens, state) = rest.split_at_checked(4 * n_tokens).unwrap_or_default();
        let identity = |at: usize| Identity(fixed[at..].first_chunk().copied().unwrap_or_default());
        let mut all = Self {
            prompt_tokens,
            prompt: identity(0),
            options: identity(32),
            tokens: Vec::new(),
            state: Vec::new(),
        };
        reserve(&mut all.tokens, n_tokens, WHAT)?;
        all.tokens.extend(tokens.as_chunks().0.iter().map(|id| TokenId::from_le_bytes(*id)));
        reserve(&mut all.state, state.len() / 8, WHAT)?;
        all.state.extend(state.as_chunks::<8>().0.iter().map(|number| LE::read_u64(number)));
        Ok(Some(all))
    }

    /// Returns a copy of the tokens.
    pub(crate) fn copied_tokens(&self) -> Result<Vec<TokenId>, EngineError> {
        copied(&self.tokens, WHAT)
    }
}

fn of_ids(ids: impl Iterator<Item = TokenId>) -> Identity {
    let mut hash = Sha256::new();
    ids.for_each(|id| hash.update(id.to_le_bytes()));
    Identity(hash.finalize().into())
}

/// Returns the identity of what an answer depends on besides its prompt. The seed is not part of it, since the state replaces it.
pub(crate) fn of_options(options: &GenerateOptions, must_complete: bool) -> Identity {
    // By name, so that an option that is added is thought of here.
    let GenerateOptions { sampler, max_tokens, stop, ignore_end, form, cancel: _, shift } = options;
    let mut hash = Sha256::new();
    let mut number = |n: u64| hash.update(n.to_le_bytes());
    number(sampler.fingerprint());
    number(max_tokens.map_or(0, |most| (most as u64).saturating_add(1)));
    number(u64::from(*ignore_end));
    number(u64::from(must_complete) + 2 * u64::from(*shift));
    number(match form {
        None => 0,
        Some(Form::Gbnf { .. }) => 1,
        Some(Form::JsonSchema { reading: Reading::Writer, .. }) => 2,
        Some(Form::JsonSchema { .. }) => 3,
    });
    let form = form.as_ref().map(|form| match form {
        Form::Gbnf { text } | Form::JsonSchema { text, .. } => text,
    });
    for text in stop.iter().chain(form) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    Identity(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_were_written() {
        for (tokens, state) in [(vec![], vec![]), (vec![7, 8, 9], vec![1, u64::MAX])] {
            let answer = PartialAnswer::new((2, [1, 2, 3].into_iter()), Identity([4; 32]), tokens, state);
            let (numbers, bytes) = (answer.numbers(), answer.encode().unwrap());
            assert_eq!(PartialAnswer::decode(numbers, &bytes).unwrap(), Some(answer));
            for cut in 0..bytes.len() {
                assert_eq!(PartialAnswer::decode(numbers, &bytes[..cut]).unwrap(), None, "cut at {cut}");
            }
        }
        assert!(!PartialAnswer::fits([0, u64::MAX, u64::MAX], 64));
    }

    #[test]
    fn each_option_counts() {
        let change: [&dyn Fn(&mut GenerateOptions); 9] = [
            &|_| {},
            &|options| options.sampler = happy_sampler::Params::default().build().unwrap(),
            &|options| options.max_tokens = Some(0),
            &|options| options.ignore_end = true,
            &|options| options.shift = true,
            &|options| options.stop = vec!["root ::= \"a\"".to_owned()],
            &|options| options.form = Some(Form::gbnf("root ::= \"a\"")),
            &|options| options.form = Some(Form::json_schema("root ::= \"a\"")),
            &|options| options.form = Some(Form::json_schema_read("root ::= \"a\"", Reading::Specification)),
        ];
        let mut all = Vec::new();
        for change in change {
            let mut options = GenerateOptions::default();
            change(&mut options);
            for must_complete in [false, true] {
                let identity = of_options(&options, must_complete);
                assert!(!all.contains(&identity), "{options:?}");
                all.push(identity);
            }
        }
    }
}
