//! A hash table of numbers below 2^31 in 32-bit slots. The keys stay in place (in the mapped file, in an array), and
//! the table holds only positions. The bits of a slot that a number does not need hold part of its hash, so that most
//! misses touch no key.

use crate::TokenizerError;
use crate::bytes::{SHORT, words};
use crate::reserve::filled;
use crate::watch::Watch;

/// How many numbers are examined before the first of them is inserted.
const AHEAD: usize = 16;
/// Less than any slot in use.
const EMPTY: u32 = 0;
const K0: u64 = 0x9E37_79B9_7F4A_7C15;
const K1: u64 = 0xD6E8_FEB8_6659_FD93;

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// The hash of the `len` bytes at `start`: 16 bytes per step, where the last step may overlap, with folded
/// multiplication. Does not resist attackers: the strings come from a vocabulary, and the worst case of probing is a
/// scan of the table.
#[inline(always)]
pub(crate) fn hash_in(bytes: &[u8], start: usize, len: usize) -> u64 {
    // The length goes into bits that hold bytes only for strings that fill the last step.
    let last = K1 ^ (len as u64) << 56;
    let step = |h: u64, (a, b): (u64, u64), k: u64| fold(h ^ a, k ^ b);
    if len <= SHORT {
        return step(K0, words(bytes, start, len), last);
    }
    let (mut h, mut at) = (K0, 0);
    while at + SHORT < len {
        h = step(h, words(bytes, start + at, SHORT), K1);
        at += SHORT;
    }
    step(h, words(bytes, start + len - SHORT, SHORT), last)
}

/// The hash of a pair of hashes.
#[inline]
pub(crate) fn hash_pair(left: u64, right: u64) -> u64 {
    fold(left.rotate_left(32) ^ K1, right ^ K0)
}

/// The number of slots of a table for `n` numbers.
fn capacity(n: u64) -> u64 {
    n + n / 2 + 8
}

/// The heap size of a table for `n` numbers, in bytes.
#[cfg(feature = "gguf")]
pub(crate) fn planned_bytes(n: u64) -> u64 {
    capacity(n) * size_of::<u32>() as u64
}

/// Open addressing with linear probing, two thirds full. A slot holds a tag (bits of the hash) in its upper bits, and
/// the number plus one below.
///
/// All slots on the way to a slot have the same tag or a higher one (Amble and Knuth, "Ordered hash tables", 1974). So
/// a search for an absent key ends after two slots on average instead of five.
#[derive(Debug, Default)]
pub(crate) struct SlotTable {
    slots: Vec<u32>,
    number_bits: u32,
}

impl SlotTable {
    /// Makes a table for the numbers below `n`, each to be inserted at most once.
    pub(crate) fn new(n: usize) -> Result<Self, TokenizerError> {
        let number_bits = u32::BITS - (n as u32).leading_zeros();
        Ok(SlotTable { slots: filled(capacity(n as u64) as usize, EMPTY)?, number_bits: number_bits.max(1) })
    }

    #[inline]
    fn start(&self, hash: u64) -> usize {
        (((hash >> 32) * self.slots.len() as u64) >> 32) as usize
    }

    #[inline]
    fn tag(&self, hash: u64) -> u32 {
        (hash as u32).checked_shl(self.number_bits).unwrap_or(0)
    }

    #[inline]
    fn number_mask(&self) -> u32 {
        1u32.checked_shl(self.number_bits).map_or(u32::MAX, |bit| bit - 1)
    }

