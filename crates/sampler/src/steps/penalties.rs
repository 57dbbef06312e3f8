//! Penalties on tokens that were used recently.

use super::{MAX_LAST_N, Step, StepParams, boxed};
use crate::error::check;
use crate::parameters::parameters;
use crate::{Candidates, SamplerError, TokenId};

parameters! {
    /// Repeat, frequency and presence penalties over the last `last_n` accepted tokens. For a token that occurs `n > 0` times:
    ///
    /// ```text
    /// logit = logit <= 0 ? logit * repeat : logit / repeat      (Keskar et al. 2019, with llama.cpp's fix for negative logits)
    /// logit -= n * frequency + presence
    /// ```
    pub struct Penalties {
        /// Number of recent tokens that the penalties look at. At most 1,048,576; 0 turns them off. Default: 64.
        pub last_n: usize = 64 => serde(deserialize_with = "crate::parameters::json::count"),
        /// Divide positive logits of recent tokens by this, and multiply negative ones by it. Above 0; 1 is neutral, and
        /// values below 1 favor repetition. Default: 1.
        pub repeat: f32 = 1.0,
        /// Subtract this from a logit for each recent occurrence of its token. Any finite number; 0 is neutral, and negative
        /// values favor repetition. Default: 0.
        pub frequency: f32 = 0.0 => serde(rename = "freq"),
        /// Subtract this once from the logits of recent tokens. Any finite number; 0 is neutral, and negative values favor
        /// repetition. Default: 0.
        pub presence: f32 = 0.0 => serde(rename = "present"),
    }
}

impl StepParams for Penalties {
    fn is_neutral(&self) -> bool {
        self.repeat == 1.0 && self.frequency == 0.0 && self.presence == 0.0
    }

    fn build(&self) -> Result<Box<dyn Step>, SamplerError> {
        let Penalties { last_n, repeat, frequency, presence } = *self;
        check(last_n <= MAX_LAST_N, "penalties", "last_n", "at most 1048576", last_n as f64)?;
        check(repeat.is_finite() && repeat > 0.0, "penalties", "repeat", "finite and above 0", repeat)?;
        check(frequency.is_finite(), "penalties", "frequency", "finite", frequency)?;
        check(presence.is_finite(), "penalties", "presence", "finite", presence)?;
        let last_n = if self.is_neutral() { 0 } else { last_n };
        let (mut ring, mut counts) = (Vec::new(), Vec::new());
        let reserved = ring.try_reserve_exact(last_n).is_ok() && counts.try_reserve_exact(last_n + 1).is_ok();
        if !reserved {
            return Err(SamplerError::OutOfMemory { entries: last_n });
        }
        boxed(Penalize { last_n, repeat, frequency, presence, ring, next: 0, counts })
    }
}

/// The step, with the tokens that it looks at.
#[derive(Clone)]
struct Penalize {
    last_n: usize,
    repeat: f32,
    frequency: f32,
    presence: f32,
    // Ring of the last tokens; once it is full, `next` is the oldest.
    ring: Vec<TokenId>,
    next: usize,
    // Occurrences in the ring, ascending by token.
    counts: Vec<(TokenId, u32)>,
}

impl Step for Penalize {
    fn apply(&mut self, c: &mut Candidates) {
        let (repeat, frequency, presence) = (self.repeat, self.frequency, self.presence);
        c.edit(&self.counts, |logit, &n| {
            if logit == f32::NEG_INFINITY {
                return logit;
            }
            let scaled = if logit <= 0.0 { logit * repeat } else { logit / repeat };
            scaled - (n as f32 * frequency + presence)
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
