//! Options as Java writes them: JSON objects with only what was set, under the names of the C interface.

use crate::capi::options::{
    HappyEmbedOptions, HappyGenerateOptions, HappyLoadOptions, HappySessionOptions, Options, from_json,
};
use crate::core::embedder::EmbedOptions;
use crate::core::json;
use crate::core::session::{SessionSettings, TurnSettings};
use crate::failure::Outcome;
use happy_engine::LoadOptions;

fn read<T: Options>(text: &str) -> Outcome<T::Settings> {
    from_json::<T>(json::object(text, "the options")?)
}

/// How to load.
pub(super) fn load(text: &str) -> Outcome<LoadOptions> {
    Ok(read::<HappyLoadOptions>(text)?.options)
}

/// What a session begins with.
pub(super) fn session(text: &str) -> Outcome<SessionSettings> {
    read::<HappySessionOptions>(text)
}

/// How to generate, but for the cancel token.
pub(super) fn turn(text: &str) -> Outcome<TurnSettings> {
    read::<HappyGenerateOptions>(text)
}

/// How texts become vectors.
pub(super) fn embed(text: &str) -> Outcome<EmbedOptions> {
    read::<HappyEmbedOptions>(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use happy_engine::chat::ToolChoice;
    use happy_engine::{ContextPolicy, TooLong};
    use happy_kernels::Isa;
    use happy_model::{KvType, Pooling};
    use std::time::Duration;

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
        let embedding = load(r#"{"embeddings":true,"snapshot_bytes":0}"#).unwrap();
        assert_eq!(embedding, LoadOptions { snapshot_bytes: 0, ..LoadOptions::embeddings() });
        assert_eq!(embed("{}").unwrap(), EmbedOptions::default());
        let set = r#"{"pooling":"cls","dimensions":8,"unnormalized":true,"truncate":true}"#;
        let expected = EmbedOptions {
            pooling: Some(Pooling::Cls),
            normalize: false,
            dimensions: Some(8),
            too_long: TooLong::Truncate,
        };
        assert_eq!(embed(set).unwrap(), expected);
        assert_eq!(embed(r#"{"pooling":"model"}"#).unwrap().pooling, None);
        let unused = |text| session(text).unwrap().conversation.ignore_unused;
        assert!(unused(r#"{"ignore_unused":true}"#) && !unused("{}"));
        let set = format!(r#"{{"context_policy":"drop-oldest","file_key":"{}"}}"#, "0f".repeat(32));
        let found = session(&set).unwrap();
        assert_eq!((found.conversation.policy, found.key.is_some()), (ContextPolicy::DropOldest, true));
        let branches = LoadOptions { branches: 3, branch_bytes: 1 << 20, ..LoadOptions::default() };
        assert_eq!(load(r#"{"branches":3,"branch_bytes":1048576}"#).unwrap(), branches);
    }

    #[test]
    fn wrong_options_are_named() {
        type Read = fn(&str) -> Option<Failure>;
        let (l, s, t): (Read, Read, Read) =
            (|text| load(text).err(), |text| session(text).err(), |text| turn(text).err());
        let e: Read = |text| embed(text).err();
        let cases: [(Read, &str, &str); 20] = [
            (e, r#"{"pooling":"max"}"#, "option pooling: \"max\", expected model, none, mean"),
            (l, r#"{"snapshot_bytes":-1}"#, "option snapshot_bytes: -1"),
            (l, "", ""),
            (l, "[]", "the options: expected a JSON object, found an array"),
            (l, "{", "the options: EOF"),
            (l, r#"{"thread":1}"#, "unknown option `thread`"),
            (l, r#"{"threads":-1}"#, "option threads: -1, expected a whole number"),
            (l, r#"{"context":2147483648}"#, "option context: 2147483648, expected a whole number"),
            (l, r#"{"memory_budget":-5}"#, "option memory_budget: -5"),
            (l, r#"{"isa":"z80"}"#, "z80"),
            (l, r#"{"kv_type":"f8"}"#, "option kv_type: \"f8\", expected f16, f32 or q8_0"),
            (s, r#"{"context_policy":"slide"}"#, "context_policy: unknown context policy `slide`"),
            (s, r#"{"file_key":"secret"}"#, "file_key is 6 bytes of text, expected 64 hexadecimal digits"),
            (s, r#"{"tools":"{}"}"#, "tools: expected a JSON array"),
            (s, r#"{"template_vars":"[]"}"#, "template_vars: expected a JSON object"),
            (t, r#"{"grammar":"root ::= \"a\"","json_schema":"{}"}"#, "expected at most one of them"),
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
        let biased = |pairs: &str| turn(&format!(r#"{{"sampler":{{"logit_bias":{pairs}}}}}"#));
        assert!(biased("[[1,0.5],[2,null]]").is_ok());
        assert!(biased("[[-1,0.5]]").is_err());
        for (seed, works) in [("-1", true), ("-2", true), ("7", true), ("1.5", false)] {
            let text = format!(r#"{{"sampler":{{"seed":{seed}}}}}"#);
            assert_eq!(turn(&text).is_ok(), works, "{seed}");
        }
    }
}
