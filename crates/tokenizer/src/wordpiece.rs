//! WordPiece as in BERT: words in lower case without accents, each cut into the longest tokens from the left.
//!
//! ```text
//! clean     drop controls; white space ends a word; punctuation, ASCII symbols and Han characters are words
//! strip     decompose, drop nonspacing marks; lower case
//! cut       SPACE + word: the longest token at each position; a word is unknown if a position has no token, or if it has
//!           more than 100 characters
//! ```
//!
//! The vocabulary of a GGUF file marks the beginning of a word by U+2581, and spells the rest of a word without `##`.

use crate::borders::SPACE;
use crate::job::Job;
use crate::reserve::Reserve;
use crate::sink::{Origins, Sink};
use crate::spec::Normalizer;
use crate::trie::Trie;
use crate::unicode::{C, P, S, W, is, without_accents};
use crate::vocab::Vocab;
use crate::watch::Watch;
use crate::{TokenId, TokenizerError};
use std::ops::Range;

/// The trie, and how words are normalized.
#[derive(Debug)]
pub(crate) struct WordPiece {
    trie: Trie,
    lowercase: bool,
    strip_accents: bool,
    pub(crate) unknown: Option<TokenId>,
}

/// Han characters, as the original defines them (one of its ranges begins at 2B920 by mistake; everybody follows).
fn is_han(c: char) -> bool {
    matches!(c as u32,
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F | 0x2B740..=0x2B81F
        | 0x2B920..=0x2CEAF | 0xF900..=0xFAFF | 0x2F800..=0x2FA1F)
}

/// Control characters, including some that are white space elsewhere, but not tabs and line ends.
fn is_dropped(c: char) -> bool {
    matches!(c, '\0' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{FFFD}') || is(c, C)
}

/// A longer word is unknown, as in the original. Counted in characters.
const LONGEST_WORD: usize = 100;

/// The word under construction.
struct Word<'a> {
    text: &'a mut Vec<u8>,
    /// The number of its characters, without the one that marks its beginning.
    n_chars: usize,
    /// The origins of the whole fragment.
    origins: &'a mut Origins,
    /// Where the word begins in what the origins describe.
    base: usize,
}

impl Word<'_> {
    /// Appends a character that stands for bytes `at..end` of the text.
    fn add<K: Sink>(&mut self, c: char, at: usize, end: usize) -> Result<(), TokenizerError> {
        if self.text.is_empty() {
            self.text.add_all(SPACE.as_bytes())?;
            if K::SPANS {
                self.origins.extend(SPACE.len(), at, at)?;
            }
        }
        self.n_chars += 1;
        self.text.add_all(c.encode_utf8(&mut [0; 4]).as_bytes())?;
        if K::SPANS {
            self.origins.extend(c.len_utf8(), at, end)?;
        }
        Ok(())
    }
}

impl WordPiece {
    pub(crate) fn new(
        vocab: &Vocab,
        normalizer: Normalizer,
        watch: &Watch<'_>,
    ) -> Result<Self, TokenizerError> {
        let lowercase = normalizer.lowercase.unwrap_or(true);
        Ok(Self {
            trie: Trie::new(0..vocab.len() as TokenId, vocab.len(), |id| vocab.text(id), watch)?,
            lowercase,
            strip_accents: normalizer.strip_accents.unwrap_or(lowercase),
            unknown: None,
        })
    }

    /// Appends the tokens of a stretch of text.
    pub(crate) fn encode<K: Sink>(
        &self,
        job: &Job<'_>,
        text: &str,
        buffer: &mut Vec<u8>,
        origins: &mut Origins,
        out: &mut K,
    ) -> Result<(), TokenizerError> {
        buffer.clear();
        let mut word = Word { text: buffer, n_chars: 0, origins, base: 0 };
        for (at, original) in text.char_indices() {
            job.work(1)?;
            let end = at + original.len_utf8();
            if is_dropped(original) {
                continue;
            }
            if is(original, W) {
                self.finish(job, &mut word, out)?;
                continue;
            }
            if !self.strip_accents {
                self.character(job, &mut word, original, at..end, out)?;
                continue;
            }
            for c in without_accents(original) {
                self.character(job, &mut word, c, at..end, out)?;
            }
        }
        self.finish(job, &mut word, out)
    }

    /// Adds a character to the word, or makes it a word by itself.
    fn character<K: Sink>(
        &self,
        job: &Job<'_>,
        word: &mut Word<'_>,
        c: char,
        from: Range<usize>,
        out: &mut K,
    ) -> Result<(), TokenizerError> {
        let alone = is(c, P) || (c < '\u{7F}' && is(c, S)) || is_han(c);
        if alone {
            self.finish(job, word, out)?;
        }
        if self.lowercase {
            c.to_lowercase().try_for_each(|c| word.add::<K>(c, from.start, from.end))?;
        } else {
            word.add::<K>(c, from.start, from.end)?;
        }
        if alone {
            self.finish(job, word, out)?;
        }
        Ok(())
    }

    /// Appends the tokens of the word, if there is one.
    fn finish<K: Sink>(&self, job: &Job<'_>, word: &mut Word<'_>, out: &mut K) -> Result<(), TokenizerError> {
        if word.text.is_empty() {
            return Ok(());
        }
        // Runs twice, so that a word whose end has no token does not leave tokens in the output.
        let cut = |mut each: Option<&mut K>| {
            let mut at = 0;
            while let Some(rest) = word.text.get(at..).filter(|rest| !rest.is_empty()) {
                let found = self.trie.longest(job, rest, |id| job.vocab.text(id))?;
                let Some((length, id)) = found else { return Ok(false) };
                if let Some(out) = each.as_mut() {
                    out.push(id, word.base + at, word.base + at + length)?;
                }
                at += length;
            }
            Ok(true)
        };
        if word.n_chars <= LONGEST_WORD && cut(None)? {
            cut(Some(out))?;
        } else if let Some(unknown) = self.unknown {
            out.push(unknown, word.base, word.base + word.text.len())?;
        }
        word.base += word.text.len();
        word.text.clear();
        word.n_chars = 0;
        Ok(())
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        self.trie.owned_bytes()
    }
}
