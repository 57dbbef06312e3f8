//! RWKV's World vocabulary: the longest token at each place. Its strings are written with escapes (`\n`, `\x80`).

use crate::sink::Sink;
use crate::spec::Strings;
use crate::trie::Trie;
use crate::vocab::Vocab;
use crate::{TokenId, TokenizerError};

#[derive(Debug)]
pub(crate) struct Rwkv {
    /// What the tokens stand for.
    strings: Strings,
    bytes: usize,
    trie: Trie,
    pub(crate) unknown: Option<TokenId>,
}

/// The bytes that an escaped string stands for.
pub(crate) fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        match rest.next() {
            Some(b't') => out.push(b'\t'),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b'x') => {
                let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                out.extend(high.zip(low).map(|(high, low)| (high * 16 + low) as u8));
            }
            Some(other) => out.push(*other),
            None => {}
        }
    }
}

impl Rwkv {
    pub(crate) fn new(vocab: &Vocab) -> Result<Self, TokenizerError> {
        let (mut bytes, mut lengths) = (Vec::new(), Vec::with_capacity(vocab.len()));
        for id in 0..vocab.len() {
            let start = bytes.len();
            unescape(vocab.text(id as TokenId), &mut bytes);
            lengths.push(bytes.len() - start);
        }
        bytes.shrink_to_fit();
        let owned = bytes.capacity();
        let strings = Strings::in_storage(std::sync::Arc::new(bytes), 0, 0, lengths.into_iter())?;
        let trie = Trie::new(0..vocab.len() as TokenId, |id| strings.get(id as usize))?;
        Ok(Self { strings, bytes: owned, trie, unknown: None })
    }

    /// The bytes that a token stands for.
    pub(crate) fn text(&self, id: TokenId) -> &[u8] {
        self.strings.get(id as usize)
    }

    /// Appends the tokens of a stretch of text. A byte that begins no token becomes the unknown token, if there is one.
    pub(crate) fn encode<K: Sink>(&self, text: &str, out: &mut K) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let found = self.trie.longest(rest, |id| self.text(id));
            let (length, id) = found.map_or((1, self.unknown), |(length, id)| (length, Some(id)));
            if let Some(id) = id {
                out.push(id, at, at + length);
            }
            at += length;
        }
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
            unescape(text.as_bytes(), &mut out);
            assert_eq!(&out, expected, "{text}");
        }
    }
}
