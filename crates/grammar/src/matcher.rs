//! Matching token by token, and masks of the tokens that may follow.

use crate::error::{GrammarError, GrammarErrorKind, MatchError};
use crate::grammar::Grammar;
use crate::halt::{Halt, Meter};
use crate::machine::{DEAD, Machine, Position, StateId};
use crate::token_set::TokenSet;
use crate::vocabulary::{Slice, Vocabulary};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Follows a text token by token, and tells which tokens may come next.
///
/// A clone is cheap and continues from the same place. Clones share what they learn about the grammar, guarded by a
/// lock, so they may live in different threads. What is learned grows with the number of different places that texts
/// reach, up to [`Limits::states`](crate::Limits); using a new matcher for each text keeps it small.
///
/// ```
/// use happy_grammar::{Grammar, Matcher, Piece, TokenSet, Vocabulary};
/// let pieces: [&[u8]; 4] = [b"yes", b"no", b"y", b"<end>"];
/// let vocabulary = Vocabulary::new(pieces.map(Piece::Text), &[3])?;
/// let mut matcher = Matcher::new(&Grammar::from_gbnf("root ::= \"yes\" | \"no\"")?, &vocabulary)?;
/// let mut allowed = TokenSet::new(vocabulary.len());
/// matcher.mask(&mut allowed)?;
/// assert_eq!(allowed.iter().collect::<Vec<_>>(), [0, 1, 2]);
/// matcher.accept(1)?;
/// matcher.mask(&mut allowed)?;
/// assert_eq!(allowed.iter().collect::<Vec<_>>(), [3]); // "no" is complete: only the end may follow
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Matcher {
    shared: Arc<Shared>,
    at: Place,
    /// The place before each accepted token.
    before: Vec<Place>,
}

/// A place in a text: the machine's position, and whether an end-of-generation token has ended the text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    position: Position,
    ended: bool,
}

#[derive(Debug)]
struct Shared {
    vocabulary: Vocabulary,
    max_bytes: usize,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    machine: Machine,
    masks: HashMap<StateId, Vec<u64>>,
    /// The states on the way to a node of a trie.
    path: Vec<StateId>,
}

impl Matcher {
    /// Makes a matcher at the beginning of a text.
    ///
    /// # Errors
    ///
    /// The grammar names a token that the vocabulary does not have, or a limit is exceeded.
    pub fn new(grammar: &Grammar, vocabulary: &Vocabulary) -> Result<Self, GrammarError> {
        let program = grammar.program();
        let mut named = Vec::new();
        named.try_reserve_exact(program.named_tokens.len()).map_err(Halt::from)?;
        for (text, place) in &program.named_tokens {
            named.push(vocabulary.find(text.as_bytes()).ok_or_else(|| {
                let message = format!("the vocabulary has no token {text}");
                GrammarError::new(GrammarErrorKind::UnknownToken, *place, message)
            })?);
        }
        let meter = Meter::new(&|| false);
        let machine = Machine::new(Arc::clone(program), named, grammar.limits(), &meter)?;
        let at = Place { position: machine.start(), ended: false };
        let memory = Mutex::new(Memory { machine, masks: HashMap::new(), path: Vec::new() });
        let max_bytes = grammar.limits().mask_cache_bytes;
        let shared = Arc::new(Shared { vocabulary: vocabulary.clone(), max_bytes, memory });
        Ok(Self { shared, at, before: Vec::new() })
    }

    /// Writes the tokens that may follow into `allowed`: tokens allowed by their bytes or their names and, if the text
    /// may end here, the end-of-generation tokens. An empty set means that no token may follow. The text is then at its
    /// end if it [is complete](Self::is_complete); otherwise the tokens of this vocabulary cannot complete it.
    ///
    /// # Errors
    ///
    /// A limit of the machine is reached. The contents of `allowed` are then meaningless.
    pub fn mask(&mut self, allowed: &mut TokenSet) -> Result<(), MatchError> {
        self.mask_cancellable(allowed, &|| false)
    }

    /// Like [`mask`](Self::mask), but can be cancelled: `cancelled` is called about once per millisecond of work. What
    /// was learned until then is kept, so a repeated call continues the work.
    ///
    /// # Errors
    ///
    /// A limit of the machine is reached, memory is refused, or the work is cancelled. The contents of `allowed` are
    /// then meaningless.
    pub fn mask_cancellable(
        &mut self,
        allowed: &mut TokenSet,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), MatchError> {
        let vocabulary = &self.shared.vocabulary;
        allowed.reset(vocabulary.len())?;
        if self.at.ended {
            return Ok(());
        }
        let state = self.at.position.state;
        let mut memory = self.shared.memory();
        if let Some(mask) = memory.masks.get(&state) {
            allowed.words_mut().copy_from_slice(mask);
            return Ok(());
        }
        memory.fill(state, vocabulary, allowed.words_mut(), &Meter::new(cancelled))?;
        if (memory.masks.len() + 1) * allowed.words().len() * 8 > self.shared.max_bytes {
            memory.masks.clear();
        }
        let mut mask = Vec::new();
        mask.try_reserve_exact(allowed.words().len()).map_err(Halt::from)?;
        mask.extend_from_slice(allowed.words());
        memory.masks.try_reserve(1).map_err(Halt::from)?;
        memory.masks.insert(state, mask);
        Ok(())
    }

