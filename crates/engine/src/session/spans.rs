//! Spans: which positions of a group are in the storage, and where.

use crate::EngineError;
use crate::reserve::reserve;
use std::ops::Range;

/// Rows that follow each other in the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first position.
    pub(crate) first: usize,
    /// Positions.
    pub(crate) n: usize,
    /// Where the first row's bytes begin.
    pub(crate) offset: u64,
}

impl Span {
    fn end(&self) -> usize {
        self.first + self.n
    }
}

/// The rows of a group, by ascending positions. There may be gaps where a window has moved on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans(Vec<Span>);

impl Spans {
    /// Forgets the positions from `keep` on.
    pub(crate) fn truncate(&mut self, keep: usize) {
        while let Some(last) = self.0.last_mut().filter(|last| last.end() > keep) {
            if last.first < keep {
                last.n = keep - last.first;
                return;
            }
            self.0.pop();
        }
    }

    /// Adds rows. They replace those of the same and of later positions.
    pub(crate) fn push(&mut self, span: Span) -> Result<(), EngineError> {
        self.truncate(span.first);
        reserve(&mut self.0, 1, "places of the session's rows")?;
        self.0.push(span);
        Ok(())
    }

    /// Returns the spans that cover `needed`, in order, or `None` if a position is missing.
    pub(crate) fn of(&self, needed: Range<usize>) -> Option<impl Iterator<Item = Span> + '_> {
        let from = self.0.partition_point(|span| span.end() <= needed.start);
        let mut next = needed.start;
        for span in self.0.get(from..)?.iter().take_while(|span| span.first < needed.end) {
            if span.first > next {
                return None;
            }
            next = span.end();
        }
        (next >= needed.end).then(|| {
            let spans = self.0.get(from..).unwrap_or(&[]).iter();
            spans.take_while(move |span| span.first < needed.end).copied()
        })
    }

    /// Returns the last positions that have no gap.
    pub(crate) fn tail(&self) -> Range<usize> {
        let mut spans = self.0.iter().rev();
        let Some(last) = spans.next() else { return 0..0 };
        let first = spans.try_fold(
            last.first,
            |first, span| {
                if span.end() == first { Ok(span.first) } else { Err(first) }
            },
        );
        first.unwrap_or_else(|first| first)..last.end()
    }
}

/// Returns what must be written so that the storage has `needed`, and what it has then. It has `covered` now, of which
/// the first `keep` positions are still valid.
pub(crate) fn missing(
    covered: Range<usize>,
    keep: usize,
    needed: Range<usize>,
) -> (Range<usize>, Range<usize>) {
    let end = covered.end.min(keep);
    if covered.start <= needed.start && needed.start <= end {
        (end.min(needed.end)..needed.end, covered.start..needed.end)
    } else {
        (needed.clone(), needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For turns of all kinds, what was written last is found, and nothing that is needed is missing.
    #[test]
    fn what_is_needed_is_always_there() {
        let mut random = 1u64;
        let mut below = |n: usize| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) as usize % n
        };
        for window in [1, 5, 64, 100, 10_000] {
            let (mut spans, mut covered, mut len) = (Spans::default(), 0..0, 0);
            let mut offset = 0;
            for turn in 0..500 {
                let keep = len - below(len.min(300) + 1) * below(2);
                len = keep + 1 + below(150);
                let needed = (len.saturating_sub(window) / 64 * 64)..len;
                let (rows, after) = missing(covered, keep, needed.clone());
                spans.truncate(keep);
                for first in rows.clone().step_by(64) {
                    let n = (rows.end - first).min(64);
                    spans.push(Span { first, n, offset }).unwrap();
                    offset += n as u64;
                }
                covered = after;
                assert!(covered.start <= needed.start && covered.end == len, "turn {turn}");
                assert!(spans.tail().start <= covered.start && spans.tail().end == len, "turn {turn}");
                let found = spans.of(needed.clone()).expect("no gap");
                let positions: Vec<usize> = found.flat_map(|span| span.first..span.end()).collect();
                assert!(positions.windows(2).all(|pair| pair[0] + 1 == pair[1]), "turn {turn}");
                assert!(positions[0] <= needed.start && positions.last() == Some(&(len - 1)));
            }
            assert!(spans.of(0..len + 1).is_none());
            spans.truncate(0);
            assert!(spans.of(0..0).is_some_and(|mut spans| spans.next().is_none()));
            assert_eq!(spans.tail(), 0..0);
        }
    }
}
