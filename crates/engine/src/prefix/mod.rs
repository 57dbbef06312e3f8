//! Shared prompt prefixes: a tree of prefixes over the sequences of a context, so that what prompts have in common is
//! computed once.
//!
//! ```text
//! branch    a sequence of the context that the tree keeps: its tokens are a path from the root, and it shares the pages of what it
//!           has in common with others (a fork copies none)
//! prepare   of all branches and all sequences, the one that reaches farthest into the prompt, also one that computes at this
//!           moment; what the sequence held before becomes a branch, if more of it would be lost than kept elsewhere
//! budget    bytes of the KV cache; over it the least recently used branch goes, pinned ones never
//! ```
//!
//! [`Context::reachable`] says how far a branch reaches: to every position if all layers see everything, else to the
//! nearest snapshot. So regenerating an answer, editing an earlier message, going back to a branch, and using a system
//! prompt that many chats share only cost the tokens after that position.
//!
//! ```no_run
//! use happy_engine::{Conversation, Engine, LoadOptions, PrefixTree};
//! let options = LoadOptions { branches: 4, branch_bytes: 64 << 20, ..LoadOptions::default() };
//! let engine = Engine::open("model.gguf", &options)?;
//! let (mut context, conversation) = (engine.context()?, Conversation::new(&engine)?);
//! let mut tree = PrefixTree::new(&context);
//! let reused = tree.prepare(&mut context, 0, &conversation.prompt_ids()?)?;
//! for event in conversation.answer(&mut context, 0, Default::default())? {}
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::{Context, EngineError};
use happy_model::{Batch, KvError};
use happy_tokenizer::TokenId;
use std::ops::Range;

/// The branches of a context, which are the sequences after [`LoadOptions::sequences`](crate::LoadOptions::sequences).
#[derive(Debug)]
pub struct PrefixTree {
    /// The sequences that it uses.
    sequences: Range<u32>,
    branches: Vec<Branch>,
    budget: usize,
    clock: u64,
    stats: PrefixStats,
}

/// A sequence that the tree keeps.
#[derive(Clone, Copy, Debug)]
struct Branch {
    sequence: u32,
    used: u64,
    pinned: bool,
}

/// Counts of what a tree saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrefixStats {
    /// Number of prompts that were prepared.
    pub prompts: u64,
    /// Number of tokens of those prompts.
    pub tokens: u64,
    /// Number of those tokens that did not have to be computed.
    pub reused: u64,
    /// Number of branches that were dropped for lack of sequences, pages or budget.
    pub evicted: u64,
}

/// What a context holds of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldPrefix {
    /// Tokens that [`PrefixTree::prepare`] would find.
    pub reachable: usize,
    /// Tokens that some sequence has in common with the prompt. Models with windows or recurrent layers may have no snapshot there: one
    /// at this position ([`Batch::set_snapshot`](happy_model::Batch::set_snapshot)) saves the next prompt that begins alike from
    /// computing them again.
    pub common: usize,
    /// Another sequence from which [`reachable`](Self::reachable) tokens come; `None` if the sequence itself has as many.
    from: Option<u32>,
}

impl PrefixTree {
    /// Makes a tree over the branches that the context was planned for
    /// ([`LoadOptions::branches`](crate::LoadOptions::branches)). Use one tree at a time: what another one keeps is
    /// overwritten.
    pub fn new(context: &Context) -> Self {
        let plan = context.engine().plan();
        let first = u32::try_from(plan.sequences).unwrap_or(u32::MAX);
        let end = u32::try_from(plan.sequences.saturating_add(plan.branches)).unwrap_or(u32::MAX);
        Self {
            sequences: first..end,
            branches: Vec::new(),
            budget: usize::MAX,
            clock: 0,
            stats: PrefixStats::default(),
        }
    }

    /// Sets the maximum number of bytes of the KV cache that sequences and branches may use together. Branches are
    /// dropped to keep to it. Default: what was planned.
    ///
    /// # Errors
    /// If the context is not the one of the tree.
    pub fn set_budget(&mut self, context: &mut Context, bytes: usize) -> Result<(), EngineError> {
        self.budget = bytes;
        self.keep_to_budget(context, None)
    }

    /// Returns what was saved so far.
    pub fn stats(&self) -> PrefixStats {
        self.stats
    }

    /// Returns the number of branches.
    pub fn len(&self) -> usize {
        self.branches.len()
    }

    /// Returns whether there are no branches.
    pub fn is_empty(&self) -> bool {
        self.branches.is_empty()
    }

