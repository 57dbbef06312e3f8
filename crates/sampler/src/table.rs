//! The table of steps, and what derives from it.
//!
//! ```text
//! Kind  field: first name | other names       Kind       a struct of `steps`, a StepKind, a StepSpec
//!                                             field      a field of Params and a method of SamplerBuilder
//!                                             names      of Params::order, and of steps in JSON
//! ```
//! The rows under `default` are the default order. The [`StepParams`] of a step say whether it is neutral, whether it
//! keeps the best token, and how it is made.

use crate::steps::{self, Step, StepParams};
use crate::{AdaptiveP, Mirostat, SamplerBuilder, SamplerError, TokenId};
use std::str::FromStr;

macro_rules! steps {
    (
        default {
            $($(#[doc = $default_doc:literal])+
            $default:ident $default_field:ident: $default_name:literal $(| $default_alias:literal)*;)*
        }
        by_name {
            $($(#[doc = $named_doc:literal])+
            $named:ident $named_field:ident: $named_name:literal $(| $named_alias:literal)*;)*
        }
    ) => {
        steps! {
            all {
                $($(#[doc = $default_doc])+ $default $default_field: $default_name $(| $default_alias)*;)*
                $($(#[doc = $named_doc])+ $named $named_field: $named_name $(| $named_alias)*;)*
            }
        }

        impl StepKind {
            /// llama.cpp's default order.
            pub const DEFAULT_ORDER: &[StepKind] = &[$(StepKind::$default),*];
        }
    };
    (all { $($(#[doc = $doc:literal])+ $kind:ident $field:ident: $name:literal $(| $alias:literal)*;)* }) => {
        /// The name of a step in [`Params::order`], without its parameters.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum StepKind {
            $($(#[doc = $doc])+ $kind,)*
            /// Infill, which needs the vocabulary: [`Params::infill`].
            Infill,
            /// Adaptive-p: [`Params::adaptive_p`]. It picks the token, so its position in the order does not matter.
            AdaptiveP,
        }

        impl StepKind {
            /// llama.cpp's names, in the order of the variants.
            pub const NAMES: &[&str] = &[$($name,)* "infill", "adaptive_p"];

            /// Each kind with all of its names.
            const ALL: &[(StepKind, &[&str])] = &[
                $((StepKind::$kind, &[$name $(, $alias)*]),)*
                (StepKind::Infill, &["infill"]),
                (StepKind::AdaptiveP, &["adaptive_p"]),
            ];
        }

        /// A step with its parameters, for programs that read chains of steps from a file or a request.
        ///
        /// With the feature `serde`, it is read from objects like `{"type": "top_p", "p": 0.9, "min_keep": 1}`. Names,
        /// fields and meaning are llama.cpp's: counts, temperatures and top-n-sigma below 0 become 0, which turns a
        /// step off. `min_keep`, `seed` and `breakers` are optional; they default to 0 or to no breakers.
        #[derive(Debug, Clone, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(tag = "type", rename_all = "snake_case"))]
        #[non_exhaustive]
        pub enum StepSpec {
            $(
                $(#[doc = $doc])+
                #[cfg_attr(feature = "serde", serde(rename = $name $(, alias = $alias)*))]
                $kind(steps::$kind),
            )*
            /// Logit bias.
            LogitBias(steps::LogitBias),
            /// Infill. Cannot be read from JSON.
            #[cfg_attr(feature = "serde", serde(skip))]
            Infill(steps::Infill),
        }

        impl StepSpec {
            /// The parameters, independent of the kind of step.
            pub(crate) fn params(&self) -> &dyn StepParams {
                match self {
                    $(StepSpec::$kind(params) => params,)*
                    StepSpec::LogitBias(params) => params,
                    StepSpec::Infill(params) => params,
                }
            }

            fn params_mut(&mut self) -> &mut dyn StepParams {
                match self {
                    $(StepSpec::$kind(params) => params,)*
                    StepSpec::LogitBias(params) => params,
                    StepSpec::Infill(params) => params,
                }
            }
        }

        /// One method per step. Steps run in the order of the calls. A step with one parameter accepts either the
        /// number or its struct.
        impl SamplerBuilder {
            $(
                #[doc = concat!("Appends [`", stringify!($kind), "`](steps::", stringify!($kind), ").")]
                pub fn $field(self, params: impl Into<steps::$kind>) -> Self {
                    self.params_of_step(&params.into())
                }
            )*
        }

        impl Params {
            /// The step of `kind` with these settings; `None` for adaptive-p, which is a pick.
            pub(crate) fn step(&self, kind: StepKind) -> Result<Option<StepSpec>, SamplerError> {
                let mut spec = match kind {
                    $(StepKind::$kind => StepSpec::$kind(self.$field.clone()),)*
                    StepKind::Infill => match &self.infill {
                        Some(infill) => StepSpec::Infill(infill.clone()),
                        None => {
                            let what = "the vocabulary's pieces (`Params::infill`)";
                            return Err(SamplerError::Missing { step: "infill", what });
                        }
                    },
                    StepKind::AdaptiveP if self.adaptive_p.target.is_some() => return Ok(None),
                    StepKind::AdaptiveP => {
                        let what = "a target probability";
                        return Err(SamplerError::Missing { step: "adaptive_p", what });
                    }
                };
                spec.params_mut().keep_at_least(self.min_keep.max(1));
                Ok(Some(spec))
            }
        }

        /// Settings of a common chain: logit bias, then the steps of [`order`](Self::order), then the draw. The default
        /// order and values are llama.cpp's: temperature 0.8, top-k 40, top-p 0.95, min-p 0.05, and every other step
        /// neutral.
        ///
        /// A step with one parameter can be set from a number: `params.top_k = 40.into()`.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub struct Params {
            /// The steps and their order. Steps that are neutral or not in the order are left out. Default:
            /// [`StepKind::DEFAULT_ORDER`].
            pub order: Vec<StepKind>,
            $($(#[doc = $doc])+ pub $field: steps::$kind,)*
            /// Minimum number of tokens that top-p, min-p, typical and XTC keep, in addition to their own `min_keep`:
            /// the larger value counts. Default: 0, which has the same effect as 1.
            pub min_keep: usize,
            /// Values added to the logits of single tokens; -inf bans a token. Default: none.
            pub logit_bias: Vec<(TokenId, f32)>,
            /// Mirostat. As in llama.cpp, it replaces the order: only logit bias, temperature and Mirostat run.
            /// Default: off.
            pub mirostat: Mirostat,
            /// Adaptive-p, which picks the token instead of an ordinary draw. Default: off.
            pub adaptive_p: AdaptiveP,
            /// The step for [`StepKind::Infill`], which needs the vocabulary. Default: `None`.
            pub infill: Option<steps::Infill>,
            /// Seed of the draw and of XTC. Default: 0.
            pub seed: u64,
        }

        impl Default for Params {
            fn default() -> Self {
                Params {
                    order: StepKind::DEFAULT_ORDER.to_vec(),
                    $($field: Default::default(),)*
                    min_keep: 0,
                    logit_bias: Vec::new(),
                    mirostat: Mirostat::default(),
                    adaptive_p: AdaptiveP::default(),
                    infill: None,
                    seed: 0,
                }
            }
        }
    };
}

steps! {
    default {
        /// Repeat, frequency and presence penalties.
        Penalties penalties: "penalties";
        /// DRY, a penalty on what continues a repetition.
        Dry dry: "dry";
        /// Top-n-sigma, a cut by distance from the best logit.
        TopNSigma top_n_sigma: "top_n_sigma";
        /// Top-k.
        TopK top_k: "top_k";
        /// Locally typical sampling.
        Typical typical: "typ_p" | "typ" | "typical" | "typical_p";
        /// Top-p.
        TopP top_p: "top_p" | "nucleus";
        /// Min-p.
        MinP min_p: "min_p";
        /// XTC, which excludes top choices.
        Xtc xtc: "xtc";
        /// Temperature, fixed or dynamic.
        Temperature temperature: "temperature" | "temp" | "temp_ext";
    }
    by_name {}
}

/// Parses a step name. Ignores case, and whether words are separated by `_`, `-` or nothing. `typical`, `typ`,
/// `nucleus` and `temp` are accepted too.
impl FromStr for StepKind {
    type Err = SamplerError;

    fn from_str(name: &str) -> Result<Self, SamplerError> {
        fn plain(name: &str) -> impl Iterator<Item = char> {
            name.trim().chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase)
        }
        let named = |names: &[&str]| names.iter().any(|known| plain(known).eq(plain(name)));
        let found = StepKind::ALL.iter().find(|(_, names)| named(names));
        found.map(|(kind, _)| *kind).ok_or_else(|| SamplerError::UnknownStep { name: name.to_owned() })
    }
}

impl StepSpec {
    /// Makes the step.
    ///
    /// # Errors
    /// A parameter outside its range, or no memory for the step's history.
    pub fn build(&self) -> Result<Box<dyn Step>, SamplerError> {
        self.params().build()
    }

    /// Returns whether the step would change nothing.
    pub fn is_neutral(&self) -> bool {
        self.params().is_neutral()
    }

    /// Returns whether the best candidate before the step is always the best after it.
    pub fn keeps_best(&self) -> bool {
        self.params().keeps_best()
    }
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;
    use crate::steps::{Dry, Penalties, Temperature, TopK, TopNSigma, TopP, Xtc};

    #[test]
    fn steps_from_json() {
        let temperature = |t, delta, exponent| StepSpec::Temperature(Temperature { t, delta, exponent });
        let dry = Dry {
            multiplier: 0.5,
            base: 2.0,
            allowed_length: 0,
            last_n: 9,
            breakers: vec![vec![1], vec![2, 3]],
        };
        let cases = [
            (r#"{"type":"top_k","k":-1}"#, StepSpec::TopK(TopK { k: 0 })),
            (r#"{"type":"top_p","p":0.5}"#, StepSpec::TopP(TopP { p: 0.5, min_keep: 0 })),
            (r#"{"type":"top_p","p":0.5,"min_keep":3}"#, StepSpec::TopP(TopP { p: 0.5, min_keep: 3 })),
            (r#"{"type":"typical","p":0.5}"#, StepSpec::Typical(steps::Typical { p: 0.5, min_keep: 0 })),
            (r#"{"type":"temp","t":-2.0}"#, temperature(0.0, 0.0, 1.0)),
            (r#"{"type":"temp_ext","t":1.0,"delta":0.5,"exponent":2.0}"#, temperature(1.0, 0.5, 2.0)),
            (
                r#"{"type":"xtc","probability":0.5,"threshold":0.25,"seed":7}"#,
                StepSpec::Xtc(Xtc { probability: 0.5, threshold: 0.25, min_keep: 0, seed: 7 }),
            ),
            (r#"{"type":"top_n_sigma","n":-1.0}"#, StepSpec::TopNSigma(TopNSigma { n: 0.0 })),
            (
                r#"{"type":"penalties","last_n":-1,"repeat":1.5,"freq":0.5,"present":0.25}"#,
                StepSpec::Penalties(Penalties { last_n: 0, repeat: 1.5, frequency: 0.5, presence: 0.25 }),
            ),
            (
                r#"{"type":"dry","multiplier":0.5,"base":2.0,"allowed_length":-3,"last_n":9,"breakers":[[1],[2,3]]}"#,
                StepSpec::Dry(dry),
            ),
            (
                r#"{"type":"logit_bias","bias":[[1,0.5]]}"#,
                StepSpec::LogitBias(steps::LogitBias { bias: vec![(1, 0.5)] }),
            ),
        ];
        let mut wrong = Vec::new();
        for (text, expect) in cases {
            let found = serde_json::from_str::<StepSpec>(text);
            if !found.as_ref().is_ok_and(|found| *found == expect) {
                wrong.push(format!("{text}: {found:?}, expected {expect:?}"));
            }
        }
        for (text, expect) in [
            (r#"{"type":"top_p"}"#, "missing field `p`"),
            (r#"{"type":"top_p","p":0.5,"q":1}"#, "unknown field `q`"),
            (r#"{"type":"infill"}"#, "unknown variant `infill`"),
            (r#"{"p":1}"#, "missing field `type`"),
        ] {
            let said =
                serde_json::from_str::<StepSpec>(text).err().map(|e| e.to_string()).unwrap_or_default();
            if !said.contains(expect) {
                wrong.push(format!("{text}: {said:?}, expected {expect:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
