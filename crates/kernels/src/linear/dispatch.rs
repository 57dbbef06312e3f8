//! Cutting matrices into tasks.
//!
//! ```text
//! one token:    task = some weight rows, as many as are worth a claim
//! few tokens:   task = such rows, each weight decoded once; or gemv for each token (the rows stay in L1)
//! many tokens:  task = one panel of weight rows, unpacked once, times all tokens
//! ```

use super::low_rank::{MAX_MATRICES, Projected, with_projected};
use super::{ActBuf, Few, Gemm, Gemv, LinearKernel, LinearRows, Panel, panel::PANEL_MAX_ROWS};
use crate::activation::Activation;
use crate::{Columns, Ctx, MatMut, PerWorker};
use std::collections::TryReserveError;

/// From this many tokens on, unpacking a panel is cheaper than reading the blocks once a token. Used for token counts
/// for which there is no kernel for a few tokens.
const GEMM_MIN_TOKENS: usize = 4;

/// Least weight bytes of a gemv task: a microsecond of memory bandwidth, many times the cost of a claim.
const GEMV_TASK_MIN_BYTES: usize = 24 << 10;

/// Most weight bytes of a gemv task. A task begins with bytes that nothing has asked for yet, so few large tasks read faster than
/// many small ones (Zen 4, one thread: models of 1B in Q4_0 decode 1.05 times as fast with 72 KiB as with 24). But a core that is
/// late holds the others up for one task.
const GEMV_TASK_MAX_BYTES: usize = 72 << 10;

/// Tasks of a large matrix for each thread, so that all are done at about the same time.
const GEMV_TASKS_PER_THREAD: usize = 16;

/// Maximum number of rows of a gemv task.
const GEMV_MAX_ROWS: usize = 256;

/// Maximum number of outputs of a task that reads blocks where they lie.
const GEMV_MAX_OUTPUTS: usize = 3 * GEMV_MAX_ROWS;

/// The rows of a gemv task are a multiple of this, since every kernel's row group divides it.
const GEMV_ROW_GROUP: usize = 16;

/// Multiply-adds of a weight panel between two checks of the cancel flag: 10 to 30 ms on a slow core.
const LOOK_MACS: usize = 1 << 25;

/// Minimum number of tokens between two checks, because unpacking a panel costs as much as about five of them.
const LOOK_MIN_TOKENS: usize = 32;

/// Panels of all workers.
#[derive(Debug, Default)]
pub struct Panels(PerWorker<Panel>);

impl Panels {
    /// Makes panels for jobs of up to `max_rows` tokens, with matrices whose largest
    /// [`Linear::panel_bytes`](super::Linear::panel_bytes) is `panel_bytes`.
    ///
    /// # Errors
    /// If the memory cannot be reserved.
    pub fn new(threads: usize, max_rows: usize, panel_bytes: usize) -> Result<Self, TryReserveError> {
        PerWorker::new(threads, |_| Panel::new(panel_bytes, outputs(max_rows))).map(Self)
    }

    /// Returns the number of bytes that [`Panels::new`] reserves.
    pub fn bytes(threads: usize, max_rows: usize, panel_bytes: usize) -> usize {
        let one = Panel::bytes(panel_bytes, outputs(max_rows));
        threads.saturating_mul(one).saturating_add(PerWorker::<Panel>::bytes(threads))
    }
}

/// Returns the number of results that a task of [`forward_glu`] may have to keep.
fn outputs(max_rows: usize) -> usize {
    max_rows.saturating_mul(PANEL_MAX_ROWS).max(GEMV_MAX_OUTPUTS)
}

/// How a task multiplies.
enum Way {
    /// Token by token.
    Gemv(Gemv),
    /// All tokens at once, from the blocks.
    Few(Few),
    /// All tokens at once, from a panel.
    Gemm(Gemm),
}

impl Way {
    fn of(kernel: &LinearKernel, tokens: usize) -> Self {
        match &kernel.few {
            Some(few) if (few.min_tokens..=few.max_tokens).contains(&tokens) => Way::Few(few.multiply),
            _ if tokens >= GEMM_MIN_TOKENS => Way::Gemm(kernel.gemm),
            _ => Way::Gemv(kernel.gemv),
        }
    }
}

