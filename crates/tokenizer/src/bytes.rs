//! Short byte strings inside longer ones, read in machine words: a vocabulary's strings in the mapped file, or symbols
//! in a piece of text. The bytes after a string are read too and masked off, so that no branch depends on its length.

/// The maximum length of strings that fit into [`words`].
pub(crate) const SHORT: usize = 16;

/// The `N` bytes at `at`, if that many are left.
#[inline(always)]
fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// A mask of the `n` lowest bytes.
#[inline(always)]
fn mask(n: usize) -> u64 {
    if n >= 8 { u64::MAX } else { (1 << (8 * n)) - 1 }
}

/// The `len` bytes at `start`, at most [`SHORT`], as a little-endian number in two words.
#[inline(always)]
pub(crate) fn words(bytes: &[u8], start: usize, len: usize) -> (u64, u64) {
    match chunk::<SHORT>(bytes, start) {
        Some(chunk) => {
            let all = u128::from_le_bytes(chunk);
            (all as u64 & mask(len), (all >> 64) as u64 & mask(len.saturating_sub(8)))
        }
        None => words_at_the_end(bytes, start, len),
    }
}

/// [`words`] if fewer than [`SHORT`] bytes are left: read in parts that overlap.
#[inline(never)]
fn words_at_the_end(bytes: &[u8], start: usize, len: usize) -> (u64, u64) {
    let byte = |at: usize| u64::from(bytes.get(start + at).copied().unwrap_or(0)) << (8 * at);
    let four = |at: usize| chunk(bytes, start + at).map_or(0, |b| u64::from(u32::from_le_bytes(b)));
    let eight = |at: usize| chunk(bytes, start + at).map_or(0, u64::from_le_bytes);
    match len {
        0 => (0, 0),
        1..=3 => (byte(0) | byte(len / 2) | byte(len - 1), 0),
        4..=7 => (four(0) | four(len - 4) << (8 * (len - 4)), 0),
        8 => (eight(0), 0),
        _ => (eight(0), eight(len.min(SHORT) - 8) >> (8 * SHORT.saturating_sub(len))),
    }
}

/// Whether the `len` bytes at `a_start` of `a` and at `b_start` of `b` exist and are equal.
#[inline(always)]
pub(crate) fn equal(a: &[u8], a_start: usize, b: &[u8], b_start: usize, len: usize) -> bool {
    let end = |start: usize| start.saturating_add(len);
    if end(a_start) > a.len() || end(b_start) > b.len() {
        return false;
    }
    if len <= SHORT {
        return words(a, a_start, len) == words(b, b_start, len);
    }
    a.get(a_start..end(a_start)) == b.get(b_start..end(b_start))
}

/// The position of the first `wanted` byte between `start` and `end`.
#[inline]
pub(crate) fn find(bytes: &[u8], start: usize, end: usize, wanted: u8) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    let mut at = start;
    while at < end
        && let Some(eight) = chunk(bytes, at)
    {
        // The lowest zero byte is found exactly; higher ones may be false.
        let differs = u64::from_le_bytes(eight) ^ (ONES * u64::from(wanted));
        let zero = differs.wrapping_sub(ONES) & !differs & (ONES << 7);
        if zero != 0 {
            return Some(at + zero.trailing_zeros() as usize / 8).filter(|found| *found < end);
        }
        at += 8;
    }
    let rest = bytes.get(at..end.min(bytes.len()))?;
    rest.iter().position(|byte| *byte == wanted).map(|found| at + found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_are_the_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40), start in 0usize..40, len in 0usize..17) {
            prop_assume!(start + len <= bytes.len());
            let mut expected = [0; SHORT];
            expected[..len].copy_from_slice(&bytes[start..start + len]);
            let (low, high) = words(&bytes, start, len);
            prop_assert_eq!(u128::from_le_bytes(expected), u128::from(low) | u128::from(high) << 64);
        }

        #[test]
        fn equal_and_find_are_those_of_slices(
            a in prop::collection::vec(0u8..2, 0..40), b in prop::collection::vec(0u8..2, 0..40),
            starts in (0usize..40, 0usize..40), len in 0usize..24,
        ) {
            let part = |bytes: &[u8], start: usize| bytes.get(start..start + len).map(<[u8]>::to_vec);
            let (left, right) = (part(&a, starts.0), part(&b, starts.1));
            prop_assert_eq!(equal(&a, starts.0, &b, starts.1, len), left.is_some() && left == right);
            let found = left.and_then(|left| left.iter().position(|byte| *byte == 1)).map(|at| starts.0 + at);
            prop_assume!(starts.0 + len <= a.len());
            prop_assert_eq!(find(&a, starts.0, starts.0 + len, 1), found);
        }
    }
}
