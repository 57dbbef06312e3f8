//! Recurrent states: the f32 values that layers carry from one position of a sequence to the next.
//!
//! A state belongs to a sequence at one position and is never written after that: a pass reads the state before its rows and
//! writes the one after them into another slot. So sequences share states, and a pass that fails has changed none.

use std::ops::Range;

use super::layout::{KvOptions, KvType, LayerLayout};
use super::pool::{Data, Pool};
use crate::batch::Batch;
use crate::buffers::Buffers;
use crate::error::KvError;

/// Rows of the batch that continue a state.
#[derive(Clone, Debug)]
struct Run {
    sequence: u32,
    rows: Range<usize>,
    /// `None`: zeros, the sequence begins.
    before: Option<u32>,
    after: u32,
}

/// One layer's state before and after some consecutive rows of a batch.
#[allow(dead_code)] // for recurrent layers
pub(crate) struct StateRun<'a> {
    /// The rows, of one sequence, in ascending positions.
    pub(crate) rows: Range<usize>,
    /// The state before the first of them; `None`: zeros.
    pub(crate) before: Option<&'a [f32]>,
    /// Where the state after the last of them goes. What it holds is left over.
    pub(crate) after: &'a mut [f32],
}

#[allow(dead_code)] // for recurrent layers
impl<'a> StateRun<'a> {
    /// The rows, and the state, which now holds what was before them and is changed in place.
    pub(crate) fn in_place(self) -> (Range<usize>, &'a mut [f32]) {
        match self.before {
            Some(before) => self.after.copy_from_slice(before),
            None => self.after.fill(0.0),
        }
        (self.rows, self.after)
    }
}

/// The states of all sequences, all layers of one after the other.
pub(super) struct States {
    pub(super) pool: Pool,
    /// The state of each sequence; `None` at position 0.
    current: Vec<Option<u32>>,
    /// The runs of the pass that is prepared, those of a sequence in ascending positions.
    runs: Vec<Run>,
}

impl States {
    /// The one list of the states' buffers: a state of each sequence, and one that a pass writes.
    pub(super) fn build(
        elements: usize,
        options: &KvOptions,
        memory: &mut impl Buffers,
    ) -> Result<Self, KvError> {
        let n = if elements == 0 { 0 } else { options.n_sequences };
        Ok(States {
            pool: Pool::build(memory, KvType::F32, elements, options.n_states(elements))?,
            current: memory.list(n)?,
            runs: memory.list(n)?,
        })
    }

    /// Every sequence begins.
    pub(super) fn start(&mut self) {
        let n = self.current.capacity();
        self.current.resize(n, None);
    }

    fn current(&self, sequence: u32) -> Option<u32> {
        self.current.get(sequence as usize).copied().flatten()
    }

    fn set(&mut self, sequence: u32, state: Option<u32>) {
        if let Some(old) = self.current.get_mut(sequence as usize)
            && let Some(old) = std::mem::replace(old, state)
        {
            self.pool.release(old);
        }
    }

    /// The sequence begins again.
    pub(super) fn clear(&mut self, sequence: u32) {
        self.set(sequence, None);
    }

    /// Sequence `to` gets the state of `from`.
    pub(super) fn fork(&mut self, from: u32, to: u32) {
        let state = self.current(from);
        if let Some(state) = state {
            self.pool.share(state);
        }
        self.set(to, state);
    }

    /// Takes a state for each sequence of the batch to write.
    pub(super) fn prepare(&mut self, batch: &Batch) {
        self.runs.clear();
        if self.current.is_empty() {
            return;
        }
        for (sequence, rows) in batch.groups() {
            let before = self.current(sequence);
            if let Some(after) = self.pool.take() {
                self.runs.push(Run { sequence, rows, before, after });
            }
        }
    }

    /// What the pass wrote counts.
    pub(super) fn commit(&mut self) {
        while let Some(run) = self.runs.pop() {
            self.set(run.sequence, Some(run.after));
        }
    }

    /// What the pass wrote is given back.
    pub(super) fn roll_back(&mut self) {
        while let Some(run) = self.runs.pop() {
            self.pool.release(run.after);
        }
    }

    /// Runs of the pass that is prepared.
    pub(super) fn n_runs(&self) -> usize {
        self.runs.len()
    }

    /// A layer's part of a run.
    pub(super) fn run(&mut self, layer: &LayerLayout, run: usize) -> Option<StateRun<'_>> {
        let Run { rows, before, after, .. } = self.runs.get(run)?.clone();
        let part = |state: u32| {
            let first = state as usize * self.pool.stride() + layer.state_offset;
            first..first + layer.state_elements
        };
        let (before, after) = (before.map(part), part(after));
        let Data::F32(values) = self.pool.data_mut() else { return None };
        match before {
            None => Some(StateRun { rows, before: None, after: values.get_mut(after)? }),
            Some(before) => {
                let [before, after] = values.get_disjoint_mut([before, after]).ok()?;
                Some(StateRun { rows, before: Some(before), after })
            }
        }
    }
}
