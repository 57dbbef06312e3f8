//! Unigram (T5's SentencePiece): of all ways to cut a text into tokens, the one with the highest sum of scores.
//!
//! ```text
//! normalize: the precompiled map's replacements; runs of spaces become one if the file says so; spaces as U+2581
//! best[0] = 0
//! for each character at i, for each token t = text[i..j]:   best[j] = max(best[j], best[i] + score(t))
//!     if the character alone has no token: the unknown token, with a score 10 below the worst
//! back from the end; adjacent unknown tokens become one
//! ```
//!
//! No token crosses a border ([`Borders`]), so the text is cut there; the sum continues, so that rounding stays the
//! same.

use crate::borders::{Borders, SPACE};
use crate::charsmap::CharsMap;
use crate::job::Job;
use crate::reserve::{Reserve, lossy};
use crate::sink::{Origins, Sink};
use crate::spec::{Scores, TokenType};
use crate::trie::Trie;
use crate::vocab::{Vocab, attr};
use crate::watch::Watch;
use crate::{TokenId, TokenizerError};

/// The maximum length of the normalized text: a hostile map could turn a kilobyte into a gigabyte.
const MAX_NORMALIZED: usize = u32::MAX as usize / 2;

#[derive(Debug)]
pub(crate) struct Unigram {
    trie: Trie,
    scores: Option<Scores>,
    unknown_score: f64,
    pub(crate) unknown: Option<TokenId>,
    charsmap: Option<CharsMap>,
    borders: Borders,
    merge_spaces: bool,
    space_prefix: bool,
}

/// The best way to reach a position of the text.
#[derive(Debug, Clone, Copy)]
struct Best {
    score: f64,
    /// Where its last token begins.
    start: u32,
    token: TokenId,
}

const UNREACHED: Best = Best { score: -f64::MAX, start: 0, token: TokenId::MAX };

/// The buffers of the search.
#[derive(Debug, Default)]
pub(crate) struct UnigramScratch {
    best: Vec<Best>,
    path: Vec<(TokenId, u32, u32)>,
    /// The text with replacement characters, if the map wrote invalid UTF-8.
    lossy: String,
}

impl UnigramScratch {
    pub(crate) fn shrink(&mut self, keep: usize) {
        self.best.keep(keep);
        self.path.keep(keep);
        if self.lossy.capacity() > keep {
            self.lossy = String::new();
        }
    }
}

/// What is carried over from one stretch of the text to the next.
struct Carried {
    score: f64,
    /// A run of unknown characters: its beginning and end.
    unknown: Option<(usize, usize)>,
}

impl Unigram {
    pub(crate) fn new(
        vocab: &Vocab,
        types: &[TokenType],
        scores: Option<Scores>,
        charsmap: Option<CharsMap>,
        merge_spaces: bool,
        space_prefix: bool,
        watch: &Watch<'_>,
    ) -> Result<Self, TokenizerError> {
        let type_of = |id: TokenId| types.get(id as usize).copied().unwrap_or_default();
        let ids = || 0..vocab.len() as TokenId;
        let used = |t| matches!(t, TokenType::Normal | TokenType::UserDefined | TokenType::Unused);
        let trie = Trie::new(ids().filter(|id| used(type_of(*id))), vocab.len(), |id| vocab.text(id), watch)?;
        let score = |id: TokenId| scores.as_ref().map_or(0.0, |scores| scores.get(id as usize));
        let normal = ids().filter(|id| type_of(*id) == TokenType::Normal);
        let worst = normal.map(score).fold(f32::MAX, f32::min);
        let unknown_score = f64::from(worst - 10.0);
        Ok(Self {
            trie,
            unknown_score,
            unknown: None,
            scores,
            charsmap,
            borders: Borders::new(vocab),
            merge_spaces,
            space_prefix,
        })
    }

    /// Appends the tokens of a stretch of text.
    pub(crate) fn encode<K: Sink>(
        &self,
        job: &Job<'_>,
        text: &str,
        buffer: &mut Vec<u8>,
        scratch: &mut UnigramScratch,
        origins: &mut Origins,
        out: &mut K,
    ) -> Result<(), TokenizerError> {
        self.normalize(job, text, buffer, origins, K::SPANS)?;
        // What the map writes should be text. Invalid bytes count as the replacement character.
        let mut storage = std::mem::take(&mut scratch.lossy);
        let lossy = lossy(buffer, &mut storage)?;
        let mut carried = Carried { score: 0.0, unknown: None };
        self.borders
            .pieces(lossy, |start, piece| self.search(job, start, piece, &mut carried, scratch, out))?;
        scratch.lossy = storage;
        self.end_unknown(&mut carried, out)
    }

