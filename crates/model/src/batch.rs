//! Batches: the tokens of a forward pass, from one or several sequences.

use std::ops::Range;
use std::sync::Arc;

use crate::adapter::AdapterSet;
use crate::error::{BatchError, KvError};
use crate::reserve::{NoMemory, reserved};
use crate::spec::Pooling;

/// What the caller wants of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Want {
    /// Only that its keys and values are stored.
    #[default]
    Nothing,
    /// The logits of the next token, and with them the hidden state.
    Logits,
    /// The hidden state after the last norm.
    Hidden,
}

/// The number of the adapter set for rows without one.
const NO_SET: u32 = u32::MAX;

/// Tokens with their positions and sequences. The tokens of a sequence must be next to each other, and their positions
/// must follow those that the cache already has of it.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    sequences: Vec<u32>,
    wants: Vec<Want>,
    speculative: bool,
    /// Whether the pass takes a snapshot of the sequence after each row.
    snapshots: Vec<bool>,
    /// The set of each row: an index into `sets`, or [`NO_SET`].
    row_sets: Vec<u32>,
    sets: Vec<Arc<AdapterSet>>,
    /// The set of the rows that are added next.
    set: Option<u32>,
    capacity: usize,
}

impl Batch {
    /// Makes an empty batch with room for `capacity` tokens. Nothing is allocated later.
    pub fn with_capacity(capacity: usize) -> Self {
        Batch {
            tokens: Vec::with_capacity(capacity),
            positions: Vec::with_capacity(capacity),
            sequences: Vec::with_capacity(capacity),
            wants: Vec::with_capacity(capacity),
            speculative: false,
            snapshots: Vec::with_capacity(capacity),
            row_sets: Vec::with_capacity(capacity),
            sets: Vec::with_capacity(capacity),
            set: None,
            capacity,
        }
    }

    /// Does the same as [`with_capacity`](Self::with_capacity), for a capacity that comes from outside.
    ///
    /// # Errors
    /// If memory cannot be reserved.
    pub fn try_with_capacity(capacity: usize) -> Result<Self, KvError> {
        let memory = |e: NoMemory| e.of("batch");
        Ok(Batch {
            tokens: reserved(capacity).map_err(memory)?,
            positions: reserved(capacity).map_err(memory)?,
            sequences: reserved(capacity).map_err(memory)?,
            wants: reserved(capacity).map_err(memory)?,
            speculative: false,
            snapshots: reserved(capacity).map_err(memory)?,
            row_sets: reserved(capacity).map_err(memory)?,
            sets: reserved(capacity).map_err(memory)?,
            set: None,
            capacity,
        })
    }

    /// Adds a token.
    ///
    /// # Errors
    /// If the batch is full.
    pub fn push(&mut self, token: u32, position: u32, sequence: u32, want: Want) -> Result<(), BatchError> {
        if self.tokens.len() == self.capacity {
            return Err(BatchError::Full { capacity: self.capacity });
        }
        self.tokens.push(token);
        self.positions.push(position);
        self.sequences.push(sequence);
        self.wants.push(want);
        self.snapshots.push(false);
        self.row_sets.push(self.set.unwrap_or(NO_SET));
        Ok(())
    }

    /// Adds tokens of a sequence, from position `first` on. `want` applies to the last token; nothing is wanted of the others.
    ///
    /// # Errors
    /// If the batch has too little room. Nothing is added then.
    pub fn push_tokens(
        &mut self,
        tokens: &[u32],
        first: u32,
        sequence: u32,
        want: Want,
    ) -> Result<(), BatchError> {
        if tokens.len() > self.capacity - self.tokens.len() {
            return Err(BatchError::Full { capacity: self.capacity });
        }
        for (i, token) in tokens.iter().enumerate() {
            let want = if i + 1 == tokens.len() { want } else { Want::Nothing };
            self.push(*token, first.saturating_add(i as u32), sequence, want)?;
        }
        Ok(())
    }

    /// Adds the whole text of a sequence for [`Model::embed`](crate::Model::embed). `reads` are the hidden states that the pooling
    /// reads; [`Model::pooling_reads`](crate::Model::pooling_reads) returns them.
    ///
    /// # Errors
    /// If the batch has too little room. Nothing is added then.
    pub fn push_text(&mut self, tokens: &[u32], sequence: u32, reads: Pooling) -> Result<(), BatchError> {
        if tokens.len() > self.capacity - self.tokens.len() {
            return Err(BatchError::Full { capacity: self.capacity });
        }
        for (i, token) in tokens.iter().enumerate() {
            self.push(*token, i as u32, sequence, reads.want(i, tokens.len()))?;
        }
        Ok(())
    }

