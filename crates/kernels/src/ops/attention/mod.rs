//! Attention over a paged cache of keys and values.
//!
//! For each query row and head, with scores `s[j] = scale * (q . k[j])` (with a cap, or with a bias for the distance,
//! if the model has one):
//!
//! ```text
//! tile  = 64 absolute positions: its scores, their maximum m, p[j] = e^(s[j] - m),
//!         sum of p in lane j % 16, then the tree; values add per channel by fma in ascending j
//! chunk = 8 tiles, joined in ascending order (online softmax: old sums are scaled by e^(m_old - m_new))
//! row   = chunks, joined in ascending order; a sink is one more logit, without a value
//! out   = values / sum
//! ```
//!
//! Tiles are at fixed positions and invisible positions are skipped, so neither the split of a prompt into batches nor
//! the number of threads changes a bit. Heads that share a key-value head read it once, and so do the rows of a block.
//! A long context in decode is divided by chunks.

mod block;
mod position;
mod quantized;
mod scores;
mod state;
mod stored;
mod values;

pub(crate) use block::{Target, Task, attend};
pub use position::{PositionBias, Window};
pub use quantized::KvBlock;
pub(crate) use quantized::store as to_q8;
pub(crate) use state::{Merge, Work, merge};

use crate::Ctx;
use crate::mat::{Mat, MatMut};
use crate::pool::PerWorker;
use state::record_len;
use std::collections::TryReserveError;

/// Positions of a tile.
pub const TILE: usize = 64;
/// Positions of a chunk.
pub const CHUNK: usize = 512;
/// Positions of a page of the cache.
pub const KV_PAGE: usize = 64;

const _: () = assert!(KV_PAGE == TILE && CHUNK.is_multiple_of(TILE));

/// Maximum number of queries (rows times heads) of a task, unless a single row has more.
const MAX_QUERIES: usize = 64;
/// Maximum number of rows of a task.
const MAX_ROWS: usize = 32;
/// A batch of at most this many rows may be split by chunks.
const SPLIT_ROWS: usize = 4;

/// The cache's contents: the pages of all layers and sequences.
#[derive(Clone, Copy, Debug)]
pub enum KvData<'a> {
    /// Stored as f32.
    F32(&'a [f32]),
    /// Stored as the bits of f16.
    F16(&'a [u16]),
    /// Stored in blocks of 32 channels, by [`Ops::to_q8`](crate::ops::Ops::to_q8).
    Q8_0(&'a [KvBlock]),
}

/// One layer's part of the cache.
///
/// In a page the keys of the layer are `[kv_head][KV_PAGE][head_dim_k]` from `k_offset`, the values
/// `[kv_head][KV_PAGE][head_dim_v]` from `v_offset`. All sizes count channels: with [`KvData::Q8_0`] they are multiples
/// of [`KvBlock::CHANNELS`].
#[derive(Clone, Copy, Debug)]
pub struct KvLayer<'a> {
    /// All pages.
    pub data: KvData<'a>,
    /// The pages of each sequence: `tables[s][i]` holds the positions of sequence `s` from `i * KV_PAGE`.
    pub tables: &'a [Vec<u32>],
    /// Channels of a page, over all layers.
    pub page_stride: usize,
    /// Where the layer's keys start in a page.
    pub k_offset: usize,
    /// Where the layer's values start in a page.
    pub v_offset: usize,
    /// Number of key-value heads. The number of query heads is a multiple of it.
    pub n_kv_heads: usize,
    /// Channels of a key.
    pub head_dim_k: usize,
    /// Channels of a value.
    pub head_dim_v: usize,
}

/// The place of a query row. Rows of one sequence follow each other.
#[derive(Clone, Copy, Debug)]
pub struct AttnRow {
    /// Position of the row in its sequence.
    pub position: u32,
    /// Index of the sequence in [`KvLayer::tables`].
    pub sequence: u32,
    /// The first position that the row doesn't see: the one after its own or, if rows see in both directions, the
    /// length of their sequence.
    pub end: u32,
}

impl AttnRow {
    /// Makes a row that sees the positions up to its own.
    pub fn causal(position: u32, sequence: u32) -> Self {
        Self { position, sequence, end: position.saturating_add(1) }
    }
}

/// The attention of a model's layer.
#[derive(Clone, Copy, Debug)]
pub struct AttnSpec<'a> {
    /// Query heads.
    pub n_heads: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Scores become cap * tanh(score / cap).
    pub soft_cap: Option<f32>,
    /// The positions near its own that a row sees; all up to [`AttnRow::end`] if `None`.
    pub window: Option<Window>,
    /// A bias for the distance of two positions, added to their score after the scale and the cap.
    pub bias: Option<PositionBias<'a>>,
    /// One more logit for each head in the softmax's sum (gpt-oss).
    pub sinks: Option<&'a [f32]>,
}

