//! A part of a file that is a GGUF file: a model inside of a package, from any offset on.

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

/// Bytes that are read at once, between two words of progress.
const STEP: usize = 1 << 20;

/// A range of an open, regular file. The file's position is not used, and not moved either (but on Windows), so that a
/// descriptor may be shared.
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
    /// `len` bytes from `offset` on; `None`: to the end. `name` stands for the file in errors.
    ///
    /// # Errors
    /// When the file is not a regular one, or ends before the part does.
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
                format!("offset {offset} is not inside of it, it has {size} bytes"),
            )
        })?;
        let len = len.unwrap_or(rest);
        if len > rest {
            let what = format!("{len} bytes from offset {offset} on are behind its end, it has {size} bytes");
            return Err(wrong(ErrorKind::UnexpectedEof, what));
        }
        Ok(Self { file, name, offset, len })
    }

    pub(crate) fn path(&self) -> &Path {
        Path::new(self.name)
    }

    /// What stands for the file in errors.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The file.
    pub fn file(&self) -> &'a File {
        self.file
    }

    /// Where the part begins, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the part.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the part has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buffer` from the bytes after the first `at`.
    fn fill(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_exact_at(self.file, buffer, self.offset + at)
    }

    /// Reads the part from its start on.
    pub(crate) fn reader(&self) -> impl Read {
        PartReader { part: *self, at: 0 }
    }

    /// A part that is a whole file whose name is a path may have been left half written.
    pub(crate) fn refuse_torn(&self) -> Result<(), FileError> {
        if self.offset == 0 { refuse_torn(self.path(), self.file) } else { Ok(()) }
    }
}

/// A place in a part.
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
    /// Reads a part of a file into memory and parses it. `progress` hears which share of the bytes is read, and may end
    /// the work: the result is `None` then.
    ///
    /// # Errors
    /// When the part cannot be read, does not fit the memory, or does not parse.
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

/// The part's bytes. What does not begin like a GGUF file is read no further than that.
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

    /// A model at every offset of a page's beginning, between other bytes; its end given and not.
    #[test]
    fn parts_and_what_is_none() {
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
                    failures.push(format!("offset {offset}: not broken off"));
                }
            }
        }
        let file = File::open(&path).unwrap();
        let size = file.metadata().unwrap().len();
        let cases = [
            (size, None, "is not inside of it"),
            (u64::MAX, None, "is not inside of it"),
            (1, Some(size), "behind its end"),
            (1, Some(u64::MAX), "behind its end"),
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
