//! Options as Java writes them: JSON objects with only what was set, under the names of the C interface.
//!
//! Each key is taken out of the object; one that is left over is none that the library knows.

use crate::capi::types::HAPPY_SEED_RANDOM;
use crate::core::json;
use crate::core::sampler::{Sampler, SamplerSettings};
use crate::core::session::{Coalesce, SessionSettings, TurnSettings, tool_choice};
use crate::failure::{Failure, Outcome};
use happy_engine::Form;
use happy_engine::LoadOptions;
use happy_kernels::Isa;
use happy_model::KvType;
use happy_sampler::{MirostatVersion, Params};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// How to load.
pub(super) fn load(text: &str) -> Outcome<LoadOptions> {
    let mut fields = Fields::parse(text)?;
    let mut options = LoadOptions::default();
    options.threads = fields.count("threads")?.and_then(not_zero);
    options.context = fields.count("context")?.and_then(not_zero);
    options.batch = fields.count("batch")?.and_then(not_zero).unwrap_or(options.batch);
    options.memory_budget =
        fields.take("memory_budget", "a whole number of bytes", Value::as_u64)?.filter(|bytes| *bytes > 0);
    if let Some(name) = fields.text("isa")?.filter(|name| !name.is_empty()) {
        options.isa = Some(name.parse::<Isa>()?);
    }
    if let Some(name) = fields.text("kv_type")? {
        options.kv = match name.as_str() {
            "f16" => KvType::F16,
            "f32" => KvType::F32,
            _ => return Err(Failure::argument(format!("option kv_type: {name:?}, expected f16 or f32"))),
        };
    }
    options.mmap = !fields.flag("copy")?.unwrap_or(false);
    fields.end()?;
    Ok(options)
}

/// What a session begins with.
pub(super) fn session(text: &str) -> Outcome<SessionSettings> {
    let mut fields = Fields::parse(text)?;
    let settings = SessionSettings {
        system: fields.text("system")?.filter(|text| !text.is_empty()),
        tools: json::array(&fields.text("tools")?.unwrap_or_default(), "the tools")?,
        vars: json::object(&fields.text("template_vars")?.unwrap_or_default(), "the template's variables")?,
        ignore_unused: fields.flag("ignore_unused")?.unwrap_or(false),
    };
    fields.end()?;
    Ok(settings)
}

/// How to generate, but for the cancel token.
pub(super) fn turn(text: &str) -> Outcome<TurnSettings> {
    let mut fields = Fields::parse(text)?;
    let grammar = fields.text("grammar")?.filter(|text| !text.is_empty());
    let schema = fields.text("json_schema")?.filter(|text| !text.is_empty());
    let form = match (grammar, schema) {
        (Some(_), Some(_)) => {
            return Err(Failure::argument("a grammar and a JSON schema: expected one of them"));
        }
        (Some(text), None) => Some(Form::gbnf(text)),
        (None, Some(text)) => Some(Form::json_schema(text)),
        (None, None) => None,
    };
    let sampler = fields.take("sampler", "an object", |value| value.as_object().cloned())?;
    let settings = TurnSettings {
        max_tokens: fields.count("max_tokens")?.and_then(not_zero),
        sampler: sampler.map(self::sampler).transpose()?.map(Arc::new),
        cancel: None,
        stop: fields.texts("stop")?.unwrap_or_default(),
        form,
        tool_choice: tool_choice(&fields.text("tool_choice")?.unwrap_or_default()),
        coalesce: Coalesce {
            time: Duration::from_millis(fields.count("coalesce_ms")?.unwrap_or(0) as u64),
            bytes: fields.count("coalesce_bytes")?.unwrap_or(0),
        },
        raw: fields.flag("raw")?.unwrap_or(false),
        drop_cancelled: fields.flag("drop_cancelled")?.unwrap_or(false),
        ignore_end: fields.flag("ignore_end")?.unwrap_or(false),
    };
    fields.end()?;
    Ok(settings)
}

