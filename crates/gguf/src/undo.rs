//! The old bytes of a header that is being overwritten, and whether the file beside them is torn.
//!
//! ```text
//! .NAME.undo:  "GGUFUND2", u64 length of the file, u64 length of the header, u64 offset, u64 n, u64 context,
//!              n old bytes, n new bytes, u64 checksum of everything before it
//! ```
//! Numbers are little-endian. `context` is a hash of what surrounds the overwritten range: the rest of the header, and
//! samples of the tensor data. Together with the length and the bytes themselves it identifies the file that an undo
//! file belongs to. An inode would not: another model may be copied into the same inode, and device numbers change with
//! a restart, which is when an undo file is needed.
//!
//! ```text
//! length and context match, the range has the old bytes:    nothing was written      whole
//!                           the range has the new bytes:    everything was written   whole
//!                           each byte is old or new:        part was written         torn
//! otherwise: another file took the name                                            foreign
//! ```

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::vec::Vec;

use crate::file::FileError;
use crate::part::read_exact_at;

const MAGIC: &[u8; 8] = b"GGUFUND2";
const HEAD: usize = 8 * 6;
/// The maximum of old and new bytes together. Only headers are overwritten.
const MAX_LEN: u64 = 512 << 20;
/// The number of samples of the tensor data, and the bytes of each.
const SAMPLES: (u64, u64) = (32, 4096);

/// The path of a hidden file beside `path`: `.NAME.suffix`. A name that would get too long is replaced by its hash.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    const LONG: usize = 200;
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let name = path.file_name().unwrap_or_default();
    let mut hidden = OsString::from(".");
    match name.as_encoded_bytes() {
        bytes if bytes.len() > LONG => hidden.push(std::format!("{:016x}", Hash::new().of(bytes).0)),
        _ => hidden.push(name),
    }
    hidden.push(suffix);
    path.with_file_name(hidden)
}

/// The path of the undo file of `path`.
pub(crate) fn path_of(path: &Path) -> PathBuf {
    beside(path, ".undo")
}

/// What an undo file says about the file beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The header is the old one or the new one.
    Whole,
    /// The header is a mixture of both.
    Torn,
    /// The undo file belongs to another file.
    Foreign,
}

/// The contents of an undo file.
#[derive(Debug)]
pub(crate) struct Undo {
    file_len: u64,
    header_len: u64,
    pub(crate) offset: u64,
    context: u64,
    pub(crate) old: Vec<u8>,
    pub(crate) new: Vec<u8>,
}

impl Undo {
    /// The undo file beside `path`, if there is one. An error of kind `InvalidData` if it is not complete.
    pub(crate) fn beside(path: &Path) -> io::Result<Option<Self>> {
        let undo = path_of(path);
        let mut bytes = Vec::new();
        match File::open(&undo) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Err(e),
            // There is no undo file, or its name is not possible.
            Err(_) => return Ok(None),
            Ok(file) => read_up_to(file, MAX_LEN + 64, &mut bytes)?,
        };
        let broken = || {
            let what = std::format!("`{}` is damaged; remove it if the model is whole", undo.display());
            io::Error::new(io::ErrorKind::InvalidData, what)
        };
        Self::parse(&bytes).ok_or_else(broken).map(Some)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk::<8>()?));
        let sum_at = bytes.len().checked_sub(8)?;
        let both = bytes.get(HEAD..sum_at)?;
        let n = usize::try_from(number(32)?).ok()?;
        let whole = bytes.starts_with(MAGIC)
            && number(sum_at)? == Hash::new().of(bytes.get(..sum_at)?).0
            && n.checked_mul(2) == Some(both.len());
        let (old, new) = both.split_at_checked(n)?;
        let (file_len, header_len, offset) = (number(8)?, number(16)?, number(24)?);
        let fits = offset.checked_add(n as u64)? <= header_len && header_len <= file_len;
        let owned = |bytes: &[u8]| {
            let mut out = Vec::new();
            out.try_reserve_exact(bytes.len()).ok()?;
            out.extend_from_slice(bytes);
            Some(out)
        };
        (whole && fits).then_some(Self {
            file_len,
            header_len,
            offset,
            context: number(40)?,
            old: owned(old)?,
            new: owned(new)?,
        })
    }

    /// Compares the undo file with `file`.
    pub(crate) fn state(&self, file: &File) -> io::Result<State> {
        let end = self.offset + self.old.len() as u64;
        if file.metadata()?.len() != self.file_len {
            return Ok(State::Foreign);
        }
        let now = read_range(file, self.offset, end)?;
        let mixed =
            now.iter().zip(self.old.iter().zip(&self.new)).all(|(b, (old, new))| b == old || b == new);
        if !mixed || context(file, self.file_len, self.header_len, self.offset, end)? != self.context {
            return Ok(State::Foreign);
        }
        Ok(if now == self.old || now == self.new { State::Whole } else { State::Torn })
    }
}

