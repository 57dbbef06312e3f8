//! The usual settings in one struct, applied in llama.cpp's default order.

use crate::{Sampler, SamplerError, TokenId};

/// Settings of the common chain: logit bias, penalties, top-n-sigma, top-k, typical, top-p, min-p, xtc, temperature,
/// then the draw (the default order of llama.cpp's tools). The default values keep every step neutral but the
/// temperature, which is 0.8, top-k 40, top-p 0.95 and min-p 0.05.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Params {
    /// 0 is greedy.
    pub temperature: f32,
    /// 0 keeps all.
    pub top_k: usize,
    /// 1 keeps all.
    pub top_p: f32,
    /// 0 keeps all.
    pub min_p: f32,
    /// 1 keeps all.
    pub typical: f32,
    /// 0 keeps all.
    pub top_n_sigma: f32,
    /// Chance and threshold of XTC; chance 0 is off.
    pub xtc: (f32, f32),
    /// How many accepted tokens the three penalties look at.
    pub penalty_last_n: usize,
    /// 1 is neutral.
    pub repeat_penalty: f32,
    /// 0 is neutral.
    pub frequency_penalty: f32,
    /// 0 is neutral.
    pub presence_penalty: f32,
    /// Added to single logits.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// Seed of the draw.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            typical: 1.0,
            top_n_sigma: 0.0,
            xtc: (0.0, 0.1),
            penalty_last_n: 64,
            repeat_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: 0,
        }
    }
}

impl Params {
    /// The sampler of these settings; neutral steps are left out, and temperature 0 picks greedily after bias and
    /// penalties (the cuts cannot change the best token).
    ///
    /// # Errors
    /// The first setting outside its range.
    pub fn build(&self) -> Result<Sampler, SamplerError> {
        let full = || {
            let mut b = Sampler::builder().seed(self.seed);
            if !self.logit_bias.is_empty() {
                b = b.logit_bias(self.logit_bias.iter().copied());
            }
            if self.repeat_penalty != 1.0 || self.frequency_penalty != 0.0 || self.presence_penalty != 0.0 {
                let (freq, present) = (self.frequency_penalty, self.presence_penalty);
                b = b.penalties(self.penalty_last_n, self.repeat_penalty, freq, present);
            }
            b
        };
        let mut b = full();
        if self.top_n_sigma != 0.0 {
            b = b.top_n_sigma(self.top_n_sigma);
        }
        if self.top_k != 0 {
            b = b.top_k(self.top_k);
        }
        if self.typical != 1.0 {
            b = b.typical(self.typical);
        }
        if self.top_p != 1.0 {
            b = b.top_p(self.top_p);
        }
        if self.min_p != 0.0 {
            b = b.min_p(self.min_p);
        }
        if self.xtc.0 != 0.0 {
            b = b.xtc(self.xtc.0, self.xtc.1);
        }
        let sampler = b.temperature(self.temperature).build()?;
        // All settings were checked above, also those that greedy picking does not need. XTC and typical can remove
        // the best token, so with them the full chain stays.
        let cuts_keep_best = self.typical == 1.0 && self.xtc.0 == 0.0;
        if self.temperature == 0.0 && cuts_keep_best { full().greedy().build() } else { Ok(sampler) }
    }
}
