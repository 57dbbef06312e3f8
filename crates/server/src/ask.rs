//! The one request that every API is translated into, and how it becomes a prompt.

use crate::error::ApiError;
use crate::fields::Fields;
use happy_engine::chat::ToolChoice;
use happy_engine::sampler::Params;
use happy_engine::{Cancel, Composed, Conversation, ConversationOptions, Engine, Form, GenerateOptions};
use serde_json::{Map, Value as Json};

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) prompt: Prompt,
    pub(crate) sampling: Params,
    /// Maximum number of tokens of the answer. `None`: until the context is full.
    pub(crate) max_tokens: Option<usize>,
    pub(crate) stop: Vec<String>,
    pub(crate) form: Option<Form>,
    /// Number of answers. Each has a seed of its own.
    pub(crate) choices: usize,
    /// How many alternatives of each token to report with their probabilities. `None`: no probabilities.
    pub(crate) top_log_probs: Option<usize>,
    /// Whether to go on when the model ends its text.
    pub(crate) ignore_end: bool,
    /// Whether to end the answer after its first tool call.
    pub(crate) one_call: bool,
}

/// What comes before the answer.
#[derive(Clone, Debug)]
pub(crate) enum Prompt {
    /// Messages for the chat template.
    Chat(Chat),
    /// A text to continue.
    Text(String),
    /// Token ids to continue.
    Ids(Vec<u32>),
    /// The texts before and after a gap that the answer fills.
    Infill { before: String, after: String },
}

/// A conversation as chat templates take it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chat {
    pub(crate) messages: Vec<Json>,
    pub(crate) tools: Option<Vec<Json>>,
    pub(crate) tool_choice: ToolChoice,
    pub(crate) vars: Map<String, Json>,
    /// Whether the model should think before it answers. `None`: as its template decides.
    pub(crate) think: Option<bool>,
}

/// Maximum numbers of answers to a request, of alternatives of a token, and of stop strings.
pub(crate) const MAX_CHOICES: usize = 16;
pub(crate) const MAX_TOP: usize = 20;
const MAX_STOPS: usize = 64;

impl Ask {
    /// Returns a request with the default settings.
    pub(crate) fn new(prompt: Prompt) -> Self {
        let mut sampling = Params::default();
        sampling.seed = crate::delta::fresh_seed();
        Self {
            prompt,
            sampling,
            max_tokens: None,
            stop: Vec::new(),
            form: None,
            choices: 1,
            top_log_probs: None,
            ignore_end: false,
            one_call: false,
        }
    }

    /// Reads the sampling settings that have the same name in all APIs.
    pub(crate) fn read_sampling(&mut self, fields: Fields<'_, '_>) -> Result<(), ApiError> {
        let sampling = &mut self.sampling;
        if let Some(t) = fields.number("temperature")? {
            sampling.temperature = t.into();
        }
        if let Some(p) = fields.number("top_p")? {
            sampling.top_p = p.into();
        }
        if let Some(k) = fields.integer("top_k")? {
            // 0 and below turn it off.
            sampling.top_k = usize::try_from(k).unwrap_or(0).into();
        }
        if let Some(p) = fields.number("min_p")? {
            sampling.min_p = p.into();
        }
        if let Some(p) = fields.number("typical_p")? {
            sampling.typical = p.into();
        }
        if let Some(penalty) = fields.number("presence_penalty")? {
            sampling.penalties.presence = penalty;
        }
        if let Some(penalty) = fields.number("frequency_penalty")? {
            sampling.penalties.frequency = penalty;
        }
        if let Some(penalty) = fields.number("repeat_penalty")? {
            sampling.penalties.repeat = penalty;
        }
        if let Some(n) = fields.integer("repeat_last_n")? {
            // -1 stands for the whole context.
            sampling.penalties.last_n = usize::try_from(n).unwrap_or(usize::MAX >> 1);
        }
        if let Some(seed) = fields.integer("seed")? {
            // -1 stands for a random seed, as in Ollama and llama.cpp.
            if seed != -1 {
                sampling.seed = seed as u64;
            }
        }
        if let Some(biases) = fields.object("logit_bias")? {
            for (token, bias) in biases {
                let pair = token.parse().ok().zip(bias.as_f64());
                let Some((token, bias)) = pair else {
                    let expected = "expected token ids with numbers, as in {\"15043\": -100}";
                    return Err(fields.wrong("logit_bias", expected));
                };
                // OpenAI's clients send -100 for "never".
                let bias = if bias <= -100.0 { f32::NEG_INFINITY } else { bias as f32 };
                sampling.logit_bias.push((token, bias));
            }
        }
        Ok(())
    }

    /// Reads the strings that end the text.
    pub(crate) fn read_stop(&mut self, fields: Fields<'_, '_>, key: &str) -> Result<(), ApiError> {
        self.stop = fields.texts(key)?;
        if self.stop.len() > MAX_STOPS {
            let found = self.stop.len();
            return Err(fields.wrong(key, format_args!("{found} strings, expected at most {MAX_STOPS}")));
        }
        Ok(())
    }

