//! Keys that change the result. A file with such a key is refused if its architecture did not read the key.

use std::cell::Cell;

use happy_gguf::Value;

use super::params::Params;
use crate::error::LoadError;

/// Keys that are refused unless they have one of two neutral values: 0 or this one.
const NEUTRAL: &[(&str, i128)] =
    &[("expert_group_count", 1), ("leading_dense_block_count", 0), ("interleave_moe_layer_step", 1)];

/// Numbers that must be 0 or absent.
const ZERO: &[&str] = &[
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "rope.scaling.alpha",
    "attention.value_scale",
    "attention.output_scale",
    "rope.dimension_sections",
    "swiglu_clamp_exp",
    "swiglu_clamp_shexp",
];

/// Keys, each with the key whose value it must repeat.
const SAME: &[(&str, &str)] = &[
    ("attention.key_length_swa", "attention.key_length"),
    ("attention.value_length_swa", "attention.value_length"),
    ("rope.dimension_count_swa", "rope.dimension_count"),
];

/// Keys with special rules.
const OTHER: &[&str] = &["deepstack_mapping"];

/// Returns all of these keys.
fn keys() -> impl Iterator<Item = &'static str> {
    let neutral = NEUTRAL.iter().map(|(key, _)| *key);
    let same = SAME.iter().map(|(key, _)| *key);
    neutral.chain(same).chain(ZERO.iter().chain(OTHER).copied())
}

/// Which of these keys were read, one bit per key.
#[derive(Default)]
pub(super) struct Heeded(Cell<u64>);

impl Heeded {
    fn bit(key: &str) -> u64 {
        keys().position(|k| k == key).map_or(0, |i| 1 << i)
    }

    /// Records that a key was read.
    pub(super) fn note(&self, key: &str) {
        self.0.set(self.0.get() | Self::bit(key));
    }

    /// Returns whether a key was read.
    pub(super) fn contains(&self, key: &str) -> bool {
        self.0.get() & Self::bit(key) != 0
    }
}

/// Returns whether a value has no effect: zero, or an array of zeros.
fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::F32(x) => *x == 0.0,
        Value::F64(x) => *x == 0.0,
        Value::Bool(b) => !b,
        Value::Array(a) => a.iter().all(|v| is_zero(&v)),
        other => other.as_integer() == Some(0),
    }
}

/// Refuses keys that would change the result, unless the architecture read them.
pub(super) fn refuse(p: &Params<'_>) -> Result<(), LoadError> {
    let value = |key: &str| p.look(key).filter(|_| !p.heeds(key));
    let unsupported = |key: &str| p.unsupported(key, None);
    for (key, neutral) in NEUTRAL {
        if let Some(value) = value(key) {
            let found = value.as_integer();
            if found != Some(0) && found != Some(*neutral) {
                return Err(unsupported(key));
            }
        }
    }
    for key in ZERO {
        if value(key).is_some_and(|v| !is_zero(&v)) {
            return Err(unsupported(key));
        }
    }
    for (key, other) in SAME {
        if let Some(value) = value(key)
            && p.look(other) != Some(value)
        {
            return Err(unsupported(key));
        }
    }
    // -1 in every layer means that no images are injected.
    if let Some(value) = value("deepstack_mapping") {
        let inert =
            matches!(&value, Value::Array(a) if a.iter().all(|v| v.as_integer().is_some_and(|n| n < 0)));
        if !inert {
            return Err(unsupported("deepstack_mapping"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_key_has_a_bit() {
        let all: Vec<&str> = super::keys().collect();
        assert!(all.len() <= 64);
        let heeded = super::Heeded::default();
        for (i, key) in all.iter().enumerate() {
            assert!(!all[..i].contains(key) && !heeded.contains(key), "{key}");
            heeded.note(key);
            assert!(heeded.contains(key), "{key}");
        }
        heeded.note("block_count");
        assert!(!heeded.contains("block_count"));
    }
}
