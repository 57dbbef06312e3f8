//! BPE with merge rules: tokens merge by the rank of their rule. Two ways to begin:
//!
//! - byte-level: every byte is written as a printable character, and begins as that character's token;
//! - raw (Gemma 4 and its like): spaces are written as U+2581, every character begins as its token, and what is no
//!   token in the end becomes bytes.

use crate::borders::Borders;
use crate::merge::{MergeScratch, NO_SYMBOL, Node};
use crate::pre::PreTokenizer;
use crate::rules::Rules;
use crate::sink::Sink;
use crate::spec::Strings;
use crate::vocab::Vocab;
use crate::{TokenId, TokenizerError, byte_level, split};

/// The merge rules and the cut.
#[derive(Debug)]
pub(crate) struct Bpe {
    pub(crate) pre: PreTokenizer,
    rules: Rules,
    begin: Begin,
}

/// What merging begins with.
#[derive(Debug)]
enum Begin {
    /// The token of each byte's stand-in.
    Bytes(Vec<TokenId>),
    Characters(Box<Borders>),
}

impl Bpe {
    pub(crate) fn new(
        vocab: &Vocab,
        merges: Option<&Strings>,
        pre: PreTokenizer,
    ) -> Result<Self, TokenizerError> {
        let rules = Rules::new(vocab, merges)?;
        let begin = if pre.raw {
            Begin::Characters(Box::new(Borders::new(vocab)))
        } else {
            let bytes = (0..=255u8).map(|byte| {
                let mut buffer = [0; 4];
                vocab.find(byte_level::char_of(byte).encode_utf8(&mut buffer).as_bytes()).unwrap_or(NO_SYMBOL)
            });
            Begin::Bytes(bytes.collect())
        };
        Ok(Self { pre, rules, begin })
    }

    /// Appends the tokens of a stretch of text without special tokens.
    pub(crate) fn encode<S: Sink>(
        &self,
        vocab: &Vocab,
        text: &str,
        scratch: &mut MergeScratch,
        word: &mut Vec<u8>,
        out: &mut S,
    ) {
        let mut at = 0;
        match &self.begin {
            Begin::Bytes(bytes) => split::split(self.pre.stages, text, &mut |piece| {
                self.encode_bytes(vocab, bytes, at, piece.as_bytes(), scratch, word, out);
                at += piece.len();
            }),
            Begin::Characters(borders) => split::split(self.pre.stages, text, &mut |line| {
                // Gemma 4: some line ends are one token, whatever the merges say.
                let ends = self.pre.line_ends && line.starts_with('\n');
                match ends.then(|| vocab.find(line.as_bytes())).flatten() {
                    Some(id) => out.push(id, at, at + line.len()),
                    None => borders.pieces(line, |start, piece| {
                        self.encode_characters(vocab, at + start, piece, scratch, out);
                    }),
                }
                at += line.len();
            }),
        }
    }

    #[allow(clippy::too_many_arguments)] // buffers that the caller keeps
    fn encode_bytes<S: Sink>(
        &self,
        vocab: &Vocab,
        bytes: &[TokenId],
        base: usize,
        piece: &[u8],
        scratch: &mut MergeScratch,
        word: &mut Vec<u8>,
        out: &mut S,
    ) {
        // Most pieces are a token; whether the merges find it is learnt once.
        word.clear();
        byte_level::encode_into(piece, word);
        let token = vocab.find(word);
        let whole = token.and_then(|id| if self.pre.ignore_merges { Some(true) } else { vocab.whole(id) });
        if let (Some(id), Some(true)) = (token, whole) {
            out.push(id, base, base + piece.len());
            return;
        }
        scratch.nodes.clear();
        let symbol = |b: &u8| bytes.get(usize::from(*b)).copied().unwrap_or(NO_SYMBOL);
        scratch.nodes.extend(piece.iter().enumerate().map(|(i, b)| Node::new(symbol(b), i, 1)));
        scratch.run(piece, &self.rules);
        if let (Some(id), None) = (token, whole) {
            vocab.set_whole(id, matches!(scratch.nodes.as_slice(), [node] if node.symbol == id));
        }
        for node in scratch.nodes.iter().filter(|node| node.symbol != NO_SYMBOL) {
            // A byte that has no token is left out, as in llama.cpp.
            out.push(node.symbol, base + node.start as usize, base + (node.start + node.len) as usize);
        }
    }

    fn encode_characters<S: Sink>(
        &self,
        vocab: &Vocab,
        base: usize,
        piece: &str,
        scratch: &mut MergeScratch,
        out: &mut S,
    ) {
        let token = vocab.find(piece.as_bytes());
        let whole = token.and_then(|id| vocab.whole(id));
        if let (Some(id), Some(true)) = (token, whole) {
            out.push(id, base, base + piece.len());
            return;
        }
        scratch.nodes.clear();
        scratch.nodes.extend(piece.char_indices().map(|(at, c)| {
            let id = vocab.find(c.encode_utf8(&mut [0; 4]).as_bytes());
            Node::new(id.unwrap_or(NO_SYMBOL), at, c.len_utf8())
        }));
        scratch.run(piece.as_bytes(), &self.rules);
        if let (Some(id), None) = (token, whole) {
            vocab.set_whole(id, matches!(scratch.nodes.as_slice(), [node] if node.symbol == id));
        }
        for node in &scratch.nodes {
            let (start, end) = (node.start as usize, (node.start + node.len) as usize);
            if node.symbol != NO_SYMBOL {
                out.push(node.symbol, base + start, base + end);
                continue;
            }
            for (at, byte) in piece.as_bytes().get(start..end).unwrap_or(&[]).iter().enumerate() {
                if let Some(id) = vocab.hex_token(*byte) {
                    out.push(id, base + start + at, base + start + at + 1);
                }
            }
        }
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        let begin = match &self.begin {
            Begin::Bytes(bytes) => bytes.capacity() * 4,
            Begin::Characters(_) => size_of::<Borders>(),
        };
        self.rules.owned_bytes() + begin
    }
}
