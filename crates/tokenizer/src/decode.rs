//! Ids to text, all at once or one by one.

use crate::borders::SPACE;
use crate::kind::Writing;
use crate::reserve::{Reserve, add_str, exactly, lossy};
use crate::vocab::attr;
use crate::{TokenId, Tokenizer, TokenizerError, byte_level, rwkv};

/// Options of decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Writes the strings of control and unknown tokens too (default true).
    pub special: bool,
    /// Removes spaces before punctuation if the tokenizer's pre-tokenizer asks for it, as llama.cpp does (default
    /// true).
    pub clean_spaces: bool,
}

impl Default for DecodeOptions {
    /// Writes special tokens, and cleans spaces.
    fn default() -> Self {
        Self { special: true, clean_spaces: true }
    }
}

impl Tokenizer {
    /// Appends the bytes of a token, which may be part of a character. Bytes of control and unknown tokens are appended
    /// only if `special` is true.
    ///
    /// # Errors
    /// If the id is out of range.
    pub fn token_bytes(&self, id: TokenId, special: bool, out: &mut Vec<u8>) -> Result<(), TokenizerError> {
        self.vocab.check(id)?;
        let (attrs, text) = (self.vocab.attrs(id), self.vocab.text(id));
        let hidden = attrs & (attr::CONTROL | attr::UNKNOWN) != 0;
        if hidden && !special {
            return Ok(());
        }
        let writing = self.writing();
        if writing == Writing::Rwkv {
            rwkv::unescape(text, out)?;
        } else if attrs & attr::IN_TEXT != 0 {
            out.add_all(text)?;
        } else if attrs & attr::BYTE != 0 {
            if let Some(byte) = self.vocab.byte_value(id) {
                out.add(byte)?;
            }
        } else if attrs & attr::NORMAL != 0 || writing == Writing::Plain {
            match writing {
                Writing::Bytes => byte_level::decode_into(text, out)?,
                Writing::Escaped => unescape(text, out)?,
                Writing::Plain | Writing::Rwkv => out.add_all(text)?,
            }
        }
        Ok(())
    }

    /// Returns the bytes of a token, including control tokens. They may be part of a character.
    ///
    /// # Errors
    /// If the id is out of range.
    pub fn piece(&self, id: TokenId) -> Result<Vec<u8>, TokenizerError> {
        let mut bytes = Vec::new();
        self.token_bytes(id, true, &mut bytes)?;
        Ok(bytes)
    }

    /// Returns the bytes of several tokens. They are valid UTF-8 if the tokens are those of a text.
    ///
    /// # Errors
    /// If an id is out of range.
    pub fn decode_bytes(&self, ids: &[TokenId], options: DecodeOptions) -> Result<Vec<u8>, TokenizerError> {
        let mut out = Vec::new();
        for (i, id) in ids.iter().enumerate() {
            let start = out.len();
            self.token_bytes(*id, options.special, &mut out)?;
            // Remove the space that encoding put before the text.
            if i == 0 && self.add_space_prefix && out.get(start) == Some(&b' ') {
                out.remove(start);
            }
        }
        if options.clean_spaces && self.clean_spaces {
            clean(&mut out)?;
        }
        Ok(out)
    }

    /// Returns the text of several tokens. Bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// If an id is out of range.
    pub fn decode(&self, ids: &[TokenId], options: DecodeOptions) -> Result<String, TokenizerError> {
        let bytes = self.decode_bytes(ids, options)?;
        let error = match String::from_utf8(bytes) {
            Ok(text) => return Ok(text),
            Err(error) => error,
        };
        let mut text = String::new();
        lossy(error.as_bytes(), &mut text)?;
        Ok(text)
    }
}

/// Replaces U+2581 by spaces.
fn unescape(text: &[u8], out: &mut Vec<u8>) -> Result<(), TokenizerError> {
    let space = SPACE.as_bytes();
    let mut rest = text;
    while let Some(first) = rest.first() {
        if let Some(after) = rest.strip_prefix(space) {
            out.add(b' ')?;
            rest = after;
        } else {
            out.add(*first)?;
            rest = rest.get(1..).unwrap_or(&[]);
        }
    }
    Ok(())
}

/// llama.cpp's cleaning, in its three passes.
fn clean(text: &mut Vec<u8>) -> Result<(), TokenizerError> {
    // " ?" " !" " ." " ,": removes the space.
    rewrite(text, |before, rest, out| {
        if before == b' ' && matches!(rest.first(), Some(b'?' | b'!' | b'.' | b',')) {
            out.pop();
        }
        0
    })?;
    // " ' ": removes both spaces.
    rewrite(text, |before, rest, out| {
        if before == b' ' && matches!(rest, [b'\'', b' ', ..]) {
            out.pop();
            return 1;
        }
        0
    })?;
    // " 's" " 'm" " 're" " 've": removes the space.
    rewrite(text, |before, rest, out| {
        let contraction = matches!(rest, [b'\'', b's' | b'm', ..] | [b'\'', b'r' | b'v', b'e', ..]);
        if before == b' ' && contraction {
            out.pop();
        }
        0
    })
}

