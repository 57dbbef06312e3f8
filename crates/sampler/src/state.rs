//! The state of a sampler as numbers: what cannot be computed again from the tokens that it accepted.
//!
//! ```text
//! each step, in order: its random numbers, if it draws any        (XTC)
//! the pick:            what it adapted, then its random numbers   (mirostat: mu; adaptive-p: both sums)
//! ```
//! What penalties and DRY look back on is not part of it: the tokens tell, by [`Sampler::accept`](crate::Sampler::accept).

use crate::Rng;

/// Numbers of a saved state, which steps and picks take in the order in which they gave them.
#[derive(Debug)]
pub struct SavedState<'a>(&'a [u64]);

impl<'a> SavedState<'a> {
    /// Makes a reader of these numbers.
    pub fn new(numbers: &'a [u64]) -> Self {
        Self(numbers)
    }

    /// Takes the next number; `None` after the last.
    pub fn number(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Takes a number that [`f64::to_bits`] gave; `None` if it is not finite.
    pub fn float(&mut self) -> Option<f64> {
        self.number().map(f64::from_bits).filter(|x| x.is_finite())
    }

    /// Takes random numbers where [`Rng::state`] left them.
    pub fn rng(&mut self) -> Option<Rng> {
        let (state, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Rng::from_state(*state)
    }

    /// Returns whether all numbers were taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A hash of what a sampler is made of: FNV-1a, 64 bits.
#[derive(Clone, Copy)]
pub(crate) struct Fingerprint(pub(crate) u64);

impl Fingerprint {
    pub(crate) const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    /// Adds the pick of the best token.
    pub(crate) fn greedy(mut self) -> Self {
        self.add(format_args!("greedy"));
        self
    }

    /// Adds a part, such as a step with its parameters.
    pub(crate) fn add(&mut self, part: std::fmt::Arguments<'_>) {
        // Writing into a hash cannot fail. The end keeps two parts apart from one with the same text.
        let _ = std::fmt::write(self, part);
        let _ = std::fmt::Write::write_str(self, "\n");
    }
}

impl std::fmt::Write for Fingerprint {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}
