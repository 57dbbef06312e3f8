//! Which tensor gets which type: the mixes of llama.cpp's quantiser, under its names.
//!
//! A mix has a type that most matrices get; those that matter more get more bits: the output matrix, the values of
//! attention, `ffn_down`, and of each more in the first and last layers. The rules follow `llama_tensor_get_type` of
//! llama.cpp, so that files of one name hold the same types whoever made them.

use crate::error::{CliError, CliResult};
use happy_gguf::{GgufSet, TensorInfo, Value};
use happy_tensor::DType;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

macro_rules! mixes {
    ($($variant:ident $name:literal $dtype:ident $file_type:literal;)*) => {
        /// A mix of types.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Mix {
            $(#[doc = $name] $variant,)*
        }

        impl Mix {
            /// Every mix.
            pub(crate) const ALL: &[Mix] = &[$(Mix::$variant),*];

            fn name(self) -> &'static str {
                match self { $(Mix::$variant => $name,)* }
            }

            /// What most matrices get.
            pub(crate) fn dtype(self) -> DType {
                match self { $(Mix::$variant => DType::$dtype,)* }
            }

            /// The number that `general.file_type` has for it.
            pub(crate) fn file_type(self) -> u32 {
                match self { $(Mix::$variant => $file_type,)* }
            }
        }
    };
}

mixes! {
    Q4_0 "Q4_0" Q4_0 2;
    Q4_1 "Q4_1" Q4_1 3;
    Q5_0 "Q5_0" Q5_0 8;
    Q5_1 "Q5_1" Q5_1 9;
    Q8_0 "Q8_0" Q8_0 7;
    Q2K "Q2_K" Q2K 10;
    Q2KS "Q2_K_S" Q2K 21;
    Q3KS "Q3_K_S" Q3K 11;
    Q3KM "Q3_K_M" Q3K 12;
    Q3KL "Q3_K_L" Q3K 13;
    Q4KS "Q4_K_S" Q4K 14;
    Q4KM "Q4_K_M" Q4K 15;
    Q5KS "Q5_K_S" Q5K 16;
    Q5KM "Q5_K_M" Q5K 17;
    Q6K "Q6_K" Q6K 18;
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mix {
    type Err = String;

    /// The name in any case; `Q3_K`, `Q4_K` and `Q5_K` stand for their `_M`.
    fn from_str(s: &str) -> Result<Self, String> {
        let wanted = s.to_ascii_uppercase();
        let wanted = match wanted.as_str() {
            "Q3_K" | "Q4_K" | "Q5_K" => format!("{wanted}_M"),
            _ => wanted,
        };
        Self::ALL.iter().copied().find(|m| m.name() == wanted).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|m| m.name()).collect();
            format!("unknown type {s:?}, expected one of {}", names.join(", "))
        })
    }
}

/// A type for the tensors whose name matches: `PATTERN=TYPE`.
#[derive(Clone, Debug)]
pub(crate) struct Override {
    pattern: String,
    pub(crate) dtype: DType,
}

impl FromStr for Override {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let (pattern, dtype) =
            s.rsplit_once('=').ok_or_else(|| format!("expected PATTERN=TYPE, found {s:?}"))?;
        if pattern.is_empty() {
            return Err(format!("expected a pattern before the `=` of {s:?}"));
        }
        let dtype = dtype.parse::<DType>().map_err(|e| e.to_string())?;
        Ok(Self { pattern: pattern.to_owned(), dtype })
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.pattern, self.dtype)
    }
}

impl Override {
    /// Whether the pattern occurs in the name; a `*` in it stands for any characters.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let mut rest = name;
        self.pattern.split('*').all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    }
}

/// The element type of a tensor, if it is one that can be computed with.
pub(crate) fn dtype_of(tensor: &TensorInfo<'_>) -> Option<DType> {
    DType::from_name(tensor.ty.name())
}

/// Parts of the names of tensors that stay as they are: small, or not multiplied as matrices.
const KEPT: [&str; 26] = [
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "position_embd.weight",
    "token_types.weight",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    ".rel_pos",
    ".patch_embd",
];

/// Whether a tensor is a matrix that a mix covers.
fn is_quantised(tensor: &TensorInfo<'_>) -> bool {
    // GGUF writes [n] for a vector, but [n, 1] is one too.
    tensor.dims.padded()[1..].iter().any(|d| *d > 1)
        && tensor.name.ends_with("weight")
        && !KEPT.iter().any(|part| tensor.name.contains(part))
}

/// What a tensor is for.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Output,
    Embedding,
    /// Values of attention, alone or with what is stored with them.
    Value,
    Key,
    AttentionOutput,
    Down,
    Other,
}

fn kind(name: &str) -> Kind {
    let is = |part| name.contains(part);
    match name {
        "output.weight" => Kind::Output,
        "token_embd.weight" | "per_layer_token_embd.weight" => Kind::Embedding,
        _ if is("attn_qkv.weight") || is("attn_kv_b.weight") || is("attn_v.weight") => Kind::Value,
        _ if is("attn_k.weight") => Kind::Key,
        _ if is("attn_output.weight") => Kind::AttentionOutput,
        _ if is("ffn_down") => Kind::Down,
        _ => Kind::Other,
    }
}

