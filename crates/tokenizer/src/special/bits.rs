//! One bit for each byte of a text.

use crate::TokenizerError;
use crate::reserve::filled;
use std::ops::Range;

#[derive(Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Makes a set without bits, for a text of `n` bytes.
    pub(super) fn new(n: usize) -> Result<Self, TokenizerError> {
        filled(n.div_ceil(64), 0).map(Bits)
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 != 0)
    }

    /// The bits of a word that lie in the range.
    fn mask(word: usize, range: &Range<usize>) -> u64 {
        let low = u64::MAX << range.start.saturating_sub(word * 64).min(63);
        let end = range.end.saturating_sub(word * 64).min(64);
        low & u64::MAX.checked_shr(64 - end as u32).unwrap_or(0)
    }

    pub(super) fn set(&mut self, range: Range<usize>) {
        for i in range.start / 64..range.end.div_ceil(64) {
            if let Some(word) = self.0.get_mut(i) {
                *word |= Self::mask(i, &range);
            }
        }
    }

    /// The last bit in the range that is set.
    pub(super) fn last_in(&self, range: Range<usize>) -> Option<usize> {
        let base = range.start / 64;
        let words = self.0.get(base..range.end.div_ceil(64).min(self.0.len()))?;
        words.iter().enumerate().rev().find_map(|(i, word)| {
            let found = word & Self::mask(base + i, &range);
            (found != 0).then(|| (base + i) * 64 + 63 - found.leading_zeros() as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_are_those_of_a_list(
            ranges in prop::collection::vec((0usize..200, 0usize..70), 0..5),
            (start, length) in (0usize..200, 0usize..140),
        ) {
            let (mut bits, mut plainly) = (Bits::new(270).unwrap(), [false; 270]);
            for (start, length) in ranges {
                bits.set(start..start + length);
                plainly[start..start + length].fill(true);
            }
            prop_assert!((0..270).all(|at| bits.get(at) == plainly[at]));
            let end = (start + length).min(270);
            prop_assert_eq!(bits.last_in(start..end), (start..end).rfind(|at| plainly[*at]));
        }
    }
}
