//! Sets of Unicode scalar values: sorted ranges that neither touch nor overlap.

/// The last scalar value.
const LAST: u32 = 0x10_FFFF;
/// The surrogates, which cannot occur in text.
const SURROGATES: (u32, u32) = (0xD800, 0xDFFF);

/// The maximum number of ranges in a character class of a grammar. A set of this size takes less than 64 KiB, which is
/// allocated infallibly.
pub(crate) const MOST_RANGES: usize = 8_000;

/// A set of characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct CharSet(Vec<(u32, u32)>);

impl CharSet {
    /// The characters in the given ranges (inclusive). Surrogates and values above U+10FFFF are left out.
    pub(crate) fn new(ranges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let (low, high) = SURROGATES;
        let ranges = ranges.into_iter();
        let mut sorted: Vec<(u32, u32)> = Vec::with_capacity(ranges.size_hint().0 + 1);
        let ranges = ranges
            .flat_map(|(a, b)| [(a, b.min(low - 1)), (a.max(high + 1), b.min(LAST))])
            .filter(|(a, b)| a <= b);
        sorted.extend(ranges);
        sorted.sort_unstable();
        sorted.dedup_by(|next, last| {
            let touches = next.0 <= last.1 + 1;
            if touches {
                last.1 = last.1.max(next.1);
            }
            touches
        });
        Self(sorted)
    }

    /// All characters.
    pub(crate) fn any() -> Self {
        Self::new([(0, LAST)])
    }

    /// One character.
    pub(crate) fn one(c: char) -> Self {
        Self(vec![(c as u32, c as u32)])
    }

    /// The characters of a string.
    pub(crate) fn of(chars: &str) -> Self {
        Self::new(chars.chars().map(|c| (c as u32, c as u32)))
    }

    /// The ranges, ascending.
    pub(crate) fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, c: u32) -> bool {
        self.0
            .binary_search_by(|&(a, b)| {
                if b < c {
                    Less
                } else if a > c {
                    Greater
                } else {
                    Equal
                }
            })
            .is_ok()
    }

    /// All characters that are not in the set.
    pub(crate) fn complement(&self) -> Self {
        let mut gaps = Vec::with_capacity(self.0.len() + 1);
        let mut next = 0;
        for &(a, b) in &self.0 {
            if a > next {
                gaps.push((next, a - 1));
            }
            next = b + 1;
        }
        if next <= LAST {
            gaps.push((next, LAST));
        }
        Self::new(gaps)
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        Self::new(self.0.iter().chain(&other.0).copied())
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let (mut i, mut j) = (0, 0);
        let mut common = Vec::with_capacity((self.0.len() + other.0.len()).min(MOST_RANGES + 2));
        while let (Some(&(a, b)), Some(&(c, d))) = (self.0.get(i), other.0.get(j)) {
            if a.max(c) <= b.min(d) {
                common.push((a.max(c), b.min(d)));
            }
            if b < d { i += 1 } else { j += 1 }
        }
        Self(common)
    }

    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.intersection(&other.complement())
    }
}

use core::cmp::Ordering::{Equal, Greater, Less};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_merge_and_surrogates_go() {
        assert_eq!(CharSet::new([(5, 9), (1, 4), (20, 20)]).ranges(), [(1, 9), (20, 20)]);
        assert_eq!(CharSet::any().ranges(), [(0, 0xD7FF), (0xE000, LAST)]);
        assert_eq!(CharSet::any().complement().ranges(), []);
        assert_eq!(CharSet::new([(9, 5)]).ranges(), []);
        assert_eq!(CharSet::new([(0, u32::MAX)]), CharSet::any());
    }

    #[test]
    fn set_algebra_agrees_with_membership() {
        let sets = [
            CharSet::of(""),
            CharSet::of("azby"),
            CharSet::new([(97, 110)]),
            CharSet::new([(0, 100), (0xD000, 0xE010)]),
            CharSet::any(),
        ];
        let probes = [0, 1, 96, 97, 98, 110, 111, 122, 0xCFFF, 0xD000, 0xD7FF, 0xE000, 0xE010, 0xE011, LAST];
        for a in &sets {
            for c in probes {
                assert_eq!(a.complement().contains(c), !a.contains(c), "{a:?} {c}");
            }
            for b in &sets {
                for c in probes {
                    let (in_a, in_b) = (a.contains(c), b.contains(c));
                    assert_eq!(a.union(b).contains(c), in_a || in_b, "{a:?} {b:?} {c}");
                    assert_eq!(a.intersection(b).contains(c), in_a && in_b, "{a:?} {b:?} {c}");
                    assert_eq!(a.minus(b).contains(c), in_a && !in_b, "{a:?} {b:?} {c}");
                }
            }
        }
    }
}
