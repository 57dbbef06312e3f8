//! Jobs over the rows or the columns of matrices: every task gets its own part to write, safely.

use super::Pool;
use crate::mat::MatMut;
use core::marker::PhantomData;

/// Some columns of a matrix that one task may write.
#[derive(Debug)]
pub struct Columns<'a> {
    data: *mut f32,
    rows: usize,
    width: usize,
    stride: usize,
    borrow: PhantomData<&'a mut f32>,
}

impl<'a> Columns<'a> {
    /// Makes it of all columns of `mat`.
    pub fn of(mat: MatMut<'a>) -> Self {
        RawMat::new(mat).columns(0, usize::MAX)
    }

    /// Returns the number of rows (tokens).
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of columns (weight rows).
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns rows `first .. first + rows` of these columns.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) fn rows_range_mut(&mut self, first: usize, rows: usize) -> Columns<'_> {
        assert!(first <= self.rows && rows <= self.rows - first);
        // SAFETY: row `first` exists, or no rows are taken and nothing is read through the pointer.
        let data = if rows == 0 { self.data } else { unsafe { self.data.add(first * self.stride) } };
        Columns { data, rows, width: self.width, stride: self.stride, borrow: PhantomData }
    }

    /// Returns this part of row `i`.
    ///
    /// # Panics
    /// If there is no row `i`.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        assert!(i < self.rows);
        // SAFETY: `RawMat::columns` made the pointer so that rows x stride from it, less what follows the last
        // column, lie in the matrix; no other `Columns` of the job overlaps this one.
        unsafe { core::slice::from_raw_parts_mut(self.data.add(i * self.stride), self.width) }
    }
}

/// A matrix as pointer and sizes, so that tasks can cut out their columns.
#[derive(Clone, Copy)]
struct RawMat<'a> {
    data: *mut f32,
    rows: usize,
    cols: usize,
    stride: usize,
    borrow: PhantomData<&'a mut f32>,
}

// SAFETY: it stands for a `&mut [f32]`; `split` hands every part to one task only.
unsafe impl Sync for RawMat<'_> {}

impl<'a> RawMat<'a> {
    /// # Panics
    /// If a row is not within the elements: everything below relies on that.
    fn new(mat: MatMut<'a>) -> Self {
        let last = mat.rows.saturating_sub(1);
        let end = last.checked_mul(mat.stride).and_then(|start| start.checked_add(mat.cols));
        let fits = mat.rows == 0 || end.is_some_and(|end| end <= mat.data.len());
        assert!(fits, "a matrix of {} x {} does not lie in its elements", mat.rows, mat.cols);
        Self {
            data: mat.data.as_mut_ptr(),
            rows: mat.rows,
            cols: mat.cols,
            stride: mat.stride,
            borrow: PhantomData,
        }
    }

    fn columns(&self, first: usize, width: usize) -> Columns<'a> {
        assert!(first <= self.cols);
        let width = width.min(self.cols - first);
        // SAFETY: `first` is at most `cols`, and the constructor proved that all columns of a row lie in the elements.
        let data = if self.rows == 0 { self.data } else { unsafe { self.data.add(first) } };
        Columns { data, rows: self.rows, width, stride: self.stride, borrow: PhantomData }
    }
}

/// Maximum number of matrices of one job. Longer lists run as several jobs.
const MAX_PARTS: usize = 16;

/// A task over pieces of three slices. It gets its number, its pieces and the number of the worker.
type Task3<'a, A, B, C> = dyn Fn(usize, (&mut [A], &mut [B], &mut [C]), usize) + Sync + 'a;

