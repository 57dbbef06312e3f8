//! DRY ("don't repeat yourself"): penalizes the token that would continue a repetition.
//!
//! ```text
//! history backwards: h[0] is the last token
//! limit     = distance to the nearest sequence breaker in h
//! z[k]      = min(limit, length of the common prefix of h and h[k..])      Z-algorithm, O(n)
//! for k with z[k] >= allowed: token h[k-1] followed the earlier occurrence; longest[h[k-1]] = max z[k]
//! logit[t] -= multiplier * base^(longest[t] - allowed)                     unless t alone is a breaker
//! ```
//! Source: llama.cpp `llama_sampler_dry_apply`, after pi6am's implementation in koboldcpp.

use std::collections::BinaryHeap;

use super::{MAX_LAST_N, Step, StepParams, boxed};
use crate::error::check;
use crate::parameters::parameters;
use crate::reserve::{collected, push};
use crate::{Candidates, SamplerError, TokenId, math};

parameters! {
    /// The DRY repetition penalty. See the module's text for the formula.
    pub struct Dry {
        /// Penalty of a token that would make a repetition one token longer than DRY allows. At least 0; 0 turns DRY off.
        /// Default: 0.
        pub multiplier: f32 = 0.0,
        /// Factor by which DRY's penalty grows with each further token of a repetition. At least 0; below 1 turns DRY off.
        /// Default: 1.75.
        pub base: f32 = 1.75,
        /// Length in tokens of the longest repetition that DRY allows: it penalizes tokens that would make one longer. 0
        /// penalizes every recent token. Default: 2.
        pub allowed_length: usize = 2 => serde(deserialize_with = "crate::parameters::json::count"),
        /// Number of recent tokens in which DRY looks for repetitions. At most 1,048,576; 0 turns DRY off. Default: 64.
        pub last_n: usize = 64 => serde(deserialize_with = "crate::parameters::json::count"),
        /// Token sequences that end a repetition; empty ones are ignored.
        /// [`breaker_sequences`](crate::steps::breaker_sequences) makes them from text. Default: none.
        pub breakers: Vec<Vec<TokenId>> = Vec::new() => serde(default),
    }
}

impl StepParams for Dry {
    fn is_neutral(&self) -> bool {
        self.multiplier == 0.0
    }

    fn build(&self) -> Result<Box<dyn Step>, SamplerError> {
        let Dry { multiplier, base, allowed_length, last_n, .. } = *self;
        for (name, x) in [("multiplier", multiplier), ("base", base)] {
            check(x.is_finite() && x >= 0.0, "dry", name, "finite and at least 0", x)?;
        }
        check(last_n <= MAX_LAST_N, "dry", "last_n", "at most 1048576", last_n as f64)?;
        let last_n = if multiplier == 0.0 || base < 1.0 { 0 } else { last_n };
        let (mut single, mut longer) = (Vec::new(), Vec::new());
        for breaker in &self.breakers {
            match breaker.as_slice() {
                [] => {}
                [token] => push(&mut single, *token)?,
                _ => push(&mut longer, collected(breaker.iter().copied())?)?,
            }
        }
        single.sort_unstable();
        // Its code is a tenth of a sort's.
        let longer = BinaryHeap::from(longer).into_sorted_vec();
        // ln(f32::MAX): a larger power would overflow.
        let max_exponent =
            if base > 1.000001 { (88.722_839_1 / math::ln(f64::from(base))) as usize } else { usize::MAX };
        let mut step = PenalizeRepetition {
            multiplier,
            base,
            allowed: allowed_length,
            last_n,
            single,
            longer,
            max_exponent,
            ring: Vec::new(),
            next: 0,
            history: Vec::new(),
            z: Vec::new(),
            longest: Vec::new(),
        };
        let reserved = step.ring.try_reserve_exact(last_n).is_ok()
            && step.history.try_reserve_exact(last_n).is_ok()
            && step.z.try_reserve_exact(last_n).is_ok()
            && step.longest.try_reserve_exact(last_n).is_ok();
        if !reserved {
            return Err(SamplerError::OutOfMemory { entries: last_n });
        }
        boxed(step)
    }
}