/// The greatest sizes for which an [`AttnScratch`] is made.
#[derive(Clone, Copy, Debug)]
pub struct AttnPlan {
    threads: usize,
    max_rows: usize,
    max_context: usize,
    n_heads: usize,
    /// Queries of a task.
    queries: usize,
    head_dim_k: usize,
    head_dim_v: usize,
}

impl AttnPlan {
    /// Makes a plan for a pool of `threads` threads, batches of `max_rows` rows and sequences of `max_context`
    /// positions, with no layer yet.
    pub fn new(threads: usize, max_rows: usize, max_context: usize) -> Self {
        Self { threads, max_rows, max_context, n_heads: 0, queries: 0, head_dim_k: 0, head_dim_v: 0 }
    }

    /// Returns the plan with room for layers of so many query heads, key-value heads, and channels of a key and of a
    /// value.
    pub fn layer(self, n_heads: usize, n_kv_heads: usize, head_dim_k: usize, head_dim_v: usize) -> Self {
        let group = (n_heads / n_kv_heads.max(1)).max(1);
        Self {
            n_heads: self.n_heads.max(n_heads),
            queries: self.queries.max(rows_per_block(group).saturating_mul(group)),
            head_dim_k: self.head_dim_k.max(head_dim_k),
            head_dim_v: self.head_dim_v.max(head_dim_v),
            ..self
        }
    }

    fn partial_len(&self) -> usize {
        if self.threads < 2 {
            return 0;
        }
        let chunks = self.max_context.div_ceil(CHUNK);
        let sizes = [self.max_rows.min(SPLIT_ROWS), self.n_heads, chunks, record_len(self.head_dim_v)];
        sizes.into_iter().fold(1, usize::saturating_mul)
    }
}

/// Returns the number of rows of a block whose tasks have `heads` heads.
fn rows_per_block(heads: usize) -> usize {
    (MAX_QUERIES / heads).clamp(1, MAX_ROWS)
}

/// Scratch of [`attention`], made once from a plan.
#[derive(Debug, Default)]
pub struct AttnScratch {
    work: PerWorker<Work>,
    blocks: Vec<Block>,
    partials: Vec<f32>,
}

impl AttnScratch {
    /// Makes scratch for calls of at most the sizes of `plan`.
    ///
    /// # Errors
    /// If the memory cannot be reserved.
    pub fn new(plan: &AttnPlan) -> Result<Self, TryReserveError> {
        let mut blocks = Vec::new();
        blocks.try_reserve_exact(plan.max_rows)?;
        let mut partials = Vec::new();
        partials.try_reserve_exact(plan.partial_len())?;
        partials.resize(plan.partial_len(), 0.0);
        let work = |_| Work::new(plan.queries, plan.head_dim_k, plan.head_dim_v);
        let work = PerWorker::new(plan.threads, work)?;
        Ok(Self { work, blocks, partials })
    }

    /// Returns the number of bytes that [`AttnScratch::new`] reserves.
    pub fn bytes(plan: &AttnPlan) -> usize {
        let work = Work::elements(plan.queries, plan.head_dim_k, plan.head_dim_v);
        let elements = plan.threads.saturating_mul(work).saturating_add(plan.partial_len());
        let blocks = plan.max_rows.saturating_mul(size_of::<Block>());
        let workers = PerWorker::<Work>::bytes(plan.threads);
        elements.saturating_mul(size_of::<f32>()).saturating_add(blocks).saturating_add(workers)
    }
}

/// Consecutive rows of one sequence.
#[derive(Clone, Copy, Debug)]
struct Block {
    first: u32,
    rows: u32,
}

/// Positions `start .. end` that a row sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visible {
    start: usize,
    end: usize,
}

impl Visible {
    fn of(spec: &AttnSpec<'_>, row: &AttnRow) -> Self {
        let (position, end) = (row.position as usize, row.end as usize);
        match spec.window {
            None => Self { start: 0, end },
            Some(Window::Last(n)) => Self { start: (position + 1).saturating_sub(n as usize), end },
            Some(Window::Chunk(n)) => Self { start: position - position % (n as usize).max(1), end },
            Some(Window::Around(n)) => {
                let n = n as usize;
                Self { start: position.saturating_sub(n), end: end.min(position + n + 1) }
            }
        }
    }

    /// Returns the visible part of the `TILE` positions from `base` on, relative to it.
    fn in_tile(self, base: usize) -> (usize, usize) {
        (self.start.saturating_sub(base).min(TILE), self.end.saturating_sub(base).min(TILE))
    }
}

