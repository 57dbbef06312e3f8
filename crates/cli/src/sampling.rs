//! Options that say how tokens are chosen, under llama.cpp's names.

use crate::error::{CliError, CliResult};
use clap::{Args, ValueEnum};
use happy_engine::{DRY_BREAKERS, Engine};
use happy_sampler::steps::Infill;
use happy_sampler::{MirostatVersion, Params, Sampler, StepKind};
use happy_tokenizer::{TokenId, Tokenizer};

/// Version of Mirostat.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mirostat {
    #[value(name = "0")]
    Off,
    #[value(name = "1")]
    V1,
    #[value(name = "2")]
    V2,
}

/// How to choose tokens.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArgs {
    /// Seed of the random choice; -1: another one each time, which is the default
    #[arg(short = 's', long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    seed: Option<Seed>,
    /// Temperature; 0 always takes the best token
    #[arg(
        long,
        value_name = "T",
        visible_alias = "temperature",
        default_value_t = 0.8,
        allow_negative_numbers = true
    )]
    temp: f32,
    /// Keep the K best tokens; 0 and below: all
    #[arg(long, value_name = "K", default_value_t = 40, allow_negative_numbers = true)]
    top_k: i64,
    /// Keep the best tokens that have this probability together
    #[arg(long, value_name = "P", default_value_t = 0.95, allow_negative_numbers = true)]
    top_p: f32,
    /// Keep tokens with at least this share of the best one's probability
    #[arg(long, value_name = "P", default_value_t = 0.05, allow_negative_numbers = true)]
    min_p: f32,
    /// Keep the tokens whose surprise is most typical, up to this probability; 1: off
    #[arg(
        long,
        value_name = "P",
        alias = "typical-p",
        default_value_t = 1.0,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    typical: f32,
    /// Keep logits at most N standard deviations below the best; 0 and below: off
    #[arg(
        long,
        value_name = "N",
        alias = "top-nsigma",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    top_n_sigma: f32,
    /// Chance that the top choices are excluded (XTC); 0: off
    #[arg(
        long,
        value_name = "P",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    xtc_probability: f32,
    /// What a top choice has at least; over 0.5: off
    #[arg(
        long,
        value_name = "P",
        default_value_t = 0.1,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    xtc_threshold: f32,
    /// Let the temperature follow the entropy, from temp - R to temp + R; 0: off
    #[arg(
        long,
        value_name = "R",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    dynatemp_range: f32,
    /// Exponent of the dynamic temperature
    #[arg(
        long,
        value_name = "X",
        default_value_t = 1.0,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    dynatemp_exp: f32,
    /// Tokens that the three penalties look back
    #[arg(
        long,
        value_name = "N",
        default_value_t = 64,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    repeat_last_n: usize,
    /// Divide the logits of recent tokens by this; 1: off
    #[arg(long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true)]
    repeat_penalty: f32,
    /// Subtract this from a logit for each recent occurrence of the token; 0: off
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    frequency_penalty: f32,
    /// Subtract this from the logits of recent tokens; 0: off
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    presence_penalty: f32,
    /// Penalty of what would continue a repetition (DRY); 0: off
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    dry_multiplier: f32,
    /// Growth of that penalty with each token that the repetition is longer
    #[arg(
        long,
        value_name = "X",
        default_value_t = 1.75,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    dry_base: f32,
    /// Longest repetition without that penalty
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    dry_allowed_length: usize,
    /// Tokens in which repetitions are looked for
    #[arg(
        long,
        value_name = "N",
        default_value_t = 64,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    dry_penalty_last_n: usize,
    /// Text that ends a repetition, instead of line end, `:`, `"` and `*`; may be given several times; none: no text
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    dry_sequence_breaker: Vec<String>,
    /// Add to the logit of a token: 15043+1, 15043-0.5, 15043-inf; may be given several times
    #[arg(short = 'l', long, value_name = "TOKEN(+|-)BIAS", value_parser = logit_bias, hide_short_help = true)]
    logit_bias: Vec<(TokenId, f32)>,
    /// Mirostat 1 or 2 instead of all of these but temperature and logit bias; 0: off
    #[arg(long, value_name = "N", default_value = "0", hide_short_help = true)]
    mirostat: Mirostat,
    /// Mirostat's learning rate (eta)
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.1,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    mirostat_lr: f32,
    /// Mirostat's target entropy (tau)
    #[arg(
        long,
        value_name = "X",
        default_value_t = 5.0,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    mirostat_ent: f32,
    /// Prefer tokens near this probability (adaptive-p); below 0: off
    #[arg(long, value_name = "P", default_value_t = -1.0, allow_negative_numbers = true, hide_short_help = true)]
    adaptive_target: f32,
    /// How long adaptive-p remembers: about 1 / (1 - X) tokens
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.9,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    adaptive_decay: f32,
    /// Tokens that top-p, min-p, typical and XTC keep at least
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    min_keep: usize,
    /// The samplers and their order, separated by `;`: penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, xtc,
    /// temperature, infill, adaptive_p [default: these without the last two]
    #[arg(long, value_name = "NAMES", value_delimiter = ';', hide_short_help = true)]
    samplers: Vec<StepKind>,
}

impl SamplingArgs {
    /// Whether all settings are in range; needs no model.
    pub(crate) fn check(&self) -> CliResult {
        let mut params = self.params();
        if params.order.contains(&StepKind::Infill) {
            params.infill = Some(Infill::new([""], [], 0));
        }
        build(&params).map(|_| ())
    }

