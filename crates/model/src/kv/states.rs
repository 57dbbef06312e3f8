//! Recurrent states: the f32 values that layers carry from one position of a sequence to the next.
//!
//! A state is that of a sequence at one position, and it never changes: a pass reads the state before its rows and writes the state
//! after them to another slot. Sequences can therefore share states, and a pass that fails hasn't changed any.

use std::ops::Range;

use super::layout::{KvType, LayerLayout};
use super::options::Sizes;
use super::pool::{Data, Pool};
use super::snapshots::Pending;
use crate::batch::Batch;
use crate::buffers::Buffers;
use crate::error::KvError;

/// Rows of the batch that continue a state.
#[derive(Clone, Debug)]
struct Run {
    sequence: u32,
    rows: Range<usize>,
    /// How many positions the sequence has after these rows.
    end: usize,
    /// The state before the rows; `None` if the sequence begins here, with zeros.
    before: Option<u32>,
    after: u32,
}

/// One layer's state before and after some consecutive rows of a batch.
pub(crate) struct StateRun<'a> {
    /// The rows, of one sequence, in ascending positions.
    pub(crate) rows: Range<usize>,
    /// The state before the first row. `None` stands for zeros.
    pub(crate) before: Option<&'a [f32]>,
    /// Where to write the state after the last row. It holds leftovers of an earlier use.
    pub(crate) after: &'a mut [f32],
}

/// The state of a sequence in the middle of a speculative batch.
struct Row {
    sequence: u32,
    position: usize,
    state: u32,
}

/// The states of all sequences, all layers of one after the other.
pub(super) struct States {
    pub(super) pool: Pool,
    /// The state of each sequence; `None` at position 0.
    current: Vec<Option<u32>>,
    /// The runs of the prepared pass. Those of one sequence are in ascending order of their positions.
    runs: Vec<Run>,
    /// The states before and between the rows of the last pass, if that pass was speculative.
    rows: Vec<Row>,
}

impl States {
    /// Lists the buffers of the states.
    pub(super) fn build(sizes: &Sizes, memory: &mut Buffers) -> Result<Self, KvError> {
        let (n, elements) = (sizes.n_states(), sizes.state_elements);
        Ok(States {
            pool: Pool::build(memory, KvType::F32, elements, n)?,
            current: memory.list(if n == 0 { 0 } else { sizes.options.n_sequences })?,
            runs: memory.list(n)?,
            rows: memory.list(n)?,
        })
    }

    /// Starts with every sequence empty.
    pub(super) fn start(&mut self) {
        let n = self.current.capacity();
        self.current.resize(n, None);
    }

    /// Returns the state of a sequence: `None` at position 0, and in models without recurrent layers.
    pub(super) fn current(&self, sequence: u32) -> Option<u32> {
        self.current.get(sequence as usize).copied().flatten()
    }

    /// Replaces the sequence's state by `state`. The caller passes its share of `state` on to the sequence.
    pub(super) fn set(&mut self, sequence: u32, state: Option<u32>) {
        if let Some(old) = self.current.get_mut(sequence as usize)
            && let Some(old) = std::mem::replace(old, state)
        {
            self.pool.release(old);
        }
    }

    /// Replaces the sequence's state by `state`, of which the sequence becomes one more owner.
    pub(super) fn restore(&mut self, sequence: u32, state: Option<u32>) {
        if let Some(state) = state {
            self.pool.share(state);
        }
        self.set(sequence, state);
    }

    /// Gives sequence `to` the state of `from`.
    pub(super) fn fork(&mut self, from: u32, to: u32) {
        self.restore(to, self.current(from));
    }

    /// Returns the state of a sequence after `position` positions, if the last pass was speculative and that position is one of its rows.
    pub(super) fn row(&self, sequence: u32, position: usize) -> Option<u32> {
        self.rows.iter().find(|r| r.sequence == sequence && r.position == position).map(|r| r.state)
    }

    /// Drops the states of a sequence's rows in the last pass.
    pub(super) fn drop_rows(&mut self, sequence: u32) {
        let Self { rows, pool, .. } = self;
        rows.retain(|row| {
            if row.sequence == sequence {
                pool.release(row.state);
            }
            row.sequence != sequence
        });
    }

    /// Takes the states that the batch is going to write: one for each sequence, and one for each snapshot or speculative row on the way.
    /// Returns `false` if there are too few, which can't happen within the plan.
    pub(super) fn prepare(
        &mut self,
        batch: &Batch,
        len: impl Fn(u32) -> usize,
        snapshots: &[Pending],
    ) -> bool {
        self.runs.clear();
        if self.current.is_empty() {
            return true;
        }
        while let Some(row) = self.rows.pop() {
            self.pool.release(row.state);
        }
        for (sequence, rows) in batch.groups() {
            let (first, mut start, mut before) = (len(sequence), rows.start, self.current(sequence));
            for row in rows.clone() {
                let end = first + (row + 1 - rows.start);
                let wanted = |s: &Pending| s.sequence == sequence && s.position == end;
                if row + 1 < rows.end && !batch.is_speculative() && !snapshots.iter().any(wanted) {
                    continue;
                }
                let Some(after) = self.pool.take() else { return false };
                self.runs.push(Run { sequence, rows: start..row + 1, end, before, after });
                (start, before) = (row + 1, Some(after));
            }
        }
        true
    }

    /// Returns the state that the pass wrote after `position` positions of a sequence, with one more owner.
    pub(super) fn share_written(&mut self, sequence: u32, position: usize) -> Option<u32> {
        let state = self.runs.iter().find(|run| run.sequence == sequence && run.end == position)?.after;
        self.pool.share(state);
        Some(state)
    }

    /// Makes the states that the pass wrote those of the sequences.
    pub(super) fn commit(&mut self, batch: &Batch) {
        let runs = std::mem::take(&mut self.runs);
        for run in &runs {
            if batch.is_speculative()
                && let Some(state) = self.current(run.sequence)
            {
                self.pool.share(state);
                let position = run.end - run.rows.len();
                self.rows.push(Row { sequence: run.sequence, position, state });
            }
            self.set(run.sequence, Some(run.after));
        }
        self.runs = runs;
        self.runs.clear();
    }

    /// Releases the states that the pass wrote.
    pub(super) fn roll_back(&mut self) {
        while let Some(run) = self.runs.pop() {
            self.pool.release(run.after);
        }
    }

    /// Returns the number of runs in the prepared pass.
    pub(super) fn n_runs(&self) -> usize {
        self.runs.len()
    }

    /// Returns a layer's part of a run.
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

    /// Returns all values of a state.
    pub(super) fn values(&self, state: u32) -> &[f32] {
        let first = state as usize * self.pool.stride();
        match self.pool.data() {
            Data::F32(values) => values.get(first..first + self.pool.stride()).unwrap_or(&[]),
            Data::F16(_) | Data::Q8_0(_) => &[],
        }
    }

    /// Returns all values of a state, to write to.
    pub(super) fn values_mut(&mut self, state: u32) -> &mut [f32] {
        let stride = self.pool.stride();
        let first = state as usize * stride;
        match self.pool.data_mut() {
            Data::F32(values) => values.get_mut(first..first + stride).unwrap_or(&mut []),
            Data::F16(_) | Data::Q8_0(_) => &mut [],
        }
    }
}
