//! The activations of a batch in the forms that the weights take.

use crate::acts::{ActKind, Acts};
use crate::{Ctx, Mat};
use std::collections::TryReserveError;
use std::sync::atomic::{AtomicBool, Ordering};

/// A set of [`ActKind`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActKinds([bool; 3]);

impl ActKinds {
    /// Returns the set with `kind` added.
    #[must_use]
    pub fn with(mut self, kind: ActKind) -> Self {
        self.0[kind.index()] = true;
        self
    }

    /// Returns whether `kind` is in the set.
    pub fn contains(self, kind: ActKind) -> bool {
        self.0[kind.index()]
    }

    /// Returns widths for rows of up to `k` values in each of these forms.
    pub fn up_to(self, k: usize) -> ActWidths {
        ActWidths(self.0.map(|kept| if kept { k } else { 0 }))
    }
}

/// The longest row that an [`ActBuf`] keeps in each form; 0 for a form that no matrix takes.
///
/// Every form has a width of its own, because the widest matrix of a model is rarely one of floats, whose activations
/// take four times the bytes of quantized ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActWidths([usize; 3]);

impl ActWidths {
    /// Returns the widths with room for rows of `k` values in the form `kind`.
    #[must_use]
    pub fn with(mut self, kind: ActKind, k: usize) -> Self {
        let width = &mut self.0[kind.index()];
        *width = k.max(*width);
        self
    }

    /// Returns the larger width of both for each form.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i].max(other.0[i])))
    }

    /// Returns the widths, each at most `k`.
    #[must_use]
    pub fn at_most(self, k: usize) -> Self {
        Self(self.0.map(|width| width.min(k)))
    }

    /// Returns the longest row in the form `kind`.
    pub fn of(self, kind: ActKind) -> usize {
        self.0[kind.index()]
    }

    /// Returns the longest row in any form.
    pub fn longest(self) -> usize {
        self.0.into_iter().fold(0, usize::max)
    }
}

/// One quantized form: integers, scales, sums.
#[derive(Debug, Default)]
struct Quantized {
    q: Vec<i8>,
    d: Vec<f32>,
    sums: Vec<i16>,
}

/// Activations of up to a planned number of tokens, in every form that the next matrices take.
#[derive(Debug, Default)]
pub struct ActBuf {
    x: Vec<f32>,
    forms: [Quantized; 2],
    max_rows: usize,
    widths: ActWidths,
    rows: usize,
    k: usize,
    set: ActKinds,
}

const FORMS: [ActKind; 2] = [ActKind::Q8x32, ActKind::Q8x256];

impl ActBuf {
    /// Makes room for `max_rows` tokens, with rows of these widths.
    ///
    /// # Errors
    /// If the memory cannot be reserved.
    pub fn new(max_rows: usize, widths: ActWidths) -> Result<Self, TryReserveError> {
        fn zeros<T: Copy + Default>(len: usize) -> Result<Vec<T>, TryReserveError> {
            let mut v = Vec::new();
            v.try_reserve_exact(len)?;
            v.resize(len, T::default());
            Ok(v)
        }
        let of = |per_row: usize| max_rows.saturating_mul(per_row);
        let mut buf = Self { max_rows, widths, ..Self::default() };
        buf.x = zeros(of(widths.of(ActKind::F32)))?;
        for (form, kind) in buf.forms.iter_mut().zip(FORMS) {
            let k = widths.of(kind);
            form.q = zeros(of(k))?;
            form.d = zeros(of(k / kind.unit()))?;
            form.sums = zeros(of(k / 16))?;
        }
        Ok(buf)
    }

    /// Returns the number of bytes that [`ActBuf::new`] reserves, for plans.
    pub fn bytes(max_rows: usize, widths: ActWidths) -> usize {
        let per_row = |kind: ActKind| match (kind, widths.of(kind)) {
            (ActKind::F32, k) => k.saturating_mul(4),
            (_, k) => k.saturating_add(4 * (k / kind.unit()) + 2 * (k / 16)),
        };
        max_rows.saturating_mul(ActKind::ALL.into_iter().map(per_row).fold(0, usize::saturating_add))
    }