    /// The sampler for a model.
    pub(crate) fn sampler(&self, engine: &Engine) -> CliResult<Sampler> {
        let mut params = self.params();
        if params.dry_multiplier != 0.0 && params.order.contains(&StepKind::Dry) {
            params.dry_breakers = self.breakers(engine.require_tokenizer()?)?;
        }
        if params.order.contains(&StepKind::Infill) {
            params.infill = Some(infill(engine.require_tokenizer()?)?);
        }
        build(&params)
    }

    fn params(&self) -> Params {
        let mut p = Params::default();
        p.seed = self.seed.and_then(|seed| seed.0).unwrap_or_else(clock_seed);
        p.temperature = self.temp;
        p.top_k = usize::try_from(self.top_k).unwrap_or(0);
        p.top_p = self.top_p;
        p.min_p = self.min_p;
        p.typical = self.typical;
        p.top_n_sigma = if self.top_n_sigma < 0.0 { 0.0 } else { self.top_n_sigma };
        p.min_keep = self.min_keep;
        p.xtc = (self.xtc_probability, self.xtc_threshold);
        p.dynatemp_range = self.dynatemp_range;
        p.dynatemp_exponent = self.dynatemp_exp;
        p.penalty_last_n = self.repeat_last_n;
        p.repeat_penalty = self.repeat_penalty;
        p.frequency_penalty = self.frequency_penalty;
        p.presence_penalty = self.presence_penalty;
        p.dry_multiplier = self.dry_multiplier;
        p.dry_base = self.dry_base;
        p.dry_allowed_length = self.dry_allowed_length;
        p.dry_last_n = self.dry_penalty_last_n;
        p.logit_bias = self.logit_bias.clone();
        p.mirostat = match self.mirostat {
            Mirostat::Off => MirostatVersion::Off,
            Mirostat::V1 => MirostatVersion::V1,
            Mirostat::V2 => MirostatVersion::V2,
        };
        p.mirostat_tau = self.mirostat_ent;
        p.mirostat_eta = self.mirostat_lr;
        // NaN goes on to be refused.
        p.adaptive_target = Some(self.adaptive_target).filter(|t| *t >= 0.0 || t.is_nan());
        p.adaptive_decay = self.adaptive_decay;
        if !self.samplers.is_empty() {
            p.order = self.samplers.clone();
        }
        p
    }

    /// The token sequences that spell the texts which end a repetition.
    fn breakers(&self, tokenizer: &Tokenizer) -> CliResult<Vec<Vec<TokenId>>> {
        let texts: Vec<&str> = match self.dry_sequence_breaker.as_slice() {
            [] => DRY_BREAKERS.to_vec(),
            texts => texts.iter().map(String::as_str).filter(|text| *text != "none").collect(),
        };
        Ok(happy_engine::dry_breakers(tokenizer, texts)?)
    }
}

fn build(params: &Params) -> CliResult<Sampler> {
    params.build().map_err(|e| CliError::usage(e.to_string()))
}

/// The infill step of a vocabulary.
fn infill(tokenizer: &Tokenizer) -> CliResult<Infill> {
    happy_engine::infill(tokenizer)?.ok_or_else(|| {
        CliError::usage(
            "--samplers names infill, which needs a model with an end-of-turn or end-of-text token",
        )
    })
}

/// A token with what is added to its logit: `15043+1`.
fn logit_bias(text: &str) -> Result<(TokenId, f32), String> {
    let expected =
        || format!("expected TOKEN+BIAS or TOKEN-BIAS, as in 15043+1 or 15043-inf, found {text:?}");
    let at = text.find(['+', '-']).ok_or_else(expected)?;
    let (token, bias) = text.split_at_checked(at).ok_or_else(expected)?;
    let token = token.trim().parse().map_err(|_| expected())?;
    let bias: f32 = bias.parse().map_err(|_| expected())?;
    if bias < f32::INFINITY { Ok((token, bias)) } else { Err(expected()) }
}

/// A seed, or none for another one each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seed(Option<u64>);

fn seed(text: &str) -> Result<Seed, String> {
    if text == "-1" {
        return Ok(Seed(None));
    }
    let number =
        text.parse().map_err(|_| format!("expected a whole number from 0 on, or -1, found {text:?}"));
    number.map(|number| Seed(Some(number)))
}

/// A seed that differs from run to run.
fn clock_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |d| d.as_nanos() as u64) ^ u64::from(std::process::id()).rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds() {
        for (text, expect) in [("0", Some(0)), ("18446744073709551615", Some(u64::MAX)), ("-1", None)] {
            assert_eq!(seed(text), Ok(Seed(expect)), "{text}");
        }
        for text in ["", "-2", "x", "1.5", "18446744073709551616"] {
            assert!(seed(text).is_err_and(|e| e.contains("or -1")), "{text}");
        }
    }

    #[test]
    fn biases() {
        for (text, expect) in [
            ("15043+1", (15043, 1.0)),
            ("0-0.5", (0, -0.5)),
            ("7+1e2", (7, 100.0)),
            ("7-1e-2", (7, -0.01)),
            ("3-inf", (3, f32::NEG_INFINITY)),
        ] {
            assert_eq!(logit_bias(text), Ok(expect), "{text}");
        }
        for text in ["", "5", "x+1", "-1+1", "5+", "5+x", "5+inf", "5+nan", "5++1", "99999999999+1"] {
            assert!(logit_bias(text).is_err_and(|e| e.contains("expected TOKEN+BIAS")), "{text}");
        }
    }
}