    /// Removes all tokens.
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.positions.clear();
        self.sequences.clear();
        self.wants.clear();
        self.speculative = false;
        self.snapshots.clear();
        self.row_sets.clear();
        self.sets.clear();
        self.set = None;
    }

    /// Marks the tokens as guesses, some of which may be taken back. Until the next pass,
    /// [`KvCache::truncate`](crate::KvCache::truncate) can shorten the sequences to any number of these tokens exactly. For that,
    /// recurrent layers keep the state after each row, for up to [`KvOptions::n_speculative`](crate::KvOptions::n_speculative)
    /// rows. The default is false, also after [`clear`](Self::clear).
    pub fn set_speculative(&mut self, speculative: bool) {
        self.speculative = speculative;
    }

    /// Returns whether the tokens are marked as guesses.
    pub fn is_speculative(&self) -> bool {
        self.speculative
    }

    /// Makes the pass take a snapshot of a sequence once `position` of its positions are computed, as
    /// [`KvCache::snapshot`](crate::KvCache::snapshot) does between passes. This helps if the last token of a prompt is going to be
    /// computed again, or if other prompts begin with the first `position` tokens of this one. A batch may take several snapshots; those
    /// that are too many for [`KvOptions::snapshot_bytes`](crate::KvOptions::snapshot_bytes) are left out. So is the snapshot at a
    /// position at which none of the tokens ends that are in the batch already. A new or cleared batch takes none.
    pub fn set_snapshot(&mut self, sequence: u32, position: u32) {
        let rows = self.sequences.iter().zip(&self.positions);
        let mut rows = rows.zip(&mut self.snapshots);
        if let Some((_, wanted)) =
            rows.find(|((s, p), _)| **s == sequence && p.checked_add(1) == Some(position))
        {
            *wanted = true;
        }
    }

    /// Returns the sequences and the positions at which the pass takes a snapshot.
    pub fn snapshots(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let rows = self.sequences.iter().zip(&self.positions).zip(&self.snapshots);
        rows.filter(|(_, wanted)| **wanted)
            .map(|((sequence, position), _)| (*sequence, position.saturating_add(1)))
    }

    /// Sets the adapters of the tokens that are added from now on. `None` or an empty set means no adapters, which is the default.
    ///
    /// # Errors
    /// If the batch already has as many sets as it has room for tokens.
    pub fn use_adapters(&mut self, set: Option<&Arc<AdapterSet>>) -> Result<(), BatchError> {
        self.set = match set.filter(|set| !set.is_empty()) {
            None => None,
            Some(set) => match self.sets.iter().position(|known| Arc::ptr_eq(known, set)) {
                Some(index) => Some(index as u32),
                None if self.sets.len() < self.capacity => {
                    self.sets.push(set.clone());
                    Some(self.sets.len() as u32 - 1)
                }
                None => return Err(BatchError::Full { capacity: self.capacity }),
            },
        };
        Ok(())
    }

    /// Returns the number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Returns whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Returns the number of tokens that it has room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns the token ids.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Returns the positions.
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// Returns the sequence ids.
    pub fn sequences(&self) -> &[u32] {
        &self.sequences
    }

    /// Returns what is wanted of each token.
    pub fn wants(&self) -> &[Want] {
        &self.wants
    }

    /// Returns the adapters of a token.
    pub fn adapters(&self, index: usize) -> Option<&Arc<AdapterSet>> {
        self.row_sets.get(index).and_then(|set| self.set(*set))
    }

    pub(crate) fn set(&self, set: u32) -> Option<&Arc<AdapterSet>> {
        self.sets.get(set as usize)
    }

    pub(crate) fn n_sets(&self) -> u32 {
        self.sets.len() as u32
    }

    /// Returns the number of each row's set.
    pub(crate) fn row_sets(&self) -> &[u32] {
        &self.row_sets
    }

    /// Returns the greatest rank of a set.
    pub(crate) fn adapter_rank(&self) -> usize {
        self.sets.iter().map(|set| set.rank()).max().unwrap_or(0)
    }

    /// Checks that the adapters belong to this model and that their rank was planned for.
    pub(crate) fn check_adapters(&self, model: u64, planned: usize) -> Result<(), BatchError> {
        if self.sets.iter().any(|set| set.model() != model) {
            return Err(BatchError::OtherAdapters);
        }
        let found = self.adapter_rank();
        if found > planned { Err(BatchError::AdapterRank { found, planned }) } else { Ok(()) }
    }

    /// Returns the number of tokens of which something is wanted.
    pub fn n_outputs(&self) -> usize {
        self.wants.iter().filter(|w| **w != Want::Nothing).count()
    }

    /// Returns the number of tokens of which logits are wanted.
    pub(crate) fn n_logits(&self) -> usize {
        self.wants.iter().filter(|w| **w == Want::Logits).count()
    }

    /// Returns the runs of tokens of a sequence: its id, and their indices.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (u32, Range<usize>)> + Clone + '_ {
        let mut at = 0;
        self.sequences.chunk_by(|a, b| a == b).map(move |run| {
            let rows = at..at + run.len();
            at = rows.end;
            (run[0], rows)
        })
    }

    /// Checks everything that does not depend on the space in the cache: ids, grouping, and that positions continue sequences of
    /// these lengths.
    pub(crate) fn check(&self, n_vocab: usize, len: impl Fn(u32) -> usize) -> Result<(), BatchError> {
        if self.is_empty() {
            return Err(BatchError::Empty);
        }
        if let Some(index) = self.tokens.iter().position(|t| *t as usize >= n_vocab) {
            return Err(BatchError::Token { index, token: self.tokens[index], n_vocab });
        }
        for (sequence, rows) in self.groups() {
            if self.sequences[..rows.start].contains(&sequence) {
                return Err(BatchError::Interleaved { index: rows.start, sequence });
            }
            let mut expected = len(sequence) as u32;
            for index in rows {
                let found = self.positions[index];
                if found != expected {
                    return Err(BatchError::Position { index, sequence, expected, found });
                }
                expected = expected.saturating_add(1);
            }
        }
        Ok(())
    }
}