    fn normalize(
        &self,
        job: &Job<'_>,
        text: &str,
        out: &mut Vec<u8>,
        origins: &mut Origins,
        spans: bool,
    ) -> Result<(), TokenizerError> {
        out.clear();
        let (mut prepended, mut in_word) = (false, false);
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
            job.work(1)?;
            let rest = bytes.get(at..).unwrap_or(&[]);
            let replaced = self.charsmap.as_ref().and_then(|map| map.replace(rest));
            // A map of whole strings leaves whole characters. For other maps, the rest of a character is dropped too.
            let (length, new) = match replaced {
                Some((length, new)) => {
                    let end = (at + length..=bytes.len()).find(|end| text.is_char_boundary(*end));
                    (end.unwrap_or(bytes.len()) - at, new)
                }
                None => (c.len_utf8(), rest.get(..c.len_utf8()).unwrap_or(&[])),
            };
            for byte in new {
                let space = *byte == b' ';
                let begins = !space && !in_word;
                in_word = !space;
                if (begins && ((self.space_prefix && !prepended) || self.merge_spaces))
                    || (space && !self.merge_spaces)
                {
                    prepended |= begins;
                    out.add_all(SPACE.as_bytes())?;
                    if spans {
                        origins.extend(SPACE.len(), at, if space { at + length } else { at })?;
                    }
                }
                if !space {
                    out.add(*byte)?;
                    if spans {
                        origins.extend(1, at, at + length)?;
                    }
                }
            }
            at += length;
            if out.len() > MAX_NORMALIZED {
                let (what, found) = ("bytes of the normalized text", out.len());
                return Err(TokenizerError::TooLarge { what, found, limit: MAX_NORMALIZED });
            }
        }
        Ok(())
    }

    fn search<K: Sink>(
        &self,
        job: &Job<'_>,
        base: usize,
        text: &str,
        carried: &mut Carried,
        scratch: &mut UnigramScratch,
        out: &mut K,
    ) -> Result<(), TokenizerError> {
        let (UnigramScratch { best, path, .. }, vocab) = (scratch, job.vocab);
        best.clear();
        best.fill_to(text.len() + 1, UNREACHED)?;
        if let Some(first) = best.first_mut() {
            first.score = carried.score;
        }
        let reach = |best: &mut Vec<Best>, end: usize, challenger: Best| {
            if let Some(champion) = best.get_mut(end).filter(|b| challenger.score > b.score) {
                *champion = challenger;
            }
        };
        for (at, c) in text.char_indices() {
            let here = best.get(at).map_or(0.0, |b| b.score);
            let mut alone = false;
            let rest = text.as_bytes().get(at..).unwrap_or(&[]);
            let looked = self.trie.prefixes(
                rest,
                |id| vocab.text(id),
                |length, token| {
                    if !job.allows(token) {
                        return;
                    }
                    alone |= length == c.len_utf8();
                    let user_defined = vocab.attrs(token) & attr::USER_DEFINED != 0;
                    let score = match &self.scores {
                        Some(scores) if !user_defined => f64::from(scores.get(token as usize)),
                        _ => 0.0,
                    };
                    reach(best, at + length, Best { score: here + score, start: at as u32, token });
                },
            );
            job.work(looked)?;
            if !alone {
                let unknown =
                    Best { score: here + self.unknown_score, start: at as u32, token: TokenId::MAX };
                reach(best, at + c.len_utf8(), unknown);
            }
        }
        path.clear();
        let mut end = text.len();
        while end > 0 {
            // A score of minus infinity leaves a position unreachable: the rest of the text is then unknown.
            let Some(step) = best.get(end).filter(|step| (step.start as usize) < end) else { break };
            path.add((step.token, step.start, end as u32))?;
            end = step.start as usize;
        }
        carried.score = best.last().map_or(0.0, |b| b.score);
        for (token, start, end) in path.iter().rev() {
            job.work(1)?;
            let (start, end) = (base + *start as usize, base + *end as usize);
            if *token != TokenId::MAX && Some(*token) != self.unknown {
                self.end_unknown(carried, out)?;
                out.push(*token, start, end)?;
            } else if let Some(run) = &mut carried.unknown {
                run.1 = end;
            } else {
                carried.unknown = Some((start, end));
            }
        }
        Ok(())
    }

    /// Appends one unknown token for a run of unknown characters.
    fn end_unknown<K: Sink>(&self, carried: &mut Carried, out: &mut K) -> Result<(), TokenizerError> {
        if let (Some((start, end)), Some(unknown)) = (carried.unknown.take(), self.unknown) {
            out.push(unknown, start, end)?;
        }
        Ok(())
    }

    pub(crate) fn owned_bytes(&self) -> usize {
        self.trie.owned_bytes() + size_of::<Borders>()
    }
}
