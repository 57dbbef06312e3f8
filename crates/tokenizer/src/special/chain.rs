//! Selects, from the strings that end at one position, those of certain tokens, longest first.
//!
//! Each string has a link to the next shorter one and a jump further down, so that the longest string of at most a
//! given length is found in logarithmic time (Myers, "An applicative random-access stack", 1983).

use super::automaton::{Automaton, NONE, StringId};
use crate::reserve::filled;
use crate::watch::Watch;
use crate::{TokenId, TokenizerError};

#[derive(Debug, Default)]
pub(super) struct Chain {
    /// The string itself if it is in the chain, otherwise the next shorter one that is.
    head: Vec<StringId>,
    jump: Vec<StringId>,
    /// The number of strings in the chain from this one on.
    depth: Vec<u32>,
}

/// The heap size of a chain over `n` strings, in bytes.
#[cfg(feature = "gguf")]
pub(super) fn planned_bytes(n: u64) -> u64 {
    (n + 1) * 12
}

impl Chain {
    pub(super) fn new(
        strings: &Automaton,
        belongs: impl Fn(TokenId) -> bool,
        watch: &Watch<'_>,
    ) -> Result<Self, TokenizerError> {
        let n = strings.len();
        let mut chain = Chain { head: filled(n, NONE)?, jump: filled(n, NONE)?, depth: filled(n, 0)? };
        // A shorter string has a lower number.
        for string in 1..n as StringId {
            watch.work(1)?;
            let next = chain.head(strings.shorter(string));
            if !belongs(strings.id(string)) {
                chain.set(string, next, NONE, 0);
                continue;
            }
            let jump = chain.jump(next);
            let (depth, after) = (chain.depth(next), chain.depth(jump));
            let far = depth - after == after - chain.depth(chain.jump(jump)) && next != NONE;
            chain.set(string, string, if far { chain.jump(jump) } else { next }, depth + 1);
        }
        Ok(chain)
    }

    fn set(&mut self, string: StringId, head: StringId, jump: StringId, depth: u32) {
        let at = string as usize;
        if let (Some(h), Some(j), Some(d)) =
            (self.head.get_mut(at), self.jump.get_mut(at), self.depth.get_mut(at))
        {
            (*h, *j, *d) = (head, jump, depth);
        }
    }

    fn head(&self, string: StringId) -> StringId {
        self.head.get(string as usize).copied().unwrap_or(NONE)
    }

    fn jump(&self, string: StringId) -> StringId {
        self.jump.get(string as usize).copied().unwrap_or(NONE)
    }

    fn depth(&self, string: StringId) -> u32 {
        self.depth.get(string as usize).copied().unwrap_or(0)
    }

    /// Among `string` and the shorter ones that end at the same position, the longest in the chain with at most `most`
    /// bytes.
    pub(super) fn longest(
        &self,
        strings: &Automaton,
        string: StringId,
        most: usize,
        watch: &Watch<'_>,
    ) -> Result<StringId, TokenizerError> {
        let mut string = self.head(string);
        while strings.length(string) > most {
            watch.work(1)?;
            let jump = self.jump(string);
            string = if strings.length(jump) > most { jump } else { self.head(strings.shorter(string)) };
        }
        Ok(string)
    }

    pub(super) fn owned_bytes(&self) -> usize {
        (self.head.capacity() + self.jump.capacity() + self.depth.capacity()) * 4
    }
}
