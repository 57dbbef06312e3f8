//! From text and conversations to token ids, and back.

use crate::error::CliResult;
use happy_engine::Engine;
use happy_engine::chat::{ChatTemplate, Message, TemplateInput};
use happy_tokenizer::{DecodeOptions, EncodeOptions, TokenId, Tokenizer};

/// Token ids of a text. `special`: strings of special tokens become those tokens; `add`: the tokens that the model
/// wants around a text (BOS, EOS) are added.
pub(crate) fn encode(tokenizer: &Tokenizer, text: &str, special: bool, add: bool) -> CliResult<Vec<TokenId>> {
    Ok(tokenizer.encode(text, EncodeOptions { add_special: add, parse_special: special })?)
}

/// Token ids of a prompt: special strings become tokens, and BOS begins it where the model wants that, but once.
pub(crate) fn encode_prompt(tokenizer: &Tokenizer, text: &str) -> CliResult<Vec<TokenId>> {
    let mut ids = encode(tokenizer, text, true, false)?;
    if let Some(bos) = tokenizer.bos().filter(|bos| tokenizer.adds_bos() && ids.first() != Some(bos)) {
        ids.insert(0, bos);
    }
    Ok(ids)
}

/// Bytes of token ids, those of special tokens where `special` says so.
pub(crate) fn decode(tokenizer: &Tokenizer, ids: &[TokenId], special: bool) -> CliResult<Vec<u8>> {
    Ok(tokenizer.decode_bytes(ids, DecodeOptions { special, ..DecodeOptions::default() })?)
}

/// What a template sees of a model: the strings of its BOS and EOS tokens, empty where it has none.
pub(crate) fn template_input(tokenizer: &Tokenizer) -> TemplateInput {
    let string = |id: Option<TokenId>| {
        let text = id.and_then(|id| tokenizer.token_text(id).ok()).unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    };
    TemplateInput {
        add_generation_prompt: true,
        bos_token: string(tokenizer.bos()),
        eos_token: string(tokenizer.eos()),
        ..TemplateInput::default()
    }
}

/// Turns of a chat with the template that makes a prompt of them.
pub(crate) struct Conversation {
    engine: Engine,
    template: ChatTemplate,
    input: TemplateInput,
    /// Messages that stay when the conversation is forgotten.
    fixed: usize,
}

impl Conversation {
    /// A conversation without turns; `None` if the model has no chat template.
    pub(crate) fn new(engine: &Engine, system: Option<&str>) -> CliResult<Option<Self>> {
        let Some(template) = engine.chat_template()? else { return Ok(None) };
        let input = template_input(engine.require_tokenizer()?);
        let mut all = Self { engine: engine.clone(), template, input, fixed: 0 };
        if let Some(text) = system {
            all.push("system", text);
            all.fixed = 1;
        }
        Ok(Some(all))
    }

    /// Adds a turn.
    pub(crate) fn push(&mut self, role: &str, content: &str) {
        self.input.messages.push(Message::new(role, content).into());
    }

    /// Takes the last turn back.
    pub(crate) fn pop(&mut self) {
        self.input.messages.truncate(self.input.messages.len().saturating_sub(1).max(self.fixed));
    }

    /// Forgets all turns.
    pub(crate) fn reset(&mut self) {
        self.input.messages.truncate(self.fixed);
    }

    /// Number of turns.
    pub(crate) fn len(&self) -> usize {
        self.input.messages.len() - self.fixed
    }

    /// The whole conversation as a prompt for the next answer.
    pub(crate) fn ids(&self) -> CliResult<Vec<TokenId>> {
        let text = self.template.render(&self.input)?;
        encode_prompt(self.engine.require_tokenizer()?, &text)
    }
}
