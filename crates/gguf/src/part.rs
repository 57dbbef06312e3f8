//! A part of a file that is itself a GGUF file: a model inside a package, at any offset.

use std::format;
use std::fs::File;
use std::io::{self, Error, ErrorKind, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::string::String;
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use crate::file::{FileError, GgufFile};
use crate::limits::Limits;
use crate::undo::refuse_torn;

/// Bytes per read. The caller's `progress` is called before each of them.
const STEP: usize = 1 << 20;

/// A range of an open, regular file. Reading does not use the file's position and, except on Windows, does not move it,
/// so a descriptor may be shared.
///
/// ```
/// use happy_gguf::{FilePart, GgufFile, GgufWriter, Limits};
/// # let dir = std::env::temp_dir().join(format!("happy-gguf-part-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// let path = dir.join("package");
/// let model = GgufWriter::new().kv("general.name", "x").to_vec()?;
/// std::fs::write(&path, [b"something else", &model[..], b"and more"].concat())?;
/// let file = std::fs::File::open(&path)?;
/// let part = FilePart::new(&file, "package", 14, Some(model.len() as u64))?;
/// let read = GgufFile::read_part(&part, &Limits::default(), &mut |_| std::ops::ControlFlow::Continue(()))?;
/// assert_eq!(read.unwrap().view().metadata().get_str("general.name")?, "x");
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FilePart<'a> {
    file: &'a File,
    name: &'a str,
    offset: u64,
    len: u64,
}

impl<'a> FilePart<'a> {
    /// Makes a part of `len` bytes from `offset`, or all bytes to the end if `len` is `None`. `name` identifies the file in error
    /// messages.
    ///
    /// # Errors
    /// If the file is not a regular file, if `offset` is not before its end, or if it ends before the part does.
    pub fn new(file: &'a File, name: &'a str, offset: u64, len: Option<u64>) -> Result<Self, FileError> {
        let wrong = |kind, what: String| FileError::io(Path::new(name), Error::new(kind, what));
        let metadata = file.metadata().map_err(|e| FileError::io(Path::new(name), e))?;
        if !metadata.is_file() {
            return Err(wrong(ErrorKind::InvalidInput, "not a regular file".into()));
        }
        let size = metadata.len();
        let rest = size.checked_sub(offset).filter(|rest| *rest > 0).ok_or_else(|| {
            wrong(
                ErrorKind::InvalidInput,
                format!("offset {offset} is not inside the file, which has {size} bytes"),
            )
        })?;
        let len = len.unwrap_or(rest);
        if len > rest {
            let what = format!(
                "{len} bytes from offset {offset} extend past the end of the file, which has {size} bytes"
            );
            return Err(wrong(ErrorKind::UnexpectedEof, what));
        }
        Ok(Self { file, name, offset, len })
    }

    pub(crate) fn path(&self) -> &Path {
        Path::new(self.name)
    }

    /// Returns the name that identifies the file in error messages.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Returns the file that contains the part.
    pub fn file(&self) -> &'a File {
        self.file
    }

    /// Returns where the part begins, in bytes from the start of the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the length of the part in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether the part has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buffer` with the part's bytes from offset `at`.
    fn fill(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_exact_at(self.file, buffer, self.offset + at)
    }

    /// A reader that starts at the beginning of the part.
    pub(crate) fn reader(&self) -> impl Read {
        PartReader { part: *self, at: 0 }
    }

    /// Refuses a torn header. Only a part that begins at offset 0 can be a whole file, whose name may then be a path
    /// with an undo file beside it.
    pub(crate) fn refuse_torn(&self) -> Result<(), FileError> {
        if self.offset == 0 { refuse_torn(self.path(), self.file) } else { Ok(()) }
    }
}

/// A position in a part.
struct PartReader<'a> {
    part: FilePart<'a>,
    at: u64,
}

