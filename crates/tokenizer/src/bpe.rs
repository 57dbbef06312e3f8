//! BPE with merge rules: tokens merge by the rank of their rule. It can begin in two ways:
//!
//! - byte-level: every byte is spelled as a printable character, and begins as that character's token;
//! - raw (Gemma 4 and similar): spaces are spelled U+2581, every character begins as its token, and what is not a token
//!   in the end becomes bytes.

use crate::borders::Borders;
use crate::bytes::SHORT;
use crate::hash::hash_in;
use crate::job::Job;
use crate::merge::{MergeScratch, Node};
use crate::pre::PreTokenizer;
use crate::reserve::Reserve;
use crate::rules::Rules;
use crate::sink::Sink;
use crate::spec::Strings;
use crate::vocab::Vocab;
use crate::watch::Watch;
use crate::{TokenizerError, byte_level, split};

/// The merge rules, and how text is split.
#[derive(Debug)]
pub(crate) struct Bpe {
    pub(crate) pre: PreTokenizer,
    rules: Rules,
    /// For the raw way: where a line may be cut.
    borders: Option<Box<Borders>>,
}

impl Bpe {
    pub(crate) fn new(
        vocab: &Vocab,
        merges: Option<Strings>,
        pre: PreTokenizer,
        watch: &Watch<'_>,
    ) -> Result<Self, TokenizerError> {
        let borders = pre.raw.then(|| Box::new(Borders::new(vocab)));
        Ok(Self { pre, rules: Rules::new(merges, watch)?, borders })
    }

    /// Appends the tokens of a stretch of text that contains no special tokens.
    pub(crate) fn encode<S: Sink>(
        &self,
        job: &Job<'_>,
        text: &str,
        scratch: &mut MergeScratch,
        word: &mut Vec<u8>,
        out: &mut S,
    ) -> Result<(), TokenizerError> {
        let mut at = 0;
        let Some(borders) = &self.borders else {
            return split::split(self.pre.stages, text, &mut |piece| {
                job.work(piece.len())?;
                word.clear();
                byte_level::encode_into(piece.as_bytes(), word)?;
                let len = word.len();
                word.add_all(&[0; SHORT])?;
                self.encode_word(job, at, word, len, scratch, out)?;
                at += piece.len();
                Ok(())
            });
        };
        split::split(self.pre.stages, text, &mut |line| {
            // Gemma 4: some runs of line ends are one token, whatever the merges say.
            let ends = self.pre.line_ends && line.starts_with('\n');
            match ends.then(|| job.find_in(line.as_bytes(), 0, line.len())).flatten() {
                Some(id) => out.push(id, at, at + line.len())?,
                None => borders.pieces(line, |start, piece| {
                    job.work(piece.len())?;
                    let rest = text.as_bytes().get(at + start..).unwrap_or(&[]);
                    self.encode_word(job, at + start, rest, piece.len(), scratch, out)
                })?,
            }
            at += line.len();
            Ok(())
        })
    }

    /// The tokens of a piece: the first `len` bytes of `word`, in the vocabulary's spelling. `base` is where the piece
    /// begins in the text. The bytes after it in `word` do not matter, but make reading faster.
    fn encode_word<S: Sink>(
        &self,
        job: &Job<'_>,
        base: usize,
        word: &[u8],
        len: usize,
        scratch: &mut MergeScratch,
        out: &mut S,
    ) -> Result<(), TokenizerError> {
        // Most pieces are a token. Whether the merges produce it is found out once.
        let vocab = job.vocab;
        let token = job.find_in(word, 0, len);
        let whole = token.and_then(|id| if self.pre.ignore_merges { Some(true) } else { vocab.whole(id) });
        if let (Some(id), Some(true)) = (token, whole) {
            let length = if S::SPANS { self.length(word.get(..len).unwrap_or(word)) } else { 0 };
            return out.push(id, base, base + length);
        }
        scratch.nodes.clear();
        let mut at = 0;
        while let Some(rest) = word.get(at..len).filter(|rest| !rest.is_empty()) {
            let symbol = character(rest);
            job.work(1)?;
            scratch.nodes.add(Node::new(hash_in(word, at, symbol), at, symbol))?;
            at += symbol;
        }
        scratch.run(word, &self.rules, job.watch)?;
        if let (Some(id), None) = (token, whole) {
            vocab.set_whole(id, scratch.nodes.len() == 1);
        }
        let mut start = base;
        for node in &scratch.nodes {
            let end = start + if S::SPANS { self.length(node.text(word)) } else { 0 };
            job.work(1)?;
            match job.find_in(word, node.start as usize, node.len as usize) {
                Some(id) => out.push(id, start, end)?,
                None => self.fall_back(job, start, node.text(word), out)?,
            }
            start = end;
        }
        Ok(())
    }

    /// Encodes a symbol that is not a token as its bytes. A byte without a token is left out, as in llama.cpp.
    fn fall_back<S: Sink>(
        &self,
        job: &Job<'_>,
        base: usize,
        symbol: &[u8],
        out: &mut S,
    ) -> Result<(), TokenizerError> {
        let raw = self.borders.is_some();
        let (mut at, mut start) = (0, base);
        while let Some(rest) = symbol.get(at..).filter(|rest| !rest.is_empty()) {
            let length = if raw { 1 } else { character(rest) };
            let byte = rest.first().copied().unwrap_or(0);
            let id = if raw { job.vocab.hex_token(byte) } else { job.find_in(rest, 0, length) };
            if let Some(id) = id {
                out.push(id, start, start + 1)?;
            }
            (at, start) = (at + length, start + 1);
        }
        Ok(())
    }

    /// How many bytes of the text a part of a word stands for: in a byte-level vocabulary, one per character.
    fn length(&self, word: &[u8]) -> usize {
        if self.borders.is_some() {
            return word.len();
        }
        word.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        self.rules.owned_bytes() + self.borders.as_ref().map_or(0, |_| size_of::<Borders>())
    }
}

/// The length of the first character of a non-empty text, in bytes.
#[inline]
fn character(text: &[u8]) -> usize {
    let length = match text.first() {
        Some(0xF0..) => 4,
        Some(0xE0..) => 3,
        Some(0xC0..) => 2,
        _ => 1,
    };
    length.min(text.len())
}
