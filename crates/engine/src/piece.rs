//! [`TextPiece`]: the text of an event.

use core::fmt;
use core::ops::Deref;
use std::collections::TryReserveError;

/// A piece of text. Short ones, as tokens make them, are kept inline, so that generating allocates nothing; pieces that are
/// put together may become a `String`.
#[derive(Clone)]
pub struct TextPiece(Repr);

#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; TextPiece::INLINE] },
    Long(String),
}

impl TextPiece {
    /// Maximum bytes that are kept inline. An event with such a text is no larger than one with a call.
    pub const INLINE: usize = 62;

    /// The beginning of `text` that fits inline, up to a character's border; `None` if it is empty.
    pub(crate) fn first_of(text: &str) -> Option<Self> {
        let head = &text[..text.floor_char_boundary(Self::INLINE)];
        if head.is_empty() { None } else { Self::inline(head) }
    }

    /// A short text.
    fn inline(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::INLINE];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        // At most 62.
        Some(Self(Repr::Inline { len: text.len() as u8, bytes }))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // Made from whole texts, so this never fails.
            Repr::Inline { len, bytes } => {
                core::str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default()
            }
            Repr::Long(text) => text,
        }
    }

    /// Appends a text.
    ///
    /// # Errors
    /// If it does not fit inline and memory is refused: the piece is as it was.
    pub fn try_push_str(&mut self, more: &str) -> Result<(), TryReserveError> {
        match &mut self.0 {
            Repr::Long(text) => {
                text.try_reserve(more.len())?;
                text.push_str(more);
            }
            Repr::Inline { len, bytes } => {
                let (start, end) = (usize::from(*len), usize::from(*len) + more.len());
                if let Some(free) = bytes.get_mut(start..end) {
                    free.copy_from_slice(more.as_bytes());
                    // At most 62.
                    *len = end as u8;
                    return Ok(());
                }
                let mut text = String::new();
                text.try_reserve(end)?;
                text.push_str(self.as_str());
                text.push_str(more);
                self.0 = Repr::Long(text);
            }
        }
        Ok(())
    }
}

impl From<String> for TextPiece {
    fn from(text: String) -> Self {
        Self::inline(&text).unwrap_or(Self(Repr::Long(text)))
    }
}

impl Deref for TextPiece {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for TextPiece {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for TextPiece {}

impl fmt::Display for TextPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for TextPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_comes_in_pieces_cut_at_characters() {
        let text = "ä".repeat(100);
        let (mut rest, mut joined) = (text.as_str(), String::new());
        while let Some(piece) = TextPiece::first_of(rest) {
            assert!(piece.len() <= TextPiece::INLINE && matches!(piece.0, Repr::Inline { .. }));
            joined.push_str(&piece);
            rest = &rest[piece.len()..];
        }
        assert_eq!(joined, text);
    }

    /// Whether a text is kept inline must not show.
    #[test]
    fn pieces_grow_beyond_what_is_inline() {
        for parts in
            [&["", ""][..], &["a", "ä"], &["a", &"b".repeat(61)], &["ä", &"b".repeat(61)], &["x"; 200]]
        {
            let mut piece = TextPiece::from(String::new());
            for part in parts {
                piece.try_push_str(part).expect("a short text");
            }
            let whole = parts.concat();
            assert_eq!(
                (piece.as_str(), &piece),
                (whole.as_str(), &TextPiece::from(whole.clone())),
                "{parts:?}"
            );
            assert_eq!(format!("{piece:?} {piece}"), format!("{whole:?} {whole}"));
        }
    }
}