/// The number after `blk.`.
fn layer(name: &str) -> Option<usize> {
    name.strip_prefix("blk.")?.split('.').next()?.parse().ok()
}

/// What the rules ask of a model.
struct Model {
    n_layers: usize,
    n_values: usize,
    n_experts: usize,
    /// Query heads that share a key.
    group: usize,
    is_falcon: bool,
    is_70b: bool,
    tied: bool,
    weighted: bool,
}

impl Model {
    fn new(gguf: &GgufSet<'_>, weighted: bool) -> Self {
        let arch = gguf.metadata().optional::<&str>("general.architecture").ok().flatten().unwrap_or("");
        let number = |key: &str| {
            let value = match gguf.metadata().get(&format!("{arch}.{key}"))? {
                Value::Array(array) => array.get(0)?,
                value => value,
            };
            usize::try_from(value.as_integer()?).ok()
        };
        let heads = number("attention.head_count").unwrap_or(0);
        let n_layers = number("block_count").unwrap_or(0);
        Self {
            n_layers,
            n_values: gguf.tensors().filter(|(_, t)| kind(t.name) == Kind::Value).count(),
            n_experts: number("expert_count").unwrap_or(0),
            group: heads / number("attention.head_count_kv").unwrap_or(heads).max(1),
            is_falcon: arch == "falcon",
            is_70b: matches!(arch, "llama" | "qwen2") && n_layers == 80,
            tied: gguf.tensor("output.weight").is_none(),
            weighted,
        }
    }
}

/// The layers that get more bits: the first and the last eighth, and of the others every third.
fn use_more_bits(i: usize, n: usize) -> bool {
    i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2
}

/// The type of every tensor that is to be encoded; one whose blocks fit its rows.
#[derive(Debug, Default)]
pub(crate) struct Types {
    /// By name: the type, and the one that the mix asks for.
    by_name: BTreeMap<String, (DType, DType)>,
}

impl Types {
    pub(crate) fn get(&self, name: &str) -> Option<DType> {
        self.by_name.get(name).map(|(dtype, _)| *dtype)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|name| &**name)
    }

    /// What was used instead of types whose blocks do not fit, in one sentence.
    pub(crate) fn replacements(&self) -> Option<String> {
        let replaced = self.by_name.values().filter(|(dtype, asked)| dtype != asked);
        let pairs: BTreeSet<String> =
            replaced.clone().map(|(dtype, asked)| format!("{dtype} instead of {asked}")).collect();
        let pairs: Vec<String> = pairs.into_iter().collect();
        (!pairs.is_empty()).then(|| {
            let (n, all) = (replaced.count(), self.by_name.len());
            format!("{n} of {all} matrices have rows that are not whole blocks and got {}", pairs.join(", "))
        })
    }
}

/// Chooses the types.
pub(crate) fn types(
    gguf: &GgufSet<'_>,
    mix: Mix,
    overrides: &[Override],
    weighted: bool,
) -> CliResult<Types> {
    let model = Model::new(gguf, weighted);
    let mut tensors: Vec<TensorInfo<'_>> = Vec::new();
    let n = gguf.tensors().count();
    tensors
        .try_reserve_exact(n)
        .map_err(|_| CliError::new(format!("no memory for the types of {n} tensors")))?;
    tensors.extend(gguf.tensors().map(|(_, tensor)| tensor));
    // The rules count tensors in the order of the layers.
    tensors.sort_unstable_by_key(|t| (layer(t.name).map_or(0, |l| l.saturating_add(1)), t.name));
    let (mut values, mut downs) = (0, 0);
    let mut types = Types::default();
    for t in tensors.iter().filter(|t| is_quantised(t) && dtype_of(t).is_some()) {
        let mut dtype = of_mix(&model, mix, t, values, downs);
        match kind(t.name) {
            Kind::Value => values += 1,
            Kind::Down => downs += 1,
            _ => {}
        }
        if let Some(by_hand) = overrides.iter().find(|o| o.matches(t.name)) {
            dtype = by_hand.dtype;
        }
        types.by_name.insert(t.name.to_owned(), (that_fits(dtype, t.dims.padded()[0]), dtype));
    }
    Ok(types)
}

/// The type, or one of about as many bits whose blocks fit rows of `k` elements.
fn that_fits(dtype: DType, k: u64) -> DType {
    let fits = |dtype: DType| k.is_multiple_of(dtype.block_len() as u64);
    if fits(dtype) {
        return dtype;
    }
    let smaller = match dtype {
        DType::Q4K => DType::Q5_0,
        DType::Q5K => DType::Q5_1,
        DType::Q6K => DType::Q8_0,
        DType::Q2K | DType::Q3K | DType::Q1_0 | DType::Q2_0 | DType::TQ1_0 | DType::TQ2_0 => DType::Q4_0,
        _ => DType::IQ4NL,
    };
    if fits(smaller) { smaller } else { DType::F16 }
}