/// Refuses a file whose header was left half written.
///
/// # Errors
/// [`FileError::Torn`], and if the undo file cannot be read.
pub(crate) fn refuse_torn(path: &Path, file: &File) -> Result<(), FileError> {
    let undo = match Undo::beside(path) {
        Ok(Some(undo)) => undo,
        Ok(None) => return Ok(()),
        // An undo file gets its name when it is complete, and nothing is overwritten before that.
        Err(e) if e.kind() == io::ErrorKind::InvalidData => return Ok(()),
        Err(e) => return Err(FileError::io(&path_of(path), e)),
    };
    match undo.state(file) {
        Ok(State::Torn) => Err(FileError::Torn { path: path.to_path_buf(), undo: path_of(path) }),
        Ok(State::Whole | State::Foreign) => Ok(()),
        Err(e) => Err(FileError::io(path, e)),
    }
}

/// The bytes of an undo file for a change of `old` to `new` at `offset` in a header of `header_len` bytes.
#[cfg(feature = "write")]
pub(crate) fn contents(
    file: &File,
    header_len: u64,
    offset: u64,
    old: &[u8],
    new: &[u8],
) -> io::Result<Vec<u8>> {
    let (len, n) = (file.metadata()?.len(), old.len() as u64);
    let context = context(file, len, header_len, offset, offset.saturating_add(n))?;
    let mut bytes = Vec::new();
    let size = old.len().saturating_add(new.len()).saturating_add(HEAD + 8);
    bytes.try_reserve_exact(size).map_err(|_| no_memory(size as u64))?;
    bytes.extend(MAGIC);
    for n in [len, header_len, offset, n, context] {
        bytes.extend(n.to_le_bytes());
    }
    bytes.extend(old);
    bytes.extend(new);
    let sum = Hash::new().of(&bytes).0;
    bytes.extend(sum.to_le_bytes());
    Ok(bytes)
}

/// The hash of the header without one range, and of samples of the data.
fn context(file: &File, file_len: u64, header_len: u64, start: u64, end: u64) -> io::Result<u64> {
    let mut hash = Hash::new();
    let mut buffer = [0; SAMPLES.1 as usize];
    let mut add = |mut from: u64, to: u64| {
        while from < to {
            let n = (to - from).min(SAMPLES.1);
            let piece = buffer.get_mut(..n as usize).unwrap_or_default();
            read_exact_at(file, piece, from)?;
            hash = hash.of(piece);
            from += n;
        }
        Ok::<_, io::Error>(())
    };
    add(0, start)?;
    add(end, header_len)?;
    let data = file_len.saturating_sub(header_len);
    for i in 0..SAMPLES.0 {
        // The last sample ends where the file ends.
        let spread = u128::from(data.saturating_sub(SAMPLES.1)) * u128::from(i) / u128::from(SAMPLES.0 - 1);
        let at = header_len.saturating_add(spread as u64);
        add(at, at.saturating_add(SAMPLES.1).min(file_len))?;
    }
    Ok(hash.0)
}

/// Reads a range of a file into memory that is reserved fallibly. The file's position is not used.
pub(crate) fn read_range(file: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let n = to.saturating_sub(from);
    let len = usize::try_from(n).map_err(|_| no_memory(n))?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| no_memory(n))?;
    bytes.resize(len, 0);
    read_exact_at(file, &mut bytes, from)?;
    Ok(bytes)
}

/// Reads the file's bytes, at most `max` of them.
fn read_up_to(file: File, max: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let len = file.metadata()?.len().min(max);
    // One more byte than the file's length, so that the first read already sees the end.
    let room = usize::try_from(len).ok().and_then(|n| n.checked_add(1)).ok_or_else(|| no_memory(len))?;
    bytes.try_reserve_exact(room).map_err(|_| no_memory(len))?;
    file.take(len).read_to_end(bytes).map(drop)
}

pub(crate) fn no_memory(n: u64) -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, std::format!("no memory for {n} bytes"))
}

/// FNV-1a. It tells files apart and detects truncation; it does not withstand an attacker.
#[derive(Clone, Copy)]
pub(crate) struct Hash(pub(crate) u64);

impl Hash {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn of(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)))
    }
}