    /// Advances by one token.
    ///
    /// # Errors
    ///
    /// The grammar does not allow the token here (the matcher is unchanged), the vocabulary does not have it, or a
    /// limit is reached.
    pub fn accept(&mut self, token: u32) -> Result<(), MatchError> {
        let vocabulary = &self.shared.vocabulary;
        if token as usize >= vocabulary.len() {
            return Err(MatchError::UnknownToken { token, vocabulary: vocabulary.len() });
        }
        let mut memory = self.shared.memory();
        let mut next = self.at.clone();
        let named = memory.machine.named_tokens(next.position.state).contains(&(token, false));
        if vocabulary.is_end_of_generation(token) && !named {
            next.ended = memory.machine.is_accepting(next.position.state);
            if self.at.ended || !next.ended {
                return Err(MatchError::NotAllowed { token });
            }
        } else {
            let piece = vocabulary.piece(token);
            let piece = if piece.len() > usize::from(u16::MAX) { &[] } else { piece };
            let meter = Meter::new(&|| false);
            memory.machine.advance_token(&mut next.position, Some(token), piece, &meter)?;
            if self.at.ended || next.position.state == DEAD {
                return Err(MatchError::NotAllowed { token });
            }
        }
        drop(memory);
        self.before.try_reserve(1).map_err(Halt::from)?;
        self.before.push(core::mem::replace(&mut self.at, next));
        Ok(())
    }

    /// Takes back the last `tokens` tokens.
    ///
    /// # Errors
    ///
    /// Fewer tokens were accepted. Nothing is taken back then.
    pub fn rollback(&mut self, tokens: usize) -> Result<(), MatchError> {
        let accepted = self.before.len();
        if tokens > accepted {
            return Err(MatchError::Rollback { asked: tokens, accepted });
        }
        if tokens > 0 {
            self.at = self.before[accepted - tokens].clone();
            self.before.truncate(accepted - tokens);
        }
        Ok(())
    }

    /// Returns to the beginning, and keeps what was learned.
    pub fn reset(&mut self) {
        if let Some(first) = self.before.first() {
            self.at = first.clone();
            self.before.clear();
        }
    }

    /// Returns the number of accepted tokens.
    pub fn accepted(&self) -> usize {
        self.before.len()
    }

    /// Returns whether the text so far is a complete text of the grammar: it may end here, even if more may follow.
    pub fn is_complete(&self) -> bool {
        self.at.ended || self.shared.memory().machine.is_accepting(self.at.position.state)
    }

    /// Returns whether an end-of-generation token was accepted.
    pub fn is_ended(&self) -> bool {
        self.at.ended
    }

    /// Returns whether nothing can follow, neither a byte nor a token. The text cannot continue, whether or not it is complete.
    pub fn is_dead(&self) -> bool {
        self.at.ended || self.shared.memory().machine.is_stuck(self.at.position.state)
    }

    /// Returns the number of states that the machine has created so far.
    pub fn states(&self) -> usize {
        self.shared.memory().machine.states()
    }
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Recovers from a poisoned lock: a thread that panicked has left nothing half done that a state number refers
        // to.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Computes a mask.
    fn fill(
        &mut self,
        state: StateId,
        vocabulary: &Vocabulary,
        mask: &mut [u64],
        meter: &Meter<'_>,
    ) -> Result<(), MatchError> {
        meter.step(mask.len() / 8)?;
        let free = self.machine.free_characters(state, meter)?;
        for slice in vocabulary.slices() {
            if slice.plain.is_some_and(|characters| characters <= free) {
                mask.iter_mut().zip(&slice.all).for_each(|(word, all)| *word |= all);
            } else {
                self.walk(state, slice, mask, meter)?;
            }
        }
        let mut set = |token: u32, value: bool| {
            if let Some(word) = mask.get_mut(token as usize / 64) {
                let bit = 1u64 << (token % 64);
                *word = if value { *word | bit } else { *word & !bit };
            }
        };
        let named = self.machine.named_tokens(state);
        for (but, _) in named.iter().filter(|(_, others)| *others) {
            (0..vocabulary.len() as u32).filter(|token| token != but).for_each(|token| set(token, true));
        }
        let may_end = self.machine.is_accepting(state);
        vocabulary.end_of_generation().iter().for_each(|token| set(*token, may_end));
        // An end-of-generation token that the grammar names is part of the text, like any other token.
        named.iter().filter(|(_, others)| !others).for_each(|(token, _)| set(*token, true));
        Ok(())
    }

    /// Follows all tokens of a slice together.
    fn walk(
        &mut self,
        state: StateId,
        slice: &Slice,
        mask: &mut [u64],
        meter: &Meter<'_>,
    ) -> Result<(), MatchError> {
        let classes = self.machine.classes();
        let nodes = slice.trie.nodes();
        self.path.clear();
        self.path.try_reserve(slice.trie.depth() + 1).map_err(Halt::from)?;
        self.path.resize(slice.trie.depth() + 1, DEAD);
        self.path[0] = state;
        let mut i = 0;
        while let Some(node) = nodes.get(i) {
            let depth = usize::from(node.depth);
            meter.step(1)?;
            let next = self.machine.step(self.path[depth - 1], classes[usize::from(node.byte)], meter)?;
            if next == DEAD {
                i = node.skip as usize;
                continue;
            }
            self.path[depth] = next;
            if let Some(token) = node.token() {
                mask[token as usize / 64] |= 1 << (token % 64);
            }
            i += 1;
        }
        for &(first, twin) in slice.trie.twins() {
            mask[twin as usize / 64] |= (mask[first as usize / 64] >> (first % 64) & 1) << (twin % 64);
        }
        Ok(())
    }
}
