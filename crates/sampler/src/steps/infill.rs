//! Infill: decides early between continuing and ending, for text in the middle of text.
//!
//! ```text
//! softmax, sorted; n candidates; end = sum of p of the end tokens, text = sum of the others
//! if 3 n end > text:  keep only the end tokens                      (the model wants to stop)
//! otherwise:          if one token begins another, the more probable one gets both probabilities
//!                     drop tokens below 0.2, normalize, drop tokens below 1 / (tokens left + 1); keep end tokens
//!                     if no text token is left: keep only the token that ends the text
//! ```
//!
//! Probabilities decide which tokens stay; the logits of those that stay are unchanged, so a later draw does not see
//! the sums. Source: llama.cpp `llama_sampler_infill_apply`. It finds prefixes by comparing all pairs; here the pieces
//! are ordered, and the tokens that begin with a piece are adjacent.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Step, StepParams, boxed};
use crate::reserve::{collected, extend, push};
use crate::{Candidate, Candidates, SamplerError, TokenId};

/// Minimum probability of a text token after prefixes were joined.
const THRESHOLD: f32 = 0.2;

/// What the step knows about a vocabulary.
#[derive(PartialEq)]
struct Vocabulary {
    bytes: Vec<u8>,
    // Token t is bytes[ends[t - 1]..ends[t]].
    ends: Vec<usize>,
    // Ascending.
    end_tokens: Vec<TokenId>,
}

/// The pieces of a whole vocabulary would fill pages.
impl std::fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} pieces of {} bytes", self.ends.len(), self.bytes.len())
    }
}

impl Vocabulary {
    fn piece(&self, id: TokenId) -> &[u8] {
        let id = id as usize;
        let start = id.checked_sub(1).and_then(|i| self.ends.get(i)).copied().unwrap_or(0);
        self.ends.get(id).and_then(|end| self.bytes.get(start..*end)).unwrap_or_default()
    }

    fn is_end(&self, id: TokenId) -> bool {
        self.end_tokens.binary_search(&id).is_ok()
    }
}

/// The infill step; its file describes the algorithm. It should follow a top-k or top-p.
#[derive(Debug, Clone)]
pub struct Infill {
    vocabulary: Arc<Vocabulary>,
    fallback: TokenId,
    // Candidates in the order of their pieces, and the candidates that a piece begins.
    order: Vec<usize>,
    longer: Vec<usize>,
}

impl PartialEq for Infill {
    fn eq(&self, other: &Self) -> bool {
        self.fallback == other.fallback && self.vocabulary == other.vocabulary
    }
}

impl Infill {
    /// Makes the step. `pieces` are the bytes of all tokens in id order, empty for tokens without text. `end_tokens`
    /// are the tokens that end a generation. `fallback` is the token that ends the text if nothing else is left: the
    /// end-of-turn token, otherwise end-of-text.
    ///
    /// # Errors
    /// [`SamplerError::OutOfMemory`] if memory for a copy of the pieces is refused.
    pub fn new<P: AsRef<[u8]>>(
        pieces: impl IntoIterator<Item = P>,
        end_tokens: impl IntoIterator<Item = TokenId>,
        fallback: TokenId,
    ) -> Result<Self, SamplerError> {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for piece in pieces {
            extend(&mut bytes, piece.as_ref())?;
            push(&mut ends, bytes.len())?;
        }
        let mut end_tokens = collected(end_tokens)?;
        end_tokens.sort_unstable();
        let vocabulary = Arc::new(Vocabulary { bytes, ends, end_tokens });
        Ok(Infill { vocabulary, fallback, order: Vec::new(), longer: Vec::new() })
    }

    /// Joins the probabilities of two tokens if the piece of one begins with the piece of the other. The token that is absorbed gets p = 0 and a logit
    /// of -inf. `items` must be in descending order of their logits.
    fn join_prefixes(&mut self, items: &mut [Candidate]) {
        let Infill { vocabulary, order, longer, .. } = self;
        let piece = |items: &[Candidate], rank: usize| {
            items.get(rank).map(|c| vocabulary.piece(c.id)).unwrap_or_default()
        };
        order.clear();
        order.extend(0..items.len());
        order.sort_unstable_by(|a, b| by_piece(vocabulary, items, *a, *b));
        for rank in 0..items.len() {
            let begin = piece(items, rank);
            if begin.is_empty() {
                continue;
            }
            // All candidates that begin with it are adjacent; they are visited by rank.
            let first = order.partition_point(|&r| piece(items, r) < begin);
            let same = order.iter().skip(first).take_while(|r| piece(items, **r).starts_with(begin));
            longer.clear();
            longer.extend(same.copied().filter(|r| *r != rank));
            longer.sort_unstable();
            for &other in longer.iter() {
                let pair = items.get_disjoint_mut([rank, other]);
                let Ok([one, two]) = pair else { continue };
                if one.logit == f32::NEG_INFINITY {
                    break;
                }
                if two.logit == f32::NEG_INFINITY {
                    continue;
                }
                let (to, from) = if two.p > one.p { (two, one) } else { (one, two) };
                to.p += from.p;
                (from.p, from.logit) = (0.0, f32::NEG_INFINITY);
            }
        }
    }

    /// Keeps end tokens and candidates with a probability of at least `least`, then normalizes the probabilities.
    fn cut(&self, c: &mut Candidates, least: f32) {
        c.retain(|x| x.p >= least || self.vocabulary.is_end(x.id));
        let sum: f32 = c.as_slice().iter().map(|x| x.p).sum();
        c.as_mut_slice().iter_mut().for_each(|x| x.p /= sum);
    }
}