    /// What there is of a prompt for a sequence: in the sequence itself, in branches, and in other sequences.
    ///
    /// # Errors
    /// If the sequence does not exist.
    pub fn held(
        &self,
        context: &Context,
        sequence: u32,
        prompt: &[TokenId],
    ) -> Result<HeldPrefix, EngineError> {
        let most = prompt.len().saturating_sub(1);
        let common = |of: u32| {
            context.exact_tokens(of).iter().zip(prompt).take_while(|(a, b)| a == b).count().min(most)
        };
        let reachable = context.reachable_prefix(sequence, prompt)?;
        let mut held = HeldPrefix { reachable, common: common(sequence), from: None };
        let branches = self.branches.iter().map(|branch| branch.sequence);
        for other in branches.chain(0..self.sequences.start).filter(|other| *other != sequence) {
            // With other adapters the same tokens have other keys and values.
            if context.adapters(other) != context.adapters(sequence) {
                continue;
            }
            held.common = held.common.max(common(other));
            let reachable = context.reachable_prefix(other, prompt)?;
            if reachable > held.reachable {
                (held.reachable, held.from) = (reachable, Some(other));
            }
        }
        Ok(held)
    }

    /// The sequences of the branches, the most recently used first.
    ///
    /// # Errors
    /// If memory is refused.
    pub fn branches(&self) -> Result<Vec<u32>, EngineError> {
        let mut branches = crate::reserve::copied(&self.branches, "branches")?;
        branches.sort_unstable_by_key(|branch| std::cmp::Reverse(branch.used));
        let mut sequences = Vec::new();
        crate::reserve::reserve(&mut sequences, branches.len(), "branches")?;
        sequences.extend(branches.iter().map(|branch| branch.sequence));
        Ok(sequences)
    }

    /// Gives the sequence the longest prefix of a prompt that is there, but less than all of it, so that something is left to
    /// compute. Returns its length; the caller computes the tokens after it, as
    /// [`Conversation::answer`](crate::Conversation::answer) does. What the sequence held stays as a branch if it would be lost.
    ///
    /// # Errors
    /// If the sequence does not exist or is one of the tree's.
    pub fn prepare(
        &mut self,
        context: &mut Context,
        sequence: u32,
        prompt: &[TokenId],
    ) -> Result<usize, EngineError> {
        self.clock += 1;
        let HeldPrefix { reachable, from, .. } = self.held(context, sequence, prompt)?;
        if let Some(branch) = self.branches.iter_mut().find(|branch| Some(branch.sequence) == from) {
            branch.used = self.clock;
        }
        let lost = match from {
            // What is a part of the other sequence is there already.
            Some(from) => !covers(context, from, sequence)?,
            None => context.exact_tokens(sequence).len() > reachable,
        };
        if lost {
            self.copy(context, sequence, from)?;
        }
        if let Some(from) = from {
            context.fork(from, sequence)?;
        }
        let reused = context.keep_common_prefix(sequence, prompt)?;
        self.make_room(context, sequence, prompt.len() - reused, from)?;
        self.stats.prompts += 1;
        self.stats.tokens += prompt.len() as u64;
        self.stats.reused += reused as u64;
        Ok(reused)
    }

    /// Keeps the sequence as it is, as a branch. [`prepare`](Self::prepare) does it by itself with what would be lost. Returns false if
    /// there is nothing to keep, or no room for it.
    ///
    /// # Errors
    /// If the sequence does not exist.
    pub fn keep(&mut self, context: &mut Context, sequence: u32) -> Result<bool, EngineError> {
        self.clock += 1;
        context.snapshot(sequence)?;
        Ok(self.copy(context, sequence, None)?.is_some())
    }

    /// As [`keep`](Self::keep), but the branch stays until [`unpin`](Self::unpin) or [`clear`](Self::clear): a system prompt that
    /// many chats share.
    ///
    /// # Errors
    /// If the sequence does not exist.
    pub fn pin(&mut self, context: &mut Context, sequence: u32) -> Result<bool, EngineError> {
        self.clock += 1;
        context.snapshot(sequence)?;
        let Some(kept) = self.copy(context, sequence, None)? else { return Ok(false) };
        if let Some(branch) = self.branches.iter_mut().find(|branch| branch.sequence == kept) {
            branch.pinned = true;
        }
        Ok(true)
    }

    /// Drops branches until a sequence can grow to its full length, as far as possible. This is for a sequence that
    /// comes from elsewhere, such as a [`Session`](crate::Session); [`prepare`](Self::prepare) does it by itself.
    ///
    /// # Errors
    /// If the context is not the one of the tree.
    pub fn give_way(&mut self, context: &mut Context, sequence: u32) -> Result<(), EngineError> {
        self.make_room(context, sequence, 0, None)
    }

