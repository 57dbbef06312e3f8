//! The set of bytes of a file that have arrived.

/// A set of byte positions, as ascending ranges that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds `start..end`.
    pub(crate) fn insert(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let first = self.0.partition_point(|range| range.1 < start);
        let after = self.0.partition_point(|range| range.0 <= end);
        let merged = self.0[first..after].iter().fold((start, end), |a, b| (a.0.min(b.0), a.1.max(b.1)));
        self.0.splice(first..after, [merged]);
    }

    /// Returns the end of the range that begins at 0, or 0 if byte 0 is missing.
    pub(crate) fn prefix(&self) -> u64 {
        self.0.first().filter(|range| range.0 == 0).map_or(0, |range| range.1)
    }

    /// Returns the number of bytes in the set.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(|range| range.1 - range.0).sum()
    }

    /// Removes everything from `len` on.
    pub(crate) fn truncate(&mut self, len: u64) {
        self.0.retain(|range| range.0 < len);
        if let Some(last) = self.0.last_mut() {
            last.1 = last.1.min(len);
        }
    }

    /// Returns the missing ranges up to `len`, ascending and in pieces of at most `piece` bytes.
    pub(crate) fn missing(&self, len: u64, piece: u64) -> impl Iterator<Item = (u64, u64)> {
        let piece = piece.max(1);
        let starts = std::iter::once(0).chain(self.0.iter().map(|range| range.1));
        let ends = self.0.iter().map(|range| range.0).chain([len]);
        let gaps =
            starts.zip(ends).map(move |(start, end)| (start, end.min(len))).filter(|gap| gap.0 < gap.1);
        gaps.flat_map(move |(start, end)| {
            (0..(end - start).div_ceil(piece)).map(move |i| {
                let start = start + i * piece;
                (start, end.min(start.saturating_add(piece)))
            })
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_bytes_follow_a_plain_model() {
        // Every set of up to four ranges on a line of 9 bytes.
        const LEN: u64 = 9;
        let all: Vec<(u64, u64)> = (0..LEN).flat_map(|a| (a..=LEN).map(move |b| (a, b))).collect();
        let mut seed = 1u64;
        for _ in 0..4_000 {
            let (mut ranges, mut model) = (Ranges::default(), [false; LEN as usize]);
            for _ in 0..4 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let (a, b) = all[(seed >> 33) as usize % all.len()];
                ranges.insert(a, b);
                model[a as usize..b as usize].fill(true);
            }
            let cut = seed >> 60;
            if cut < LEN {
                ranges.truncate(cut);
                model[cut as usize..].fill(false);
            }
            assert_eq!(ranges.total(), model.iter().filter(|there| **there).count() as u64);
            assert_eq!(ranges.prefix(), model.iter().take_while(|there| **there).count() as u64);
            assert!(ranges.0.windows(2).all(|w| w[0].1 < w[1].0), "{ranges:?}");
            let mut filled = model;
            for (a, b) in ranges.missing(LEN, 2) {
                assert!(a < b && b - a <= 2);
                for byte in &mut filled[a as usize..b as usize] {
                    assert!(!*byte, "{a}..{b} is already in the set");
                    *byte = true;
                }
            }
            assert!(filled.iter().all(|there| *there));
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let mut ranges = Ranges::default();
        ranges.insert(u64::MAX - 1, u64::MAX);
        assert_eq!(ranges.missing(u64::MAX, u64::MAX).collect::<Vec<_>>(), [(0, u64::MAX - 1)]);
        assert_eq!(ranges.missing(0, 0).count(), 0);
    }
}