fn sampler(fields: Map<String, Value>) -> Outcome<Sampler> {
    let mut fields = Fields(fields);
    let mut params = Params::default();
    fields.numbers(&mut [
        ("temperature", &mut params.temperature.t),
        ("dynatemp_range", &mut params.temperature.delta),
        ("dynatemp_exponent", &mut params.temperature.exponent),
        ("top_p", &mut params.top_p.p),
        ("min_p", &mut params.min_p.p),
        ("typical", &mut params.typical.p),
        ("top_n_sigma", &mut params.top_n_sigma.n),
        ("xtc_probability", &mut params.xtc.probability),
        ("xtc_threshold", &mut params.xtc.threshold),
        ("repeat_penalty", &mut params.penalties.repeat),
        ("frequency_penalty", &mut params.penalties.frequency),
        ("presence_penalty", &mut params.penalties.presence),
        ("dry_multiplier", &mut params.dry.multiplier),
        ("dry_base", &mut params.dry.base),
        ("mirostat_tau", &mut params.mirostat.tau),
        ("mirostat_eta", &mut params.mirostat.eta),
        ("adaptive_decay", &mut params.adaptive_p.decay),
    ])?;
    fields.counts(&mut [
        ("top_k", &mut params.top_k.k),
        ("min_keep", &mut params.min_keep),
        ("penalty_last_n", &mut params.penalties.last_n),
        ("dry_allowed_length", &mut params.dry.allowed_length),
        ("dry_last_n", &mut params.dry.last_n),
    ])?;
    params.adaptive_p.target = fields.number("adaptive_target")?.filter(|target| *target >= 0.0);
    params.mirostat.version = match fields.count("mirostat")? {
        None | Some(0) => MirostatVersion::Off,
        Some(1) => MirostatVersion::V1,
        Some(2) => MirostatVersion::V2,
        Some(other) => {
            return Err(Failure::argument(format!("option mirostat: {other}, expected 0, 1 or 2")));
        }
    };
    if let Some(names) = fields.text("order")?.filter(|names| !names.is_empty()) {
        let steps: Result<_, _> = names.split(';').map(str::parse).collect();
        params.order = steps.map_err(|e: happy_sampler::SamplerError| Failure::argument(e.to_string()))?;
    }
    let pairs = "an array of [token, number or null]";
    if let Some(biases) = fields.take("logit_bias", pairs, biases)? {
        params.logit_bias = biases;
    }
    let seed = fields.take("seed", "a whole number", |value| {
        // Java's longs stand for unsigned ones: -1 is the largest.
        value.as_i64().map(|seed| seed as u64).or_else(|| value.as_u64())
    })?;
    let settings = SamplerSettings {
        params,
        seed: seed.filter(|seed| *seed != HAPPY_SEED_RANDOM),
        dry_breakers: fields.texts("dry_breakers")?,
    };
    fields.end()?;
    Sampler::new(settings)
}

/// Pairs of token and bias; null is minus infinity, which JSON cannot write.
fn biases(value: &Value) -> Option<Vec<(u32, f32)>> {
    let pair = |pair: &Value| {
        let [token, bias] = pair.as_array()?.as_slice() else { return None };
        let bias = if bias.is_null() { f32::NEG_INFINITY } else { finite(bias)? };
        Some((u32::try_from(token.as_u64()?).ok()?, bias))
    };
    value.as_array()?.iter().map(pair).collect()
}

fn finite(value: &Value) -> Option<f32> {
    value.as_f64().map(|number| number as f32).filter(|number| number.is_finite())
}

fn not_zero(count: usize) -> Option<usize> {
    (count != 0).then_some(count)
}

/// What is left of an object.
struct Fields(Map<String, Value>);

impl Fields {
    fn parse(text: &str) -> Outcome<Self> {
        json::object(text, "the options").map(Self)
    }

