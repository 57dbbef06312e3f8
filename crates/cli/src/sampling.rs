//! Options that say how tokens are chosen, under llama.cpp's names.

use crate::error::{CliError, CliResult};
use clap::{Args, ValueEnum};
use happy_engine::{DRY_BREAKERS, Engine};
use happy_sampler::steps::*;
use happy_sampler::{AdaptiveP, Mirostat as MirostatParams, MirostatVersion, Params, Sampler, StepKind};
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

/// A parameter as a flag's value.
trait Flag<T> {
    fn from_parameter(parameter: &T) -> Self;
    fn to_parameter(self) -> T;
}

macro_rules! same {
    ($($ty:ty),*) => {
        $(impl Flag<$ty> for $ty {
            fn from_parameter(parameter: &$ty) -> $ty {
                *parameter
            }

            fn to_parameter(self) -> $ty {
                self
            }
        })*
    };
}
same!(f32, usize);

/// Turns numbers below 0 into 0.
impl Flag<usize> for i64 {
    fn from_parameter(parameter: &usize) -> i64 {
        i64::try_from(*parameter).unwrap_or(i64::MAX)
    }

    fn to_parameter(self) -> usize {
        usize::try_from(self).unwrap_or(0)
    }
}

/// Turns numbers below 0 into `None`. NaN is kept, to be refused later.
impl Flag<Option<f32>> for f32 {
    fn from_parameter(parameter: &Option<f32>) -> f32 {
        parameter.unwrap_or(-1.0)
    }

    fn to_parameter(self) -> Option<f32> {
        Some(self).filter(|x| *x >= 0.0 || x.is_nan())
    }
}

/// Returns a parameter's description as help, without its default, which clap appends, and without its final full stop.
fn help(description: &str) -> &str {
    let text = description.split_once(" Default:").map_or(description, |(text, _)| text);
    text.trim_end_matches('.')
}

// The parameters of steps and picks as flags: `flag: type VALUE => field of Params: its type, parameter;`. The short help has
// those under `common`. Defaults and descriptions are those of happy-sampler.
macro_rules! flags {
    (
        common { $($flag:ident: $ty:ty, $value:literal => $field:ident: $step:ident, $parameter:ident
            $(, $attribute:meta)?;)* }
        advanced { $($more:ident: $more_ty:ty, $more_value:literal => $more_field:ident: $more_step:ident,
            $more_parameter:ident $(, $more_attribute:meta)?;)* }
    ) => {
        /// Flags that set one parameter each.
        #[derive(Clone, Debug, Args)]
        struct ParameterArgs {
            $(
                #[arg(
                    long,
                    value_name = $value,
                    help = help($step::help(stringify!($parameter))),
                    default_value_t = Flag::from_parameter(&Params::default().$field.$parameter),
                    allow_negative_numbers = true
                )]
                $(#[arg($attribute)])?
                $flag: $ty,
            )*
            $(
                #[arg(
                    long,
                    value_name = $more_value,
                    help = help($more_step::help(stringify!($more_parameter))),
                    default_value_t = Flag::from_parameter(&Params::default().$more_field.$more_parameter),
                    allow_negative_numbers = true,
                    hide_short_help = true
                )]
                $(#[arg($more_attribute)])?
                $more: $more_ty,
            )*
        }

        impl ParameterArgs {
            fn set(&self, params: &mut Params) {
                $(params.$field.$parameter = self.$flag.to_parameter();)*
                $(params.$more_field.$more_parameter = self.$more.to_parameter();)*
            }

            /// Names and values.
            fn each(&self) -> Vec<(&'static str, String)> {
                vec![
                    $((stringify!($flag), self.$flag.to_string()),)*
                    $((stringify!($more), self.$more.to_string()),)*
                ]
            }
        }
    };
}

flags! {
    common {
        temp: f32, "T" => temperature: Temperature, t, visible_alias = "temperature";
        top_k: i64, "K" => top_k: TopK, k;
        top_p: f32, "P" => top_p: TopP, p;
        min_p: f32, "P" => min_p: MinP, p;
        repeat_penalty: f32, "X" => penalties: Penalties, repeat;
    }
    advanced {
        typical: f32, "P" => typical: Typical, p, alias = "typical-p";
        top_n_sigma: f32, "N" => top_n_sigma: TopNSigma, n, alias = "top-nsigma";
        xtc_probability: f32, "P" => xtc: Xtc, probability;
        xtc_threshold: f32, "P" => xtc: Xtc, threshold;
        dynatemp_range: f32, "R" => temperature: Temperature, delta;
        dynatemp_exp: f32, "X" => temperature: Temperature, exponent;
        repeat_last_n: usize, "N" => penalties: Penalties, last_n;
        frequency_penalty: f32, "X" => penalties: Penalties, frequency;
        presence_penalty: f32, "X" => penalties: Penalties, presence;
        dry_multiplier: f32, "X" => dry: Dry, multiplier;
        dry_base: f32, "X" => dry: Dry, base;
        dry_allowed_length: usize, "N" => dry: Dry, allowed_length;
        dry_penalty_last_n: usize, "N" => dry: Dry, last_n;
        mirostat_lr: f32, "X" => mirostat: MirostatParams, eta;
        mirostat_ent: f32, "X" => mirostat: MirostatParams, tau;
        adaptive_target: f32, "P" => adaptive_p: AdaptiveP, target;
        adaptive_decay: f32, "X" => adaptive_p: AdaptiveP, decay;
    }
}

