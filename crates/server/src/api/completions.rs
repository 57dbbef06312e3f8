//! OpenAI's `/v1/completions`: continues a text.

use super::chat::{Head, finish_reason, usage_json, wants_usage};
use super::form;
use crate::ask::{Ask, MAX_CHOICES, MAX_TOP, Prompt};
use crate::delta::{Delta, TokenLogProb, UsageOfPrompts};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::http::Call;
use crate::http::reply::{Reply, failure};
use crate::http::routes::Style;
use crate::models::Lease;
use crate::stream::{Answer, EventBody, Translator, sse};
use serde_json::{Map, Value as Json, json};

/// Maximum number of prompts in a request.
const MAX_PROMPTS: usize = 64;
/// Default of `max_tokens`, as in OpenAI's API.
const DEFAULT_TOKENS: usize = 16;

/// Answers a request.
pub(crate) async fn create(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let model = call.model(fields.text("model")?).await?;
    let (prompts, ask) = read(fields)?;
    let echo = fields.flag("echo")?.unwrap_or(false);
    let head = Head::new("cmpl-", model.name.clone());
    let (mut answers, mut prefixes): (Vec<Answer>, Vec<String>) = (Vec::new(), Vec::new());
    for prompt in prompts {
        let prefix = match &prompt {
            Prompt::Text(text) if echo => text.clone(),
            Prompt::Ids(ids) if echo => text_of(&model, ids)?,
            _ => String::new(),
        };
        prefixes.extend(std::iter::repeat_n(prefix, ask.choices));
        answers.extend(model.answer(Ask { prompt, ..ask.clone() }).await?);
    }
    let mut usage = UsageOfPrompts::new(ask.choices);
    if fields.flag("stream")?.unwrap_or(false) {
        let include_usage = wants_usage(fields)?;
        let log_probs = vec![Vec::new(); answers.len()];
        let offsets = prefixes.iter().map(|prefix| prefix.chars().count()).collect();
        let translator = Chunks { head, prefixes, log_probs, offsets, usage, include_usage, failed: false };
        return Ok(Reply::Events(Box::new(EventBody::new(answers, Box::new(translator)))));
    }
    let mut choices = Vec::new();
    for (index, (answer, prefix)) in answers.into_iter().zip(prefixes).enumerate() {
        let whole = answer.whole().await?;
        usage.add(index, whole.usage());
        let reason = finish_reason(&whole.reason());
        let mut offset = prefix.chars().count();
        let log_probs = log_probs(&whole.log_probs, &mut offset);
        let text = prefix + &whole.text;
        choices.push(json!({ "index": index, "text": text, "logprobs": log_probs, "finish_reason": reason }));
    }
    let mut reply = head.object("text_completion");
    reply["choices"] = choices.into();
    reply["usage"] = usage_json(usage.total());
    Ok(Reply::Json(reply))
}

/// Reads a request: its prompts, and the settings for all of them.
pub(crate) fn read(fields: Fields<'_, '_>) -> Result<(Vec<Prompt>, Ask), ApiError> {
    let prompts = prompts(fields)?;
    let mut ask = Ask::new(Prompt::Ids(Vec::new()));
    ask.read_sampling(fields)?;
    ask.read_stop(fields, "stop")?;
    ask.form = form::of_openai(fields)?;
    ask.max_tokens = Some(fields.count("max_tokens", 1, usize::MAX)?.unwrap_or(DEFAULT_TOKENS));
    ask.choices = fields.count("n", 1, MAX_CHOICES)?.unwrap_or(1);
    ask.ignore_end = fields.flag("ignore_eos")?.unwrap_or(false);
    ask.top_log_probs = fields.count("logprobs", 0, MAX_TOP)?;
    if let Some(best_of) = fields.count("best_of", 1, MAX_CHOICES)?.filter(|n| *n != ask.choices) {
        return Err(
            fields.wrong("best_of", format_args!("is {best_of}, expected the same as `n`, or nothing"))
        );
    }
    Ok((prompts, ask))
}