impl StepParams for Infill {
    fn build(&self) -> Result<Box<dyn Step>, SamplerError> {
        let mut step = self.clone();
        // Never more candidates than tokens; pages that are not written to cost nothing.
        let n = step.vocabulary.ends.len();
        if step.order.try_reserve_exact(n).is_err() || step.longer.try_reserve_exact(n).is_err() {
            return Err(SamplerError::OutOfMemory { entries: n });
        }
        boxed(step)
    }
}

/// Compares the pieces of two candidates, then their ranks. Not inlined: a sort has its comparison in many places.
#[inline(never)]
fn by_piece(vocabulary: &Vocabulary, items: &[Candidate], a: usize, b: usize) -> Ordering {
    let piece = |rank: usize| items.get(rank).map(|c| vocabulary.piece(c.id)).unwrap_or_default();
    piece(a).cmp(piece(b)).then(a.cmp(&b))
}

impl Step for Infill {
    fn apply(&mut self, c: &mut Candidates) {
        c.sort();
        c.softmax();
        let (mut text, mut end) = (0.0f32, 0.0f32);
        for x in c.as_slice() {
            *(if self.vocabulary.is_end(x.id) { &mut end } else { &mut text }) += x.p;
        }
        if 3.0 * end * c.len() as f32 > text {
            return self.cut(c, f32::INFINITY);
        }
        self.join_prefixes(c.as_mut_slice());
        self.cut(c, THRESHOLD);
        let texts = c.as_slice().iter().filter(|x| !self.vocabulary.is_end(x.id)).count();
        if texts == 0 {
            // A token that an earlier step has excluded stays excluded.
            let allowed = c.row_logit(self.fallback).is_some_and(|l| l > f32::NEG_INFINITY);
            return c.replace(allowed.then_some(Candidate { id: self.fallback, logit: 1.0, p: 1.0 }));
        }
        self.cut(c, 1.0 / (texts + 1) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference's loop over all pairs.
    fn join_all_pairs(items: &mut [Candidate], pieces: &[Vec<u8>]) {
        for i in 0..items.len() {
            for j in 0..items.len() {
                if items[i].logit == f32::NEG_INFINITY {
                    break;
                }
                let (a, b) = (&pieces[items[i].id as usize], &pieces[items[j].id as usize]);
                if i == j || items[j].logit == f32::NEG_INFINITY || a.is_empty() || !b.starts_with(a) {
                    continue;
                }
                let (to, from) = if items[j].p > items[i].p { (j, i) } else { (i, j) };
                items[to].p += items[from].p;
                (items[from].p, items[from].logit) = (0.0, f32::NEG_INFINITY);
            }
        }
    }

    #[test]
    fn joining_equals_all_pairs() {
        let mut rng = crate::Rng::new(12);
        for round in 0..300 {
            let n = 1 + round % 40;
            let mut byte = |bound: u64| (rng.next_u64() % bound) as usize;
            let pieces: Vec<Vec<u8>> =
                (0..n).map(|_| (0..byte(4)).map(|_| b"ab"[byte(2)]).collect()).collect();
            let logits: Vec<f32> = (0..n).map(|_| byte(50) as f32 / 10.0).collect();
            let mut c = Candidates::new();
            c.fill(&logits).unwrap();
            c.sort();
            c.softmax();
            let mut expect = c.as_slice().to_vec();
            join_all_pairs(&mut expect, &pieces);
            Infill::new(&pieces, [], 0).unwrap().join_prefixes(c.as_mut_slice());
            assert_eq!(c.as_slice(), expect, "round {round}");
        }
    }

    #[test]
    fn goes_on_or_ends() {
        let pieces = ["he", "hello", "x", "y", "", "", "z", "w", "u", "v"];
        const END: f64 = 1e-4;
        struct Case {
            what: &'static str,
            p: [f64; 10],
            left: &'static [TokenId],
        }
        let cases = [
            Case {
                what: "an end token is likely enough",
                p: [0.3, 0.2, 0.2, 0.1, 0.2, END, 0.0, 0.0, 0.0, 0.0],
                left: &[4, 5],
            },
            Case {
                what: "prefixes join, and one token is sure enough",
                p: [0.3, 0.25, 0.25, 0.1, END, END, 0.05, 0.05, 0.0, 0.0],
                left: &[0, 4, 5],
            },
            Case {
                what: "two tokens are sure enough",
                p: [0.3, 0.2, 0.4, 0.05, END, END, 0.03, 0.02, 0.0, 0.0],
                left: &[0, 2, 4, 5],
            },
            Case {
                what: "no token is sure enough",
                p: [0.1, 0.04, 0.15, 0.14, END, END, 0.15, 0.14, 0.14, 0.14],
                left: &[4],
            },
            Case {
                what: "no token is sure enough, and the end was excluded before",
                p: [0.1, 0.04, 0.15, 0.14, 0.0, END, 0.15, 0.14, 0.14, 0.14],
                left: &[],
            },
        ];
        let mut wrong = Vec::new();
        for case in cases {
            let logits: Vec<f32> = case.p.iter().map(|p| crate::math::ln(*p) as f32).collect();
            let mut c = Candidates::new();
            c.fill(&logits).unwrap();
            Infill::new(pieces, [4, 5], 4).unwrap().apply(&mut c);
            let mut left: Vec<TokenId> = c.iter().map(|x| x.0).collect();
            left.sort();
            if left != case.left {
                wrong.push(format!("{}: {left:?}, expected {:?}", case.what, case.left));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
