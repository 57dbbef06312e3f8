//! The usual settings in one struct, and the order of the steps.

use std::str::FromStr;

use crate::steps::Infill;
use crate::{Sampler, SamplerBuilder, SamplerError, TokenId};

/// A step of [`Params::order`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepKind {
    /// Repeat, frequency and presence penalties.
    Penalties,
    /// DRY.
    Dry,
    /// Top-n-sigma.
    TopNSigma,
    /// Top-k.
    TopK,
    /// Locally typical.
    Typical,
    /// Top-p.
    TopP,
    /// Min-p.
    MinP,
    /// XTC.
    Xtc,
    /// Temperature, fixed or dynamic.
    Temperature,
    /// Infill.
    Infill,
    /// Adaptive-p. It takes the token, so its place does not matter.
    AdaptiveP,
}

impl StepKind {
    /// llama.cpp's names, in the order of the variants.
    pub const NAMES: [&str; 11] = [
        "penalties",
        "dry",
        "top_n_sigma",
        "top_k",
        "typ_p",
        "top_p",
        "min_p",
        "xtc",
        "temperature",
        "infill",
        "adaptive_p",
    ];

    /// llama.cpp's default order.
    pub const DEFAULT_ORDER: [StepKind; 9] = [
        Self::Penalties,
        Self::Dry,
        Self::TopNSigma,
        Self::TopK,
        Self::Typical,
        Self::TopP,
        Self::MinP,
        Self::Xtc,
        Self::Temperature,
    ];
}

/// Case does not matter, nor whether words are separated by `_`, `-` or nothing; `typical`, `typ`, `nucleus` and `temp` are
/// names too.
impl FromStr for StepKind {
    type Err = SamplerError;

    fn from_str(name: &str) -> Result<Self, SamplerError> {
        let plain: String =
            name.trim().chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect();
        Ok(match plain.as_str() {
            "penalties" => Self::Penalties,
            "dry" => Self::Dry,
            "topnsigma" => Self::TopNSigma,
            "topk" => Self::TopK,
            "typp" | "typ" | "typical" | "typicalp" => Self::Typical,
            "topp" | "nucleus" => Self::TopP,
            "minp" => Self::MinP,
            "xtc" => Self::Xtc,
            "temperature" | "temp" => Self::Temperature,
            "infill" => Self::Infill,
            "adaptivep" => Self::AdaptiveP,
            _ => return Err(SamplerError::UnknownStep { name: name.to_owned() }),
        })
    }
}

/// Whether Mirostat takes the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MirostatVersion {
    /// No.
    #[default]
    Off,
    /// [`Mirostat`](crate::Mirostat).
    V1,
    /// [`MirostatV2`](crate::MirostatV2).
    V2,
}

/// Settings of the common chain: logit bias, then the steps of [`order`](Self::order), then the draw. The default values and
/// order are llama.cpp's: every step is neutral but the temperature, which is 0.8, top-k 40, top-p 0.95 and min-p 0.05.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Params {
    /// The steps and their order; a step that is neutral or not named is left out.
    pub order: Vec<StepKind>,
    /// 0 is greedy.
    pub temperature: f32,
    /// Half the range of the dynamic temperature; 0: fixed.
    pub dynatemp_range: f32,
    /// Exponent of the dynamic temperature.
    pub dynatemp_exponent: f32,
    /// 0 keeps all.
    pub top_k: usize,
    /// 1 keeps all.
    pub top_p: f32,
    /// 0 keeps all.
    pub min_p: f32,
    /// 1 keeps all.
    pub typical: f32,
    /// 0 keeps all.
    pub top_n_sigma: f32,
    /// How many tokens top-p, min-p, typical and XTC keep at least; 0 is like 1.
    pub min_keep: usize,
    /// Chance and threshold of XTC; chance 0 is off.
    pub xtc: (f32, f32),
    /// How many accepted tokens the three penalties look at.
    pub penalty_last_n: usize,
    /// 1 is neutral.
    pub repeat_penalty: f32,
    /// 0 is neutral.
    pub frequency_penalty: f32,
    /// 0 is neutral.
    pub presence_penalty: f32,
    /// 0 is off.
    pub dry_multiplier: f32,
    /// Growth of the penalty with each token that a repetition is longer; below 1 is off.
    pub dry_base: f32,
    /// Longest repetition without a penalty.
    pub dry_allowed_length: usize,
    /// How many accepted tokens DRY looks at.
    pub dry_last_n: usize,
    /// Token sequences that end a repetition; [`breaker_sequences`](crate::steps::breaker_sequences) makes them from text.
    pub dry_breakers: Vec<Vec<TokenId>>,
    /// Added to single logits.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// Mirostat, as in llama.cpp, replaces the order: there are the bias, the temperature and Mirostat.
    pub mirostat: MirostatVersion,
    /// Mirostat's target surprise in bits.
    pub mirostat_tau: f32,
    /// Mirostat's learning rate.
    pub mirostat_eta: f32,
    /// The probability that adaptive-p prefers; `None`: an ordinary draw.
    pub adaptive_target: Option<f32>,
    /// How long adaptive-p remembers.
    pub adaptive_decay: f32,
    /// The step for [`StepKind::Infill`], which knows the vocabulary.
    pub infill: Option<Infill>,
    /// Seed of the draw, and of XTC.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            order: StepKind::DEFAULT_ORDER.to_vec(),
            temperature: 0.8,
            dynatemp_range: 0.0,
            dynatemp_exponent: 1.0,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            typical: 1.0,
            top_n_sigma: 0.0,
            min_keep: 0,
            xtc: (0.0, 0.1),
            penalty_last_n: 64,
            repeat_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            dry_multiplier: 0.0,
            dry_base: 1.75,
            dry_allowed_length: 2,
            dry_last_n: 64,
            dry_breakers: Vec::new(),
            logit_bias: Vec::new(),
            mirostat: MirostatVersion::Off,
            mirostat_tau: 5.0,
            mirostat_eta: 0.1,
            adaptive_target: None,
            adaptive_decay: 0.9,
            infill: None,
            seed: 0,
        }
    }
}

