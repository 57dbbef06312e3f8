//! Routing in a mixture of experts: which experts a token is sent to, and with what weights.

use crate::ops::Ops;

/// How router logits become weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gating {
    /// Softmax over all experts, then the greatest are chosen.
    Softmax,
    /// A sigmoid for each expert, then the greatest are chosen.
    Sigmoid,
    /// The greatest logits are chosen, then softmax over these (gpt-oss).
    SoftmaxAfterTopK,
    /// The greatest logits are chosen, then a sigmoid for each of these (Llama 4). Logits can differ whose sigmoids
    /// round to the same number.
    SigmoidAfterTopK,
}

/// How a token is routed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouteSpec {
    /// How logits become weights.
    pub gating: Gating,
    /// Whether the weights of the chosen experts are divided by their sum.
    pub normalize: bool,
    /// Factor of the weights; 1 leaves them unchanged.
    pub scale: f32,
    /// Number of groups, and how many of them are used: experts come from the groups with the greatest sums of their
    /// two best scores; of equal sums, the lower group is used. The groups have the same size, one after the other.
    pub groups: Option<(usize, usize)>,
}

/// Minimum of the sum by which weights are divided: the smallest normal f16, as in ggml.
const LEAST_SUM: f32 = 6.103_515_6e-5;

/// Chooses `ids.len()` experts by their `logits` and computes their weights. The best comes first; of equal scores, the
/// lower id.
///
/// `logits` is overwritten. `bias` is added to the scores for the choice but not for the weights (for models with a
/// balancing bias). Outputs of experts must be added in the order of `ids`.
///
/// # Panics
/// If there are fewer experts than `ids.len()`, `weights` or `bias` have another length, or the groups do not divide the
/// experts: shapes of the model, not of a token.
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
        Gating::SoftmaxAfterTopK | Gating::SigmoidAfterTopK => {}
    }
    // 0.0 is added so that -0 and 0 are equal scores.
    let score = |p: &[f32], i: usize| p[i] + bias.map_or(0.0, |b| b[i]) + 0.0;
    if let Some((n_groups, n_used)) = spec.groups {
        drop_groups(logits, n_groups, n_used, score);
    }
    let probabilities = &*logits;
    let mut last: Option<(f32, usize)> = None;
    for (id, weight) in ids.iter_mut().zip(weights.iter_mut()) {
        let best = next_best(probabilities.len(), last, |i| score(probabilities, i));
        last = best;
        let i = best.map_or(0, |(_, i)| i);
        *id = i as u32;
        *weight = probabilities[i];
    }
    match spec.gating {
        Gating::SoftmaxAfterTopK => (ops.softmax)(weights),
        Gating::SigmoidAfterTopK => (ops.activate)(super::Activation::Sigmoid, weights),
        Gating::Softmax | Gating::Sigmoid => {}
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

/// Returns the best of `n` scores among those that rank after `last`: lower scores, or the same score at a higher
/// index.
fn next_best(n: usize, last: Option<(f32, usize)>, score: impl Fn(usize) -> f32) -> Option<(f32, usize)> {
    let mut best: Option<(f32, usize)> = None;
    for i in 0..n {
        let s = score(i);
        let after = last.is_none_or(|(v, j)| s.total_cmp(&v).is_lt() || (s.total_cmp(&v).is_eq() && i > j));
        if after && best.is_none_or(|(v, _)| s.total_cmp(&v).is_gt()) {
            best = Some((s, i));
        }
    }
    best
}

/// Makes the experts of all but the best `n_used` groups the worst choice.
fn drop_groups(logits: &mut [f32], n_groups: usize, n_used: usize, score: impl Fn(&[f32], usize) -> f32) {
    let size = logits.len() / n_groups;
    assert!(size > 0 && size * n_groups == logits.len() && (1..=n_groups).contains(&n_used));
    let sum = |logits: &[f32], group: usize| {
        let (mut first, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
        for i in group * size..(group + 1) * size {
            let s = score(logits, i);
            (first, second) = if s > first { (s, first) } else { (first, second.max(s)) };
        }
        if size == 1 { first } else { first + second + 0.0 }
    };
    let mut last = None;
    for _ in 0..n_used {
        last = next_best(n_groups, last, |group| sum(logits, group));
    }
    // Drops the groups that rank after the last one that is used. The sums of groups that follow are still unchanged,
    // as each group's sum reads its own experts only.
    for group in 0..n_groups {
        let s = sum(logits, group);
        if last.is_some_and(|(v, j)| s.total_cmp(&v).is_lt() || (s.total_cmp(&v).is_eq() && group > j)) {
            logits[group * size..(group + 1) * size].fill(f32::NEG_INFINITY);
        }
    }
}