    /// Gives up branches until a batch fits, as far as that is possible: for passes that several sequences share, each of which
    /// [`prepare`](Self::prepare) gave room alone.
    ///
    /// # Errors
    /// If the context is not the tree's.
    pub fn give_way_to(&mut self, context: &mut Context, batch: &Batch) -> Result<(), EngineError> {
        while matches!(context.check_room(batch)?, Err(KvError::Full { .. }))
            && self.evict(context, None)?.is_some()
        {}
        Ok(())
    }

    /// Branches that were pinned go like the others.
    pub fn unpin(&mut self) {
        self.branches.iter_mut().for_each(|branch| branch.pinned = false);
    }

    /// Drops all branches, including pinned ones.
    ///
    /// # Errors
    /// If the context is not the one of the tree.
    pub fn clear(&mut self, context: &mut Context) -> Result<(), EngineError> {
        while let Some(branch) = self.branches.pop() {
            context.truncate(branch.sequence, 0)?;
        }
        Ok(())
    }

    /// Makes the sequence a branch, and returns the branch's sequence; `spared` is not given up for it.
    fn copy(
        &mut self,
        context: &mut Context,
        sequence: u32,
        spared: Option<u32>,
    ) -> Result<Option<u32>, EngineError> {
        // What was shifted is of no use for another prompt.
        if context.tokens(sequence).is_empty() || context.is_shifted(sequence) {
            return Ok(None);
        }
        // Another branch may hold it already: a chat that goes back and forth would fill the tree with copies.
        for branch in &mut self.branches {
            if covers(context, branch.sequence, sequence)? {
                branch.used = self.clock;
                return Ok(Some(branch.sequence));
            }
        }
        // The sequence may contain a shorter branch, which it then replaces.
        let mut held = None;
        for (i, branch) in self.branches.iter().enumerate().filter(|(_, branch)| !branch.pinned) {
            if Some(branch.sequence) != spared && covers(context, sequence, branch.sequence)? {
                held = Some(i);
            }
        }
        let free = match held {
            Some(i) => Some(self.branches.swap_remove(i).sequence),
            None => {
                let used = |n: &u32| self.branches.iter().any(|branch| branch.sequence == *n);
                match self.sequences.clone().find(|n| !used(n)) {
                    Some(free) => Some(free),
                    None => self.evict(context, spared)?,
                }
            }
        };
        let Some(free) = free else { return Ok(None) };
        context.fork(sequence, free)?;
        crate::reserve::reserve(&mut self.branches, 1, "branches")?;
        self.branches.push(Branch { sequence: free, used: self.clock, pinned: false });
        self.keep_to_budget(context, spared)?;
        Ok(self.branches.iter().any(|branch| branch.sequence == free).then_some(free))
    }

    /// Drops the least recently used branch that may be dropped, and returns its sequence, which is empty then.
    fn evict(&mut self, context: &mut Context, spared: Option<u32>) -> Result<Option<u32>, EngineError> {
        let may_go = |branch: &&Branch| !branch.pinned && Some(branch.sequence) != spared;
        let oldest = self.branches.iter().filter(may_go).min_by_key(|branch| branch.used);
        let Some(sequence) = oldest.map(|branch| branch.sequence) else { return Ok(None) };
        self.branches.retain(|branch| branch.sequence != sequence);
        context.truncate(sequence, 0)?;
        self.stats.evicted += 1;
        Ok(Some(sequence))
    }

    fn keep_to_budget(&mut self, context: &mut Context, spared: Option<u32>) -> Result<(), EngineError> {
        while context.kv_resident_bytes() > self.budget && self.evict(context, spared)?.is_some() {}
        Ok(())
    }

    /// Drops branches until the rest of a prompt and the answer fit, that is, as far as the sequence can grow.
    fn make_room(
        &mut self,
        context: &mut Context,
        sequence: u32,
        more: usize,
        spared: Option<u32>,
    ) -> Result<(), EngineError> {
        let room = context.capacity().saturating_sub(context.tokens(sequence).len());
        while !context.has_room(sequence, room.max(more)) && self.evict(context, spared)?.is_some() {}
        // By now the branch that was forked shares with the sequence all that it has in common with it, so dropping it
        // loses little.
        while !context.has_room(sequence, room.max(more)) && self.evict(context, None)?.is_some() {}
        self.keep_to_budget(context, spared)
    }
}

/// Whether `other` can go back to all of `sequence` that another prompt may use.
fn covers(context: &Context, other: u32, sequence: u32) -> Result<bool, EngineError> {
    let tokens = context.exact_tokens(sequence);
    Ok(context.adapters(other) == context.adapters(sequence)
        && context.exact_tokens(other).starts_with(tokens)
        && context.reachable(other, tokens.len())? == tokens.len())
}
