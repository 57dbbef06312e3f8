//! Metadata that changes the result and that no architecture here implements: such a file is refused.

use happy_gguf::Value;

use super::params::Params;
use crate::error::LoadError;

/// Keys whose presence with a value other than these two neutral ones is refused.
const NEUTRAL: &[(&str, i128)] = &[
    ("pooling_type", 0),
    ("nextn_predict_layers", 0),
    ("expert_group_count", 1),
    ("leading_dense_block_count", 0),
    ("interleave_moe_layer_step", 1),
];

/// Numbers that must be 0 or absent.
const ZERO: &[&str] = &[
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "rope.scaling.alpha",
    "attention.value_scale",
    "attention.output_scale",
];

/// Key and the key whose value it repeats, in files that these architectures can run.
const SAME: &[(&str, &str)] = &[
    ("attention.key_length_swa", "attention.key_length"),
    ("attention.value_length_swa", "attention.value_length"),
    ("rope.dimension_count_swa", "rope.dimension_count"),
];

/// Whether a value does nothing: zero, or an array of zeros.
fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::F32(x) => *x == 0.0,
        Value::F64(x) => *x == 0.0,
        Value::Bool(b) => !b,
        Value::Array(a) => a.iter().all(|v| is_zero(&v)),
        other => other.as_integer() == Some(0),
    }
}

/// Refuses what would change the result and is not implemented, except keys that the architecture `heeds`.
pub(super) fn refuse(p: &Params<'_>, heeds: &dyn Fn(&str) -> bool) -> Result<(), LoadError> {
    let value = |key: &str| p.value(key).filter(|_| !heeds(key));
    let unsupported = |key: &str| p.unsupported(key, None);
    for (key, neutral) in NEUTRAL {
        if let Some(value) = value(key) {
            let found = value.as_integer();
            if found != Some(0) && found != Some(*neutral) {
                return Err(unsupported(key));
            }
        }
    }
    for key in
        ZERO.iter().copied().chain(["rope.dimension_sections", "swiglu_clamp_exp", "swiglu_clamp_shexp"])
    {
        if value(key).is_some_and(|v| !is_zero(&v)) {
            return Err(unsupported(key));
        }
    }
    for (key, other) in SAME {
        if let Some(value) = value(key)
            && p.value(other) != Some(value)
        {
            return Err(unsupported(key));
        }
    }
    if value("attention.causal").is_some_and(|v| v != Value::Bool(true)) {
        return Err(unsupported("attention.causal"));
    }
    // -1 in every layer: no images are injected
    if let Some(value) = value("deepstack_mapping") {
        let inert =
            matches!(&value, Value::Array(a) if a.iter().all(|v| v.as_integer().is_some_and(|n| n < 0)));
        if !inert {
            return Err(unsupported("deepstack_mapping"));
        }
    }
    Ok(())
}
