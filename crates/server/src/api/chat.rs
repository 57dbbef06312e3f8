//! OpenAI's `/v1/chat/completions`.

use super::{form, messages};
use crate::ask::{Ask, Chat, MAX_CHOICES, MAX_TOP, Prompt};
use crate::delta::{Delta, Reason, TokenLogProb, TokenText, Usage, UsageOfPrompts, Whole, fresh_id};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::http::Call;
use crate::http::reply::{Reply, failure};
use crate::http::routes::Style;
use crate::state::now;
use crate::stream::{EventBody, Translator, sse};
use serde_json::{Value as Json, json};

/// Answers a request.
pub(crate) async fn create(call: Call) -> Result<Reply, ApiError> {
    let body = call.json()?;
    let fields = Fields::of(&body, "")?;
    let model = call.model(fields.text("model")?).await?;
    let ask = read(fields)?;
    let head = Head::new("chatcmpl-", model.name.clone());
    let answers = model.answer(ask).await?;
    if fields.flag("stream")?.unwrap_or(false) {
        let choices = answers.len();
        let translator = Chunks {
            head,
            usage: UsageOfPrompts::new(choices),
            include_usage: wants_usage(fields)?,
            begun: vec![false; choices],
            log_probs: vec![Vec::new(); choices],
            failed: false,
        };
        return Ok(Reply::Events(Box::new(EventBody::new(answers, Box::new(translator)))));
    }
    let (mut choices, mut usage) = (Vec::new(), UsageOfPrompts::new(answers.len()));
    for (index, answer) in answers.into_iter().enumerate() {
        let whole = answer.whole().await?;
        usage.add(index, whole.usage());
        choices.push(choice(index, whole));
    }
    let mut reply = head.object("chat.completion");
    reply["choices"] = choices.into();
    reply["usage"] = usage_json(usage.total());
    Ok(Reply::Json(reply))
}

/// Reads a request.
pub(crate) fn read(fields: Fields<'_, '_>) -> Result<Ask, ApiError> {
    let mut ask = Ask::new(Prompt::Chat(read_chat(fields)?));
    ask.read_sampling(fields)?;
    ask.read_stop(fields, "stop")?;
    ask.form = form::of_openai(fields)?;
    let most = usize::MAX;
    ask.max_tokens =
        fields.count("max_completion_tokens", 1, most)?.or(fields.count("max_tokens", 1, most)?);
    ask.choices = fields.count("n", 1, MAX_CHOICES)?.unwrap_or(1);
    ask.ignore_end = fields.flag("ignore_eos")?.unwrap_or(false);
    ask.one_call = fields.flag("parallel_tool_calls")? == Some(false);
    let top = fields.count("top_logprobs", 0, MAX_TOP)?.unwrap_or(0);
    ask.top_log_probs = fields.flag("logprobs")?.unwrap_or(false).then_some(top);
    Ok(ask)
}

/// Reads messages, tools and template variables.
pub(crate) fn read_chat(fields: Fields<'_, '_>) -> Result<Chat, ApiError> {
    Ok(Chat {
        messages: messages::read(fields)?,
        tools: messages::tools(fields)?,
        tool_choice: messages::tool_choice(fields)?,
        vars: fields.object("chat_template_kwargs")?.cloned().unwrap_or_default(),
        think: fields.text("reasoning_effort")?.map(|effort| effort != "none"),
    })
}

/// Returns whether the last chunk of a stream has the usage.
pub(crate) fn wants_usage(fields: Fields<'_, '_>) -> Result<bool, ApiError> {
    match fields.get("stream_options") {
        Some(options) => Ok(Fields::of(options, "stream_options")?.flag("include_usage")?.unwrap_or(false)),
        None => Ok(false),
    }
}

/// The fields that all objects of an answer have.
pub(crate) struct Head {
    id: String,
    model: String,
    created: u64,
}

impl Head {
    pub(crate) fn new(prefix: &str, model: String) -> Self {
        Self { id: fresh_id(prefix), model, created: now() }
    }

    /// Returns an object of this kind.
    pub(crate) fn object(&self, kind: &str) -> Json {
        json!({ "id": self.id, "object": kind, "created": self.created, "model": self.model })
    }
}

/// Returns the API's name for why an answer ended.
pub(crate) fn finish_reason(reason: &Reason) -> &'static str {
    match reason {
        Reason::Stop | Reason::StopString(_) => "stop",
        Reason::Length => "length",
        Reason::Calls => "tool_calls",
    }
}

