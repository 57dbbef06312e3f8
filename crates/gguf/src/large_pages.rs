//! Large pages for the parts of a mapped file that are read again and again.

use std::num::NonZeroUsize;
use std::ops::Range;

use crate::file::GgufFile;

impl GgufFile {
    /// Asks the system to map these ranges of the file with large pages, and returns how many bytes it agreed to map so.
    ///
    /// Use it for data that is read often and completely, before any of it is read: pages that are already in memory
    /// keep their size. Reading a model's matrices for each token becomes 10% to 20% faster. Don't use it for tables of
    /// which only a few rows are read, because each row would take a large page.
    ///
    /// The ranges are sorted first. Ranges with less than a large page between them are joined, and ranges that are
    /// then shorter than two large pages are left out. It returns 0 and does nothing if the file is not mapped, on
    /// systems other than Linux and Android, and if the system refuses.
    pub fn prefer_large_pages(&self, ranges: &mut [Range<u64>]) -> u64 {
        if !self.mapped {
            return 0;
        }
        let Some(page) = page_size() else { return 0 };
        let mut agreed = 0;
        joined(ranges, large_page(page), |range| {
            let bytes = usize::try_from(range.start)
                .ok()
                .zip(usize::try_from(range.end).ok())
                .and_then(|(start, end)| self.bytes().get(start..end));
            if bytes.is_some_and(|bytes| advise(bytes, page)) {
                agreed += range.end - range.start;
            }
        });
        agreed
    }
}

/// Calls `f` with the ranges that are worth large pages, in ascending order. Vectors between matrices would cut a large page in two, so
/// they are taken in.
fn joined(ranges: &mut [Range<u64>], page: u64, mut f: impl FnMut(Range<u64>)) {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut give = |range: Range<u64>| {
        // The system reads two large pages at a time, also past the end.
        if range.end.saturating_sub(range.start) >= page.saturating_mul(2) {
            f(range);
        }
    };
    let mut run = 0..0;
    for range in ranges.iter().filter(|range| range.start < range.end) {
        if run.start < run.end && range.start.saturating_sub(run.end) < page {
            run.end = run.end.max(range.end);
        } else {
            give(std::mem::replace(&mut run, range.clone()));
        }
    }
    give(run);
}

/// Returns the size of a large page in bytes: what one page of 8-byte addresses maps, 2 MiB with pages of 4 KiB.
fn large_page(page: NonZeroUsize) -> u64 {
    let page = page.get() as u64;
    (page / 8).saturating_mul(page)
}

/// Returns the size of a page in bytes.
#[cfg(all(feature = "mmap", any(target_os = "linux", target_os = "android")))]
pub(crate) fn page_size() -> Option<NonZeroUsize> {
    const PAGE_SIZE: usize = 6;
    // The kernel tells each process there; apps on Android may not read `/sys/kernel/mm`.
    let vector = std::fs::read("/proc/self/auxv").ok()?;
    let (words, _) = vector.as_chunks::<{ size_of::<usize>() }>();
    let (pairs, _) = words.as_chunks::<2>();
    let mut pairs = pairs.iter().map(|pair| pair.map(usize::from_ne_bytes));
    let [_, page] = pairs.find(|[key, _]| *key == PAGE_SIZE)?;
    NonZeroUsize::new(page)
}

#[cfg(not(all(feature = "mmap", any(target_os = "linux", target_os = "android"))))]
pub(crate) fn page_size() -> Option<NonZeroUsize> {
    None
}

#[cfg(all(feature = "mmap", any(target_os = "linux", target_os = "android")))]
use crate::mmap::advise_large_pages as advise;

#[cfg(not(all(feature = "mmap", any(target_os = "linux", target_os = "android"))))]
fn advise(_: &[u8], _: NonZeroUsize) -> bool {
    false
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "lists of ranges are meant")]
mod tests {
    use super::joined;
    use std::ops::Range;
    use std::vec;
    use std::vec::Vec;

    fn runs(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let (mut ranges, mut found) = (ranges.to_vec(), vec![]);
        joined(&mut ranges, 100, |range| found.push(range));
        found
    }

    #[test]
    fn near_ranges_are_joined_and_short_ones_left_out() {
        let cases: [(&[Range<u64>], &[Range<u64>]); 8] = [
            (&[], &[]),
            (&[5..204], &[]),
            (&[5..205], &[5..205]),
            // In any order, with vectors between them.
            (&[300..400, 0..120, 130..250], &[0..400]),
            // A table lies between them.
            (&[0..250, 350..600], &[0..250, 350..600]),
            (&[0..250, 349..600], &[0..600]),
            // Overlapping and empty ones.
            (&[0..500, 100..200, 450..460, 7..7, 1000..1000], &[0..500]),
            (&[u64::MAX - 300..u64::MAX, 0..u64::MAX], &[0..u64::MAX]),
        ];
        for (ranges, expected) in cases {
            assert_eq!(runs(ranges), expected, "{ranges:?}");
        }
    }
}
