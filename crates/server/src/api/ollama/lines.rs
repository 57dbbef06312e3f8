//! Answers in Ollama's form: lines of JSON. The last line has token counts and times.

use crate::delta::{Call, Delta, Reason, Summary, Whole};
use crate::http::reply::failure;
use crate::http::routes::Style;
use crate::stream::{Translator, line};
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The endpoint, which decides the form of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Chat,
    Generate,
}

impl Shape {
    /// Returns a line with this text, thinking and calls.
    pub(super) fn line(self, model: &str, text: &str, thinking: Option<&str>, calls: Vec<Json>) -> Json {
        let mut line = json!({ "model": model, "created_at": date(SystemTime::now()) });
        let inner = match self {
            Shape::Chat => {
                line["message"] = json!({ "role": "assistant", "content": text });
                &mut line["message"]
            }
            Shape::Generate => {
                line["response"] = text.into();
                &mut line
            }
        };
        if let Some(thinking) = thinking {
            inner["thinking"] = thinking.into();
        }
        if !calls.is_empty() {
            inner["tool_calls"] = calls.into();
        }
        line["done"] = false.into();
        line
    }
}

/// Translates deltas into lines.
pub(super) struct Lines {
    model: String,
    shape: Shape,
    started: Instant,
    /// The call that is being written. A line has only whole calls.
    call: Option<Call>,
}

impl Lines {
    pub(super) fn new(model: String, shape: Shape, started: Instant) -> Self {
        Self { model, shape, started, call: None }
    }

    /// Returns a whole answer as one object.
    pub(super) fn whole(&self, whole: Whole) -> Json {
        let thinking = (!whole.reasoning.is_empty()).then_some(whole.reasoning.as_str());
        let calls = whole.calls.iter().map(call_json).collect();
        let mut line = self.shape.line(&self.model, &whole.text, thinking, calls);
        if let Some(summary) = &whole.summary {
            self.finish(&mut line, summary);
        }
        line
    }

    /// Adds the fields of the last line.
    fn finish(&self, line: &mut Json, summary: &Summary) {
        line["done"] = true.into();
        line["done_reason"] = if summary.reason == Reason::Length { "length" } else { "stop" }.into();
        line["total_duration"] = nanos(self.started.elapsed()).into();
        line["load_duration"] = 0.into();
        line["prompt_eval_count"] = summary.usage.prompt.into();
        line["prompt_eval_duration"] = nanos(summary.prefill).into();
        line["eval_count"] = summary.usage.generated.into();
        line["eval_duration"] = nanos(summary.decode).into();
    }
}

/// Returns a call in this API's form, in which arguments are an object.
fn call_json(call: &Call) -> Json {
    let arguments: Json = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
    json!({ "id": call.id, "function": { "name": call.name, "arguments": arguments } })
}

impl Translator for Lines {
    fn delta(&mut self, _: usize, delta: Delta, out: &mut Vec<u8>) {
        let (shape, model) = (self.shape, self.model.as_str());
        match delta {
            Delta::Text(text) => line(out, &shape.line(model, &text, None, Vec::new())),
            Delta::Reasoning(text) => line(out, &shape.line(model, "", Some(&text), Vec::new())),
            Delta::CallStart { id, name, .. } => {
                self.call = Some(Call { id, name, arguments: String::new() });
            }
            Delta::CallEnd { arguments, .. } => {
                if let Some(call) = self.call.take() {
                    let call = call_json(&Call { arguments, ..call });
                    line(out, &shape.line(model, "", None, vec![call]));
                }
            }
            Delta::CallGone { .. } => self.call = None,
            Delta::Done(summary) => {
                let mut last = shape.line(model, "", None, Vec::new());
                self.finish(&mut last, &summary);
                line(out, &last);
            }
            Delta::Failed(error) => line(out, &failure(Style::Ollama, &error)),
            Delta::Begun { .. } | Delta::CallArguments { .. } | Delta::LogProb(_) => {}
        }
    }

    fn is_sse(&self) -> bool {
        false
    }
}

/// Returns a duration in nanoseconds, the unit of this API.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Formats a time in the form of RFC 3339, in UTC.
pub(super) fn date(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days to year, month and day: Howard Hinnant, "chrono-compatible low-level date algorithms". Years begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year_of_era + next;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let micros = since.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        // By `date -u -d @SECONDS`.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000000Z"),
            (1_796_040_000, "2026-11-30T12:00:00.000000Z"),
        ] {
            assert_eq!(date(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