/// Copies the text byte by byte. `edit` receives the byte before, the rest, and what was written, and returns how many
/// bytes after the first of the rest to leave out.
fn rewrite(
    text: &mut Vec<u8>,
    edit: impl Fn(u8, &[u8], &mut Vec<u8>) -> usize,
) -> Result<(), TokenizerError> {
    let mut out = exactly(text.len())?;
    out.extend(text.first());
    let mut at = 1;
    while let (Some(before), Some(rest)) = (text.get(at - 1), text.get(at..).filter(|r| !r.is_empty())) {
        let skipped = edit(*before, rest, &mut out);
        out.extend(rest.first());
        // As in llama.cpp, the byte that was left out becomes NUL, so that it is not a space before the next byte.
        if skipped > 0
            && let Some(byte) = text.get_mut(at + 1)
        {
            *byte = 0;
        }
        at += 1 + skipped;
    }
    *text = out;
    Ok(())
}

/// Decodes tokens one by one. Returns text in whole characters; bytes that can no longer become a character are written
/// as U+FFFD.
#[derive(Debug, Default)]
pub struct DecodeStream {
    pending: Vec<u8>,
    text: String,
    special: bool,
}

/// The former name of [`DecodeStream`].
pub type StreamDecoder = DecodeStream;

impl DecodeStream {
    /// Makes a decoder that leaves out control tokens.
    pub fn new() -> Self {
        Self::with_special(false)
    }

    /// Makes a decoder that writes the strings of control tokens if `special` is true.
    #[allow(clippy::disallowed_methods)] // of fixed small sizes, so that most tokens allocate nothing
    pub fn with_special(special: bool) -> Self {
        Self { pending: Vec::with_capacity(256), text: String::with_capacity(1024), special }
    }

    /// Adds a token, and returns the text that is complete now, which may be empty.
    ///
    /// # Errors
    /// If the id is out of range, or memory for its bytes is refused. The state is then unchanged.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: TokenId) -> Result<&str, TokenizerError> {
        let before = self.pending.len();
        let taken = tokenizer.token_bytes(id, self.special, &mut self.pending).and_then(|()| self.take());
        if let Err(error) = taken {
            self.pending.truncate(before);
            return Err(error);
        }
        Ok(&self.text)
    }

    /// Returns the beginning of a character that is still incomplete: at most three bytes, which further tokens may complete.
    pub fn incomplete(&self) -> &[u8] {
        &self.pending
    }

    /// Ends the stream: drops the beginning of an incomplete character, and returns how many bytes that was, at most
    /// three. The stream can then be reused.
    ///
    /// The text ends before that character, as if generation had stopped one token earlier. Bytes that cannot become a
    /// character were already returned by [`DecodeStream::push`] as U+FFFD.
    pub fn finish(&mut self) -> usize {
        let dropped = self.pending.len();
        self.pending.clear();
        dropped
    }

    /// Moves complete characters from `pending` to `text`.
    fn take(&mut self) -> Result<(), TokenizerError> {
        self.text.clear();
        let mut kept = 0;
        let total = self.pending.len();
        let mut at = 0;
        for chunk in self.pending.utf8_chunks() {
            add_str(&mut self.text, chunk.valid())?;
            at += chunk.valid().len();
            let invalid = chunk.invalid();
            // Invalid bytes at the very end may be the beginning of a character.
            if !invalid.is_empty() && at + invalid.len() == total && may_continue(invalid) {
                kept = invalid.len();
                break;
            }
            if !invalid.is_empty() {
                add_str(&mut self.text, "\u{FFFD}")?;
            }
            at += invalid.len();
        }
        self.pending.drain(..total - kept);
        Ok(())
    }
}

/// Whether these bytes, which are not a character, could become one with more bytes.
fn may_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning() {
        let cases = [
            ("", ""),
            ("a .", "a."),
            (" .", "."),
            ("a ' b", "a'b"),
            ("it 's we 've they 're I 'm", "it's we've they're I'm"),
            ("he 'd don 't 'll", "he 'd don 't 'll"),
            ("Who ? Me ! No , yes .", "Who? Me! No, yes."),
        ];
        for (text, expected) in cases {
            let mut bytes = text.as_bytes().to_vec();
            clean(&mut bytes).unwrap();
            assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        }
    }
}
