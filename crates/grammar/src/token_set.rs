//! A set of token ids, one bit per token.

use crate::halt::Halt;

/// A set of token ids below the vocabulary's size, with one bit per token. Masks are written into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSet {
    words: Vec<u64>,
    len: usize,
}

impl TokenSet {
    /// Makes an empty set for a vocabulary of `vocabulary` tokens, with one bit for each. `new(0)` allocates nothing
    /// until [`Matcher::mask`](crate::Matcher::mask) fits it to the vocabulary, which returns an error if memory is
    /// refused.
    pub fn new(vocabulary: usize) -> Self {
        Self { words: vec![0; vocabulary.div_ceil(64)], len: vocabulary }
    }

    /// Returns the number of tokens in the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.len
    }

    /// Returns whether a token is in the set.
    pub fn contains(&self, token: u32) -> bool {
        self.words.get(token as usize / 64).is_some_and(|word| word >> (token % 64) & 1 != 0)
    }

    /// Returns whether no token is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Returns the number of tokens in the set.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Returns the tokens in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(i, &word)| {
            let next = |word: &u64| Some(word & (word - 1)).filter(|word| *word != 0);
            core::iter::successors(Some(word).filter(|word| *word != 0), next)
                .map(move |word| i as u32 * 64 + word.trailing_zeros())
        })
    }

    /// Returns the bits: token `t` is bit `t % 64` of word `t / 64`.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Empties the set and resizes it for a vocabulary.
    pub(crate) fn reset(&mut self, vocabulary: usize) -> Result<(), Halt> {
        let words = vocabulary.div_ceil(64);
        self.words.clear();
        self.words.try_reserve_exact(words)?;
        self.words.resize(words, 0);
        self.len = vocabulary;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_tokens() {
        let mut set = TokenSet::new(130);
        for token in [0u32, 63, 64, 129] {
            set.words_mut()[token as usize / 64] |= 1 << (token % 64);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 129]);
        assert_eq!((set.count(), set.vocabulary()), (4, 130));
        assert!(set.contains(63) && !set.contains(62) && !set.contains(9999));
        set.reset(64).expect("memory");
        assert_eq!((set.count(), set.words().len()), (0, 1));
    }
}
