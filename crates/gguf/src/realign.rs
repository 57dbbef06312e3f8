//! Changing the alignment, which moves the tensors.
//!
//! They are laid out as the writer does it: in the order of their entries, each padded to the new alignment. Bytes
//! between them or after the last one belong to no tensor and are dropped.

use std::io::{self, Write};
use std::ops::Range;
use std::vec::Vec;

use crate::encode::Unencoded;
use crate::encode_header::{padded, write_entry, write_padding};
use crate::gguf::Gguf;
use crate::write_error::{WriteError, WriteErrorKind};

/// The tensors of a file in their new places.
pub(crate) struct Realigned {
    alignment: u64,
    /// The tensor entries, with their new offsets.
    entries: Vec<u8>,
    /// The tensors' ranges in the old file, in the order of the new one.
    ranges: Vec<Range<u64>>,
}

impl Realigned {
    pub(crate) fn new(gguf: &Gguf<'_>, alignment: u64) -> Result<Self, WriteError> {
        let mut this = Self { alignment, entries: Vec::new(), ranges: Vec::new() };
        let no_memory = || WriteError::out_of_memory("the file");
        this.ranges.try_reserve_exact(gguf.tensors().len()).map_err(|_| no_memory())?;
        let mut offset = 0u64;
        for tensor in gguf.tensors() {
            let (to, entries) = (gguf.index().dialect, &mut this.entries);
            let entry = write_entry(tensor.name, &tensor.dims, tensor.ty, offset, to, entries);
            offset = offset.saturating_add(padded(tensor.byte_len(), alignment));
            if entry == Err(Unencoded::OutOfMemory) {
                return Err(no_memory());
            }
            if entry.is_err() || i64::try_from(offset).is_err() {
                let found = std::format!("{offset} bytes with this one");
                let expected = "tensors whose sizes together fit 63 bits";
                return Err(WriteError::tensor(WriteErrorKind::InvalidShape, tensor.name, expected, found));
            }
            this.ranges.push(tensor.range);
        }
        Ok(this)
    }

    pub(crate) fn alignment(&self) -> u64 {
        self.alignment
    }

    pub(crate) fn entries(&self) -> &[u8] {
        &self.entries
    }

    /// Writes the tensor data; `copy` writes a range of the old file. Returns the number of bytes written.
    pub(crate) fn write<W: Write>(
        &self,
        out: &mut W,
        mut copy: impl FnMut(Range<u64>, &mut W) -> io::Result<()>,
    ) -> io::Result<u64> {
        let mut written = 0;
        for range in &self.ranges {
            copy(range.clone(), out)?;
            written += range.end - range.start;
            written += write_padding(out, written, self.alignment)?;
        }
        Ok(written)
    }
}
