//! Routing in a mixture of experts: which experts a token visits, and how much each counts.

use crate::ops::Ops;

/// How router logits become weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gating {
    /// Softmax over all experts, then the greatest are taken.
    Softmax,
    /// A sigmoid for each expert, then the greatest are taken.
    Sigmoid,
    /// The greatest logits are taken, then softmax over these (gpt-oss).
    SoftmaxAfterTopK,
}

/// How a token is routed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouteSpec {
    /// How logits become weights.
    pub gating: Gating,
    /// Whether the weights of the taken experts are divided by their sum.
    pub normalize: bool,
    /// Factor of the weights; 1 for none.
    pub scale: f32,
}

/// Least sum that weights are divided by: the smallest normal f16, as ggml has it.
const LEAST_SUM: f32 = 6.103_515_6e-5;

/// Chooses `ids.len()` experts by their `logits`, best first, equal scores by the lower id, and gives their weights.
///
/// `logits` is overwritten. `bias` is added to the scores for the choice and not for the weights (as models with a
/// balancing bias do). Experts add in the order of `ids`.
///
/// # Panics
/// If there are fewer experts than `ids.len()`, or `weights` or `bias` have another length: shapes of the model, not
/// of a token.
pub fn route(
    ops: &Ops,
    spec: &RouteSpec,
    logits: &mut [f32],
    bias: Option<&[f32]>,
    ids: &mut [u32],
    weights: &mut [f32],
) {
    assert!(ids.len() <= logits.len() && ids.len() == weights.len());
    assert!(bias.is_none_or(|b| b.len() == logits.len()));
    match spec.gating {
        Gating::Softmax => (ops.softmax)(logits),
        Gating::Sigmoid => (ops.activate)(super::Activation::Sigmoid, logits),
        Gating::SoftmaxAfterTopK => {}
    }
    let probabilities = &*logits;
    // 0.0 is added so that -0 and 0 are equal scores
    let score = |i: usize| probabilities[i] + bias.map_or(0.0, |b| b[i]) + 0.0;
    let mut last: Option<(f32, usize)> = None;
    for (id, weight) in ids.iter_mut().zip(weights.iter_mut()) {
        // the best of those that come after the last taken: a lower score, or the same score and a higher id
        let mut best: Option<(f32, usize)> = None;
        for i in 0..probabilities.len() {
            let s = score(i);
            let after =
                last.is_none_or(|(v, j)| s.total_cmp(&v).is_lt() || (s.total_cmp(&v).is_eq() && i > j));
            if after && best.is_none_or(|(v, _)| s.total_cmp(&v).is_gt()) {
                best = Some((s, i));
            }
        }
        last = best;
        let i = best.map_or(0, |(_, i)| i);
        *id = i as u32;
        *weight = probabilities[i];
    }
    if spec.gating == Gating::SoftmaxAfterTopK {
        (ops.softmax)(weights);
    }
    if spec.normalize {
        let mut sum = 0.0f32;
        for w in weights.iter() {
            sum += w;
        }
        let sum = if sum < LEAST_SUM { LEAST_SUM } else { sum };
        for w in weights.iter_mut() {
            *w /= sum;
        }
    }
    if spec.scale != 1.0 {
        for w in weights.iter_mut() {
            *w *= spec.scale;
        }
    }
}