impl Pool {
    /// Runs `f(matrix, first column, columns, worker)` for pieces of `width` columns of each matrix.
    ///
    /// `parts` yields the matrices with their widths, at least 1. Up to 16 matrices are one job.
    pub fn for_each_columns<'a>(
        &self,
        parts: impl IntoIterator<Item = (MatMut<'a>, usize)>,
        f: &(dyn Fn(usize, usize, &mut Columns<'_>, usize) + Sync),
    ) {
        let mut parts = parts.into_iter().peekable();
        let mut done = 0;
        while parts.peek().is_some() {
            // (matrix, width, number of the piece that follows its last)
            let mut list = [(None::<RawMat<'a>>, 1usize, 0usize); MAX_PARTS];
            let mut n_parts = 0;
            let mut n_tasks = 0;
            for (slot, (mat, width)) in list.iter_mut().zip(parts.by_ref()) {
                // A matrix without rows has nothing to write, however many columns it claims to have.
                let pieces = if mat.rows == 0 { 0 } else { mat.cols.div_ceil(width.max(1)) };
                n_tasks = pieces.checked_add(n_tasks).expect("pieces of matrices in memory can be counted");
                *slot = (Some(RawMat::new(mat)), width.max(1), n_tasks);
                n_parts += 1;
                if n_parts == MAX_PARTS {
                    break;
                }
            }
            let list = &list[..n_parts];
            self.run(n_tasks, &|task, worker| {
                let part = list.partition_point(|(_, _, end)| *end <= task);
                let before = if part == 0 { 0 } else { list[part - 1].2 };
                if let (Some(mat), width, _) = &list[part] {
                    let first = (task - before) * width;
                    f(done + part, first, &mut mat.columns(first, *width), worker);
                }
            });
            done += n_parts;
        }
    }

    /// Runs `f(piece, columns of a, columns of b, worker)` for pieces of `width_b` columns of `b`, each with `width_a`
    /// columns of `a`.
    ///
    /// # Panics
    /// If `a` has fewer pieces than `b`.
    pub fn for_each_columns2(
        &self,
        (a, width_a): (MatMut<'_>, usize),
        (b, width_b): (MatMut<'_>, usize),
        f: &(dyn Fn(usize, &mut Columns<'_>, &mut Columns<'_>, usize) + Sync),
    ) {
        let (a, b, width_b) = (RawMat::new(a), RawMat::new(b), width_b.max(1));
        let pieces = if b.rows == 0 { 0 } else { b.cols.div_ceil(width_b) };
        self.run(pieces, &|i, worker| {
            f(i, &mut a.columns(i * width_a, width_a), &mut b.columns(i * width_b, width_b), worker);
        });
    }

    /// Runs `f(first row, rows, worker)` for pieces of `rows_per_task` rows of `mat`.
    pub fn for_each_rows(
        &self,
        mat: MatMut<'_>,
        rows_per_task: usize,
        f: &(dyn Fn(usize, MatMut<'_>, usize) + Sync),
    ) {
        let (rows, cols, stride) = (mat.rows, mat.cols, mat.stride);
        // At most all rows, so that the product does not overflow.
        let per_task = rows_per_task.clamp(1, rows.max(1));
        self.for_each_chunk(mat.data, per_task.saturating_mul(stride.max(1)), &|i, data, worker| {
            let first = i * per_task;
            if first < rows {
                f(first, MatMut { data, rows: per_task.min(rows - first), cols, stride }, worker);
            }
        });
    }

    /// Runs `f(piece, elements, worker)` for pieces of `len` elements of `data`; the last may be shorter.
    pub fn for_each_chunk<T: Send>(
        &self,
        data: &mut [T],
        len: usize,
        f: &(dyn Fn(usize, &mut [T], usize) + Sync),
    ) {
        let pieces = Pieces::new(data, len);
        // SAFETY: each task runs once.
        self.run(pieces.count(), &|i, worker| f(i, unsafe { pieces.get(i) }, worker));
    }

    /// [`Pool::for_each_chunk`] over three arrays that are cut into equally many pieces.
    pub fn for_each_chunk3<A: Send, B: Send, C: Send>(
        &self,
        a: (&mut [A], usize),
        b: (&mut [B], usize),
        c: (&mut [C], usize),
        f: &Task3<'_, A, B, C>,
    ) {
        let (a, b, c) = (Pieces::new(a.0, a.1), Pieces::new(b.0, b.1), Pieces::new(c.0, c.1));
        let n = a.count().min(b.count()).min(c.count());
        // SAFETY: each task runs once.
        self.run(n, &|i, worker| f(i, unsafe { (a.get(i), b.get(i), c.get(i)) }, worker));
    }
}

/// A slice that is cut into pieces of `len` elements, one for each task.
struct Pieces<'a, T> {
    data: *mut T,
    total: usize,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for a `&mut [T]` with `T: Send`; `get` makes its callers take different pieces.
unsafe impl<T: Send> Sync for Pieces<'_, T> {}

impl<'a, T> Pieces<'a, T> {
    fn new(data: &'a mut [T], len: usize) -> Self {
        Self { data: data.as_mut_ptr(), total: data.len(), len: len.max(1), borrow: PhantomData }
    }

    fn count(&self) -> usize {
        self.total.div_ceil(self.len)
    }

    /// Returns piece `i`.
    ///
    /// # Safety
    /// `i` is below [`Pieces::count`], and no piece is taken twice.
    #[allow(clippy::mut_from_ref)]
    unsafe fn get(&self, i: usize) -> &'a mut [T] {
        let first = i * self.len;
        // SAFETY: the piece lies in the slice, and nobody else has it, as the caller promises.
        unsafe { core::slice::from_raw_parts_mut(self.data.add(first), self.len.min(self.total - first)) }
    }
}