/// How to choose tokens.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArgs {
    /// Seed of the random choices; -1: a new one each time [default: -1]
    #[arg(short = 's', long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    seed: Option<Seed>,
    #[command(flatten)]
    parameters: ParameterArgs,
    /// Text that ends a repetition; replaces the line end, `:`, `"` and `*`; may be given several times; `none`: no text ends one
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    dry_sequence_breaker: Vec<String>,
    /// Add to the logit of a token: 15043+1, 15043-0.5, 15043-inf; may be given several times
    #[arg(short = 'l', long, value_name = "TOKEN(+|-)BIAS", value_parser = logit_bias, hide_short_help = true)]
    logit_bias: Vec<(TokenId, f32)>,
    #[arg(
        long,
        value_name = "N",
        help = help(MirostatParams::help("version")),
        default_value = "0",
        hide_short_help = true
    )]
    mirostat: Mirostat,
    /// Minimum number of tokens that top-p, min-p, typical and XTC keep
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true,
        hide_short_help = true
    )]
    min_keep: usize,
    #[arg(
        long,
        value_name = "NAMES",
        help = format!(
            "The samplers and their order, separated by `;`: {} [default: all but infill and adaptive_p]",
            StepKind::NAMES.join(", ")
        ),
        value_delimiter = ';',
        hide_short_help = true
    )]
    samplers: Vec<StepKind>,
}

impl SamplingArgs {
    /// Returns a command that has only these options, which are those that a configuration may set.
    pub(crate) fn command() -> clap::Command {
        Self::augment_args(clap::Command::new("sampling"))
    }

    /// Returns the parameters as flags without their dashes, and their values.
    pub(crate) fn shown(&self) -> Vec<(String, String)> {
        let all = self.parameters.each().into_iter();
        let seed = self.seed.and_then(|seed| seed.0).map_or_else(|| "-1".to_owned(), |seed| seed.to_string());
        let all = all.map(|(name, value)| (name.replace('_', "-"), value));
        std::iter::once(("seed".to_owned(), seed)).chain(all).collect()
    }

    /// Checks that all settings are in range. This needs no model.
    pub(crate) fn check(&self) -> CliResult {
        let mut params = self.params();
        if params.order.contains(&StepKind::Infill) {
            params.infill = Infill::new([""], [], 0).ok();
        }
        build(&params).map(|_| ())
    }

    /// Returns the sampler for a model.
    pub(crate) fn sampler(&self, engine: &Engine) -> CliResult<Sampler> {
        let mut params = self.params();
        if params.dry.multiplier != 0.0 && params.order.contains(&StepKind::Dry) {
            params.dry.breakers = self.breakers(engine.require_tokenizer()?)?;
        }
        if params.order.contains(&StepKind::Infill) {
            params.infill = Some(infill(engine.require_tokenizer()?)?);
        }
        build(&params)
    }

    fn params(&self) -> Params {
        let mut p = Params::default();
        p.seed = self.seed.and_then(|seed| seed.0).unwrap_or_else(clock_seed);
        self.parameters.set(&mut p);
        // As in llama.cpp, a negative number turns top-n-sigma off.
        if p.top_n_sigma.n < 0.0 {
            p.top_n_sigma.n = 0.0;
        }
        p.min_keep = self.min_keep;
        p.logit_bias = self.logit_bias.clone();
        p.mirostat.version = match self.mirostat {
            Mirostat::Off => MirostatVersion::Off,
            Mirostat::V1 => MirostatVersion::V1,
            Mirostat::V2 => MirostatVersion::V2,
        };
        if !self.samplers.is_empty() {
            p.order = self.samplers.clone();
        }
        p
    }

    /// Returns the token sequences that spell the texts which end a repetition.
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

/// Returns the infill step for a vocabulary.
fn infill(tokenizer: &Tokenizer) -> CliResult<Infill> {
    happy_engine::infill(tokenizer)?.ok_or_else(|| {
        CliError::usage(
            "--samplers names infill, which needs a model with an end-of-turn or end-of-text token",
        )
    })
}

/// Parses a token and what is added to its logit: `15043+1`.
fn logit_bias(text: &str) -> Result<(TokenId, f32), String> {
    let expected =
        || format!("expected TOKEN+BIAS or TOKEN-BIAS, as in 15043+1 or 15043-inf, found {text:?}");
    let at = text.find(['+', '-']).ok_or_else(expected)?;
    let (token, bias) = text.split_at_checked(at).ok_or_else(expected)?;
    let token = token.trim().parse().map_err(|_| expected())?;
    let bias: f32 = bias.parse().map_err(|_| expected())?;
    if bias < f32::INFINITY { Ok((token, bias)) } else { Err(expected()) }
}

/// Parses a seed, or none for a new one each time.
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

/// Returns a seed that differs from run to run.
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
    fn every_flag_has_help() {
        #[derive(clap::Parser)]
        struct Program {
            #[command(flatten)]
            sampling: SamplingArgs,
        }
        let command = <Program as clap::CommandFactory>::command();
        let without: Vec<&str> = command
            .get_arguments()
            .filter(|a| a.get_help().is_none_or(|help| help.to_string().is_empty()))
            .map(|a| a.get_id().as_str())
            .collect();
        assert!(without.is_empty(), "{without:?}");
        // The flags' defaults are the library's.
        let program = <Program as clap::Parser>::parse_from(["happy", "--seed", "0"]);
        assert_eq!(program.sampling.params(), Params::default());
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
