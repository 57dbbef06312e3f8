//! Text that knows where its characters come from.
//!
//! A [`Text`] is a string, and the ranges of it that came with a message, the tools, the documents or a variable. Most texts
//! have a single origin, which costs nothing. A [`Builder`] joins parts with different origins.

use std::ops::Range;
use std::sync::Arc;

use super::budget::{Budget, push};
use super::error::{Fail, R};

/// The origin of a range of rendered text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// A string anywhere inside of the message with this index.
    Message(usize),
    /// The tools.
    Tools,
    /// The documents.
    Documents,
    /// Another variable that the caller set.
    Variable,
}

/// A range of rendered text and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The range, in bytes of the text.
    pub range: Range<usize>,
    /// The origin of these bytes.
    pub origin: Origin,
}

#[derive(Clone)]
enum Marks {
    None,
    All(Origin),
    /// Ascending and disjoint.
    Parts(Arc<Vec<Span>>),
}

/// A string with the origin of its parts. Immutable; a clone shares the bytes.
#[derive(Clone)]
pub(super) struct Text {
    string: Arc<String>,
    marks: Marks,
    /// Whether this is `Markup` of markupsafe: text that is added to it is escaped.
    pub(super) safe: bool,
}

impl Text {
    /// Makes a text of the template's own.
    pub(super) fn plain(string: impl Into<String>) -> Self {
        Text::marked(string.into(), None)
    }

    pub(super) fn marked(string: String, origin: Option<Origin>) -> Self {
        let marks = origin.filter(|_| !string.is_empty()).map_or(Marks::None, Marks::All);
        Text { string: Arc::new(string), marks, safe: false }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.string
    }

    /// Returns the first origin. It is used for texts that are made of this one in a way that loses positions.
    pub(super) fn origin(&self) -> Option<Origin> {
        match &self.marks {
            Marks::None => None,
            Marks::All(origin) => Some(*origin),
            Marks::Parts(spans) => spans.first().map(|span| span.origin),
        }
    }

    /// Returns the same text, marked as safe or not.
    pub(super) fn with_safe(mut self, safe: bool) -> Self {
        self.safe = safe;
        self
    }

    /// Returns the parts of a range of bytes, each with its origin.
    pub(super) fn stretches(&self, range: Range<usize>) -> Stretches<'_> {
        let (all, spans) = match &self.marks {
            Marks::None => (None, &[][..]),
            Marks::All(origin) => (Some(*origin), &[][..]),
            Marks::Parts(spans) => {
                let first = spans.partition_point(|span| span.range.end <= range.start);
                (None, spans.get(first..).unwrap_or_default())
            }
        };
        Stretches { string: &self.string, at: range.start, end: range.end.min(self.string.len()), all, spans }
    }

    /// Returns a part of the text, by bytes.
    pub(super) fn slice(&self, budget: &Budget<'_>, range: Range<usize>) -> R<Text> {
        if range == (0..self.string.len()) {
            return Ok(self.clone());
        }
        let mut out = Builder::default();
        out.part(budget, self, range)?;
        Ok(out.finish().with_safe(self.safe))
    }

    /// Replaces each character by the characters that `f` pushes for it.
    pub(super) fn map_chars(
        &self,
        budget: &Budget<'_>,
        mut f: impl FnMut(char, &mut dyn FnMut(char)),
    ) -> R<Text> {
        let mut out = Builder::default();
        for (part, origin) in self.stretches(0..self.string.len()) {
            for piece in pieces(part) {
                let mut mapped = String::new();
                piece.chars().for_each(|c| f(c, &mut |c| mapped.push(c)));
                out.str(budget, &mapped, origin)?;
            }
        }
        Ok(out.finish().with_safe(self.safe))
    }
}

/// Splits a text into pieces of about a kilobyte, so that work on it is charged for piece by piece.
fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let mut cut = text.len().min(1024);
        while !text.is_char_boundary(cut) {
            cut += 1;
        }
        let (piece, rest) = text.split_at_checked(cut)?;
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The iterator of [`Text::stretches`].
pub(super) struct Stretches<'a> {
    string: &'a str,
    at: usize,
    end: usize,
    all: Option<Origin>,
    spans: &'a [Span],
}

impl<'a> Iterator for Stretches<'a> {
    type Item = (&'a str, Option<Origin>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let (end, origin) = match self.spans.split_first() {
            Some((span, rest)) if span.range.start <= self.at => {
                self.spans = rest;
                (span.range.end, Some(span.origin))
            }
            Some((span, _)) => (span.range.start, None),
            None => (self.end, self.all),
        };
        let end = end.min(self.end);
        let part = self.string.get(self.at..end)?;
        self.at = end;
        Some((part, origin))
    }
}

/// A growing text. Every byte is charged for before it is written.
#[derive(Default)]
pub(super) struct Builder {
    string: String,
    spans: Vec<Span>,
}

impl Builder {
    pub(super) fn len(&self) -> usize {
        self.string.len()
    }

    pub(super) fn str(&mut self, budget: &Budget<'_>, text: &str, origin: Option<Origin>) -> R<()> {
        if text.is_empty() {
            return Ok(());
        }
        budget.bytes(text.len())?;
        if self.string.try_reserve(text.len()).is_err() {
            return Err(Box::new(Fail::Memory));
        }
        let start = self.string.len();
        self.string.push_str(text);
        let Some(origin) = origin else { return Ok(()) };
        let end = self.string.len();
        match self.spans.last_mut() {
            Some(last) if last.range.end == start && last.origin == origin => last.range.end = end,
            _ => {
                budget.bytes(size_of::<Span>())?;
                push(&mut self.spans, Span { range: start..end, origin })?;
            }
        }
        Ok(())
    }

    pub(super) fn text(&mut self, budget: &Budget<'_>, text: &Text) -> R<()> {
        match &text.marks {
            Marks::None => self.str(budget, &text.string, None),
            Marks::All(origin) => self.str(budget, &text.string, Some(*origin)),
            Marks::Parts(_) => self.part(budget, text, 0..text.string.len()),
        }
    }

    pub(super) fn part(&mut self, budget: &Budget<'_>, text: &Text, range: Range<usize>) -> R<()> {
        text.stretches(range).try_for_each(|(part, origin)| self.str(budget, part, origin))
    }

    /// Appends the same text several times.
    pub(super) fn repeat(&mut self, budget: &Budget<'_>, text: &Text, count: usize) -> R<()> {
        if text.as_str().is_empty() || count == 0 {
            return Ok(());
        }
        // The whole length is checked first, so that a text that is too long fails at once. Then it is written in pieces.
        let whole = text.as_str().len().saturating_mul(count);
        budget.bytes(whole)?;
        if self.string.try_reserve(whole).is_err() {
            return Err(Box::new(Fail::Memory));
        }
        (0..count).try_for_each(|_| {
            budget.charge(1)?;
            self.text(budget, text)
        })
    }

    pub(super) fn finish(self) -> Text {
        let Builder { string, spans } = self;
        let marks = match spans.as_slice() {
            [] => Marks::None,
            [one] if one.range == (0..string.len()) => Marks::All(one.origin),
            _ => Marks::Parts(Arc::new(spans)),
        };
        Text { string: Arc::new(string), marks, safe: false }
    }

    /// Returns the text and the ranges with an origin.
    pub(super) fn into_parts(self) -> (String, Vec<Span>) {
        (self.string, self.spans)
    }
}
