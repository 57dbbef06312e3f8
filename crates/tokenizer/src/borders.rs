//! Where a text whose spaces are spelled U+2581 may be cut without changing its tokens.
//!
//! The kinds that know no words would treat a whole paragraph as one piece. But if no token contains a space after some
//! other character, no token and no merge crosses that border. The text is cut there, which leaves short pieces, most
//! of them single tokens.

use crate::TokenizerError;
use crate::bytes;
use crate::vocab::Vocab;

/// SentencePiece's spelling of a space.
pub(crate) const SPACE: &str = "\u{2581}";

/// The first byte of [`SPACE`].
const FIRST: u8 = 0xE2;

/// Which borders tokens cross.
#[derive(Debug)]
pub(crate) struct Borders {
    /// The last bytes of characters that occur before a [`SPACE`] inside some token.
    joined: [bool; 256],
}

/// The positions before each [`SPACE`] that does not follow another one, with the byte before.
fn borders(text: &[u8]) -> impl Iterator<Item = (usize, u8)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let found = bytes::find(text, at, text.len(), FIRST)?;
            if text.get(found..found + SPACE.len()) != Some(SPACE.as_bytes()) {
                at = found + 1;
                continue;
            }
            at = found + 3;
            match text.get(..found)? {
                [] => {}
                [.., 0xE2, 0x96, 0x81] => {}
                [.., before] => return Some((found, *before)),
            }
        }
    })
}

impl Borders {
    pub(crate) fn new(vocab: &Vocab) -> Self {
        let mut joined = [false; 256];
        let storage = vocab.strings().storage();
        for (start, len) in vocab.strings().places() {
            // Most tokens do not contain such a character, which is quickly seen.
            let end = start + len;
            if bytes::find(storage, start + 1, end, FIRST).is_none() {
                continue;
            }
            for (_, before) in borders(storage.get(start..end).unwrap_or(&[])) {
                if let Some(slot) = joined.get_mut(usize::from(before)) {
                    *slot = true;
                }
            }
        }
        Self { joined }
    }

    /// Passes the stretches between the borders to `each`, with the positions where they begin.
    #[inline]
    pub(crate) fn pieces<'t>(
        &self,
        text: &'t str,
        mut each: impl FnMut(usize, &'t str) -> Result<(), TokenizerError>,
    ) -> Result<(), TokenizerError> {
        let mut start = 0;
        for (at, before) in borders(text.as_bytes()) {
            if !self.joined.get(usize::from(before)).copied().unwrap_or(true) {
                each(start, text.get(start..at).unwrap_or(""))?;
                start = at;
            }
        }
        if start < text.len() {
            each(start, text.get(start..).unwrap_or(""))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::borders;

    #[test]
    fn borders_are_before_the_first_of_some_spaces() {
        let cases: &[(&str, &[(usize, u8)])] =
            &[("", &[]), ("▁a", &[]), ("▁a▁▁b>▁", &[(4, b'a'), (12, b'>')]), ("é▁", &[(2, 0xA9)])];
        for (text, expected) in cases {
            assert_eq!(borders(text.as_bytes()).collect::<Vec<_>>(), *expected, "{text}");
        }
    }
}
