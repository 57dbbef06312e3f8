//! SentencePiece's precompiled normalization map: which strings of a text are replaced, and by what.
//!
//! ```text
//! bytes of the trie (u32) | trie: units of four bytes | replacements, each ended by a zero byte
//! unit: bits 0-7 label, 8 has a value, 10-30 offset (times 256 if bit 9 is set), 31 set in values
//! walk: next = here ^ offset ^ byte; a value lies at next ^ offset(next)
//! ```
//!
//! (A "double-array" trie as in the darts-clone library. Read in place; every access is checked.)

use crate::TokenizerError;
use crate::spec::SharedBytes;

/// The maximum length of a string to replace, in bytes; real maps have 15.
const LONGEST: usize = 64;

/// A precompiled normalization map (`tokenizer.ggml.precompiled_charsmap`), read in place.
#[derive(Clone)]
pub struct CharsMap {
    storage: SharedBytes,
    start: usize,
    /// The number of units in the trie.
    units: usize,
    end: usize,
}

impl std::fmt::Debug for CharsMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CharsMap").field("units", &self.units).finish_non_exhaustive()
    }
}

impl CharsMap {
    /// Makes a map from the `len` bytes at `start`.
    ///
    /// # Errors
    /// `OutOfStorage` if the map, or the trie that it begins with, extends past the end of the bytes.
    pub fn in_storage(storage: SharedBytes, start: usize, len: usize) -> Result<Self, TokenizerError> {
        let what = "precompiled_charsmap";
        let (end, available) = (start.saturating_add(len), (*storage).as_ref().len());
        if end > available {
            return Err(TokenizerError::OutOfStorage { what, start, end, len: available });
        }
        let mut map = CharsMap { storage, start, units: 0, end };
        let trie = map.number(0).map_or(usize::MAX, |n| n as usize);
        if trie.saturating_add(4) >= len {
            let (start, end) = (4, trie.saturating_add(4));
            return Err(TokenizerError::OutOfStorage { what, start, end, len });
        }
        map.units = trie / 4;
        Ok(map)
    }

    fn bytes(&self) -> &[u8] {
        (*self.storage).as_ref().get(self.start..self.end).unwrap_or(&[])
    }

    fn number(&self, at: usize) -> Option<u32> {
        self.bytes().get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(u32::from_le_bytes)
    }

    fn unit(&self, i: u32) -> Option<u32> {
        if (i as usize) < self.units { self.number(4 + 4 * i as usize) } else { None }
    }

    /// The longest string at the beginning of `input` that is replaced: its length, and its replacement.
    pub(crate) fn replace(&self, input: &[u8]) -> Option<(usize, &[u8])> {
        let offset = |unit: u32| (unit >> 10) << ((unit & 1 << 9) >> 6);
        let mut node = offset(self.unit(0)?);
        let mut found = None;
        for (i, byte) in input.iter().take(LONGEST).enumerate() {
            node ^= u32::from(*byte);
            let Some(unit) = self.unit(node) else { break };
            // A zero byte would lead to a value.
            if *byte == 0 || unit & (1 << 31 | 0xFF) != u32::from(*byte) {
                break;
            }
            node ^= offset(unit);
            if unit & 1 << 8 != 0 {
                found = self.unit(node).map(|value| (i + 1, value & !(1 << 31)));
            }
        }
        let (length, at) = found?;
        let replacement = self.bytes().get((4 + 4 * self.units).checked_add(at as usize)?..)?;
        let end = replacement.iter().position(|b| *b == 0)?;
        replacement.get(..end).map(|text| (length, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    proptest! {
        #[test]
        fn no_map_panics(map in prop::collection::vec(any::<u8>(), 0..200), trie in 0u32..60, text: Vec<u8>) {
            let mut bytes = trie.to_le_bytes().to_vec();
            bytes.extend(map);
            let len = bytes.len();
            if let Ok(map) = CharsMap::in_storage(Arc::new(bytes), 0, len) {
                for at in 0..text.len() {
                    if let Some((length, _)) = map.replace(&text[at..]) {
                        prop_assert!(length > 0 && length <= text.len() - at);
                    }
                }
            }
        }
    }

    #[test]
    fn short_maps_are_errors() {
        for bytes in [vec![], vec![0, 0], vec![0, 0, 0, 0], vec![255, 255, 255, 255, 1]] {
            let len = bytes.len();
            assert!(CharsMap::in_storage(Arc::new(bytes), 0, len).is_err());
        }
        assert!(CharsMap::in_storage(Arc::new(vec![0u8; 8]), 4, 8).is_err());
    }
}
