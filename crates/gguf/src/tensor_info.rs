//! A tensor entry: what a file says about a tensor.

use core::fmt;
use core::ops::{Deref, Range};

use crate::GgmlType;

/// The maximum number of dimensions of a tensor.
pub const MAX_DIMS: usize = 4;

/// The dimensions of a tensor, 0 to [`MAX_DIMS`] of them. The first is the fastest-varying one, the row length.
///
/// Dereferences to a slice. Without dimensions it is a scalar; a dimension of 0 means that the tensor has no elements.
///
/// ```
/// use happy_gguf::Dims;
/// let dims = Dims::new(&[576, 49152]).unwrap();
/// assert_eq!((dims.to_string(), dims.elements()), ("576 x 49152".to_owned(), Some(28_311_552)));
/// assert_eq!((dims.len(), dims.padded()), (2, [576, 49152, 1, 1]));
/// assert!(Dims::new(&[1; 5]).is_none());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dims {
    n: u8,
    /// The dimensions after the first `n` are 1.
    dims: [u64; MAX_DIMS],
}

impl Dims {
    /// Makes dimensions from a slice; `None` if there are more than [`MAX_DIMS`].
    pub fn new(dims: &[u64]) -> Option<Self> {
        let mut all = [1; MAX_DIMS];
        all.get_mut(..dims.len())?.copy_from_slice(dims);
        Some(Self { n: dims.len() as u8, dims: all })
    }

    /// Returns the dimensions that the file gives.
    pub fn as_slice(&self) -> &[u64] {
        self.dims.get(..usize::from(self.n)).unwrap_or(&self.dims)
    }

    /// Returns all [`MAX_DIMS`] dimensions; those that the file does not give are 1.
    pub fn padded(&self) -> [u64; MAX_DIMS] {
        self.dims
    }

    /// Returns the number of elements. `None` if it, or a partial product in the order of the dimensions, does not fit in 63
    /// bits.
    pub fn elements(&self) -> Option<u64> {
        let mut product = 1i64;
        for dim in self.dims {
            product = product.checked_mul(i64::try_from(dim).ok()?)?;
        }
        u64::try_from(product).ok()
    }
}

impl Deref for Dims {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        self.as_slice()
    }
}

impl fmt::Debug for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Display for Dims {
    /// Writes `576 x 49152`, or `scalar` if there are no dimensions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.as_slice() else { return f.write_str("scalar") };
        write!(f, "{first}")?;
        rest.iter().try_for_each(|dim| write!(f, " x {dim}"))
    }
}

/// A tensor of a file: its name, type, dimensions, and the range of its bytes.
///
/// ```
/// use happy_gguf::{GgmlType, Gguf, GgufWriter};
/// let file = GgufWriter::new().tensor("w", GgmlType::Q8_0, &[32, 2], vec![0; 68]).to_vec()?;
/// let gguf = Gguf::parse(&file).unwrap();
/// let w = gguf.tensors().next().unwrap();
/// assert_eq!((w.name, w.elements(), w.byte_len(), w.range.start), ("w", 64, 68, gguf.data_offset()));
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo<'a> {
    /// The name, unique in the file.
    pub name: &'a str,
    /// The element type.
    pub ty: GgmlType,
    /// The dimensions, fastest first.
    pub dims: Dims,
    /// The bytes of the tensor, counted from the start of the file. If the size of the type is unknown, the range
    /// extends to the next tensor or to the end of the file, including any padding.
    pub range: Range<u64>,
}

impl TensorInfo<'_> {
    /// Returns the number of elements.
    pub fn elements(&self) -> u64 {
        self.dims.elements().unwrap_or(0) // it fits: checked at parse
    }

    /// Returns the size in bytes (of [`Self::range`]).
    pub fn byte_len(&self) -> u64 {
        self.range.end - self.range.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn dims() {
        let cases: &[(&[u64], Option<u64>, &str)] = &[
            (&[], Some(1), "scalar"),
            (&[7], Some(7), "7"),
            (&[2, 3, 4, 5], Some(120), "2 x 3 x 4 x 5"),
            (&[0], Some(0), "0"),
            (
                &[0, i64::MAX as u64, i64::MAX as u64],
                Some(0),
                "0 x 9223372036854775807 x 9223372036854775807",
            ),
            (&[1 << 62, 4, 0], None, "4611686018427387904 x 4 x 0"),
            (&[1 << 33, 1 << 33], None, "8589934592 x 8589934592"),
            (&[1 << 63], None, "9223372036854775808"),
        ];
        for (dims, elements, text) in cases {
            let d = Dims::new(dims).unwrap();
            assert_eq!((&*d, d.elements(), &*d.to_string()), (*dims, *elements, *text));
        }
        assert_eq!(Dims::new(&[1; 5]), None);
        assert_eq!(Dims::new(&[2, 3]).unwrap().padded(), [2, 3, 1, 1]);
    }
}
