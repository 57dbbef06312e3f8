//! A draw from the softmax.

use super::Pick;
use crate::{Candidates, Rng, SavedState, TokenId, math};

/// A random draw from the softmax of the logits. With `u` from [`Rng::next_f64`], it picks the first candidate at which
/// the running sum of `exp(logit - max)` (f64, current order) exceeds `u` times the total. Each pick draws one number,
/// even if there is only one candidate.
#[derive(Debug, Clone)]
pub struct Dist {
    seed: u64,
    rng: Rng,
    // Sums of `BLOCK` candidates each, so that only one block is computed twice.
    sums: Vec<f64>,
}

const BLOCK: usize = 512;

impl Dist {
    /// Makes a draw with this seed.
    pub fn new(seed: u64) -> Self {
        Dist { seed, rng: Rng::new(seed), sums: Vec::new() }
    }
}

impl Pick for Dist {
    fn pick(&mut self, c: &mut Candidates) -> Option<TokenId> {
        let u = self.rng.next_f64();
        let max = f64::from(c.max_logit());
        if !max.is_finite() {
            return None;
        }
        let weight = |logit: f32| {
            let w = math::exp(f64::from(logit) - max);
            // NaN can only come from a custom step; such a candidate has no weight.
            if w > 0.0 { w } else { 0.0 }
        };
        self.sums.clear();
        c.for_blocks(BLOCK, |block| self.sums.push(block.map(|(_, l)| weight(l)).sum()));
        let target = u * self.sums.iter().sum::<f64>();

        let (mut below, mut chosen) = (0.0f64, 0);
        for (i, sum) in self.sums.iter().enumerate() {
            if *sum > 0.0 {
                chosen = i;
                if below + sum > target {
                    break;
                }
            }
            below += sum;
        }
        // If rounding makes the running sum end below the target, the last candidate with a weight is picked.
        let (mut run, mut found, mut block_index) = (below, None, 0);
        if below + self.sums.get(chosen)? <= target {
            run = f64::NEG_INFINITY;
        }
        c.for_blocks(BLOCK, |block| {
            if block_index == chosen {
                let mut done = false;
                for (id, logit) in block {
                    let w = weight(logit);
                    if w > 0.0 && !done {
                        found = Some(id);
                        run += w;
                        done = run > target;
                    }
                }
            }
            block_index += 1;
        });
        found
    }

    fn reset(&mut self) {
        self.rng = Rng::new(self.seed);
    }

    fn seed(&mut self, seed: u64) {
        *self = Dist { seed, rng: Rng::new(seed), sums: std::mem::take(&mut self.sums) };
    }

    fn state(&self, add: &mut dyn FnMut(u64)) {
        self.rng.state().into_iter().for_each(add);
    }

    fn set_state(&mut self, saved: &mut SavedState<'_>) -> Option<()> {
        self.rng = saved.rng()?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_probabilities() {
        let probs = [0.1f32, 0.0, 0.6, 0.3];
        let logits: Vec<f32> = probs.iter().map(|&p| math::ln(f64::from(p)) as f32).collect();
        let mut c = Candidates::new();
        c.fill(&logits).unwrap();
        let mut dist = Dist::new(42);
        let mut counts = [0usize; 4];
        for _ in 0..20_000 {
            counts[dist.pick(&mut c).unwrap() as usize] += 1;
        }
        for (p, n) in probs.iter().zip(counts) {
            assert!((*p as f64 - n as f64 / 20_000.0).abs() < 0.02, "{counts:?}");
        }
        assert_eq!(counts[1], 0);
    }

    #[test]
    fn blocks_do_not_change_the_draw() {
        // Three blocks: first all weight in the last candidate of the middle one, then spread evenly.
        let mut logits = vec![f32::NEG_INFINITY; 3 * BLOCK];
        logits[2 * BLOCK - 1] = 0.0;
        let mut c = Candidates::new();
        c.fill(&logits).unwrap();
        assert_eq!(Dist::new(1).pick(&mut c), Some(2 * BLOCK as u32 - 1));
        c.fill(&vec![1.5; 3 * BLOCK]).unwrap();
        let mut dist = Dist::new(9);
        let mut rng = Rng::new(9);
        for _ in 0..200 {
            let expect = (rng.next_f64() * 3.0 * BLOCK as f64) as u32;
            assert_eq!(dist.pick(&mut c), Some(expect));
        }
    }
}