    /// The number whose key is equal according to `same`.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        let (tag, mask) = (self.tag(hash), self.number_mask());
        let mut at = self.start(hash);
        // There is always a free slot, since the table has more slots than numbers.
        loop {
            let Some(&slot) = self.slots.get(at) else {
                // The slot after the last one is the first; an empty table has none.
                if at == 0 {
                    return None;
                }
                at = 0;
                continue;
            };
            // A lower tag, or a free slot.
            if slot <= tag {
                return None;
            }
            if slot - tag <= mask && same(slot - tag - 1) {
                return Some(slot - tag - 1);
            }
            at += 1;
        }
    }

    /// Prefetches the slot where a search begins.
    #[inline]
    pub(crate) fn touch(&self, hash: u64) {
        std::hint::black_box(self.slots.get(self.start(hash)).copied());
    }

    /// Inserts the numbers below `n` that have a key, by its hash. `same` tells whether two numbers have equal keys,
    /// and `replace` which of them stays.
    ///
    /// The slots of some keys are read before the first of them is inserted: a large table is not in the cache, and so
    /// the processor waits for several slots at once.
    pub(crate) fn fill(
        &mut self,
        n: usize,
        hash_of: impl Fn(usize) -> Option<u64>,
        replace: bool,
        same: impl Fn(u32, u32) -> bool,
        watch: &Watch<'_>,
    ) -> Result<(), TokenizerError> {
        let mut ahead = [(0, 0); AHEAD];
        for first in (0..n).step_by(AHEAD) {
            let mut known = 0;
            for number in first..n.min(first + AHEAD) {
                if let (Some(hash), Some(entry)) = (hash_of(number), ahead.get_mut(known)) {
                    self.touch(hash);
                    *entry = (hash, number as u32);
                    known += 1;
                }
            }
            for &(hash, number) in ahead.get(..known).unwrap_or(&[]) {
                let passed = self.insert(hash, number, replace, |other| same(other, number));
                watch.work(passed)?;
            }
        }
        Ok(())
    }

    /// Inserts `number`. If a number with an equal key exists, `replace` decides which one stays. Returns how many
    /// slots were examined.
    #[inline]
    fn insert(&mut self, hash: u64, number: u32, replace: bool, mut same: impl FnMut(u32) -> bool) -> usize {
        let (mut tag, mask) = (self.tag(hash), self.number_mask());
        let (mut new, mut displaced) = (tag | (number + 1), false);
        let mut at = self.start(hash);
        for passed in 1..=self.slots.len() + 1 {
            let Some(slot) = self.slots.get_mut(at) else {
                at = 0;
                continue;
            };
            if *slot <= tag {
                // The displaced entry continues after it, until its tag's place.
                std::mem::swap(slot, &mut new);
                if new == EMPTY {
                    return passed;
                }
                (tag, displaced) = (new & !mask, true);
            } else if !displaced && *slot - tag <= mask && same(*slot - tag - 1) {
                if replace {
                    *slot = new;
                }
                return passed;
            }
            at += 1;
        }
        self.slots.len()
    }

    /// The size on the heap in bytes.
    pub(crate) fn owned_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_bytes(bytes: &[u8]) -> u64 {
        hash_in(bytes, 0, bytes.len())
    }

    #[test]
    fn finds_what_was_inserted_and_nothing_else() {
        for n in [0usize, 1, 2, 3, 7, 8, 255, 256, 1000, 65_536] {
            let key = |i: u32| format!("key {i}");
            let mut table = SlotTable::new(n).unwrap();
            let hash_of = |i| Some(hash_bytes(key(i as u32).as_bytes()));
            table.fill(n, hash_of, true, |i, j| i == j, &Watch::new(&|| false)).unwrap();
            for i in 0..n as u32 + 100 {
                let found = table.find(hash_bytes(key(i).as_bytes()), |j| key(j) == key(i));
                assert_eq!(found, (i < n as u32).then_some(i), "{i} of {n}");
            }
        }
    }

    /// The same bytes at the beginning, in the middle and at the end of others.
    #[test]
    fn surroundings_do_not_change_a_hash() {
        let text: Vec<u8> = (1..=60).collect();
        for len in 0..=40 {
            let expected = hash_bytes(&text[..len]);
            for (before, after) in [(0, 0), (0, 40), (3, 0), (3, 5), (3, 15), (3, 16), (17, 40)] {
                let all = [&[255u8; 60][..before], &text[..len], &[255; 60][..after]].concat();
                assert_eq!(
                    hash_in(&all, before, len),
                    expected,
                    "{len} bytes, {before} before, {after} after"
                );
            }
            let others = (0..=40).filter(|n| *n != len).map(|n| hash_bytes(&text[..n]));
            assert!(others.into_iter().all(|hash| hash != expected), "{len} bytes");
        }
    }

    #[test]
    fn an_equal_key_is_replaced_or_kept() {
        for (replace, expected) in [(true, 1), (false, 0)] {
            let mut table = SlotTable::new(2).unwrap();
            table.fill(2, |_| Some(7), replace, |_, _| true, &Watch::new(&|| false)).unwrap();
            assert_eq!(table.find(7, |_| true), Some(expected));
        }
    }
}
