//! Writers with a bound: on memory, on the number of bytes, or until they are cancelled.

use std::io::{self, Write};
use std::vec::Vec;

/// A vector that grows fallibly, where `Vec` itself would abort.
pub(crate) struct Growing(pub(crate) Vec<u8>);

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_reserve(bytes.len()).map_err(|_| crate::undo::no_memory(bytes.len() as u64))?;
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Calls a cancellation check before each piece.
pub(crate) struct Checked<'c, W> {
    pub(crate) out: W,
    pub(crate) cancelled: &'c dyn Fn() -> bool,
    pub(crate) stopped: bool,
}

impl<W: Write> Write for Checked<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const PIECE: usize = 256 << 10;
        if (self.cancelled)() {
            self.stopped = true;
            return Err(io::Error::other("cancelled"));
        }
        self.out.write(bytes.get(..PIECE).unwrap_or(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Accepts a fixed number of bytes and no more.
pub(crate) struct Room<'o> {
    pub(crate) out: &'o mut dyn Write,
    pub(crate) left: u64,
    pub(crate) too_much: bool,
}

impl Write for Room<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            self.too_much = true;
            return Err(io::Error::new(io::ErrorKind::WriteZero, "more bytes than the tensor has"));
        }
        let n = self.out.write(bytes)?;
        self.left = self.left.saturating_sub(n as u64);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
