//! Sorting that can be cancelled.

use crate::TokenizerError;
use crate::reserve::exactly;
use crate::watch::Watch;
use std::cmp::Ordering;

/// The number of values that are sorted without checking for cancellation.
const RUN: usize = 1 << 13;

/// The heap size that sorting `n` values of type `T` takes, in bytes.
#[cfg(feature = "gguf")]
pub(crate) fn planned_bytes<T>(n: u64) -> u64 {
    n * size_of::<T>() as u64
}

/// Sorts values; equal ones end up in any order. Sorts short runs first, then merges them.
/// The order is not generic, so that sorts of one type share their code.
pub(crate) fn sort<T: Copy>(
    values: &mut [T],
    order: &dyn Fn(&T, &T) -> Ordering,
    watch: &Watch<'_>,
) -> Result<(), TokenizerError> {
    for run in values.chunks_mut(RUN) {
        watch.work(run.len())?;
        run.sort_unstable_by(order);
    }
    let mut merged: Vec<T> = Vec::new();
    let mut width = RUN;
    while width < values.len() {
        if merged.capacity() == 0 {
            merged = exactly(values.len())?;
        }
        merged.clear();
        for pair in values.chunks(2 * width) {
            let (mut left, mut right) = pair.split_at_checked(width).unwrap_or((pair, &[]));
            while let ([l, left_rest @ ..], [r, right_rest @ ..]) = (left, right) {
                watch.work(1)?;
                // Runs that are already in order, as most are, need no merging.
                if left.last().is_some_and(|last| order(last, r).is_le()) {
                    break;
                }
                if order(l, r).is_le() {
                    merged.push(*l);
                    left = left_rest;
                } else {
                    merged.push(*r);
                    right = right_rest;
                }
            }
            watch.work((left.len() + right.len()) / 16)?;
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        values.copy_from_slice(&merged);
        width *= 2;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{RUN, sort};
    use crate::watch::Watch;

    #[test]
    fn long_lists_are_sorted() {
        for n in [0, 1, 2, RUN - 1, RUN, RUN + 1, 5 * RUN + 77, 8 * RUN] {
            for factor in [1, 7_919] {
                let mut values: Vec<usize> = (0..n).map(|i| i * factor % 30_011).collect();
                let mut expected = values.clone();
                expected.sort_unstable();
                sort(&mut values, &Ord::cmp, &Watch::new(&|| false)).unwrap();
                assert!(values == expected, "{n} values, factor {factor}");
            }
        }
    }

    #[test]
    fn sorting_can_be_cancelled() {
        let mut values: Vec<usize> = (0..10 * RUN).rev().collect();
        let asked = std::cell::Cell::new(0);
        let cancelled = || asked.replace(asked.get() + 1) > 3;
        assert!(sort(&mut values, &Ord::cmp, &Watch::new(&cancelled)).is_err());
        assert_eq!(asked.get(), 5);
    }
}
