//! How values of options are written in C and in JSON.

use super::{HappySamplerOptions, from_json};
use crate::capi::pointers::{field, fields, slice};
use crate::capi::types::{
    self, HAPPY_SEED_RANDOM, HappyCancel, HappyLogitBias, HappyProgress, HappySampler, HappyText, PoolingKind,
};
use crate::core::session::adapters;
use crate::core::{CancelToken, json, registry, sampler};
use crate::failure::{Failure, Outcome};
use happy_engine::chat::ToolChoice;
use happy_engine::governor::Goal;
use happy_engine::session::SessionKey;
use happy_engine::{AdapterFile, ContextPolicy, Form, LoadOptions, TooLong};
use happy_kernels::Isa;
use happy_sampler::{MirostatVersion, StepKind};
use serde_json::{Map, Value as Json};
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// How an option is written.
pub(crate) trait Kind {
    /// The field in C.
    type C: Copy;
    /// What it is in the library's settings.
    type Value;
    /// Whether JSON has it: what Java passes beside its options is not there.
    const IN_JSON: bool = true;

    /// Writes a default.
    fn to_c(value: &Self::Value) -> Self::C;

    /// Reads a field; `count` is the length of a list.
    ///
    /// # Safety
    /// Texts, lists and handles are what the header says.
    unsafe fn read_c(name: &str, c: Self::C, count: usize, to: &mut Self::Value) -> Outcome<()>;

    /// Reads a value of JSON.
    #[cfg_attr(not(feature = "jni"), allow(dead_code))]
    fn read_json(key: &Key<'_>, _to: &mut Self::Value) -> Outcome<()> {
        key.wrong("no value")
    }
}

/// A member of a JSON object.
pub(crate) struct Key<'a> {
    pub(super) name: &'static str,
    pub(super) value: &'a Json,
}

impl Key<'_> {
    fn wrong<T>(&self, expected: &str) -> Outcome<T> {
        let (name, value) = (self.name, self.value);
        Err(Failure::argument(format!("option {name}: {value}, expected {expected}")))
    }

    fn text(&self) -> Outcome<&str> {
        self.value.as_str().map_or_else(|| self.wrong("a text"), Ok)
    }

    fn texts(&self) -> Outcome<Vec<String>> {
        let text = |text: &Json| text.as_str().map(str::to_owned);
        let texts = self.value.as_array().and_then(|list| list.iter().map(text).collect());
        texts.map_or_else(|| self.wrong("an array of texts"), Ok)
    }

    fn number(&self) -> Outcome<f32> {
        finite(self.value).map_or_else(|| self.wrong("a finite number"), Ok)
    }

    /// A count that Java's `int` can hold.
    fn count(&self) -> Outcome<u32> {
        let count = self.value.as_u64().and_then(|n| i32::try_from(n).ok());
        count.map_or_else(|| self.wrong("a whole number from 0 to 2147483647"), |n| Ok(n.unsigned_abs()))
    }
}

fn finite(value: &Json) -> Option<f32> {
    value.as_f64().map(|number| number as f32).filter(|number| number.is_finite())
}

fn wrong<T>(name: &str, found: impl std::fmt::Display, expected: &str) -> Outcome<T> {
    Err(Failure::argument(format!("{name} is {found}, expected {expected}")))
}

/// The settings are small numbers.
fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

const NO_TEXT: HappyText = HappyText { data: ptr::null(), len: 0 };

