//! The buffers of a forward pass: reserved once by a plan, reused by every pass.

use happy_kernels::linear::{ActBuf, Panels};
use happy_kernels::ops::{AttnRow, AttnScratch};
use happy_kernels::{Mat, MatMut, PerWorker};

use crate::batch::Want;
use crate::error::KvError;
use crate::plan::ScratchSizes;
use crate::reserve::reserved;

/// A reservation of f32 values that becomes resident as far as it is used.
#[derive(Default)]
pub(crate) struct Buf(Vec<f32>);

impl Buf {
    pub(crate) fn new(n: usize) -> Result<Self, KvError> {
        reserve(n).map(Buf)
    }

    /// The first `n` values, which are within the reservation: no allocation.
    pub(crate) fn take(&mut self, n: usize) -> &mut [f32] {
        if self.0.len() < n {
            self.0.resize(n, 0.0);
        }
        &mut self.0[..n]
    }

    /// A matrix to write.
    pub(crate) fn mat_mut(&mut self, rows: usize, cols: usize) -> MatMut<'_> {
        MatMut::new(self.take(rows * cols), rows, cols)
    }

    /// A matrix that was written before.
    pub(crate) fn mat(&self, rows: usize, cols: usize) -> Mat<'_> {
        Mat::new(&self.0, rows, cols)
    }

    /// What was written before.
    pub(crate) fn values(&self) -> &[f32] {
        &self.0
    }

    /// Moves row `from` to row `to`.
    pub(crate) fn move_row(&mut self, from: usize, to: usize, cols: usize) {
        if from != to {
            self.0.copy_within(from * cols..(from + 1) * cols, to * cols);
        }
    }
}

const WHAT: &str = "activations of the forward pass";

fn reserve<T>(n: usize) -> Result<Vec<T>, KvError> {
    reserved(n).map_err(|e| e.of(WHAT))
}

/// A row that the caller wants something of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutputRow {
    /// Index in the batch.
    pub(crate) index: usize,
    pub(crate) want: Want,
    /// Row among those that want the same.
    pub(crate) slot: usize,
}

/// Buffers of mixtures of experts.
#[derive(Default)]
pub(crate) struct MoeScratch {
    /// Inputs of an expert, `[rows][n_embd]`; then the shared expert's result.
    pub(crate) gathered: Buf,
    /// Results of the experts, `[rows * n_used][n_embd]`, ordered by expert.
    pub(crate) results: Buf,
    pub(crate) router: Buf,
    pub(crate) weights: Buf,
    pub(crate) gate: Buf,
    /// Chosen experts, `[rows][n_used]`.
    pub(crate) ids: Vec<u32>,
    /// First pair of each expert, and the end.
    pub(crate) starts: Vec<u32>,
    /// Pairs (`row * n_used + rank`) ordered by expert.
    pub(crate) order: Vec<u32>,
    /// Where in `order` a pair is.
    pub(crate) place: Vec<u32>,
    pub(crate) acts: ActBuf,
}

/// The buffers of a forward pass. Made for one model and a largest batch; see [`Scratch::new`](crate::Model::scratch).
pub struct Scratch {
    pub(crate) sizes: ScratchSizes,
    /// The residual stream, `[rows][n_embd]`.
    pub(crate) x: Buf,
    /// Normed input, attention's result, feed-forward result: `[rows][hidden]`.
    pub(crate) h: Buf,
    /// What attention read, for layers whose halves run in parallel.
    pub(crate) keep: Buf,
    /// Q; the halves' results; the feed-forward block's inside.
    pub(crate) big: Buf,
    pub(crate) k: Buf,
    pub(crate) v: Buf,
    /// Cosines and sines, `[rope][rows][n_rot]`.
    pub(crate) cos_sin: Buf,
    pub(crate) logits: Buf,
    pub(crate) hidden: Buf,
    pub(crate) acts: ActBuf,
    pub(crate) panels: Panels,
    pub(crate) attention: AttnScratch,
    /// A row for each worker.
    pub(crate) row: PerWorker<Vec<f32>>,
    pub(crate) moe: MoeScratch,
    /// Rows of the attention kernel; empty between passes.
    pub(crate) attn_rows: Vec<AttnRow<'static>>,
    pub(crate) outputs: Vec<OutputRow>,
}

impl Scratch {
    pub(crate) fn new(sizes: &ScratchSizes) -> Result<Self, KvError> {
        let s = *sizes;
        let of = |per_row: usize| s.rows.saturating_mul(per_row);
        let memory = |bytes: usize| move |_| KvError::Memory { bytes, what: WHAT };
        let acts = |rows: usize, k: usize, kinds| {
            ActBuf::new(rows, k, kinds).map_err(memory(ActBuf::bytes(rows, k, kinds)))
        };
        let moe = match s.moe {
            None => MoeScratch::default(),
            Some(m) => MoeScratch {
                gathered: Buf::new(of(s.n_embd))?,
                results: Buf::new(of(m.n_used.saturating_mul(s.n_embd)))?,
                router: Buf::new(of(m.n_experts))?,
                weights: Buf::new(of(m.n_used))?,
                gate: Buf::new(s.rows)?,
                ids: reserve(of(m.n_used))?,
                starts: reserve(m.n_experts + 1)?,
                order: reserve(of(m.n_used))?,
                place: reserve(of(m.n_used))?,
                acts: acts(s.rows, m.max_k, m.kinds)?,
            },
        };
        let row = |_| {
            let mut row = Vec::new();
            row.try_reserve_exact(s.norm_row)?;
            row.resize(s.norm_row, 0.0);
            Ok(row)
        };
        let row_bytes = s.threads.saturating_mul(s.norm_row).saturating_mul(4);
        Ok(Scratch {
            sizes: s,
            x: Buf::new(of(s.n_embd))?,
            h: Buf::new(of(s.hidden))?,
            keep: Buf::new(of(s.keep))?,
            big: Buf::new(of(s.big))?,
            k: Buf::new(of(s.k))?,
            v: Buf::new(of(s.v))?,
            cos_sin: Buf::new(of(s.cos_sin))?,
            logits: Buf::new(s.outputs.saturating_mul(s.n_vocab))?,
            hidden: Buf::new(s.outputs.saturating_mul(s.n_embd))?,
            acts: acts(s.rows, s.max_k, s.kinds)?,
            panels: Panels::new(s.threads, s.rows, s.panel_bytes).map_err(memory(Panels::bytes(
                s.threads,
                s.rows,
                s.panel_bytes,
            )))?,
            attention: AttnScratch::new(&s.attention).map_err(memory(AttnScratch::bytes(&s.attention)))?,
            row: PerWorker::new(s.threads, row).map_err(memory(row_bytes))?,
            moe,
            attn_rows: reserve(s.rows)?,
            outputs: reserve(s.outputs)?,
        })
    }
}