/// Computes the attention of all `rows`: `out[r][h] = softmax(scale * q[r][h] . K) V`.
///
/// `q` is `[rows][n_heads * head_dim_k]` with rotary embedding applied, `out` is `[rows][n_heads * head_dim_v]`. The
/// cache must already hold the keys and values of the rows themselves.
///
/// # Panics
/// If shapes disagree, a page is outside the cache, or a size exceeds the plan of `scratch`. All of these are errors of
/// the caller.
pub fn attention(
    cx: &Ctx<'_>,
    q: Mat<'_>,
    rows: &[AttnRow],
    kv: &KvLayer<'_>,
    spec: &AttnSpec<'_>,
    scratch: &mut AttnScratch,
    mut out: MatMut<'_>,
) {
    let (dk, dv) = (kv.head_dim_k, kv.head_dim_v);
    assert!(q.rows() == rows.len() && out.rows() == rows.len(), "a query and an output for every row");
    let width = |head_dim: usize| spec.n_heads.checked_mul(head_dim);
    assert!(width(dk) == Some(q.cols()) && width(dv) == Some(out.cols()), "heads times channels");
    assert!(
        kv.n_kv_heads > 0 && spec.n_heads.is_multiple_of(kv.n_kv_heads),
        "heads share key-value heads evenly"
    );
    assert!(spec.sinks.is_none_or(|s| s.len() == spec.n_heads), "a sink for every head");
    let blocks = matches!(kv.data, KvData::Q8_0(_));
    let whole = |channels: &usize| channels.is_multiple_of(KvBlock::CHANNELS);
    assert!(!blocks || [dk, dv, kv.page_stride, kv.k_offset, kv.v_offset].iter().all(whole), "whole blocks");
    if rows.is_empty() || spec.n_heads == 0 {
        return;
    }
    assert!(spec.bias.is_none_or(|b| b.covers(spec.n_heads)), "a bias for every head");
    let (span_start, span_end) = rows.iter().fold((usize::MAX, 0), |(start, end), row| {
        let v = Visible::of(spec, row);
        (start.min(v.start), end.max(v.end))
    });
    let chunks = span_start / CHUNK..span_end.div_ceil(CHUNK);
    let threads = cx.pool.threads();
    let split = threads > 1
        && chunks.len() > 1
        && rows.len() <= SPLIT_ROWS
        && rows.len() * kv.n_kv_heads < 4 * threads
        && rows.len() * spec.n_heads * chunks.len() * record_len(dv) <= scratch.partials.len();
    if split {
        return attention_by_chunks(cx, q, rows, kv, spec, scratch, out, chunks);
    }

    let group = spec.n_heads / kv.n_kv_heads;
    fill_blocks(&mut scratch.blocks, rows, rows_per_block(group));
    let heads = heads_per_task(group, scratch.blocks.len() * kv.n_kv_heads, threads);
    let AttnScratch { work, blocks, .. } = scratch;
    // the last blocks see the most positions, so they go first
    let mut rest = Some(out.reborrow());
    let parts = blocks.iter().rev().map_while(|b| {
        let MatMut { data, cols, stride, .. } = rest.take()?;
        let (before, data) = data.split_at_mut(b.first as usize * stride);
        rest = Some(MatMut { data: before, rows: b.first as usize, cols, stride });
        Some((MatMut { data, rows: b.rows as usize, cols, stride }, heads * dv))
    });
    cx.pool.for_each_columns(parts, &|part, first_col, columns, worker| {
        let block = blocks[blocks.len() - 1 - part];
        let first_head = first_col / dv;
        let task = Task {
            q,
            first_row: block.first as usize,
            rows: &rows[block.first as usize..(block.first + block.rows) as usize],
            first_head,
            n_heads: heads,
            kv_head: first_head / group,
            kv,
            spec,
            chunks: chunks.clone(),
            cx: *cx,
        };
        work.with(worker, |work| (cx.kernels.ops.attend)(&task, work, Target::Output(columns)));
    });
}

