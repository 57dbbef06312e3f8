//! One task of attention: some heads of some rows over some chunks.

use super::state::{Work, finish, join, padded, record_len};
use super::stored::{FEW, Stored};
use super::{AttnRow, AttnSpec, CHUNK, KvData, KvLayer, TILE, Visible, quantized, scores};
use crate::Ctx;
use crate::mat::Mat;
use crate::pool::Columns;
use crate::simd::{Simd, entry};
use core::ops::Range;

/// The work of a task.
pub(crate) struct Task<'a> {
    /// Queries of all rows.
    pub(super) q: Mat<'a>,
    /// The first of the task's rows in `q`.
    pub(super) first_row: usize,
    /// The task's rows. They are of one sequence, so they share their pages.
    pub(super) rows: &'a [AttnRow],
    /// The first of the heads, which share `kv_head`.
    pub(super) first_head: usize,
    pub(super) n_heads: usize,
    pub(super) kv_head: usize,
    pub(super) kv: &'a KvLayer<'a>,
    pub(super) spec: &'a AttnSpec<'a>,
    /// Numbers of the chunks.
    pub(super) chunks: Range<usize>,
    /// Its cancel flag is checked before each chunk.
    pub(super) cx: Ctx<'a>,
}

impl Task<'_> {
    fn queries(&self) -> usize {
        self.rows.len() * self.n_heads
    }
}

/// Where a task's results go.
pub(crate) enum Target<'t, 'c> {
    /// Finished results: the task's rows and the channels of its heads.
    Output(&'t mut Columns<'c>),
    /// Results to be joined with those of other chunks: `record_len` elements for each query.
    Partial(&'t mut [f32]),
}

#[inline(always)]
fn attend_body<S: Simd>(s: S, task: &Task<'_>, work: &mut Work, target: Target<'_, '_>) {
    match task.kv.data {
        KvData::F32(data) => attend_in(s, task, data, work, target),
        KvData::F16(data) => attend_in(s, task, data, work, target),
        KvData::Q8_0(data) => attend_in(s, task, data, work, target),
    }
}

entry!(pub(crate) fn attend(task: &Task<'_>, work: &mut Work, target: Target<'_, '_>) = attend_body);

/// Returns the tiles of `chunk` that some query sees.
fn tiles(task: &Task<'_>, chunk: usize) -> Range<usize> {
    let mut span = (usize::MAX, 0);
    for row in task.rows {
        let v = Visible::of(task.spec, row);
        span = (span.0.min(v.start), span.1.max(v.end));
    }
    let per_chunk = CHUNK / TILE;
    (span.0 / TILE).max(chunk * per_chunk)..span.1.div_ceil(TILE).min((chunk + 1) * per_chunk)
}

#[inline(always)]
fn attend_in<S: Simd, T: Stored>(s: S, task: &Task<'_>, data: &[T], work: &mut Work, target: Target<'_, '_>) {
    let n = task.queries();
    let (dk, dv) = (task.kv.head_dim_k, task.kv.head_dim_v);
    let width = padded(dv);
    for i in 0..n {
        let head = task.first_head + i % task.n_heads;
        let q = &task.q.row(task.first_row + i / task.n_heads)[head * dk..(head + 1) * dk];
        T::query(s, q, &mut work.q[i * padded(dk)..(i + 1) * padded(dk)], &mut work.keys);
    }
    work.total.reset(n);
    let mut first = true;
    for chunk in task.chunks.clone() {
        if task.cx.cancelled() {
            break;
        }
        let tiles = tiles(task, chunk);
        if tiles.is_empty() {
            continue;
        }
        work.chunk.start(n, width);
        for tile in tiles {
            attend_tile(s, task, data, tile, work);
        }
        if core::mem::take(&mut first) {
            core::mem::swap(&mut work.total, &mut work.chunk);
            continue;
        }
        let (total, part) = (&mut work.total, &work.chunk);
        for i in 0..n {
            let range = i * width..(i + 1) * width;
            join(
                s,
                (&mut total.max[i], &mut total.sum[i], &mut total.values[range.clone()]),
                (part.max[i], part.sum[i], &part.values[range]),
            );
        }
    }
    let total = &work.total;
    let values = |i: usize| &total.values[i * width..(i + 1) * width];
    match target {
        Target::Output(columns) => {
            for i in 0..n {
                let head = i % task.n_heads;
                let sink = task.spec.sinks.map(|sinks| sinks[task.first_head + head]);
                let out = &mut columns.row_mut(i / task.n_heads)[head * dv..(head + 1) * dv];
                finish(s, total.max[i], total.sum[i], values(i), sink, out);
                if T::ROTATED {
                    quantized::rotate(out);
                }
            }
        }
        Target::Partial(records) => {
            for (i, record) in records.chunks_exact_mut(record_len(dv)).take(n).enumerate() {
                record[..width].copy_from_slice(values(i));
                (record[width], record[width + 1]) = (total.max[i], total.sum[i]);
            }
        }
    }
}

/// Rows to prefetch while something else is read: `len` units for each position of a tile.
#[derive(Clone, Copy)]
pub(super) struct Ahead<'a, T> {
    rows: &'a [T],
    len: usize,
}

impl<T> Default for Ahead<'_, T> {
    /// Returns nothing to prefetch.
    fn default() -> Self {
        Self { rows: &[], len: 0 }
    }
}

impl<T: Copy> Ahead<'_, T> {
    /// Prefetches a position's row.
    #[inline(always)]
    pub(super) fn row<S: Simd>(self, s: S, position: usize) {
        let line = 64 / size_of::<T>().max(1);
        for first in (0..self.len).step_by(line) {
            s.prefetch_near(self.rows, position * self.len + first);
        }
    }
}

