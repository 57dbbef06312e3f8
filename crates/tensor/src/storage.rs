//! [`Bytes`]: a shared, immutable range of memory, such as a part of a mapped file, of a vector or of a static array.

use core::fmt;
use core::ops::{Deref, Range};
use std::sync::Arc;

/// A cheap handle to a range of bytes that an owner keeps alive.
///
/// Clones and slices share the owner and copy no bytes. A model holds its weights this way: it needs no lifetime, and the
/// bytes stay where the file is mapped.
///
/// The range is checked against the owner when the handle is made. An owner must return the same bytes from every call of
/// `as_ref`. If one returns fewer bytes than the range needs, the handle is empty; nothing is read out of bounds.
///
/// ```
/// use happy_tensor::Bytes;
/// let all = Bytes::from(vec![1u8, 2, 3, 4]);
/// let mid = all.slice(1..3)?;
/// assert_eq!(&*mid, [2, 3]);
/// assert!(mid.slice(1..3).is_err());
/// # Ok::<(), happy_tensor::RangeError>(())
/// ```
#[derive(Clone)]
pub struct Bytes {
    owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

/// A range exceeds the bytes that it was requested from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte range {}..{} does not lie within {len} bytes", range.start, range.end)]
pub struct RangeError {
    /// The requested range.
    pub range: Range<usize>,
    /// The number of bytes that exist.
    pub len: usize,
}

impl Bytes {
    /// Returns a handle to all bytes of an owner. An `Arc<T>` of any `T: AsRef<[u8]>` coerces, such as one of a mapped file.
    ///
    /// ```
    /// use happy_tensor::Bytes;
    /// use std::sync::Arc;
    /// let owner = Arc::new(vec![1u8, 2, 3]);
    /// let bytes = Bytes::from_owner(owner.clone());
    /// assert_eq!(bytes.as_ptr(), owner.as_ptr());
    /// assert_eq!(Bytes::from_owner_range(owner, 1..2)?.range_in_owner(), 1..2);
    /// # Ok::<(), happy_tensor::RangeError>(())
    /// ```
    pub fn from_owner(owner: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Self {
        let range = 0..(*owner).as_ref().len();
        Self { owner, range }
    }

    /// Returns a handle to a range of an owner's bytes.
    ///
    /// # Errors
    /// [`RangeError`] if the range exceeds them or is reversed.
    pub fn from_owner_range(
        owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
        range: Range<usize>,
    ) -> Result<Self, RangeError> {
        Self::from_owner(owner).slice(range)
    }

    /// Returns a handle to a part of these bytes. `range` is relative to their start.
    ///
    /// # Errors
    /// [`RangeError`] if the range exceeds them or is reversed.
    pub fn slice(&self, range: Range<usize>) -> Result<Self, RangeError> {
        let len = self.len();
        if range.start > range.end || range.end > len {
            return Err(RangeError { range, len });
        }
        // Cannot overflow: `self.range.start + len` is `self.range.end`.
        let range = self.range.start + range.start..self.range.start + range.end;
        Ok(Self { owner: Arc::clone(&self.owner), range })
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.range.end - self.range.start
    }

    /// Returns whether the range is empty.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Returns the position of these bytes within the owner's.
    pub fn range_in_owner(&self) -> Range<usize> {
        self.range.clone()
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        (*self.owner).as_ref().get(self.range.clone()).unwrap_or(&[])
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from_owner(Arc::new(bytes))
    }
}

impl From<&'static [u8]> for Bytes {
    fn from(bytes: &'static [u8]) -> Self {
        Self::from_owner(Arc::new(bytes))
    }
}

impl Default for Bytes {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Weights are megabytes: print the range, not the bytes.
        f.debug_struct("Bytes").field("range", &self.range).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    #[allow(clippy::reversed_empty_ranges)]
    fn ranges() {
        let all = Bytes::from((0..10).collect::<Vec<u8>>());
        let cases =
            [(0..10, true), (10..10, true), (0..0, true), (3..7, true), (7..3, false), (0..11, false)];
        for (range, ok) in cases {
            assert_eq!(all.slice(range.clone()).is_ok(), ok, "{range:?}");
        }
        assert!(all.slice(usize::MAX..usize::MAX).is_err());
        let part = all.slice(2..8).and_then(|b| b.slice(1..4));
        assert_eq!(part.as_deref(), Ok(&[3, 4, 5][..]));
        assert_eq!(part.map(|b| b.range_in_owner()), Ok(3..6));
        assert_eq!(
            all.slice(4..12).map(drop).map_err(|e| e.to_string()),
            Err("byte range 4..12 does not lie within 10 bytes".to_owned())
        );
    }

    #[test]
    fn slices_share_the_owner() {
        let all = Bytes::from(vec![7u8; 100]);
        let part = all.slice(50..60);
        assert_eq!(part.map(|p| p.as_ptr()), Ok(all.as_ptr().wrapping_add(50)));
    }

    /// A safe but wrong owner cannot cause a panic or a read out of bounds.
    #[test]
    fn an_owner_that_shrinks_is_seen_as_empty() {
        struct Shrinking(AtomicBool);
        impl AsRef<[u8]> for Shrinking {
            fn as_ref(&self) -> &[u8] {
                if self.0.load(Ordering::Relaxed) { &[] } else { &[1, 2, 3] }
            }
        }
        let owner = Arc::new(Shrinking(AtomicBool::new(false)));
        let bytes = Bytes::from_owner(Arc::clone(&owner) as Arc<dyn AsRef<[u8]> + Send + Sync>);
        assert_eq!(&*bytes, [1, 2, 3]);
        owner.0.store(true, Ordering::Relaxed);
        assert!((*bytes).is_empty());
    }
}