    /// Takes a key out, if it is there.
    fn take<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Outcome<Option<T>> {
        let Some(value) = self.0.remove(key) else { return Ok(None) };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(Failure::argument(format!("option {key}: {value}, expected {expected}"))),
        }
    }

    fn count(&mut self, key: &str) -> Outcome<Option<usize>> {
        self.take(key, "a whole number from 0 to 2147483647", |value| {
            i32::try_from(value.as_u64()?).ok().and_then(|count| usize::try_from(count).ok())
        })
    }

    fn number(&mut self, key: &str) -> Outcome<Option<f32>> {
        self.take(key, "a finite number", finite)
    }

    fn flag(&mut self, key: &str) -> Outcome<Option<bool>> {
        self.take(key, "true or false", Value::as_bool)
    }

    fn text(&mut self, key: &str) -> Outcome<Option<String>> {
        self.take(key, "a text", |value| value.as_str().map(str::to_owned))
    }

    fn texts(&mut self, key: &str) -> Outcome<Option<Vec<String>>> {
        self.take(key, "an array of texts", |value| {
            value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
        })
    }

    fn numbers(&mut self, fields: &mut [(&str, &mut f32)]) -> Outcome<()> {
        for (key, field) in fields {
            **field = self.number(key)?.unwrap_or(**field);
        }
        Ok(())
    }

    fn counts(&mut self, fields: &mut [(&str, &mut usize)]) -> Outcome<()> {
        for (key, field) in fields {
            **field = self.count(key)?.unwrap_or(**field);
        }
        Ok(())
    }

    fn end(self) -> Outcome<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => Err(Failure::argument(format!("option {key}: there is none of this name"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use happy_engine::chat::ToolChoice;

    #[test]
    fn what_is_set_counts_and_the_rest_is_default() {
        assert_eq!(load("{}").unwrap(), LoadOptions::default());
        let set = r#"{"threads":2,"context":64,"batch":8,"memory_budget":1000,"isa":"scalar","kv_type":"f32","copy":true}"#;
        let expected = LoadOptions {
            threads: Some(2),
            context: Some(64),
            batch: 8,
            memory_budget: Some(1000),
            isa: Some(Isa::Scalar),
            kv: KvType::F32,
            mmap: false,
            ..LoadOptions::default()
        };
        assert_eq!(load(set).unwrap(), expected);
        // Zeros are defaults, as in C.
        let zeros = r#"{"threads":0,"context":0,"batch":0,"memory_budget":0,"isa":""}"#;
        assert_eq!(load(zeros).unwrap(), LoadOptions::default());
        let turn = turn(r#"{"max_tokens":5,"stop":["a","b"],"coalesce_ms":40,"raw":true}"#).unwrap();
        assert_eq!((turn.max_tokens, turn.stop.len(), turn.raw), (Some(5), 2, true));
        assert_eq!(turn.tool_choice, ToolChoice::Auto);
        assert_eq!(turn.coalesce.time, Duration::from_millis(40));
        for (text, expected) in [
            ("", ToolChoice::Auto),
            ("auto", ToolChoice::Auto),
            ("none", ToolChoice::None),
            ("required", ToolChoice::Required),
            ("add", ToolChoice::Named("add".to_owned())),
        ] {
            assert_eq!(super::turn(&format!(r#"{{"tool_choice":"{text}"}}"#)).unwrap().tool_choice, expected);
        }
        assert!(session(r#"{"ignore_unused":true}"#).unwrap().ignore_unused);
        assert!(!session("{}").unwrap().ignore_unused);
    }

    #[test]
    fn wrong_options_are_named() {
        type Read = fn(&str) -> Option<Failure>;
        let (l, s, t): (Read, Read, Read) =
            (|text| load(text).err(), |text| session(text).err(), |text| turn(text).err());
        let cases: [(Read, &str, &str); 16] = [
            (l, "", ""),
            (l, "[]", "the options: expected a JSON object, found an array"),
            (l, "{", "the options: EOF"),
            (l, r#"{"thread":1}"#, "option thread: there is none of this name"),
            (l, r#"{"threads":-1}"#, "option threads: -1, expected a whole number"),
            (l, r#"{"context":2147483648}"#, "option context: 2147483648, expected a whole number"),
            (l, r#"{"memory_budget":-5}"#, "option memory_budget: -5"),
            (l, r#"{"isa":"z80"}"#, "z80"),
            (l, r#"{"kv_type":"f8"}"#, "option kv_type: \"f8\""),
            (s, r#"{"tools":"{}"}"#, "the tools: expected a JSON array"),
            (s, r#"{"template_vars":"[]"}"#, "the template's variables: expected a JSON object"),
            (t, r#"{"grammar":"root ::= \"a\"","json_schema":"{}"}"#, "expected one of them"),
            (t, r#"{"stop":[1]}"#, "option stop: [1], expected an array of texts"),
            (t, r#"{"sampler":{"top_p":"NaN"}}"#, "option top_p: \"NaN\", expected a finite number"),
            (t, r#"{"sampler":{"order":"top_k;top_q"}}"#, "top_q"),
            (t, r#"{"sampler":{"logit_bias":[[1]]}}"#, "option logit_bias"),
        ];
        let mut failures = Vec::new();
        for (read, text, expected) in cases {
            let found = read(text).map(|failure| failure.message).unwrap_or_default();
            if found.is_empty() != expected.is_empty() || !found.contains(expected) {
                failures.push(format!("{text}: {found:?}, expected {expected:?}"));
            }
        }
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn biases_and_seeds() {
        let read = biases(&serde_json::json!([[1, 0.5], [2, null]])).unwrap();
        assert_eq!(read, [(1, 0.5), (2, f32::NEG_INFINITY)]);
        assert_eq!(biases(&serde_json::json!([[-1, 0.5]])), None);
        for (seed, works) in [("-1", true), ("-2", true), ("7", true), ("1.5", false)] {
            let text = format!(r#"{{"sampler":{{"seed":{seed}}}}}"#);
            assert_eq!(turn(&text).is_ok(), works, "{seed}");
        }
    }
}