/// The step, with the tokens that it looks at.
#[derive(Clone)]
struct PenalizeRepetition {
    multiplier: f32,
    base: f32,
    allowed: usize,
    last_n: usize,
    // Single tokens that end a repetition, ascending.
    single: Vec<TokenId>,
    // Longer sequences that end a repetition, ascending by their first token.
    longer: Vec<Vec<TokenId>>,
    max_exponent: usize,
    // Ring of the last tokens; once it is full, `next` is the oldest.
    ring: Vec<TokenId>,
    next: usize,
    // Scratch space: the history backwards, common prefixes, penalized tokens.
    history: Vec<TokenId>,
    z: Vec<usize>,
    longest: Vec<(TokenId, usize)>,
}

impl PenalizeRepetition {
    /// How many of the last tokens a repetition may span: those after the nearest breaker.
    fn limit(&self) -> usize {
        let h = &self.history;
        for (i, token) in h.iter().enumerate() {
            // The breaker's first token is h[i]; the others follow towards the end of the text.
            let start = self.longer.partition_point(|b| b.first() < Some(token));
            let same_first = self.longer.iter().skip(start).take_while(|b| b.first() == Some(token));
            let fits = |b: &&Vec<TokenId>| {
                b.len() <= i + 1 && h.get(i + 1 - b.len()..=i).is_some_and(|s| s.iter().rev().eq(b.iter()))
            };
            let longest = same_first.filter(fits).map(Vec::len).max();
            let alone = self.single.binary_search(token).is_ok().then_some(1);
            if let Some(longest) = longest.max(alone) {
                return i + 1 - longest;
            }
        }
        h.len()
    }

    /// Fills `z`: for k > 0 the common prefix length of `history` and `history[k..]`, at most `limit`; `z[0]` is 0.
    fn fill_z(&mut self, limit: usize) {
        let h = &self.history;
        let n = h.len();
        self.z.clear();
        self.z.resize(n, 0);
        // [left, right) is the match that reaches furthest.
        let (mut left, mut right) = (0usize, 0usize);
        for k in 1..n {
            let inside = right.saturating_sub(k);
            let known = if inside > 0 { self.z.get(k - left).copied().unwrap_or(0) } else { 0 };
            // `known` may have been capped at the limit; the capped value is right here as well.
            let len = if inside > 0 && known < inside {
                known
            } else {
                let tail = h.iter().skip(inside).zip(h.iter().skip(k + inside));
                let len = inside + tail.take_while(|(a, b)| a == b).count();
                if len > 0 {
                    (left, right) = (k, k + len);
                }
                len
            };
            if let Some(z) = self.z.get_mut(k) {
                *z = len.min(limit);
            }
        }
    }
}

impl Step for PenalizeRepetition {
    fn apply(&mut self, c: &mut Candidates) {
        if self.last_n == 0 || self.ring.len() <= self.allowed {
            return;
        }
        self.history.clear();
        let (newer, older) = self.ring.split_at(self.next.min(self.ring.len()));
        self.history.extend(newer.iter().rev().chain(older.iter().rev()));
        let limit = self.limit();
        if limit < self.allowed {
            return;
        }
        self.fill_z(limit);

        self.longest.clear();
        // z[k] belongs to the token before it in `history`, which came after it in the text.
        let followers = self.history.iter().zip(self.z.iter().skip(1));
        self.longest.extend(followers.filter(|(_, z)| **z >= self.allowed).map(|(t, z)| (*t, *z)));
        self.longest.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        self.longest.dedup_by_key(|l| l.0);
        let single = &self.single;
        self.longest.retain(|(t, _)| single.binary_search(t).is_err());

        let (multiplier, base) = (f64::from(self.multiplier), f64::from(self.base));
        c.edit(&self.longest, |logit, z| {
            let exponent = (z - self.allowed).min(self.max_exponent);
            let penalty = (multiplier * math::pow(base, exponent as f64)) as f32;
            logit - penalty
        });
    }

    fn accept(&mut self, t: TokenId) {
        if self.last_n == 0 {
            return;
        }
        if self.ring.len() < self.last_n {
            return self.ring.push(t);
        }
        if let Some(slot) = self.ring.get_mut(self.next) {
            *slot = t;
            self.next = (self.next + 1) % self.last_n;
        }
    }

    fn reset(&mut self) {
        self.ring.clear();
        self.next = 0;
    }
}