impl Read for PartReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.part.len - self.at).unwrap_or(usize::MAX);
        let buffer = buffer.get_mut(..rest.min(buffer.len())).unwrap_or_default();
        if buffer.is_empty() {
            return Ok(0);
        }
        let n = read_at(self.part.file, buffer, self.part.offset + self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Fills `buffer` from the bytes of a file at `offset`. The file's position is not used.
pub(crate) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match read_at(file, buffer, offset) {
            Ok(0) => return Err(Error::new(ErrorKind::UnexpectedEof, "the file became shorter")),
            Ok(n) => {
                buffer = buffer.get_mut(n..).unwrap_or_default();
                offset += n as u64;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(not(any(unix, windows)))]
fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(Error::new(ErrorKind::Unsupported, "this system cannot read at an offset"))
}

impl GgufFile {
    /// Reads a part of a file into memory and parses it. `progress` is called with the fraction of the bytes read so
    /// far, 0 to 1, and may cancel the operation, which then returns `None`.
    ///
    /// # Errors
    /// If the part cannot be read, does not fit in memory, or does not parse.
    pub fn read_part(
        part: &FilePart<'_>,
        limits: &Limits,
        progress: &mut dyn FnMut(f32) -> ControlFlow<()>,
    ) -> Result<Option<Self>, FileError> {
        let failed = |e| FileError::io(part.path(), e);
        part.refuse_torn()?;
        let Some(bytes) = read(part, progress).map_err(failed)? else { return Ok(None) };
        Self::parse_shared(Arc::new(bytes), limits).map(Some).map_err(|e| FileError::parse(part.path(), e))
    }
}

/// Reads the part's bytes. If they do not begin with the magic, only the first four are read.
fn read(
    part: &FilePart<'_>,
    progress: &mut dyn FnMut(f32) -> ControlFlow<()>,
) -> io::Result<Option<Vec<u8>>> {
    let no_room = || Error::new(ErrorKind::OutOfMemory, format!("no memory for {} bytes", part.len));
    let len = usize::try_from(part.len).map_err(|_| no_room())?;
    let mut bytes = vec![0; len.min(4)];
    part.fill(0, &mut bytes)?;
    if bytes != b"GGUF" {
        return Ok(Some(bytes));
    }
    bytes.try_reserve_exact(len - bytes.len()).map_err(|_| no_room())?;
    while bytes.len() < len {
        let done = bytes.len();
        if progress(done as f32 / len as f32).is_break() {
            return Ok(None);
        }
        bytes.resize(len.min(done.saturating_add(STEP)), 0);
        part.fill(done as u64, bytes.get_mut(done..).unwrap_or_default())?;
    }
    Ok(if progress(1.0).is_break() { None } else { Some(bytes) })
}

#[cfg(all(test, feature = "write"))]
mod tests {
    use super::*;
    use crate::GgufWriter;

    /// A model at several offsets around page boundaries, between other bytes, with and without an explicit length.
    #[test]
    fn valid_and_invalid_parts() {
        let dir = std::env::temp_dir().join(format!("happy-gguf-part-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("package");
        let model = GgufWriter::new().kv("general.name", "x").to_vec().unwrap();
        let mut failures = Vec::new();
        for offset in [0u64, 1, 31, 4095, 4096, 4097, 70_001] {
            std::fs::write(&path, [&vec![b'#'; offset as usize], &model[..]].concat()).unwrap();
            let file = File::open(&path).unwrap();
            for len in [None, Some(model.len() as u64)] {
                let part = FilePart::new(&file, "package", offset, len).unwrap();
                let mut shares = Vec::new();
                let read = GgufFile::read_part(&part, &Limits::default(), &mut |share| {
                    shares.push(share);
                    ControlFlow::Continue(())
                });
                if read.unwrap().unwrap().bytes() != model || shares.last() != Some(&1.0) {
                    failures.push(format!("offset {offset}, length {len:?}: {shares:?}"));
                }
                let broken = GgufFile::read_part(&part, &Limits::default(), &mut |_| ControlFlow::Break(()));
                if !matches!(broken, Ok(None)) {
                    failures.push(format!("offset {offset}: not cancelled"));
                }
            }
        }
        let file = File::open(&path).unwrap();
        let size = file.metadata().unwrap().len();
        let cases = [
            (size, None, "is not inside the file"),
            (u64::MAX, None, "is not inside the file"),
            (1, Some(size), "past the end of the file"),
            (1, Some(u64::MAX), "past the end of the file"),
            (0, None, "cannot parse `package`"),
            (70_001, Some(3), "cannot parse `package`"),
            (70_001, Some(0), "cannot parse `package`"),
            (70_001, Some(model.len() as u64 - 1), "cannot parse `package`"),
        ];
        for (offset, len, expected) in cases {
            let error = FilePart::new(&file, "package", offset, len).and_then(|part| {
                GgufFile::read_part(&part, &Limits::default(), &mut |_| ControlFlow::Continue(()))
            });
            let message = error.map(|_| ()).unwrap_err().to_string();
            if !message.contains(expected) || !message.contains("`package`") {
                failures.push(format!("({offset}, {len:?}): {message}"));
            }
        }
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(failures.is_empty(), "{failures:#?}");
    }
}
