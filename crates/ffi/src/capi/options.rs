//! C's options: their defaults, and what the core makes of them.

use super::pointers::{field, fields, slice};
use super::structs::{Defaults, read};
use super::types::{
    HAPPY_SEED_RANDOM, HappyGenerateOptions, HappyLoadOptions, HappyProgress, HappySamplerOptions,
    HappySessionOptions, HappyText, KvType,
};
use crate::core::sampler::SamplerSettings;
use crate::core::session::{Coalesce, SessionSettings, TurnSettings, tool_choice};
use crate::core::{CancelToken, json, registry};
use crate::failure::{Failure, Outcome};
use happy_engine::Form;
use happy_engine::LoadOptions;
use happy_sampler::{MirostatVersion, Params};
use std::ffi::c_void;
use std::mem::size_of;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

const NO_TEXT: HappyText = HappyText { data: ptr::null(), len: 0 };

impl Defaults for HappyLoadOptions {
    fn defaults() -> Self {
        Self {
            size: size_of::<Self>() as u32,
            threads: 0,
            context: 0,
            batch: 0,
            memory_budget: 0,
            isa: NO_TEXT,
            progress: None,
            progress_user: ptr::null_mut(),
            cancel: ptr::null(),
            kv_type: KvType::F16 as i32,
            copy: 0,
        }
    }
}

impl Defaults for HappySessionOptions {
    fn defaults() -> Self {
        let size = size_of::<Self>() as u32;
        Self { size, ignore_unused: 0, system: NO_TEXT, tools: NO_TEXT, template_vars: NO_TEXT }
    }
}

impl Defaults for HappyGenerateOptions {
    fn defaults() -> Self {
        Self {
            size: size_of::<Self>() as u32,
            max_tokens: 0,
            sampler: ptr::null(),
            cancel: ptr::null(),
            stop: ptr::null(),
            n_stop: 0,
            grammar: NO_TEXT,
            json_schema: NO_TEXT,
            coalesce_ms: 0,
            coalesce_bytes: 0,
            raw: 0,
            drop_cancelled: 0,
            ignore_end: 0,
            reserved: 0,
            tool_choice: NO_TEXT,
        }
    }
}

impl Defaults for HappySamplerOptions {
    fn defaults() -> Self {
        let p = Params::default();
        // The settings are small numbers.
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            size: size_of::<Self>() as u32,
            top_k: count(p.top_k.k),
            seed: HAPPY_SEED_RANDOM,
            temperature: p.temperature.t,
            top_p: p.top_p.p,
            min_p: p.min_p.p,
            typical: p.typical.p,
            top_n_sigma: p.top_n_sigma.n,
            xtc_probability: p.xtc.probability,
            xtc_threshold: p.xtc.threshold,
            dynatemp_range: p.temperature.delta,
            dynatemp_exponent: p.temperature.exponent,
            repeat_penalty: p.penalties.repeat,
            frequency_penalty: p.penalties.frequency,
            presence_penalty: p.penalties.presence,
            dry_multiplier: p.dry.multiplier,
            dry_base: p.dry.base,
            mirostat_tau: p.mirostat.tau,
            mirostat_eta: p.mirostat.eta,
            adaptive_target: p.adaptive_p.target.unwrap_or(-1.0),
            adaptive_decay: p.adaptive_p.decay,
            penalty_last_n: count(p.penalties.last_n),
            dry_allowed_length: count(p.dry.allowed_length),
            dry_last_n: count(p.dry.last_n),
            min_keep: count(p.min_keep),
            mirostat: 0,
            reserved: 0,
            order: NO_TEXT,
            dry_breakers: ptr::null(),
            n_dry_breakers: 0,
            logit_bias: ptr::null(),
            n_logit_bias: 0,
        }
    }
}

/// What is to be 0 or 1.
fn flag(value: u32, what: &str) -> Outcome<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Failure::argument(format!("{what} is {other}, expected 0 or 1"))),
    }
}

fn zero(value: u32, what: &str) -> Outcome<()> {
    match value {
        0 => Ok(()),
        other => Err(Failure::argument(format!("{what} is {other}, expected 0"))),
    }
}

