//! A hash table of numbers below 2^31 in 32-bit slots: the keys stay where they are (in the mapped file, in an
//! array), the table holds positions only. The bits of a slot that a number does not need hold a part of its hash,
//! so that most misses touch no key.

const EMPTY: u32 = u32::MAX;
const K0: u64 = 0x9E37_79B9_7F4A_7C15;
const K1: u64 = 0xD6E8_FEB8_6659_FD93;

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// The bytes at `at`, as a little-endian number; 0 behind the end.
#[inline]
fn word<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0u8; 8];
    if let (Some(to), Some(from)) = (word.get_mut(..N), bytes.get(at..at + N)) {
        to.copy_from_slice(from);
    }
    u64::from_le_bytes(word)
}

/// Hash of a byte string: eight bytes a step, the last of them overlapping, folded multiplication. Not meant to resist
/// an attacker: the strings are a vocabulary's, and probing has no worse case than a scan of the table.
#[inline]
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let n = bytes.len();
    let seed = K0 ^ n as u64;
    match n {
        0 => fold(seed, K1),
        1..=3 => {
            let byte = |at: usize| u64::from(bytes.get(at).copied().unwrap_or(0));
            fold(seed ^ (byte(0) | byte(n / 2) << 8 | byte(n - 1) << 16), K1)
        }
        4..=7 => fold(seed ^ (word::<4>(bytes, 0) | word::<4>(bytes, n - 4) << 32), K1),
        _ => {
            let mut h = seed;
            let mut at = 0;
            while at + 8 < n {
                h = fold(h ^ word::<8>(bytes, at), K1);
                at += 8;
            }
            fold(h ^ word::<8>(bytes, n - 8), K0)
        }
    }
}

/// Hash of a pair of hashes.
#[inline]
pub(crate) fn hash_pair(left: u64, right: u64) -> u64 {
    fold(left.rotate_left(32) ^ K1, right ^ K0)
}

/// Open addressing with linear probing, two thirds full.
#[derive(Debug, Default)]
pub(crate) struct SlotTable {
    slots: Vec<u32>,
    number_bits: u32,
}

impl SlotTable {
    /// A table for the numbers below `n`, each inserted at most once.
    pub(crate) fn new(n: usize) -> Self {
        let capacity = n + n / 2 + 8;
        // One bit pattern more than the numbers need, so that no slot in use equals EMPTY.
        let number_bits = u32::BITS - (n as u32).leading_zeros();
        SlotTable { slots: vec![EMPTY; capacity], number_bits: number_bits.max(1) }
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

    /// The number whose key is equal, as `same` says.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        let (tag, mask) = (self.tag(hash), self.number_mask());
        let mut at = self.start(hash);
        // There is always a free slot: the table has more slots than numbers.
        loop {
            let Some(&slot) = self.slots.get(at) else {
                // Behind the last slot comes the first; an empty table has none.
                if at == 0 {
                    return None;
                }
                at = 0;
                continue;
            };
            if slot == EMPTY {
                return None;
            }
            if slot & !mask == tag && same(slot & mask) {
                return Some(slot & mask);
            }
            at += 1;
        }
    }

    /// Inserts `number`; where a number with an equal key is there, `replace` decides which one stays.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        number: u32,
        replace: bool,
        mut same: impl FnMut(u32) -> bool,
    ) {
        let (tag, mask) = (self.tag(hash), self.number_mask());
        let mut at = self.start(hash);
        for _ in 0..=self.slots.len() {
            let Some(slot) = self.slots.get_mut(at) else {
                at = 0;
                continue;
            };
            let free = *slot == EMPTY;
            if free || (*slot & !mask == tag && same(*slot & mask)) {
                if free || replace {
                    *slot = tag | number;
                }
                return;
            }
            at += 1;
        }
    }

    /// Bytes on the heap.
    pub(crate) fn owned_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_inserted_and_nothing_else() {
        for n in [0usize, 1, 2, 3, 7, 8, 255, 256, 1000, 65_536] {
            let key = |i: u32| format!("key {i}");
            let mut table = SlotTable::new(n);
            for i in 0..n as u32 {
                table.insert(hash_bytes(key(i).as_bytes()), i, true, |j| j == i);
            }
            for i in 0..n as u32 + 100 {
                let found = table.find(hash_bytes(key(i).as_bytes()), |j| key(j) == key(i));
                assert_eq!(found, (i < n as u32).then_some(i), "{i} of {n}");
            }
        }
    }

    #[test]
    fn an_equal_key_is_replaced_or_kept() {
        for (replace, expected) in [(true, 1), (false, 0)] {
            let mut table = SlotTable::new(2);
            table.insert(7, 0, replace, |_| true);
            table.insert(7, 1, replace, |_| true);
            assert_eq!(table.find(7, |_| true), Some(expected));
        }
    }
}