    /// Returns the options for one of the answers.
    fn options(&self, choice: usize, cancel: &Cancel) -> Result<GenerateOptions, ApiError> {
        let mut sampling = self.sampling.clone();
        sampling.seed = sampling.seed.wrapping_add(choice as u64);
        let sampler = sampling.build().map_err(|error| ApiError::invalid(error.to_string()))?;
        Ok(GenerateOptions {
            sampler,
            max_tokens: self.max_tokens,
            stop: self.stop.clone(),
            ignore_end: self.ignore_end,
            form: self.form.clone(),
            cancel: cancel.clone(),
            shift: false,
        })
    }

    /// Renders and encodes the prompt and compiles the form. This is slow for long prompts, so don't call it on the thread that serves all
    /// requests.
    pub(crate) fn compose(
        &self,
        engine: &Engine,
        choice: usize,
        cancel: &Cancel,
    ) -> Result<Composed, ApiError> {
        if self.max_tokens == Some(0) {
            return Err(ApiError::field("max_tokens", "is 0, expected at least 1"));
        }
        // A sampler ignores ids that don't exist. A client that sends one means another model.
        let n_vocab = engine.model().n_vocab();
        if let Some((id, _)) = self.sampling.logit_bias.iter().find(|(id, _)| *id as usize >= n_vocab) {
            return Err(ApiError::field(
                "logit_bias",
                format_args!("token {id}, expected ids below {n_vocab}"),
            ));
        }
        let options = self.options(choice, cancel)?;
        let composed = match &self.prompt {
            Prompt::Chat(chat) => chat.conversation(engine)?.compose(options)?,
            Prompt::Text(text) => engine.compose(engine.encode_prompt_until(text, cancel)?, options)?,
            Prompt::Ids(ids) => engine.compose(checked(engine, ids)?, options)?,
            Prompt::Infill { before, after } => engine.compose(infill(engine, before, after)?, options)?,
        };
        fits(engine, composed.ids().len(), self.max_tokens)?;
        Ok(composed)
    }
}

/// Checks that a prompt leaves room for at least one token. A longer answer ends where the context ends.
fn fits(engine: &Engine, tokens: usize, max_tokens: Option<usize>) -> Result<(), ApiError> {
    let context = engine.plan().context;
    if tokens == 0 {
        return Err(ApiError::invalid("the prompt is empty: at least one token is needed"));
    }
    if tokens >= context {
        let wanted = max_tokens.map_or_else(String::new, |n| format!(" and {n} tokens of the answer"));
        return Err(ApiError::invalid(format!(
            "the prompt has {tokens} tokens{wanted}, but this server's context holds {context} tokens: shorten the prompt, or \
             start the server with a larger context (--ctx)"
        ))
        .code("context_length_exceeded"));
    }
    Ok(())
}

fn checked(engine: &Engine, ids: &[u32]) -> Result<Vec<u32>, ApiError> {
    let n_vocab = engine.model().n_vocab();
    match ids.iter().find(|id| **id as usize >= n_vocab) {
        Some(id) => Err(ApiError::field("prompt", format_args!("token {id}, expected ids below {n_vocab}"))),
        None => Ok(ids.to_vec()),
    }
}

/// Returns the ids of a text with a gap, if the model was trained to fill gaps.
fn infill(engine: &Engine, before: &str, after: &str) -> Result<Vec<u32>, ApiError> {
    let tokenizer = engine.require_tokenizer()?;
    let special = tokenizer.special_ids();
    let tokens = special.fim_prefix.zip(special.fim_suffix).zip(special.fim_middle);
    let Some(((prefix, suffix), middle)) = tokens else {
        return Err(ApiError::field("suffix", "this model has no tokens for filling a gap: leave it out"));
    };
    let plain = happy_engine::tokenizer::EncodeOptions { add_special: false, parse_special: false };
    let encode = |text: &str| tokenizer.encode(text, plain).map_err(|e| ApiError::invalid(e.to_string()));
    let mut ids: Vec<u32> = tokenizer.bos().filter(|_| tokenizer.adds_bos()).into_iter().collect();
    ids.push(prefix);
    ids.extend(encode(before)?);
    ids.push(suffix);
    ids.extend(encode(after)?);
    ids.push(middle);
    Ok(ids)
}

impl Chat {
    /// Returns the conversation for this model.
    pub(crate) fn conversation(&self, engine: &Engine) -> Result<Conversation, ApiError> {
        let mut vars = self.vars.clone();
        if let Some(think) = self.think {
            let template = engine.chat_template().map_err(|e| ApiError::internal(e.to_string()))?;
            // Templates that don't use the variable ignore it.
            if template.is_some_and(|template| template.source().contains("enable_thinking")) {
                vars.entry("enable_thinking").or_insert(Json::Bool(think));
            }
        }
        let options = ConversationOptions {
            tools: self.tools.clone(),
            tool_choice: self.tool_choice.clone(),
            vars,
            ..ConversationOptions::default()
        };
        let mut conversation = Conversation::with_options(engine, options)?;
        conversation.input_mut().messages = self.messages.clone();
        Ok(conversation)
    }
}
