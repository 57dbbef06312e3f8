//! RWKV's World vocabulary: the longest token at each position. Its strings are spelled with escapes (`
//! `, `\x80`).

use crate::job::Job;
use crate::reserve::{Reserve, exactly};
use crate::sink::Sink;
use crate::spec::Strings;
use crate::trie::Trie;
use crate::vocab::Vocab;
use crate::watch::Watch;
use crate::{TokenId, TokenizerError};

#[derive(Debug)]
pub(crate) struct Rwkv {
    /// The unescaped strings of the tokens.
    strings: Strings,
    bytes: usize,
    trie: Trie,
    pub(crate) unknown: Option<TokenId>,
}

/// The bytes that an escaped string stands for.
pub(crate) fn unescape(text: &[u8], out: &mut Vec<u8>) -> Result<(), TokenizerError> {
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'\\' {
            out.add(*byte)?;
            continue;
        }
        match rest.next() {
            Some(b't') => out.add(b'\t')?,
            Some(b'n') => out.add(b'\n')?,
            Some(b'r') => out.add(b'\r')?,
            Some(b'x') => {
                let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                if let Some((high, low)) = high.zip(low) {
                    out.add((high * 16 + low) as u8)?;
                }
            }
            Some(other) => out.add(*other)?,
            None => {}
        }
    }
    Ok(())
}

impl Rwkv {
    pub(crate) fn new(vocab: &Vocab, watch: &Watch<'_>) -> Result<Self, TokenizerError> {
        // No escape is shorter than what it stands for.
        let escaped = vocab.strings().places().map(|(_, length)| length).sum();
        let (mut bytes, mut lengths): (Vec<u8>, Vec<u32>) = (exactly(escaped)?, exactly(vocab.len())?);
        for id in 0..vocab.len() {
            let (start, text) = (bytes.len(), vocab.text(id as TokenId));
            watch.work(1 + text.len())?;
            unescape(text, &mut bytes)?;
            lengths.push((bytes.len() - start) as u32);
        }
        let owned = bytes.capacity();
        let lengths = lengths.into_iter().map(|length| length as usize);
        let strings = Strings::in_storage(std::sync::Arc::new(bytes), 0, 0, lengths)?;
        let trie = Trie::new(0..vocab.len() as TokenId, vocab.len(), |id| strings.get(id as usize), watch)?;
        Ok(Self { strings, bytes: owned, trie, unknown: None })
    }

    /// The bytes that a token stands for.
    pub(crate) fn text(&self, id: TokenId) -> &[u8] {
        self.strings.get(id as usize)
    }

    /// Appends the tokens of a stretch of text. A byte with which no token begins becomes the unknown token, if the
    /// model has one.
    pub(crate) fn encode<K: Sink>(
        &self,
        job: &Job<'_>,
        text: &str,
        out: &mut K,
    ) -> Result<(), TokenizerError> {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let found = self.trie.longest(job, rest, |id| self.text(id))?;
            let (length, id) = found.map_or((1, self.unknown), |(length, id)| (length, Some(id)));
            if let Some(id) = id {
                out.push(id, at, at + length)?;
            }
            at += length;
        }
        Ok(())
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        self.strings.owned_bytes() + self.bytes + self.trie.owned_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn escapes() {
        let cases: &[(&str, &[u8])] = &[
            ("", b""),
            ("a b", b"a b"),
            ("\\n\\t\\r\\\\\\'", b"\n\t\r\\'"),
            ("\\x80a\\xfF", b"\x80a\xff"),
            ("\\xg0a", b"a"),
            ("\\x1", b""),
            ("a\\", b"a"),
        ];
        for (text, expected) in cases {
            let mut out = Vec::new();
            unescape(text.as_bytes(), &mut out).unwrap();
            assert_eq!(&out, expected, "{text}");
        }
    }
}