/// Adds the tile's positions to the chunk's softmax.
#[inline(always)]
fn attend_tile<S: Simd, T: Stored>(s: S, task: &Task<'_>, data: &[T], tile: usize, work: &mut Work) {
    let (n, base) = (task.queries(), tile * TILE);
    let units = |channels: usize| channels / T::CHANNELS;
    let (dk, dv) = (units(task.kv.head_dim_k), units(task.kv.head_dim_v));
    let at = |page: u32, offset: usize, head_dim: usize| {
        units(page as usize * task.kv.page_stride + offset) + task.kv_head * TILE * head_dim
    };
    let table = &task.kv.tables[task.rows[0].sequence as usize];
    let keys = &data[at(table[tile], task.kv.k_offset, dk)..][..TILE * dk];
    let tile_values = &data[at(table[tile], task.kv.v_offset, dv)..][..TILE * dv];
    // A few queries are done with a tile before the next one has arrived, so what is read next is prefetched row by
    // row.
    let (mut after_keys, mut after_values) = (Ahead::default(), Ahead::default());
    if n <= FEW {
        after_keys = Ahead { rows: tile_values, len: dv };
        if let Some(page) = table.get(tile + 1) {
            let first = at(*page, task.kv.k_offset, dk);
            after_values = Ahead { rows: data.get(first..first + TILE * dk).unwrap_or(&[]), len: dk };
        }
    }
    let Work { q, keys: transposed, values: widened, scores, visible, chunk, .. } = work;
    // positions that some query sees
    let (mut low, mut high) = (TILE, 0);
    for (row, visible) in task.rows.iter().zip(visible.chunks_exact_mut(task.n_heads)) {
        let (l, h) = Visible::of(task.spec, row).in_tile(base);
        visible.fill((l, h));
        if l < h {
            (low, high) = (low.min(l), high.max(h));
        }
    }
    if low >= high {
        return;
    }
    let visible = &visible[..n];

    let q = &q.as_chunks::<16>().0[..n * padded(task.kv.head_dim_k) / 16];
    let scores = &mut scores.as_chunks_mut::<TILE>().0[..n];
    T::scores(s, q, keys, dk, low..high, transposed, scores, after_keys);
    let width = padded(task.kv.head_dim_v);
    for (i, (p, &(l, h))) in scores.iter_mut().zip(visible).enumerate() {
        if l < h {
            let row = &mut chunk.values[i * width..(i + 1) * width];
            let bias = task.spec.bias.map(|bias| {
                let position = task.rows[i / task.n_heads].position;
                bias.of(task.first_head + i % task.n_heads, base, position)
            });
            scores::softmax(s, task.spec, bias, p, l..h, &mut chunk.max[i], &mut chunk.sum[i], row);
        }
    }
    let sums = &mut chunk.values;
    T::add(s, scores, visible, tile_values, dv, low..high, widened, sums, after_values);
}
