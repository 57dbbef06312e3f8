//! Products of two thin matrices that are added to the product of a matrix, for adapters (LoRA).
//!
//! ```text
//! y = W x                               by the kernel of W
//! for each addition of the row's set, in order:
//!     h = A x                           A is [rank][n_in],   a job before the one of W
//!     y = fma(B h, s, y)                B is [n_out][rank],  in the task that made y
//! y = y + b                             then the activation
//! ```
//!
//! A and B are floats, so both products follow the rule of 16 lanes. Rows of one batch may have different sets, or
//! none. Each row gets the bits that it has alone.

use super::{ActBuf, ActKind, Acts, Linear, LinearError, LinearRows, WeightMatrix};
use crate::ops::Ops;
use crate::{Columns, Ctx, Kernels};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Maximum number of matrices of one job that may have additions. A larger job is cut.
pub(super) const MAX_MATRICES: usize = 4;

/// Outputs that are added at a time, from the stack.
const CHUNK: usize = 64;

/// `B A`, to be added to a matrix of `n_out` rows of `n_in` weights, or to each of a stack of them.
#[derive(Debug)]
pub struct LowRank {
    a: Linear,
    b: Linear,
    rank: usize,
    /// Outputs of a matrix of the stack.
    n_out: usize,
}

impl LowRank {
    /// Makes an addition: `a` has `rank` rows of `n_in` weights for each matrix of the stack, and `b` has the `n_out`
    /// rows of `rank` weights of each.
    ///
    /// # Errors
    /// If shapes do not agree, or the weights are not F32, F16 or BF16.
    pub fn new(
        a: WeightMatrix,
        b: WeightMatrix,
        stack: usize,
        kernels: &Kernels,
    ) -> Result<Self, LinearError> {
        let (rank, rows) = (b.n_in, b.n_out);
        let wanted =
            rank.checked_mul(stack).filter(|n| *n == a.n_out && stack > 0 && rows.is_multiple_of(stack));
        if wanted.is_none() {
            return Err(LinearError::Empty { n_out: a.n_out, n_in: rank });
        }
        let (a, b) = (Linear::new(a, kernels)?, Linear::new(b, kernels)?);
        for linear in [&a, &b] {
            if linear.act_kind() != ActKind::F32 {
                return Err(LinearError::NotFloat { found: linear.dtype() });
            }
        }
        Ok(Self { a, b, rank, n_out: rows / stack })
    }

    /// Returns the number of rows of A, for each matrix of a stack.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Returns the number of bytes of both matrices.
    pub fn weight_bytes(&self) -> usize {
        self.a.weight_bytes() + self.b.weight_bytes()
    }

    /// Computes `h = A x` with the A of the matrix that has this row of the stack.
    fn project(&self, row: usize, x: Acts<'_>, h: &mut [f32]) {
        let a = self.a.rows(row / self.n_out * self.rank, self.rank);
        (self.a.kernel.gemv)(a.bytes_from(0), x, h);
    }
}

impl Linear {
    /// Computes `y = fma(W h, scale, y)` with the rows of W from `first` on, as many as `y` has values. W must be of
    /// floats.
    ///
    /// # Panics
    /// If shapes do not agree, or the weights are quantized.
    pub fn add_scaled(&self, ops: &Ops, first: usize, h: &[f32], scale: f32, y: &mut [f32]) {
        let h = Acts { kind: ActKind::F32, rows: 1, k: h.len(), x: h, q: &[], d: &[], sums: &[] };
        let rows = self.rows(first, y.len());
        for (i, y) in y.chunks_mut(CHUNK).enumerate() {
            let mut product = [0.0; CHUNK];
            let product = &mut product[..y.len()];
            (self.kernel.gemv)(rows.bytes_from(i * CHUNK), h, product);
            (ops.add_scaled)(y, product, scale);
        }
    }
}

/// One addition: the product and its factor.
type Addition = (Arc<LowRank>, f32);

/// What one set of adapters adds to which matrix. Matrices are identified by the number that [`Linear::placed`] gave
/// them.
#[derive(Debug, Default)]
pub struct Additions(Vec<(u32, Addition)>);

impl Additions {
    /// Makes additions from a list of (matrix, product, factor). Those of one matrix are added in this order.
    pub fn new(mut list: Vec<(u32, Addition)>) -> Self {
        list.sort_by_key(|(matrix, _)| *matrix);
        Self(list)
    }

    /// Returns the greatest sum of the ranks of the additions to one matrix.
    pub fn rank(&self) -> usize {
        let of = |list: &[(u32, Addition)]| {
            list.iter().map(|(_, (low_rank, _))| low_rank.rank).fold(0, usize::saturating_add)
        };
        self.0.chunk_by(|(a, _), (b, _)| a == b).map(of).max().unwrap_or(0)
    }

    fn of(&self, matrix: u32) -> impl Iterator<Item = &Addition> {
        let first = self.0.partition_point(|(m, _)| *m < matrix);
        self.0[first..].iter().take_while(move |(m, _)| *m == matrix).map(|(_, addition)| addition)
    }
}