    /// Stores the rows of `x` in the forms `kinds`. Returns false if a value that must be quantized is not finite. In a
    /// cancelled computation, neither the values nor the result mean anything.
    ///
    /// # Panics
    /// If `x` has more rows than planned, if its rows are longer than planned for a form (with additions in `cx`,
    /// [`ActKind::F32`] is always one of them), or if `x.cols()` is not a multiple of a form's unit.
    #[must_use]
    pub fn set(&mut self, cx: Ctx<'_>, x: Mat<'_>, kinds: ActKinds) -> bool {
        let (rows, k) = (x.rows(), x.cols());
        // Additions read the unquantized values.
        let kinds = if cx.row_sets().is_some() { kinds.with(ActKind::F32) } else { kinds };
        let fits = |kind: &ActKind| !kinds.contains(*kind) || k <= self.widths.of(*kind);
        let planned = rows <= self.max_rows && ActKind::ALL.iter().all(fits);
        assert!(planned, "{rows} x {k} activations were not planned for");
        (self.rows, self.k, self.set) = (rows, k, kinds);
        // A few rows are quantized faster than a job is handed out.
        let rows_per_task = if rows < 4 { rows.max(1) } else { 4 };
        let finite = AtomicBool::new(true);
        if kinds.contains(ActKind::F32) {
            cx.pool.for_each_chunk(&mut self.x[..rows * k], (rows_per_task * k).max(1), &|i, out, _| {
                if cx.cancelled() {
                    return;
                }
                for (r, out) in out.chunks_exact_mut(k).enumerate() {
                    out.copy_from_slice(x.row(i * rows_per_task + r));
                }
            });
        }
        for (form, kind) in self.forms.iter_mut().zip(FORMS) {
            if !kinds.contains(kind) || k == 0 {
                continue;
            }
            assert!(k % kind.unit() == 0, "rows of {k} values cannot be cut into blocks of {}", kind.unit());
            let (n_d, n_sums) = (k / kind.unit(), k / 16);
            cx.pool.for_each_chunk3(
                (&mut form.q[..rows * k], rows_per_task * k),
                (&mut form.d[..rows * n_d], rows_per_task * n_d),
                (&mut form.sums[..rows * n_sums], rows_per_task * n_sums),
                &|i, (q, d, sums), _| {
                    if !cx.cancelled() {
                        quantize_rows(cx, kind, x, i * rows_per_task, (q, d, sums), &finite);
                    }
                },
            );
        }
        finite.load(Ordering::Relaxed)
    }

    /// Returns the number of tokens that were set.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the activations in one form.
    ///
    /// # Panics
    /// If the last [`ActBuf::set`] did not ask for it.
    pub fn get(&self, kind: ActKind) -> Acts<'_> {
        assert!(self.set.contains(kind), "the activations were not asked for as {kind:?}");
        let (rows, k) = (self.rows, self.k);
        let empty = Acts { kind, rows, k, x: &[], q: &[], d: &[], sums: &[] };
        let form = match kind {
            ActKind::F32 => return Acts { x: &self.x[..rows * k], ..empty },
            ActKind::Q8x32 => &self.forms[0],
            ActKind::Q8x256 => &self.forms[1],
        };
        Acts {
            q: &form.q[..rows * k],
            d: &form.d[..rows * (k / kind.unit())],
            sums: &form.sums[..rows * (k / 16)],
            ..empty
        }
    }
}

/// Quantizes the rows of `x` from `first` on, as many as the output slices have room for.
fn quantize_rows(
    cx: Ctx<'_>,
    kind: ActKind,
    x: Mat<'_>,
    first: usize,
    (q, d, sums): (&mut [i8], &mut [f32], &mut [i16]),
    finite: &AtomicBool,
) {
    let k = x.cols();
    let rows =
        q.chunks_exact_mut(k).zip(d.chunks_exact_mut(k / kind.unit())).zip(sums.chunks_exact_mut(k / 16));
    for (r, ((q, d), sums)) in rows.enumerate() {
        if !(cx.kernels.ops.quantize)(kind, x.row(first + r), q, d, sums) {
            finite.store(false, Ordering::Relaxed);
        }
    }
}