/// `values` and `downs` are how many tensors of these kinds were before.
fn of_mix(m: &Model, mix: Mix, t: &TensorInfo<'_>, values: usize, downs: usize) -> DType {
    let base = mix.dtype();
    let name = t.name;
    let qkv = name.contains("attn_qkv.weight");
    let dtype = match kind(name) {
        Kind::Output => return output(m, mix, t),
        Kind::Embedding if m.tied => return output(m, mix, t),
        Kind::Value => match mix {
            Mix::Q2K if m.group >= 4 => DType::Q4K,
            Mix::Q2K => DType::Q3K,
            Mix::Q2KS if m.group >= 4 => DType::Q4K,
            Mix::Q3KM if values < 2 => DType::Q5K,
            Mix::Q3KM => DType::Q4K,
            Mix::Q3KL => DType::Q5K,
            Mix::Q4KM | Mix::Q5KM if use_more_bits(values, m.n_values) => DType::Q6K,
            Mix::Q4KS if values < 4 => DType::Q5K,
            _ => base,
        },
        Kind::Down => {
            let i = if m.n_experts > 1 { layer(name).unwrap_or(downs) } else { downs };
            let n = m.n_layers;
            match mix {
                Mix::Q2K => DType::Q3K,
                Mix::Q2KS if i < n / 8 => DType::Q4K,
                Mix::Q3KM if i < n / 16 => DType::Q5K,
                Mix::Q3KM if !m.is_falcon || use_more_bits(i, n) => DType::Q4K,
                Mix::Q3KL if m.is_falcon => DType::Q4K,
                Mix::Q3KL => DType::Q5K,
                Mix::Q4KM if m.is_falcon && i < n / 16 => DType::Q6K,
                Mix::Q4KM if use_more_bits(i, n) => {
                    if m.is_falcon {
                        DType::Q5K
                    } else {
                        DType::Q6K
                    }
                }
                Mix::Q5KM if use_more_bits(i, n) => DType::Q6K,
                Mix::Q4KS if !m.is_falcon && i < n / 8 => DType::Q5K,
                Mix::Q4_0 if m.weighted && i < n / 8 => DType::Q4_1,
                Mix::Q5_0 if m.weighted && i < n / 8 => DType::Q5_1,
                _ => base,
            }
        }
        Kind::AttentionOutput if m.is_falcon => match mix {
            Mix::Q3KL => DType::Q4K,
            _ => base,
        },
        Kind::AttentionOutput if m.n_experts == 8 => match mix {
            Mix::Q2K | Mix::Q3KS | Mix::Q3KM | Mix::Q4KS | Mix::Q4KM => DType::Q5K,
            _ => base,
        },
        Kind::AttentionOutput => match mix {
            Mix::Q2K => DType::Q3K,
            Mix::Q3KM => DType::Q4K,
            Mix::Q3KL => DType::Q5K,
            _ => base,
        },
        Kind::Key | Kind::Embedding | Kind::Other => base,
    };
    match (kind(name), dtype) {
        // With eight experts these are a small part of the file.
        (Kind::Value | Kind::Key, _) if m.n_experts == 8 => DType::Q8_0,
        // Eight heads share a value here, so it is small too.
        (Kind::Value, DType::Q3K | DType::Q4K) if m.is_70b && !qkv => DType::Q5K,
        (_, dtype) => dtype,
    }
}

/// The output matrix, which may be the embedding.
fn output(m: &Model, mix: Mix, t: &TensorInfo<'_>) -> DType {
    let base = mix.dtype();
    // Q8_0 is what the mixes ask for here, not a replacement.
    if m.is_falcon || !t.dims.padded()[0].is_multiple_of(base.block_len() as u64) || base == DType::Q8_0 {
        DType::Q8_0
    } else {
        DType::Q6K
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns() {
        assert_eq!("q4_k".parse(), Ok(Mix::Q4KM));
        assert!("q9".parse::<Mix>().is_err_and(|e| e.contains("Q5_K_S")));
        let rule = |s: &str| s.parse::<Override>();
        assert!(rule("ffn_*.weight=Q8_0").is_ok_and(|r| r.matches("blk.0.ffn_up.weight")));
        assert!(rule("attn_v=q6_k").is_ok_and(|r| !r.matches("blk.0.attn_k.weight")));
        assert!(rule("attn_v").is_err() && rule("=F16").is_err() && rule("a=Q9").is_err());
    }

    #[test]
    fn layers_with_more_bits() {
        let chosen: Vec<usize> = (0..16).filter(|i| use_more_bits(*i, 16)).collect();
        assert_eq!(chosen, [0, 1, 4, 7, 10, 13, 14, 15]);
    }

    #[test]
    fn rows_that_are_not_whole_blocks_get_another_type() {
        assert_eq!(that_fits(DType::Q4K, 576), DType::Q5_0);
        assert_eq!(that_fits(DType::Q6K, 576), DType::Q8_0);
        assert_eq!(that_fits(DType::Q4K, 100), DType::F16);
        assert_eq!(that_fits(DType::Q4K, 512), DType::Q4K);
    }
}