impl Params {
    /// The sampler of these settings.
    ///
    /// # Errors
    /// The first setting outside its range, also of a step that the order does not name; infill or adaptive-p in the order
    /// without what they need.
    pub fn build(&self) -> Result<Sampler, SamplerError> {
        Sampler::builder().params(self).build()
    }

    /// Appends the steps to a builder.
    pub(crate) fn add_to(&self, mut b: SamplerBuilder) -> SamplerBuilder {
        // Every setting is checked, whether or not its step takes part.
        for kind in StepKind::DEFAULT_ORDER {
            if let Err(e) = self.step(Sampler::builder(), kind).build() {
                b = b.failed(e);
            }
        }
        b = b.seed(self.seed);
        if !self.logit_bias.is_empty() {
            b = b.logit_bias(self.logit_bias.iter().copied());
        }
        if self.mirostat != MirostatVersion::Off {
            b = self.step(b, StepKind::Temperature);
            return match self.mirostat {
                MirostatVersion::V1 => b.mirostat(self.mirostat_tau, self.mirostat_eta),
                _ => b.mirostat_v2(self.mirostat_tau, self.mirostat_eta),
            };
        }
        // Greedily, what cuts and keeps the best token can be left out.
        let edits =
            self.order.iter().take_while(|k| matches!(k, StepKind::Penalties | StepKind::Dry)).count();
        let (edits, others) = self.order.split_at_checked(edits).unwrap_or_default();
        let greedy = self.temperature == 0.0
            && self.dynatemp_range == 0.0
            && others.contains(&StepKind::Temperature)
            && others.iter().all(|kind| self.keeps_best(*kind));
        b = edits.iter().fold(b, |b, kind| self.step(b, *kind));
        if greedy {
            return b.greedy();
        }
        b = others.iter().fold(b, |b, kind| self.step(b, *kind));
        match self.adaptive_target {
            Some(target) => b.adaptive_p(target, self.adaptive_decay),
            None => b,
        }
    }

    /// Whether the best token is the same after the step.
    fn keeps_best(&self, kind: StepKind) -> bool {
        match kind {
            StepKind::Typical => self.typical == 1.0,
            StepKind::Xtc => self.xtc.0 == 0.0,
            StepKind::TopNSigma | StepKind::TopK | StepKind::TopP | StepKind::MinP => true,
            StepKind::Temperature => true,
            StepKind::Penalties | StepKind::Dry | StepKind::Infill | StepKind::AdaptiveP => false,
        }
    }

    /// Appends one step unless it is neutral.
    fn step(&self, b: SamplerBuilder, kind: StepKind) -> SamplerBuilder {
        use crate::steps::{MinP, TopP, Typical, Xtc};
        let min_keep = self.min_keep.max(1);
        match kind {
            StepKind::Penalties => {
                let (freq, present) = (self.frequency_penalty, self.presence_penalty);
                if self.repeat_penalty == 1.0 && freq == 0.0 && present == 0.0 {
                    return b;
                }
                b.penalties(self.penalty_last_n, self.repeat_penalty, freq, present)
            }
            StepKind::Dry if self.dry_multiplier == 0.0 => b,
            StepKind::Dry => b.dry(
                self.dry_multiplier,
                self.dry_base,
                self.dry_allowed_length,
                self.dry_last_n,
                self.dry_breakers.iter().cloned(),
            ),
            StepKind::TopNSigma if self.top_n_sigma == 0.0 => b,
            StepKind::TopNSigma => b.top_n_sigma(self.top_n_sigma),
            StepKind::TopK if self.top_k == 0 => b,
            StepKind::TopK => b.top_k(self.top_k),
            StepKind::Typical if self.typical == 1.0 => b,
            StepKind::Typical => b.checked(Typical::new(self.typical, min_keep)),
            StepKind::TopP if self.top_p == 1.0 => b,
            StepKind::TopP => b.checked(TopP::new(self.top_p, min_keep)),
            StepKind::MinP if self.min_p == 0.0 => b,
            StepKind::MinP => b.checked(MinP::new(self.min_p, min_keep)),
            StepKind::Xtc if self.xtc.0 == 0.0 => b,
            StepKind::Xtc => b.checked(Xtc::new(self.xtc.0, self.xtc.1, min_keep, 0)),
            StepKind::Temperature if self.dynatemp_range == 0.0 => b.temperature(self.temperature),
            StepKind::Temperature => {
                b.dynamic_temperature(self.temperature, self.dynatemp_range, self.dynatemp_exponent)
            }
            StepKind::Infill => match &self.infill {
                Some(infill) => b.step(infill.clone()),
                None => b.failed(SamplerError::Missing {
                    step: "infill",
                    what: "the vocabulary's pieces (`Params::infill`)",
                }),
            },
            StepKind::AdaptiveP if self.adaptive_target.is_some() => b,
            StepKind::AdaptiveP => {
                b.failed(SamplerError::Missing { step: "adaptive_p", what: "a target probability" })
            }
        }
    }
}