/// Returns the text of token ids.
fn text_of(model: &Lease, ids: &[u32]) -> Result<String, ApiError> {
    let tokenizer = model.engine.require_tokenizer()?;
    let mut bytes = Vec::new();
    for id in ids {
        let problem = || ApiError::field("prompt", format_args!("{id} is not a valid token id"));
        bytes.extend_from_slice(&tokenizer.piece(*id).map_err(|_| problem())?);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads the prompts: a text, an array of texts, an array of token ids, or an array of such arrays.
fn prompts(fields: Fields<'_, '_>) -> Result<Vec<Prompt>, ApiError> {
    let expected = "expected a string, an array of strings, or an array of token ids";
    let ids = |all: &[Json]| -> Option<Prompt> {
        let ids = all.iter().map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()));
        ids.collect::<Option<Vec<u32>>>().map(Prompt::Ids)
    };
    let suffix = fields.text("suffix")?.filter(|suffix| !suffix.is_empty());
    let one = |prompt: &Json| match (prompt, suffix) {
        (Json::String(text), Some(after)) => {
            Some(Prompt::Infill { before: text.clone(), after: after.to_owned() })
        }
        (Json::String(text), None) => Some(Prompt::Text(text.clone())),
        (Json::Array(all), None) => ids(all),
        _ => None,
    };
    let found = match fields.get("prompt") {
        Some(Json::Array(all)) if all.iter().all(Json::is_number) && !all.is_empty() => {
            ids(all).map(|prompt| vec![prompt])
        }
        Some(Json::Array(all)) if all.len() > MAX_PROMPTS => {
            let found = all.len();
            return Err(
                fields.wrong("prompt", format_args!("{found} prompts, expected at most {MAX_PROMPTS}"))
            );
        }
        Some(Json::Array(all)) if !all.is_empty() => all.iter().map(one).collect(),
        Some(prompt @ Json::String(_)) => one(prompt).map(|prompt| vec![prompt]),
        _ => None,
    };
    found.ok_or_else(|| fields.wrong("prompt", expected))
}

/// Returns probabilities in the form of this API. `offset` is the position of the next token in the text, in characters.
fn log_probs(all: &[TokenLogProb], offset: &mut usize) -> Json {
    if all.is_empty() {
        return Json::Null;
    }
    let mut offsets = Vec::new();
    for one in all {
        offsets.push(*offset);
        *offset += one.token.text().chars().count();
    }
    let top = |one: &TokenLogProb| -> Map<String, Json> {
        one.top.iter().map(|token| (token.text(), token.ln_p().into())).collect()
    };
    json!({
        "tokens": all.iter().map(|one| one.token.text()).collect::<Vec<_>>(),
        "token_logprobs": all.iter().map(|one| one.token.ln_p()).collect::<Vec<_>>(),
        "top_logprobs": all.iter().map(top).collect::<Vec<_>>(),
        "text_offset": offsets,
    })
}

/// Translates deltas into the chunks of a stream.
struct Chunks {
    head: Head,
    /// The prompts, if the request wants them repeated (`echo`).
    prefixes: Vec<String>,
    log_probs: Vec<Vec<TokenLogProb>>,
    /// The position of the next token in each text, in characters.
    offsets: Vec<usize>,
    usage: UsageOfPrompts,
    include_usage: bool,
    failed: bool,
}

impl Chunks {
    fn chunk(&mut self, choice: usize, text: &str, reason: Option<&str>, out: &mut Vec<u8>) {
        let waiting = self.log_probs.get_mut(choice).zip(self.offsets.get_mut(choice));
        let log_probs = waiting.map_or(Json::Null, |(all, offset)| log_probs(&std::mem::take(all), offset));
        let mut chunk = self.head.object("text_completion");
        chunk["choices"] =
            json!([{ "index": choice, "text": text, "logprobs": log_probs, "finish_reason": reason }]);
        if self.include_usage {
            chunk["usage"] = Json::Null;
        }
        sse(out, None, &chunk);
    }
}

impl Translator for Chunks {
    fn delta(&mut self, choice: usize, delta: Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Begun { .. } => {
                let prefix = self.prefixes.get_mut(choice).map(std::mem::take).unwrap_or_default();
                if !prefix.is_empty() {
                    self.chunk(choice, &prefix, None, out);
                }
            }
            Delta::Text(text) => self.chunk(choice, &text, None, out),
            Delta::LogProb(found) => {
                if let Some(waiting) = self.log_probs.get_mut(choice) {
                    waiting.push(found);
                }
            }
            Delta::Done(summary) => {
                self.usage.add(choice, summary.usage);
                self.chunk(choice, "", Some(finish_reason(&summary.reason)), out);
            }
            Delta::Failed(error) => {
                self.failed = true;
                sse(out, None, &failure(Style::OpenAi, &error));
            }
            _ => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.include_usage && !self.failed {
            let mut chunk = self.head.object("text_completion");
            chunk["choices"] = json!([]);
            chunk["usage"] = usage_json(self.usage.total());
            sse(out, None, &chunk);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}