/// Kinds whose value in C is a number: how it is written, and how a number from C or from JSON is read.
macro_rules! numbers {
    ($(
        $(#[doc = $doc:literal])+
        $kind:ident($c:ty): $value:ty, to_c $to_c:expr, read $read:expr, json $json:expr;
    )*) => {
        $(
            $(#[doc = $doc])+
            pub(super) struct $kind;

            impl Kind for $kind {
                type C = $c;
                type Value = $value;

                fn to_c(value: &$value) -> $c {
                    let to_c: fn(&$value) -> $c = $to_c;
                    to_c(value)
                }

                unsafe fn read_c(name: &str, c: $c, _: usize, to: &mut $value) -> Outcome<()> {
                    let read: fn(&str, $c, &mut $value) -> Outcome<()> = $read;
                    read(name, c, to)
                }

                fn read_json(key: &Key<'_>, to: &mut $value) -> Outcome<()> {
                    let number: fn(&Key<'_>) -> Outcome<$c> = $json;
                    let number = number(key)?;
                    // SAFETY: a number points to nothing.
                    unsafe { Self::read_c(key.name, number, 0, to) }
                }
            }
        )*
    };
}

fn set<T>(to: &mut T, value: T) -> Outcome<()> {
    *to = value;
    Ok(())
}

fn flag(name: &str, c: u32) -> Outcome<bool> {
    match c {
        0 => Ok(false),
        1 => Ok(true),
        other => wrong(name, other, "0 or 1"),
    }
}

fn json_flag(key: &Key<'_>) -> Outcome<u32> {
    key.value.as_bool().map_or_else(|| key.wrong("true or false"), |flag| Ok(flag.into()))
}

numbers! {
    /// A count.
    Count(u32): usize,
        to_c |n| small(*n), read |_, c, to| set(to, c as usize), json |key| key.count();
    /// A count, for which 0 stands for the library's choice.
    CountOrNone(u32): Option<usize>,
        to_c |n| n.map_or(0, small), read |_, c, to| set(to, (c != 0).then_some(c as usize)), json |key| key.count();
    /// A count, for which 0 stands for the default.
    CountOrDefault(u32): usize,
        to_c |_| 0, read |_, c, to| set(to, if c == 0 { *to } else { c as usize }), json |key| key.count();
    /// A number of bytes, for which 0 stands for the library's choice.
    Bytes(u64): Option<u64>,
        to_c |n| n.unwrap_or(0), read |_, c, to| set(to, (c != 0).then_some(c)),
        json |key| key.value.as_u64().map_or_else(|| key.wrong("a whole number of bytes"), Ok);
    /// A number of bytes.
    Size(u64): usize,
        to_c |n| *n as u64, read |_, c, to| set(to, usize::try_from(c).unwrap_or(usize::MAX)),
        json |key| key.value.as_u64().map_or_else(|| key.wrong("a whole number of bytes"), Ok);
    /// A time.
    Millis(u32): Duration,
        to_c |time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX),
        read |_, c, to| set(to, Duration::from_millis(c.into())), json |key| key.count();
    /// A number. What it may be is checked with what it belongs to.
    Number(f32): f32,
        to_c |x| *x, read |_, c, to| set(to, c), json |key| key.number();
    /// A number, for which one below 0 stands for no number. NaN goes on to be refused.
    NumberOrNone(f32): Option<f32>,
        to_c |x| x.unwrap_or(-1.0), read |_, c, to| set(to, Some(c).filter(|x| *x >= 0.0 || x.is_nan())),
        json |key| key.number();
    /// 0 or 1; in JSON false or true.
    Flag(u32): bool,
        to_c |flag| (*flag).into(), read |name, c, to| set(to, flag(name, c)?), json json_flag;
    /// A flag that is set where the library's is not.
    Not(u32): bool,
        to_c |flag| (!*flag).into(), read |name, c, to| set(to, !flag(name, c)?), json json_flag;
    /// Whether a model is loaded for embeddings: several texts share a pass then.
    Embeddings(u32): LoadOptions,
        to_c |options| options.embeddings.into(),
        read |name, c, to| {
            if flag(name, c)? {
                let LoadOptions { embeddings, sequences, .. } = LoadOptions::embeddings();
                (to.embeddings, to.sequences) = (embeddings, sequences);
            }
            Ok(())
        },
        json json_flag;
    /// Whether texts that are too long are shortened.
    Truncate(u32): TooLong,
        to_c |too_long| (*too_long == TooLong::Truncate).into(),
        read |name, c, to| set(to, if flag(name, c)? { TooLong::Truncate } else { TooLong::Refuse }),
        json json_flag;
    /// How hidden states become a vector.
    Pooling(i32): Option<happy_model::Pooling>,
        to_c |pooling| PoolingKind::from(*pooling) as i32,
        read |name, c, to| {
            let all = happy_model::Pooling::ALL.map(Some);
            let found = all.into_iter().chain([None]).find(|kind| PoolingKind::from(*kind) as i32 == c);
            found.map_or_else(|| wrong(name, c, "0 to 5, a HappyPooling"), |kind| set(to, kind))
        },
        json |key| {
            let text = key.text()?;
            let named = happy_model::Pooling::ALL.into_iter().find(|kind| kind.name() == text);
            match named {
                None if text != "model" => key.wrong("model, none, mean, cls, last or rank"),
                kind => Ok(PoolingKind::from(kind) as i32),
            }
        };
    /// A version of Mirostat.
    Mirostat(u32): MirostatVersion,
        to_c |version| match version {
            MirostatVersion::Off => 0,
            MirostatVersion::V1 => 1,
            MirostatVersion::V2 => 2,
        },
        read |name, c, to| match c {
            0 => set(to, MirostatVersion::Off),
            1 => set(to, MirostatVersion::V1),
            2 => set(to, MirostatVersion::V2),
            other => wrong(name, other, "0, 1 or 2"),
        },
        json |key| key.count();
    /// A seed, or none for another one each turn. Java's longs stand for unsigned ones: -1 is the largest.
    Seed(u64): Option<u64>,
        to_c |seed| seed.unwrap_or(HAPPY_SEED_RANDOM),
        read |_, c, to| set(to, (c != HAPPY_SEED_RANDOM).then_some(c)),
        json |key| {
            let signed = key.value.as_i64().map(|seed| seed as u64);
            signed.or_else(|| key.value.as_u64()).map_or_else(|| key.wrong("a whole number"), Ok)
        };
    /// Element type of the KV cache.
    KvType(i32): happy_model::KvType,
        to_c |kv| match kv {
            happy_model::KvType::F16 => types::KvType::F16 as i32,
            happy_model::KvType::F32 => types::KvType::F32 as i32,
            happy_model::KvType::Q8_0 => types::KvType::Q8_0 as i32,
        },
        read |name, c, to| match c {
            kv if kv == types::KvType::F16 as i32 => set(to, happy_model::KvType::F16),
            kv if kv == types::KvType::F32 as i32 => set(to, happy_model::KvType::F32),
            kv if kv == types::KvType::Q8_0 as i32 => set(to, happy_model::KvType::Q8_0),
            other => wrong(name, other, "0 (f16), 1 (f32) or 2 (q8_0)"),
        },
        json |key| match key.text()? {
            "f16" => Ok(types::KvType::F16 as i32),
            "f32" => Ok(types::KvType::F32 as i32),
            "q8_0" => Ok(types::KvType::Q8_0 as i32),
            _ => key.wrong("f16, f32 or q8_0"),
        };
}

/// A field without meaning yet: a later version may give it one, with 0 for what this version does.
pub(super) struct Reserved;

impl Kind for Reserved {
    type C = u32;
    type Value = ();
    const IN_JSON: bool = false;

    fn to_c(_: &()) -> u32 {
        0
    }

    unsafe fn read_c(name: &str, c: u32, _: usize, _: &mut ()) -> Outcome<()> {
        if c == 0 { Ok(()) } else { wrong(name, c, "0") }
    }
}

/// Kinds that are texts; empty texts stand for defaults.
macro_rules! texts {
    ($($(#[doc = $doc:literal])+ $kind:ident: $value:ty, read $read:expr;)*) => {
        $(
            $(#[doc = $doc])+
            pub(super) struct $kind;

            impl $kind {
                fn read(name: &str, text: &str, to: &mut $value) -> Outcome<()> {
                    let read: fn(&str, &str, &mut $value) -> Outcome<()> = $read;
                    if text.is_empty() { Ok(()) } else { read(name, text, to) }
                }
            }

            impl Kind for $kind {
                type C = HappyText;
                type Value = $value;

                fn to_c(_: &$value) -> HappyText {
                    NO_TEXT
                }

                unsafe fn read_c(name: &str, c: HappyText, _: usize, to: &mut $value) -> Outcome<()> {
                    // SAFETY: the caller's promise.
                    Self::read(name, unsafe { field(c, name)? }, to)
                }

                fn read_json(key: &Key<'_>, to: &mut $value) -> Outcome<()> {
                    Self::read(key.name, key.text()?, to)
                }
            }
        )*
    };
}

fn form(to: &mut Option<Form>, form: Form) -> Outcome<()> {
    match to.replace(form) {
        None => Ok(()),
        Some(_) => {
            Err(Failure::argument("both grammar and json_schema are set, expected at most one of them"))
        }
    }
}

texts! {
    /// A text.
    Text: Option<String>, read |_, text, to| set(to, Some(text.to_owned()));
    /// The name of an instruction set.
    InstructionSet: Option<Isa>, read |_, text, to| set(to, Some(text.parse()?));
    /// A grammar.
    Grammar: Option<Form>, read |_, text, to| form(to, Form::gbnf(text));
    /// A JSON schema.
    JsonSchema: Option<Form>, read |_, text, to| form(to, Form::json_schema(text));
    /// Whether tools are called.
    Choice: ToolChoice, read |_, text, to| set(to, text.parse().unwrap_or_default());
    /// The name of a context policy.
    Policy: ContextPolicy, read |name, text, to| {
        set(to, text.parse().map_err(|e| Failure::argument(format!("{name}: {e}")))?)
    };
    /// What a governor is for.
    Governor: Option<Goal>, read |name, text, to| {
        let number = |prefix| text.strip_prefix(prefix).and_then(|number: &str| number.parse::<f64>().ok());
        match (text, number("rate="), number("energy=")) {
            ("fastest", ..) => set(to, Some(Goal::Fastest)),
            (_, Some(rate), _) => set(to, Some(Goal::Rate(rate))),
            (_, _, Some(slowdown)) => set(to, Some(Goal::Energy { slowdown })),
            _ => wrong(name, format_args!("`{text}`"), "fastest, rate=N or energy=SHARE"),
        }
    };
    /// A key. It is not quoted in errors.
    FileKey: Option<SessionKey>, read |name, text, to| match SessionKey::from_hex(text) {
        None => wrong(name, format_args!("{} bytes of text", text.len()), "64 hexadecimal digits"),
        key => set(to, key),
    };
    /// A JSON array.
    JsonArray: Option<Vec<Json>>, read |name, text, to| set(to, json::array(text, name)?);
    /// A JSON object.
    JsonObject: Map<String, Json>, read |name, text, to| set(to, json::object(text, name)?);
    /// Names of sampling steps.
    Steps: Vec<StepKind>, read |name, text, to| {
        let step = |step: &str| step.parse().map_err(|e| Failure::argument(format!("{name}: {e}")));
        set(to, text.split(';').map(step).collect::<Outcome<_>>()?)
    };
}

/// Texts.
pub(super) struct Texts;

impl Kind for Texts {
    type C = *const HappyText;
    type Value = Vec<String>;

    fn to_c(_: &Vec<String>) -> *const HappyText {
        ptr::null()
    }

    unsafe fn read_c(name: &str, c: Self::C, count: usize, to: &mut Vec<String>) -> Outcome<()> {
        // SAFETY: the caller's promise.
        set(to, unsafe { fields(c, count, name)? })
    }

    fn read_json(key: &Key<'_>, to: &mut Vec<String>) -> Outcome<()> {
        set(to, key.texts()?)
    }
}

/// Files of adapters with their scales.
pub(super) struct Adapters;

impl Kind for Adapters {
    type C = *const HappyText;
    type Value = Vec<AdapterFile>;

    fn to_c(_: &Self::Value) -> *const HappyText {
        ptr::null()
    }

    unsafe fn read_c(name: &str, c: Self::C, count: usize, to: &mut Self::Value) -> Outcome<()> {
        // SAFETY: the caller's promise.
        set(to, adapters(&unsafe { fields(c, count, name)? })?)
    }

    fn read_json(key: &Key<'_>, to: &mut Self::Value) -> Outcome<()> {
        set(to, adapters(&key.texts()?)?)
    }
}

/// Texts, for which NULL stands for the default.
pub(super) struct TextsOrNone;

impl Kind for TextsOrNone {
    type C = *const HappyText;
    type Value = Option<Vec<String>>;

    fn to_c(_: &Self::Value) -> *const HappyText {
        ptr::null()
    }

    unsafe fn read_c(name: &str, c: Self::C, count: usize, to: &mut Self::Value) -> Outcome<()> {
        if c.is_null() && count == 0 {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        set(to, Some(unsafe { fields(c, count, name)? }))
    }

    fn read_json(key: &Key<'_>, to: &mut Self::Value) -> Outcome<()> {
        set(to, Some(key.texts()?))
    }
}

/// Tokens and what is added to their logits. In JSON pairs, with null for minus infinity, which JSON cannot write.
pub(super) struct Biases;

impl Kind for Biases {
    type C = *const HappyLogitBias;
    type Value = Vec<(u32, f32)>;

    fn to_c(_: &Self::Value) -> Self::C {
        ptr::null()
    }

    unsafe fn read_c(name: &str, c: Self::C, count: usize, to: &mut Self::Value) -> Outcome<()> {
        // SAFETY: the caller's promise.
        for HappyLogitBias { token, bias } in unsafe { slice(c, count, name)? } {
            if bias.is_nan() || *bias == f32::INFINITY {
                let what = format!("the bias of token {token}");
                return wrong(&what, bias, "a finite number or minus infinity");
            }
            to.push((*token, *bias));
        }
        Ok(())
    }

    fn read_json(key: &Key<'_>, to: &mut Self::Value) -> Outcome<()> {
        let pair = |pair: &Json| {
            let [token, bias] = pair.as_array()?.as_slice() else { return None };
            let bias = if bias.is_null() { f32::NEG_INFINITY } else { finite(bias)? };
            Some((u32::try_from(token.as_u64()?).ok()?, bias))
        };
        match key.value.as_array().and_then(|pairs| pairs.iter().map(pair).collect()) {
            Some(biases) => set(to, biases),
            None => key.wrong("an array of [token, number or null]"),
        }
    }
}

/// A sampler: a handle in C, an object in JSON.
pub(super) struct Sampler;

impl Kind for Sampler {
    type C = *const HappySampler;
    type Value = Option<Arc<sampler::Sampler>>;

    fn to_c(_: &Self::Value) -> Self::C {
        ptr::null()
    }

    unsafe fn read_c(_: &str, c: Self::C, _: usize, to: &mut Self::Value) -> Outcome<()> {
        set(to, registry::get_optional(c as usize)?)
    }

    fn read_json(key: &Key<'_>, to: &mut Self::Value) -> Outcome<()> {
        let Some(options) = key.value.as_object() else { return key.wrong("an object") };
        let settings = from_json::<HappySamplerOptions>(options.clone())?;
        set(to, Some(Arc::new(sampler::Sampler::new(settings)?)))
    }
}

/// Kinds that C alone passes in a struct.
macro_rules! only_c {
    ($($(#[doc = $doc:literal])+ $kind:ident($c:ty): $value:ty, $default:expr, read $read:expr;)*) => {
        $(
            $(#[doc = $doc])+
            pub(super) struct $kind;

            impl Kind for $kind {
                type C = $c;
                type Value = $value;
                const IN_JSON: bool = false;

                fn to_c(_: &$value) -> $c {
                    $default
                }

                unsafe fn read_c(_: &str, c: $c, _: usize, to: &mut $value) -> Outcome<()> {
                    let read: fn($c) -> Outcome<$value> = $read;
                    set(to, read(c)?)
                }
            }
        )*
    };
}

only_c! {
    /// A cancel token.
    Cancel(*const HappyCancel): Option<Arc<CancelToken>>, ptr::null(), read |c| registry::get_optional(c as usize);
    /// Who hears how loading goes.
    Progress(HappyProgress): HappyProgress, None, read Ok;
    /// What is handed back to the caller.
    Pointer(*mut c_void): *mut c_void, ptr::null_mut(), read Ok;
}
