//! Activations as kernels take them: the form that each weight format needs, and the values of a batch in one form.

use happy_tensor::DType;

/// The form in which a weight format takes its activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActKind {
    /// Unchanged f32 values, for F32, F16 and BF16 weights.
    F32,
    /// int8 with a scale for every 32 values, for formats with blocks of 32, 64 or 128.
    Q8x32,
    /// int8 with a scale for every 256 values, for formats with blocks of 256.
    Q8x256,
}

impl ActKind {
    /// All kinds, in the order of the enum.
    pub const ALL: [ActKind; 3] = [ActKind::F32, ActKind::Q8x32, ActKind::Q8x256];

    /// Returns the name that is part of the names of kernels.
    pub const fn name(self) -> &'static str {
        match self {
            ActKind::F32 => "f32",
            ActKind::Q8x32 => "q8x32",
            ActKind::Q8x256 => "q8x256",
        }
    }

    /// Returns the kind that weights of `dtype` are multiplied with.
    pub const fn of(dtype: DType) -> ActKind {
        match dtype.activation_len() {
            None => ActKind::F32,
            Some(32) => ActKind::Q8x32,
            Some(_) => ActKind::Q8x256,
        }
    }

    /// Returns the number of values that share a scale; 1 for [`ActKind::F32`], which has no scales.
    pub const fn unit(self) -> usize {
        match self {
            ActKind::F32 => 1,
            ActKind::Q8x32 => 32,
            ActKind::Q8x256 => 256,
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// Activations of `rows` tokens. Fields that the kind does not use are empty.
#[derive(Clone, Copy, Debug)]
pub struct Acts<'a> {
    /// The form of the values, which says which of the fields below hold them.
    pub kind: ActKind,
    /// Number of tokens.
    pub rows: usize,
    /// Values per token: the weights' row length.
    pub k: usize,
    /// `[rows][k]` for [`ActKind::F32`].
    pub x: &'a [f32],
    /// `[rows][k]` quantized values, -127 ..= 127.
    pub q: &'a [i8],
    /// `[rows][k / unit]` scales.
    pub d: &'a [f32],
    /// `[rows][k / 16]` sums of 16 consecutive quantized values.
    pub sums: &'a [i16],
}

impl<'a> Acts<'a> {
    /// Panics unless the parts are as long as `kind`, `rows` and `k` say. Kernels rely on it without further checks.
    #[inline]
    pub(crate) fn assert_whole(&self, kind: ActKind) {
        let Acts { rows, k, .. } = *self;
        let unit = kind.unit();
        let len = |per_row: usize| rows.checked_mul(per_row);
        let whole = self.kind == kind
            && k.is_multiple_of(unit)
            && match kind {
                ActKind::F32 => len(k) == Some(self.x.len()),
                _ => {
                    len(k) == Some(self.q.len())
                        && len(k / unit) == Some(self.d.len())
                        && len(k / 16) == Some(self.sums.len())
                }
            };
        assert!(whole, "activations of {rows} x {k} as {kind:?} have other lengths");
    }

    /// Panics unless the activations are whole and `w` has `rows` weight rows of `row_bytes` bytes.
    #[inline]
    pub(crate) fn assert_fits(&self, kind: ActKind, w: &[u8], rows: usize, row_bytes: usize) {
        self.assert_whole(kind);
        let bytes = row_bytes.checked_mul(rows);
        assert!(bytes.is_some_and(|n| n <= w.len()), "{rows} weight rows in {} bytes", w.len());
    }

    /// Does what [`Acts::assert_fits`] does, without code at its caller: for functions that gain nothing from knowing the lengths.
    #[inline(never)]
    pub(crate) fn check_fits(&self, kind: ActKind, w: &[u8], rows: usize, row_bytes: usize) {
        self.assert_fits(kind, w, rows, row_bytes);
    }

    /// Returns the activations of `count` tokens from `first` on.
    pub fn rows_range(&self, first: usize, count: usize) -> Acts<'a> {
        fn cut<T>(s: &[T], first: usize, count: usize, per_row: usize) -> &[T] {
            if s.is_empty() { s } else { &s[first * per_row..(first + count) * per_row] }
        }
        let (k, unit) = (self.k, self.kind.unit());
        Acts {
            kind: self.kind,
            rows: count,
            k,
            x: cut(self.x, first, count, k),
            q: cut(self.q, first, count, k),
            d: cut(self.d, first, count, k / unit),
            sums: cut(self.sums, first, count, k / 16),
        }
    }
}