pub(crate) fn usage_json(usage: Usage) -> Json {
    json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.generated,
        "total_tokens": usage.prompt + usage.generated,
        "prompt_tokens_details": { "cached_tokens": usage.cached },
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning },
    })
}

fn choice(index: usize, whole: Whole) -> Json {
    let reason = finish_reason(&whole.reason());
    let mut message = json!({ "role": "assistant", "content": whole.text, "refusal": null });
    if !whole.reasoning.is_empty() {
        message["reasoning_content"] = whole.reasoning.into();
    }
    if !whole.calls.is_empty() {
        if whole.text.is_empty() {
            message["content"] = Json::Null;
        }
        let calls = whole.calls.into_iter().map(|call| {
            let function = json!({ "name": call.name, "arguments": call.arguments });
            json!({ "id": call.id, "type": "function", "function": function })
        });
        message["tool_calls"] = calls.collect();
    }
    let log_probs = match whole.log_probs.as_slice() {
        [] => Json::Null,
        all => json!({ "content": all.iter().map(log_prob).collect::<Vec<_>>(), "refusal": null }),
    };
    json!({ "index": index, "message": message, "logprobs": log_probs, "finish_reason": reason })
}

fn log_prob(found: &TokenLogProb) -> Json {
    let one =
        |token: &TokenText| json!({ "token": token.text(), "logprob": token.ln_p(), "bytes": token.bytes });
    let mut object = one(&found.token);
    object["top_logprobs"] = found.top.iter().map(one).collect();
    object
}

/// Translates deltas into the chunks of a stream.
struct Chunks {
    head: Head,
    usage: UsageOfPrompts,
    include_usage: bool,
    /// For each choice, whether its role was sent.
    begun: Vec<bool>,
    /// Probabilities of tokens whose text was not sent yet.
    log_probs: Vec<Vec<Json>>,
    failed: bool,
}

impl Chunks {
    fn chunk(&mut self, choice: usize, delta: Json, reason: Option<&str>, out: &mut Vec<u8>) {
        let mut log_probs = Json::Null;
        if let Some(waiting) = self.log_probs.get_mut(choice).filter(|waiting| !waiting.is_empty()) {
            log_probs = json!({ "content": std::mem::take(waiting), "refusal": null });
        }
        let mut chunk = self.head.object("chat.completion.chunk");
        chunk["choices"] =
            json!([{ "index": choice, "delta": delta, "logprobs": log_probs, "finish_reason": reason }]);
        if self.include_usage {
            chunk["usage"] = Json::Null;
        }
        sse(out, None, &chunk);
    }
}

impl Translator for Chunks {
    fn delta(&mut self, choice: usize, delta: Delta, out: &mut Vec<u8>) {
        if let Some(begun) = self.begun.get_mut(choice).filter(|begun| !**begun)
            && !matches!(delta, Delta::Failed(_))
        {
            *begun = true;
            self.chunk(choice, json!({ "role": "assistant", "content": "" }), None, out);
        }
        match delta {
            Delta::Text(text) => self.chunk(choice, json!({ "content": text }), None, out),
            Delta::Reasoning(text) => self.chunk(choice, json!({ "reasoning_content": text }), None, out),
            Delta::CallStart { index, id, name } => {
                let function = json!({ "name": name, "arguments": "" });
                let call = json!({ "index": index, "id": id, "type": "function", "function": function });
                self.chunk(choice, json!({ "tool_calls": [call] }), None, out);
            }
            Delta::CallArguments { index, text } => {
                let call = json!({ "index": index, "function": { "arguments": text } });
                self.chunk(choice, json!({ "tool_calls": [call] }), None, out);
            }
            Delta::LogProb(found) => {
                if let Some(waiting) = self.log_probs.get_mut(choice) {
                    waiting.push(log_prob(&found));
                }
            }
            Delta::Done(summary) => {
                self.usage.add(choice, summary.usage);
                self.chunk(choice, json!({}), Some(finish_reason(&summary.reason)), out);
            }
            Delta::Failed(error) => {
                self.failed = true;
                sse(out, None, &failure(Style::OpenAi, &error));
            }
            Delta::Begun { .. } | Delta::CallEnd { .. } | Delta::CallGone { .. } => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.include_usage && !self.failed {
            let mut chunk = self.head.object("chat.completion.chunk");
            chunk["choices"] = json!([]);
            chunk["usage"] = usage_json(self.usage.total());
            sse(out, None, &chunk);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}
