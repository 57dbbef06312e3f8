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
    /// Most tokens of the answer; `None`: until the context is full.
    pub(crate) max_tokens: Option<usize>,
    pub(crate) stop: Vec<String>,
    pub(crate) form: Option<Form>,
    /// Answers; each has a seed of its own.
    pub(crate) choices: usize,
    /// Probabilities are wanted, of so many tokens beside the chosen one.
    pub(crate) top_log_probs: Option<usize>,
    /// Go on when the model ends its text.
    pub(crate) ignore_end: bool,
    /// End the answer after its first tool call.
    pub(crate) one_call: bool,
}

/// What comes before the answer.
#[derive(Clone, Debug)]
pub(crate) enum Prompt {
    /// Messages for the chat template.
    Chat(Chat),
    /// A text that is continued.
    Text(String),
    /// Token ids that are continued.
    Ids(Vec<u32>),
    /// A text with a gap, in which the answer belongs.
    Infill { before: String, after: String },
}

/// A conversation as chat templates take it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chat {
    pub(crate) messages: Vec<Json>,
    pub(crate) tools: Option<Vec<Json>>,
    pub(crate) tool_choice: ToolChoice,
    pub(crate) vars: Map<String, Json>,
    /// Whether the model should think before it answers; `None`: as its template does by itself.
    pub(crate) think: Option<bool>,
}

/// Most answers to one request, most alternatives of a token, most stop strings.
pub(crate) const MAX_CHOICES: usize = 16;
pub(crate) const MAX_TOP: usize = 20;
const MAX_STOPS: usize = 64;

impl Ask {
    /// A request with the defaults of sampling.
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

    /// Reads the settings of sampling that the APIs name alike.
    pub(crate) fn read_sampling(&mut self, fields: Fields<'_, '_>) -> Result<(), ApiError> {
        let sampling = &mut self.sampling;
        if let Some(t) = fields.number("temperature")? {
            sampling.temperature = t.into();
        }
        if let Some(p) = fields.number("top_p")? {
            sampling.top_p = p.into();
        }
        if let Some(k) = fields.integer("top_k")? {
            // 0 and less: off.
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
            // -1: the whole context.
            sampling.penalties.last_n = usize::try_from(n).unwrap_or(usize::MAX >> 1);
        }
        if let Some(seed) = fields.integer("seed")? {
            // -1: another one each time, as Ollama and llama.cpp have it.
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
                // OpenAI's -100 means never.
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

    /// The options of one of the answers.
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
        })
    }

    /// Renders, encodes and compiles: slow for long prompts, so no thread that others wait for should do it.
    pub(crate) fn compose(
        &self,
        engine: &Engine,
        choice: usize,
        cancel: &Cancel,
    ) -> Result<Composed, ApiError> {
        if self.max_tokens == Some(0) {
            return Err(ApiError::field("max_tokens", "is 0, expected at least 1"));
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

/// Whether a prompt leaves room for a token; what was asked for beyond that is cut off by the context's end.
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

/// The ids of a text with a gap, if the model was trained for that.
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
    /// The conversation on this model.
    pub(crate) fn conversation(&self, engine: &Engine) -> Result<Conversation, ApiError> {
        let mut vars = self.vars.clone();
        if let Some(think) = self.think {
            let template = engine.chat_template().map_err(|e| ApiError::internal(e.to_string()))?;
            // Templates that know no such variable have no place for it.
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
