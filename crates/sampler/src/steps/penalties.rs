//! Penalties on tokens that were used recently.

use super::{MAX_LAST_N, Step};
use crate::error::check;
use crate::{Candidates, SamplerError, TokenId};

/// Repeat, frequency and presence penalties over the last `last_n` accepted tokens. For a token that occurs `n > 0` times:
///
/// ```text
/// logit = logit <= 0 ? logit * repeat : logit / repeat      (Keskar et al. 2019, with llama.cpp's fix for negative logits)
/// logit -= n * freq + present
/// ```
#[derive(Debug, Clone)]
pub struct Penalties {
    last_n: usize,
    repeat: f32,
    freq: f32,
    present: f32,
    // Ring of the last tokens; `next` is the oldest once it is full.
    ring: Vec<TokenId>,
    next: usize,
    // Occurrences in the ring, ascending by token.
    counts: Vec<(TokenId, u32)>,
}

impl Penalties {
    /// Neutral values are `repeat = 1`, `freq = 0`, `present = 0`; `last_n = 0` turns the step off.
    ///
    /// # Errors
    /// `repeat` must be finite and above 0, the others finite (negative ones favour repetition), `last_n` at most 2^20.
    pub fn new(last_n: usize, repeat: f32, freq: f32, present: f32) -> Result<Self, SamplerError> {
        check(last_n <= MAX_LAST_N, "penalties", "last_n", "at most 1048576", last_n as f64)?;
        check(repeat.is_finite() && repeat > 0.0, "penalties", "repeat", "finite and above 0", repeat)?;
        check(freq.is_finite(), "penalties", "freq", "finite", freq)?;
        check(present.is_finite(), "penalties", "present", "finite", present)?;
        let neutral = repeat == 1.0 && freq == 0.0 && present == 0.0;
        let last_n = if neutral { 0 } else { last_n };
        let (mut ring, mut counts) = (Vec::new(), Vec::new());
        let reserved = ring.try_reserve_exact(last_n).is_ok() && counts.try_reserve_exact(last_n + 1).is_ok();
        if !reserved {
            return Err(SamplerError::OutOfMemory { entries: last_n });
        }
        Ok(Penalties { last_n, repeat, freq, present, ring, next: 0, counts })
    }
}

impl Step for Penalties {
    fn apply(&mut self, c: &mut Candidates) {
        let (repeat, freq, present) = (self.repeat, self.freq, self.present);
        c.edit(&self.counts, |logit, &n| {
            if logit == f32::NEG_INFINITY {
                return logit;
            }
            let scaled = if logit <= 0.0 { logit * repeat } else { logit / repeat };
            scaled - (n as f32 * freq + present)
        });
    }

    fn accept(&mut self, t: TokenId) {
        if self.last_n == 0 {
            return;
        }
        match self.counts.binary_search_by_key(&t, |c| c.0) {
            Ok(i) => self.counts.iter_mut().skip(i).take(1).for_each(|c| c.1 += 1),
            Err(i) => self.counts.insert(i, (t, 1)),
        }
        if self.ring.len() < self.last_n {
            return self.ring.push(t);
        }
        let Some(slot) = self.ring.get_mut(self.next) else { return };
        let old = std::mem::replace(slot, t);
        self.next = (self.next + 1) % self.last_n;
        if let Ok(i) = self.counts.binary_search_by_key(&old, |c| c.0)
            && let Some(c) = self.counts.get_mut(i)
        {
            c.1 -= 1;
            if c.1 == 0 {
                self.counts.remove(i);
            }
        }
    }

    fn reset(&mut self) {
        self.ring.clear();
        self.counts.clear();
        self.next = 0;
    }
}
