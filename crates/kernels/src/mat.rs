//! Row-major matrices of `f32` that borrow their elements.

use core::ops::Range;

/// Panics unless a dense matrix of `rows` x `cols` fits in `len` elements. If the product overflows, it does not fit.
fn assert_shape(len: usize, rows: usize, cols: usize) {
    let fits = rows.checked_mul(cols).is_some_and(|n| n <= len);
    assert!(fits, "a matrix of {rows} x {cols} does not lie in {len} elements");
}

/// A read-only matrix: row `i` is `data[i * stride .. i * stride + cols]`.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    stride: usize,
}

impl<'a> Mat<'a> {
    /// Makes a dense matrix of `rows` x `cols`.
    ///
    /// # Panics
    /// If `data` has fewer than `rows * cols` elements: shapes are the program's own, never a file's.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_shape(data.len(), rows, cols);
        Self { data, rows, cols, stride: cols }
    }

    /// Returns the number of rows (tokens).
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of columns (channels).
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Returns row `i`.
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.data[i * self.stride..i * self.stride + self.cols]
    }

    /// Returns the columns `cols` of every row.
    pub fn columns(&self, cols: Range<usize>) -> Mat<'a> {
        assert!(cols.start <= cols.end && cols.end <= self.cols);
        let data = if self.rows == 0 { &[][..] } else { &self.data[cols.start..] };
        Mat { data, rows: self.rows, cols: cols.len(), stride: self.stride }
    }

    /// Returns the rows `rows` as a matrix.
    pub fn rows_range(&self, rows: Range<usize>) -> Mat<'a> {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        let data = if rows.is_empty() { &[][..] } else { &self.data[rows.start * self.stride..] };
        Mat { data, rows: rows.len(), cols: self.cols, stride: self.stride }
    }
}

/// A matrix that may be written; rows are laid out as in [`Mat`].
#[derive(Debug)]
pub struct MatMut<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) stride: usize,
}

impl<'a> MatMut<'a> {
    /// Makes a dense matrix of `rows` x `cols`.
    ///
    /// # Panics
    /// If `data` has fewer than `rows * cols` elements: shapes are the program's own, never a file's.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        assert_shape(data.len(), rows, cols);
        Self { data, rows, cols, stride: cols }
    }

    /// Returns the columns `cols` of every row.
    pub fn columns_mut(&mut self, cols: Range<usize>) -> MatMut<'_> {
        assert!(cols.start <= cols.end && cols.end <= self.cols);
        let data = if self.rows == 0 { &mut [][..] } else { &mut self.data[cols.start..] };
        MatMut { data, rows: self.rows, cols: cols.len(), stride: self.stride }
    }

    /// Returns the rows `rows` as a matrix.
    pub fn rows_range_mut(&mut self, rows: Range<usize>) -> MatMut<'_> {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        let data = if rows.is_empty() { &mut [][..] } else { &mut self.data[rows.start * self.stride..] };
        MatMut { data, rows: rows.len(), cols: self.cols, stride: self.stride }
    }

    /// Returns the number of rows (tokens).
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of columns (channels).
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Returns row `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.stride..i * self.stride + self.cols]
    }

    /// Returns row `i` for writing.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.data[i * self.stride..i * self.stride + self.cols]
    }

    /// Reborrows the matrix for a shorter time.
    pub fn reborrow(&mut self) -> MatMut<'_> {
        MatMut { data: self.data, rows: self.rows, cols: self.cols, stride: self.stride }
    }

    /// Returns the matrix for reading.
    pub fn as_ref(&self) -> Mat<'_> {
        Mat { data: self.data, rows: self.rows, cols: self.cols, stride: self.stride }
    }
}