/// Computes a few rows with a long context: every chunk is a task, and its sums are joined afterwards.
#[allow(clippy::too_many_arguments)]
fn attention_by_chunks(
    cx: &Ctx<'_>,
    q: Mat<'_>,
    rows: &[AttnRow],
    kv: &KvLayer<'_>,
    spec: &AttnSpec<'_>,
    scratch: &mut AttnScratch,
    mut out: MatMut<'_>,
    chunks: core::ops::Range<usize>,
) {
    let group = spec.n_heads / kv.n_kv_heads;
    let record = record_len(kv.head_dim_v);
    // [row][kv head][chunk][head of the group]
    let (n_chunks, piece) = (chunks.len(), group * record);
    let AttnScratch { work, partials, .. } = scratch;
    let partials = &mut partials[..rows.len() * kv.n_kv_heads * n_chunks * piece];
    cx.pool.for_each_chunk(partials, piece, &|i, partial, worker| {
        let (row, kv_head, chunk) =
            (i / (n_chunks * kv.n_kv_heads), i / n_chunks % kv.n_kv_heads, i % n_chunks);
        let task = Task {
            q,
            first_row: row,
            rows: &rows[row..row + 1],
            first_head: kv_head * group,
            n_heads: group,
            kv_head,
            kv,
            spec,
            chunks: chunks.start + chunk..chunks.start + chunk + 1,
            cx: *cx,
        };
        work.with(worker, |work| (cx.kernels.ops.attend)(&task, work, Target::Partial(partial)));
    });
    for (row, partials) in partials.chunks_exact_mut(kv.n_kv_heads * n_chunks * piece).enumerate() {
        let heads = out.row_mut(row).chunks_exact_mut(kv.head_dim_v);
        for (head, out) in heads.enumerate() {
            let first = head / group * n_chunks * piece + head % group * record;
            let merge = Merge {
                chunks: n_chunks,
                stride: piece,
                head_dim_v: kv.head_dim_v,
                sink: spec.sinks.map(|s| s[head]),
                rotated: matches!(kv.data, KvData::Q8_0(_)),
                out,
            };
            (cx.kernels.ops.merge)(merge, &mut partials[first..]);
        }
    }
}

/// Groups rows that follow each other in one sequence.
fn fill_blocks(blocks: &mut Vec<Block>, rows: &[AttnRow], max_rows: usize) {
    blocks.clear();
    for (i, row) in rows.iter().enumerate() {
        match blocks.last_mut() {
            Some(b) if (b.rows as usize) < max_rows && rows[i - 1].sequence == row.sequence => b.rows += 1,
            _ => blocks.push(Block { first: i as u32, rows: 1 }),
        }
    }
}

/// Returns the number of heads of a task: the whole group, or a divisor of it if there would be fewer tasks than
/// threads.
fn heads_per_task(group: usize, tasks: usize, threads: usize) -> usize {
    let fits = |heads: &usize| group.is_multiple_of(*heads) && group / heads * tasks >= threads;
    let most = group.min(MAX_QUERIES);
    (1..=most).rev().find(fits).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::state::padded;
    use super::*;
    use crate::{Cancel, Kernels, Pool};
    use std::sync::atomic::AtomicBool;

    /// The flag is checked before each chunk of a task, however long the context of a task is.
    #[test]
    fn a_cancelled_task_adds_no_chunk() {
        let (pool, kernels) = (Pool::new(1).unwrap(), Kernels::scalar());
        let (dim, context) = (16, 5 * CHUNK);
        let floats = vec![1.0; 2 * context * dim];
        let tables = [(0..(context / KV_PAGE) as u32).collect()];
        let kv = KvLayer {
            data: KvData::F32(&floats),
            tables: &tables,
            page_stride: 2 * KV_PAGE * dim,
            k_offset: 0,
            v_offset: KV_PAGE * dim,
            n_kv_heads: 1,
            head_dim_k: dim,
            head_dim_v: dim,
        };
        let rows = [AttnRow::causal(context as u32 - 1, 0)];
        let spec = AttnSpec { n_heads: 1, scale: 1.0, soft_cap: None, window: None, bias: None, sinks: None };
        for (raised, expected) in [(false, 1.0), (true, 0.0)] {
            let flag = AtomicBool::new(raised);
            let cancel = Cancel::new(&flag);
            let (q, mut out) = ([1.0; 16], [9.0; 16]);
            let mut work = Work::new(1, dim, dim).unwrap();
            let task = Task {
                q: Mat::new(&q, 1, dim),
                first_row: 0,
                rows: &rows,
                first_head: 0,
                n_heads: 1,
                kv_head: 0,
                kv: &kv,
                spec: &spec,
                chunks: 0..5,
                cx: Ctx::new(&pool, &kernels).until(&cancel),
            };
            let mut columns = crate::Columns::of(MatMut::new(&mut out, 1, dim));
            (kernels.ops.attend)(&task, &mut work, Target::Output(&mut columns));
            assert_eq!((out[0], cancel.seen()), (expected, raised));
        }
    }

    #[test]
    fn heads_per_task_divides_the_group() {
        let cases = [
            (3, 3, 2, 3),
            (4, 1, 2, 2),
            (4, 1, 1, 4),
            (7, 1, 4, 1),
            (6, 1, 2, 3),
            (1, 1, 8, 1),
            (71, 1, 1, 1),
        ];
        for (group, tasks, threads, expected) in cases {
            assert_eq!(heads_per_task(group, tasks, threads), expected, "{group} {tasks} {threads}");
        }
        assert_eq!(padded(80), 80);
        assert_eq!(padded(65), 80);
    }
}