/// The sets that rows may have.
pub trait Sets: Sync {
    /// Returns the set with this number, or `None` if nothing is added.
    fn get(&self, set: u32) -> Option<&Additions>;
    /// Returns the number of sets; their numbers are below it.
    fn len(&self) -> u32;
    /// Returns whether there are no sets.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The values `A x` of a job, in memory that is planned and reserved beforehand.
#[derive(Debug, Default)]
pub struct Hidden(Mutex<Vec<f32>>);

impl Hidden {
    /// Makes it from a buffer with room for [`Hidden::values`] values.
    pub fn new(values: Vec<f32>) -> Self {
        Self(Mutex::new(values))
    }

    /// Returns the number of values that batches of `rows` rows need with sets of this rank.
    pub fn values(rows: usize, rank: usize) -> usize {
        rows.saturating_mul(rank).saturating_mul(MAX_MATRICES)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<f32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is added for the rows of a computation; part of a [`Ctx`].
#[derive(Clone, Copy)]
pub struct Adapting<'a> {
    /// The sets.
    pub sets: &'a dyn Sets,
    /// The number of each row's set. Rows past the end have none.
    pub rows: &'a [u32],
    /// Greatest [`Additions::rank`] of a set.
    pub rank: usize,
    /// Memory for as many rows, with this rank.
    pub hidden: &'a Hidden,
}

impl<'a> Adapting<'a> {
    /// Returns what is added to a matrix for a row.
    fn of(&self, row: usize, matrix: u32) -> impl Iterator<Item = &'a Addition> {
        let set = self.rows.get(row).and_then(|set| self.sets.get(*set));
        set.into_iter().flat_map(move |set| set.of(matrix))
    }

    fn adds_to(&self, rows: LinearRows<'_>) -> bool {
        let Some(place) = rows.linear.place else { return false };
        (0..self.sets.len()).filter_map(|set| self.sets.get(set)).any(|s| s.of(place.matrix).next().is_some())
    }
}

/// `A x` for every row and matrix of a job.
#[derive(Clone, Copy)]
pub(super) struct Projected<'a> {
    adapting: Adapting<'a>,
    /// `[matrices][tokens][rank]`: the additions of a row one after the other.
    values: &'a [f32],
    tokens: usize,
}

/// Runs `job` with the products `A x` of these matrices, or with `None` if nothing is added to them.
pub(super) fn with_projected(
    cx: Ctx<'_>,
    acts: &ActBuf,
    matrices: &[Option<LinearRows<'_>>],
    job: impl FnOnce(Option<Projected<'_>>),
) {
    let (tokens, list) = (acts.rows(), matrices);
    let adds = |adapting: &Adapting<'_>| list.iter().flatten().any(|rows| adapting.adds_to(*rows));
    let Some(adapting) = cx.adapting.filter(|a| tokens > 0 && a.rank > 0 && adds(a)) else {
        return job(None);
    };
    let (rank, x) = (adapting.rank, acts.get(ActKind::F32));
    let mut hidden = adapting.hidden.lock();
    let len = list.len() * tokens * rank;
    if hidden.len() < len {
        hidden.resize(len, 0.0); // within the reservation: no allocation
    }
    let per_task = if tokens < 4 { 1 } else { 4 };
    cx.pool.for_each_chunk(&mut hidden[..len], per_task * rank, &|i, rows, _| {
        if cx.cancelled() {
            return;
        }
        for (r, mut h) in rows.chunks_exact_mut(rank).enumerate() {
            let (matrix, token) = ((i * per_task + r) / tokens, (i * per_task + r) % tokens);
            let Some((rows, place)) = list[matrix].and_then(|rows| Some((rows, rows.linear.place?))) else {
                continue;
            };
            for (low_rank, _) in adapting.of(token, place.matrix) {
                let (own, rest) = h.split_at_mut(low_rank.rank.min(h.len()));
                low_rank.project(place.row + rows.first, x.rows_range(token, 1), own);
                h = rest;
            }
        }
    });
    job(Some(Projected { adapting, values: &hidden[..len], tokens }));
}

impl Projected<'_> {
    /// Adds to the outputs from `first` on of matrix `which` of the job, as many as `y` is wide.
    pub(super) fn add(
        &self,
        ops: &Ops,
        (which, rows): (usize, LinearRows<'_>),
        first: usize,
        y: &mut Columns<'_>,
    ) {
        let Some(place) = rows.linear.place else { return };
        let rank = self.adapting.rank;
        for token in 0..self.tokens {
            let at = (which * self.tokens + token) * rank;
            let mut h = &self.values[at..at + rank];
            for (low_rank, scale) in self.adapting.of(token, place.matrix) {
                let (own, rest) = h.split_at(low_rank.rank.min(h.len()));
                low_rank.b.add_scaled(ops, place.row + rows.first + first, own, *scale, y.row_mut(token));
                h = rest;
            }
        }
    }
}
