//! The distance of a distribution from the true one: Kullback-Leibler divergence over the truth's best tokens and the
//! rest.
//!
//! Reference files, little endian, per case: u32 n_positions, u32 n_vocab, then per position f32 logsumexp of all logits and
//! K pairs (u32 token, f32 logit), best first.

use happy_testkit::Files;

/// The data of one position in a reference file.
pub(crate) struct Position {
    /// ln of the sum of exp over all logits.
    pub(crate) logsumexp: f32,
    /// The K best tokens and their logits.
    pub(crate) best: Vec<(u32, f32)>,
}

/// Reads the positions of each case, with `k` tokens each.
pub(crate) fn read(files: &Files, path: &str, k: usize) -> Result<Vec<Vec<Position>>, String> {
    let bytes = files.bytes(path)?;
    let (words, rest) = bytes.as_chunks::<4>();
    let mut words = words.iter().copied();
    let cut = || format!("{path}: cut short");
    let mut cases = Vec::new();
    while let Some(n_positions) = words.next().map(u32::from_le_bytes) {
        let _n_vocab = words.next().ok_or_else(cut)?;
        let mut positions = Vec::new();
        for _ in 0..n_positions {
            let logsumexp = f32::from_le_bytes(words.next().ok_or_else(cut)?);
            let mut best = Vec::with_capacity(k);
            for _ in 0..k {
                let token = u32::from_le_bytes(words.next().ok_or_else(cut)?);
                best.push((token, f32::from_le_bytes(words.next().ok_or_else(cut)?)));
            }
            positions.push(Position { logsumexp, best });
        }
        cases.push(positions);
    }
    if rest.is_empty() { Ok(cases) } else { Err(cut()) }
}

/// Returns ln of the sum of exp, in f64, with ids ascending.
pub(crate) fn logsumexp(logits: &[f32]) -> f64 {
    let max = logits.iter().fold(f64::NEG_INFINITY, |m, x| m.max(f64::from(*x)));
    max + logits.iter().map(|x| (f64::from(*x) - max).exp()).sum::<f64>().ln()
}

/// Returns KL(truth || other) in nats, over the truth's tokens and one bucket for the rest. `other` returns a token's
/// log-probability.
pub(crate) fn divergence(truth: &Position, other: impl Fn(u32) -> f64) -> f64 {
    let (mut sum_p, mut sum_q, mut kl) = (0.0, 0.0, 0.0);
    for (token, logit) in &truth.best {
        let ln_p = f64::from(*logit) - f64::from(truth.logsumexp);
        let ln_q = other(*token);
        let p = ln_p.exp();
        sum_p += p;
        sum_q += ln_q.exp();
        kl += p * (ln_p - ln_q);
    }
    // Because of rounding, the rest may be 0 or less.
    let (rest_p, rest_q) = ((1.0 - sum_p).max(0.0), (1.0 - sum_q).max(1e-12));
    if rest_p > 0.0 { kl + rest_p * (rest_p / rest_q).ln() } else { kl }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth() -> Position {
        // Probabilities 0.5 and 0.25, the rest 0.25.
        Position { logsumexp: 0.0, best: vec![(7, 0.5f32.ln()), (3, 0.25f32.ln())] }
    }

    #[test]
    fn the_same_distribution_is_at_no_distance() {
        let same = |token| if token == 7 { f64::from(0.5f32.ln()) } else { f64::from(0.25f32.ln()) };
        assert!(divergence(&truth(), same).abs() < 1e-12);
    }

    #[test]
    fn a_known_distance() {
        // q = (0.25, 0.25, rest 0.5): 0.5 ln 2 + 0 + 0.25 ln 0.5 = 0.25 ln 2.
        let kl = divergence(&truth(), |_| 0.25f64.ln());
        assert!((kl - 0.25 * 2f64.ln()).abs() < 1e-6, "{kl}");
    }

    #[test]
    fn logsumexp_does_not_overflow() {
        assert!((logsumexp(&[1000.0, 1000.0]) - (1000.0 + 2f64.ln())).abs() < 1e-9);
    }
}