/// A number, where 0 stands for the default.
fn unless_zero(value: u32) -> Option<usize> {
    (value != 0).then_some(value as usize)
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// How to load, and who watches.
pub(super) struct Loading {
    pub(super) options: LoadOptions,
    pub(super) progress: HappyProgress,
    pub(super) progress_user: *mut c_void,
    pub(super) cancel: Option<Arc<CancelToken>>,
}

/// # Safety
/// As [`read`], for the texts in the struct too.
pub(super) unsafe fn load_options(options: *const HappyLoadOptions) -> Outcome<Loading> {
    // SAFETY: the caller's promise.
    let (o, isa) = unsafe {
        let o = read(options)?;
        (o, field(o.isa, "isa")?)
    };
    let kv = match o.kv_type {
        kv if kv == KvType::F16 as i32 => happy_model::KvType::F16,
        kv if kv == KvType::F32 as i32 => happy_model::KvType::F32,
        other => return Err(Failure::argument(format!("kv_type is {other}, expected 0 (f16) or 1 (f32)"))),
    };
    let default = LoadOptions::default();
    let options = LoadOptions {
        threads: unless_zero(o.threads),
        isa: some_text(isa).map(|name| name.parse()).transpose()?,
        kv,
        context: unless_zero(o.context),
        batch: unless_zero(o.batch).unwrap_or(default.batch),
        memory_budget: (o.memory_budget != 0).then_some(o.memory_budget),
        mmap: !flag(o.copy, "copy")?,
        ..default
    };
    let cancel = registry::get_optional(o.cancel as usize)?;
    Ok(Loading { options, progress: o.progress, progress_user: o.progress_user, cancel })
}

/// # Safety
/// As [`read`], for the texts in the struct too.
pub(super) unsafe fn session_options(options: *const HappySessionOptions) -> Outcome<SessionSettings> {
    // SAFETY: the caller's promise.
    let (o, system, tools, vars) = unsafe {
        let o = read(options)?;
        (o, field(o.system, "system")?, field(o.tools, "tools")?, field(o.template_vars, "template_vars")?)
    };
    Ok(SessionSettings {
        system: some_text(system),
        tools: json::array(tools, "tools")?,
        vars: json::object(vars, "template_vars")?,
        ignore_unused: flag(o.ignore_unused, "ignore_unused")?,
    })
}

/// # Safety
/// As [`read`], for the texts and lists in the struct too.
pub(super) unsafe fn generate_options(options: *const HappyGenerateOptions) -> Outcome<TurnSettings> {
    // SAFETY: the caller's promise.
    let (o, stop, grammar, schema, choice) = unsafe {
        let o = read(options)?;
        let stop = fields(o.stop, o.n_stop, "stop")?;
        let choice = field(o.tool_choice, "tool_choice")?;
        (o, stop, field(o.grammar, "grammar")?, field(o.json_schema, "json_schema")?, choice)
    };
    zero(o.reserved, "reserved")?;
    let form = match (some_text(grammar), some_text(schema)) {
        (None, None) => None,
        (Some(grammar), None) => Some(Form::gbnf(grammar)),
        (None, Some(schema)) => Some(Form::json_schema(schema)),
        (Some(_), Some(_)) => {
            return Err(Failure::argument("both grammar and json_schema are set, expected one of them"));
        }
    };
    Ok(TurnSettings {
        max_tokens: unless_zero(o.max_tokens),
        sampler: registry::get_optional(o.sampler as usize)?,
        cancel: registry::get_optional(o.cancel as usize)?,
        stop,
        form,
        tool_choice: tool_choice(choice),
        coalesce: Coalesce {
            time: Duration::from_millis(o.coalesce_ms.into()),
            bytes: o.coalesce_bytes as usize,
        },
        raw: flag(o.raw, "raw")?,
        drop_cancelled: flag(o.drop_cancelled, "drop_cancelled")?,
        ignore_end: flag(o.ignore_end, "ignore_end")?,
    })
}

/// # Safety
/// As [`read`], for the texts and lists in the struct too.
pub(super) unsafe fn sampler_options(options: *const HappySamplerOptions) -> Outcome<SamplerSettings> {
    // SAFETY: the caller's promise.
    let (o, order, breakers, bias) = unsafe {
        let o = read(options)?;
        let breakers = if o.dry_breakers.is_null() && o.n_dry_breakers == 0 {
            None
        } else {
            Some(fields(o.dry_breakers, o.n_dry_breakers, "dry_breakers")?)
        };
        (o, field(o.order, "order")?, breakers, slice(o.logit_bias, o.n_logit_bias, "logit_bias")?)
    };
    zero(o.reserved, "reserved")?;
    let mut p = Params::default();
    if !order.is_empty() {
        let step = |name: &str| name.trim().parse().map_err(|e| Failure::argument(format!("order: {e}")));
        p.order = order.split(';').map(step).collect::<Outcome<_>>()?;
    }
    p.temperature.t = o.temperature;
    p.top_k.k = o.top_k as usize;
    p.top_p.p = o.top_p;
    p.min_p.p = o.min_p;
    p.typical.p = o.typical;
    p.top_n_sigma.n = o.top_n_sigma;
    p.min_keep = o.min_keep as usize;
    (p.xtc.probability, p.xtc.threshold) = (o.xtc_probability, o.xtc_threshold);
    p.temperature.delta = o.dynatemp_range;
    p.temperature.exponent = o.dynatemp_exponent;
    p.penalties.last_n = o.penalty_last_n as usize;
    p.penalties.repeat = o.repeat_penalty;
    p.penalties.frequency = o.frequency_penalty;
    p.penalties.presence = o.presence_penalty;
    p.dry.multiplier = o.dry_multiplier;
    p.dry.base = o.dry_base;
    p.dry.allowed_length = o.dry_allowed_length as usize;
    p.dry.last_n = o.dry_last_n as usize;
    p.logit_bias = bias.iter().map(|bias| (bias.token, bias.bias)).collect();
    p.mirostat.version = match o.mirostat {
        0 => MirostatVersion::Off,
        1 => MirostatVersion::V1,
        2 => MirostatVersion::V2,
        other => return Err(Failure::argument(format!("mirostat is {other}, expected 0, 1 or 2"))),
    };
    p.mirostat.tau = o.mirostat_tau;
    p.mirostat.eta = o.mirostat_eta;
    // NaN goes on to be refused.
    p.adaptive_p.target = Some(o.adaptive_target).filter(|target| *target >= 0.0 || target.is_nan());
    p.adaptive_p.decay = o.adaptive_decay;
    for (token, bias) in &p.logit_bias {
        if bias.is_nan() || *bias == f32::INFINITY {
            return Err(Failure::argument(format!(
                "the bias of token {token} is {bias}, expected a finite number or minus infinity"
            )));
        }
    }
    let seed = (o.seed != HAPPY_SEED_RANDOM).then_some(o.seed);
    Ok(SamplerSettings { params: p, seed, dry_breakers: breakers })
}