/// Weight rows of a task.
fn task_width(rows: LinearRows<'_>, tokens: usize, threads: usize) -> usize {
    if let Way::Gemm(_) = Way::of(rows.linear.kernel, tokens) {
        return rows.linear.kernel.panel_rows;
    }
    let row_bytes = rows.linear.row_bytes;
    let share = (rows.n_out() / GEMV_TASKS_PER_THREAD / threads.max(1)).saturating_mul(row_bytes);
    let bytes = share.clamp(GEMV_TASK_MIN_BYTES, GEMV_TASK_MAX_BYTES);
    let most = (GEMV_MAX_OUTPUTS / tokens.max(1)).clamp(GEMV_ROW_GROUP, GEMV_MAX_ROWS);
    (bytes / row_bytes).clamp(GEMV_ROW_GROUP, most) / GEMV_ROW_GROUP * GEMV_ROW_GROUP
}

/// What the tasks of a job read.
#[derive(Clone, Copy)]
struct Job<'a> {
    cx: Ctx<'a>,
    acts: &'a ActBuf,
    /// The only row of the activations to use; all of them if `None`.
    row: Option<usize>,
    added: Option<Projected<'a>>,
}

/// Maximum number of matrices of a job.
const MAX_PARTS: usize = 16;

/// Multiplies the rows from `first` on of matrix `which` of the job, as many as `y` is wide, by all tokens, and applies
/// scales, additions and the bias.
fn multiply(
    job: Job<'_>,
    (which, rows): (usize, LinearRows<'_>),
    first: usize,
    y: &mut Columns<'_>,
    panel: &mut Panel,
) {
    let Job { cx, acts, row, added } = job;
    let (w, acts, kernel) = (rows.bytes_from(first), acts.get(rows.act_kind()), rows.linear.kernel);
    let acts = row.map_or(acts, |row| acts.rows_range(row, 1));
    match Way::of(kernel, acts.rows) {
        Way::Gemv(gemv) => (0..acts.rows).for_each(|t| gemv(w, acts.rows_range(t, 1), y.row_mut(t))),
        Way::Few(few) => few(w, acts, y),
        Way::Gemm(gemm) => {
            // With rows of up to 8,192 weights and up to 256 tokens this is all tokens at once.
            let step = LOOK_MACS / (kernel.panel_rows * acts.k).max(1) / 8 * 8;
            let step = step.max(LOOK_MIN_TOKENS);
            for t in (0..acts.rows).step_by(step) {
                if t > 0 && cx.cancelled() {
                    return;
                }
                let count = step.min(acts.rows - t);
                gemm(w, acts.rows_range(t, count), &mut y.rows_range_mut(t, count), panel);
            }
        }
    }
    if let Some(scales) = &rows.linear.scales {
        for t in 0..acts.rows {
            scales.apply(cx.kernels.ops.scale, rows.first + first, y.row_mut(t));
        }
    }
    if let Some(added) = added {
        added.add(&cx.kernels.ops, (which, rows), first, y);
    }
    if let Some(bias) = rows.bias_from(first) {
        for t in 0..acts.rows {
            for (y, b) in y.row_mut(t).iter_mut().zip(bias) {
                *y += b;
            }
        }
    }
}

/// Computes `y = W x + b` for several matrices and the same activations, as one job.
///
/// `parts` are matrices (`&Linear` or [`LinearRows`]) with their outputs of `[tokens][n_out]`. `acts` must hold the
/// forms that these matrices take.
///
/// # Panics
/// If shapes do not agree: they are the program's own.
pub fn forward<'m, M: Copy + Into<LinearRows<'m>>>(
    cx: Ctx<'_>,
    acts: &ActBuf,
    parts: &mut [(M, MatMut<'_>)],
    panels: &Panels,
) {
    let tokens = acts.rows();
    if parts.len() > MAX_MATRICES && cx.row_sets().is_some() {
        return parts.chunks_mut(MAX_MATRICES).for_each(|parts| forward(cx, acts, parts, panels));
    }
    let n_parts = parts.len();
    let mut linears = [None::<LinearRows<'_>>; MAX_PARTS];
    assert!(n_parts <= MAX_PARTS, "{n_parts} matrices in one job, expected at most {MAX_PARTS}");
    for (slot, (matrix, y)) in linears.iter_mut().zip(parts.iter()) {
        let matrix = (*matrix).into();
        assert!(y.rows() == tokens && y.cols() == matrix.n_out(), "the output of a matrix has another shape");
        *slot = Some(matrix);
    }
    let threads = cx.pool.threads();
    let pieces =
        parts.iter_mut().map(|(matrix, y)| (y.reborrow(), task_width((*matrix).into(), tokens, threads)));
    with_projected(cx, acts, &linears[..n_parts], |added| {
        let job = Job { cx, acts, row: None, added };
        cx.pool.for_each_columns(pieces, &|which, first, y, worker| {
            if let Some(linear) = linears[which].filter(|_| !cx.cancelled()) {
                panels.0.with(worker, |panel| multiply(job, (which, linear), first, y, panel));
            }
        });
    });
}

/// Computes `y = act(gate x) * (up x)` as one job, without storing either product whole.
///
/// `y` is `[tokens][n_out]`. Both matrices have the same shape. A bias is added if a matrix has one.
///
/// # Panics
/// If shapes do not agree: they are the program's own.
pub fn forward_glu<'m, M: Into<LinearRows<'m>>>(
    cx: Ctx<'_>,
    acts: &ActBuf,
    (gate, up): (M, M),
    activation: Activation,
    y: MatMut<'_>,
    panels: &Panels,
) {
    let (gate, up, tokens) = (gate.into(), up.into(), acts.rows());
    assert!(y.rows() == tokens && y.cols() == gate.n_out() && gate.n_out() == up.n_out());
    let threads = cx.pool.threads();
    let width = task_width(gate, tokens, threads).min(task_width(up, tokens, threads));
    with_projected(cx, acts, &[Some(gate), Some(up)], |added| {
        let job = Job { cx, acts, row: None, added };
        cx.pool.for_each_columns([(y, width)], &|_, first, y, worker| {
            if cx.cancelled() {
                return;
            }
            panels.0.with(worker, |panel| gated(job, (gate, up), activation, first, y, panel));
        });
    });
}

/// Computes columns of `act(gate x) * (up x)`.
fn gated(
    job: Job<'_>,
    (gate, up): (LinearRows<'_>, LinearRows<'_>),
    activation: Activation,
    first: usize,
    y: &mut Columns<'_>,
    panel: &mut Panel,
) {
    multiply(job, (0, gate), first, y, panel);
    let mut outputs = panel.take_outputs();
    let mut up_y = Columns::of(MatMut::new(&mut outputs, y.rows(), y.width()));
    multiply(job, (1, up), first, &mut up_y, panel);
    for t in 0..y.rows() {
        (job.cx.kernels.ops.glu)(activation, y.row_mut(t), up_y.row_mut(t));
    }
    panel.give_outputs(outputs);
}

/// Computes row `i` of `y` as `W x + b` of matrix `i` and row `i` of the activations, all as one job. This is for the
/// experts of one token: they take no more jobs than one matrix, and threads share their bytes evenly. Additions are
/// not applied.
///
/// # Panics
/// If shapes do not agree: they are the program's own.
pub fn forward_each<'m>(
    cx: Ctx<'_>,
    acts: &ActBuf,
    matrix: &(dyn Fn(usize) -> LinearRows<'m> + Sync),
    mut y: MatMut<'_>,
    panels: &Panels,
) {
    assert!(y.rows() <= acts.rows(), "{} matrices and {} rows of activations", y.rows(), acts.rows());
    cx.pool.for_each_columns(rows_of(cx, &mut y, &|i| matrix(i)), &|which, first, y, worker| {
        if !cx.cancelled() {
            let job = Job { cx, acts, row: Some(which), added: None };
            panels.0.with(worker, |panel| multiply(job, (0, matrix(which)), first, y, panel));
        }
    });
}

/// Computes row `i` of `y` as `act(gate x) * (up x)` of pair `i` of matrices and the only row of the activations, all
/// as one job. Additions are not applied.
///
/// # Panics
/// If shapes do not agree: they are the program's own.
pub fn forward_glu_each<'m>(
    cx: Ctx<'_>,
    acts: &ActBuf,
    pair: &(dyn Fn(usize) -> (LinearRows<'m>, LinearRows<'m>) + Sync),
    activation: Activation,
    mut y: MatMut<'_>,
    panels: &Panels,
) {
    assert!(acts.rows() == 1, "{} rows of activations", acts.rows());
    cx.pool.for_each_columns(rows_of(cx, &mut y, &|i| pair(i).0), &|which, first, y, worker| {
        if !cx.cancelled() {
            let job = Job { cx, acts, row: None, added: None };
            panels.0.with(worker, |panel| gated(job, pair(which), activation, first, y, panel));
        }
    });
}

/// Returns the rows of `y`, each as a matrix that is cut into tasks for one token.
fn rows_of<'a, 'm>(
    cx: Ctx<'_>,
    y: &'a mut MatMut<'_>,
    matrix: &'a dyn Fn(usize) -> LinearRows<'m>,
) -> impl Iterator<Item = (MatMut<'a>, usize)> {
    let (cols, n, stride, threads) = (y.cols(), y.rows(), y.stride.max(1), cx.pool.threads());
    y.data.chunks_mut(stride).take(n).enumerate().map(move |(i, data)| {
        assert!(matrix(i).n_out() == cols, "row {i} of the output has another shape");
        (MatMut { data, rows: 1, cols, stride }, task_width(matrix(i), 1, threads))
    })
}
