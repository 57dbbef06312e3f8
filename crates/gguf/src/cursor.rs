//! A position in the bytes of a file. Every read is checked against the remaining bytes.

use alloc::format;

use crate::dialect::Dialect;
use crate::error::{ParseError, ParseErrorKind};

/// Reads forward. A failed read ends the parse, so the position never gets out of step.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    /// At most `bytes.len()`.
    pos: usize,
    dialect: Dialect,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], dialect: Dialect) -> Self {
        Self { bytes, pos: 0, dialect }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = dialect;
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    pub(crate) fn offset(&self) -> u64 {
        self.pos as u64
    }

    pub(crate) fn left(&self) -> u64 {
        (self.bytes.len() - self.pos) as u64
    }

    /// The next `n` bytes, or `None` if fewer remain. `n` is compared with what remains before it is added to anything.
    #[inline]
    pub(crate) fn try_take(&mut self, n: u64) -> Option<&'a [u8]> {
        let n = usize::try_from(n).ok()?;
        let taken = self.bytes.get(self.pos..)?.get(..n)?;
        self.pos += n;
        Some(taken)
    }

    #[inline]
    pub(crate) fn try_u64(&mut self) -> Option<u64> {
        let chunk = self.bytes.get(self.pos..)?.first_chunk::<8>()?;
        self.pos += 8;
        Some(self.dialect.u64(chunk))
    }

    #[inline]
    pub(crate) fn try_u32(&mut self) -> Option<u32> {
        let chunk = self.bytes.get(self.pos..)?.first_chunk::<4>()?;
        self.pos += 4;
        Some(self.dialect.u32(chunk))
    }

    /// A count or a length: a u64, or a u32 in version 1.
    #[inline]
    pub(crate) fn try_len(&mut self) -> Option<u64> {
        if self.dialect.narrow { self.try_u32().map(u64::from) } else { self.try_u64() }
    }

    /// The next `n` bytes. `what` names them in the error.
    pub(crate) fn take(&mut self, n: u64, what: &str) -> Result<&'a [u8], ParseError> {
        self.try_take(n).ok_or_else(|| self.too_short(n, what))
    }

    pub(crate) fn u32(&mut self, what: &str) -> Result<u32, ParseError> {
        self.try_u32().ok_or_else(|| self.too_short(4, what))
    }

    pub(crate) fn u64(&mut self, what: &str) -> Result<u64, ParseError> {
        self.try_u64().ok_or_else(|| self.too_short(8, what))
    }

    pub(crate) fn len(&mut self, what: &str) -> Result<u64, ParseError> {
        self.try_len().ok_or_else(|| self.too_short(self.dialect.len_size(), what))
    }

    #[cold]
    pub(crate) fn too_short(&self, n: u64, what: &str) -> ParseError {
        let (expected, found) =
            (format!("{n} bytes ({what})"), format!("{} bytes before the end", self.left()));
        ParseError::new(ParseErrorKind::Truncated, self.offset(), expected, found)
            .needing(self.offset().saturating_add(n))
    }
}
