//! Reading headers alone: metadata and tensor entries from any reader, without the tensor data that follows.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::vec::Vec;

use crate::error::{ParseError, ParseErrorKind};
use crate::file::{self, FileError, SharedBytes};
use crate::gguf::Gguf;
use crate::index::Index;
use crate::limits::Limits;
use crate::parse;
use crate::part::FilePart;
use crate::rules::Rules;

/// How to read a header.
///
/// ```
/// use happy_gguf::{GgmlType, GgufHeader, GgufWriter, HeaderError, HeaderOptions};
/// let file = GgufWriter::new().tensor("w", GgmlType::F32, &[2], vec![0; 8]).to_vec()?;
/// let read = |options| GgufHeader::read_with(&file[..], &options);
/// let header = read(HeaderOptions::default()).unwrap();
/// assert_eq!(header.view().tensors().len(), 1);
/// // A file of this length cannot hold the tensor.
/// let short = HeaderOptions { file_len: Some(file.len() as u64 - 32), ..HeaderOptions::default() };
/// assert!(matches!(read(short), Err(HeaderError::Parse(_))));
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
#[derive(Clone, Debug)]
pub struct HeaderOptions {
    /// Bounds on what the header may ask for (default [`Limits::default`]).
    pub limits: Limits,
    /// Accepts what [`Gguf::parse_lenient`] accepts (default false).
    pub lenient: bool,
    /// The length of the whole file in bytes, if it is known (default `None`). Every tensor must then lie within it.
    /// For a download in progress, this is the final length.
    pub file_len: Option<u64>,
    /// Maximum length of the header in bytes (default 256 MiB; published models have less than 20).
    pub max_header_len: u64,
}

impl Default for HeaderOptions {
    fn default() -> Self {
        Self { limits: Limits::default(), lenient: false, file_len: None, max_header_len: 256 << 20 }
    }
}

/// The header of a file: its metadata and tensor entries, without the tensors' bytes.
///
/// ```
/// use happy_gguf::{GgmlType, GgufHeader, GgufWriter, HeaderOptions};
/// let file = GgufWriter::new()
///     .kv("general.name", "x")
///     .tensor("w", GgmlType::F32, &[4096], vec![0; 16_384])
///     .to_vec()
///     .unwrap();
/// let header = GgufHeader::read(std::io::Cursor::new(&file))?;
/// assert_eq!(header.view().metadata().get_str("general.name").unwrap(), "x");
/// assert_eq!(header.view().tensor("w").unwrap().byte_len(), 16_384);
///
/// // The first 200 bytes of a download are enough, whatever is to come.
/// let header = GgufHeader::read_with(&file[..200], &HeaderOptions::default())?;
/// assert_eq!((header.view().tensors().len(), header.view().data_end()), (1, file.len() as u64));
/// # Ok::<(), happy_gguf::HeaderError>(())
/// ```
#[derive(Clone)]
pub struct GgufHeader {
    /// From the start of the file to the end of the tensor entries.
    bytes: Arc<Vec<u8>>,
    index: Arc<Index>,
}

/// A header could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Reading failed.
    #[error("cannot read the header: {0}")]
    Io(io::Error),
    /// The bytes are not a header that can be parsed.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

impl From<io::Error> for HeaderError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl GgufHeader {
    /// Reads the header of a file. If the file has a length, every tensor must lie within it.
    ///
    /// # Errors
    /// If the file cannot be read, does not parse, or has a header that an interrupted edit left half written.
    pub fn open(path: impl AsRef<Path>, limits: &Limits) -> Result<Self, FileError> {
        let path = path.as_ref();
        let (file, is_regular) = file::open(path)?;
        Self::of_file(&file, is_regular, limits).map_err(|e| match e {
            HeaderError::Io(e) => FileError::io(path, e),
            HeaderError::Parse(e) => FileError::parse(path, e),
        })
    }

    /// Reads the header of an open file from its current position, which must be the start.
    pub(crate) fn of_file(file: &File, is_regular: bool, limits: &Limits) -> Result<Self, HeaderError> {
        let file_len = if is_regular { Some(file.metadata()?.len()) } else { None };
        let options = HeaderOptions { limits: limits.clone(), file_len, ..HeaderOptions::default() };
        Self::read_with(file, &options)
    }

    /// Reads the header of a part of a file. Every tensor must lie in the part.
    ///
    /// # Errors
    /// The same as [`GgufHeader::open`].
    pub fn read_part(part: &FilePart<'_>, limits: &Limits) -> Result<Self, FileError> {
        part.refuse_torn()?;
        let options =
            HeaderOptions { limits: limits.clone(), file_len: Some(part.len()), ..HeaderOptions::default() };
        Self::read_with(part.reader(), &options).map_err(|e| match e {
            HeaderError::Io(e) => FileError::io(part.path(), e),
            HeaderError::Parse(e) => FileError::parse(part.path(), e),
        })
    }

    /// Reads the header at the start of `source`, and finds the length by seeking. Every tensor must lie within that
    /// length. Reads little more than the header itself.
    ///
    /// # Errors
    /// If reading or seeking fails, or the header does not parse.
    pub fn read(mut source: impl Read + Seek) -> Result<Self, HeaderError> {
        let len = source.seek(SeekFrom::End(0))?;
        source.rewind()?;
        Self::read_with(source, &HeaderOptions { file_len: Some(len), ..HeaderOptions::default() })
    }

    /// Reads a header from the current position of `source`, which need not support seeking: a connection, or the part
    /// of a file that has arrived so far.
    ///
    /// # Errors
    /// If reading fails, `source` ends before the header does, or the header does not parse.
    pub fn read_with(mut source: impl Read, options: &HeaderOptions) -> Result<Self, HeaderError> {
        let rules = Rules { limits: &options.limits, lenient: options.lenient, file_len: options.file_len };
        let mut bytes = Vec::new();
        let mut ended = false;
        loop {
            let needed = match parse::parse(&bytes, &rules) {
                Ok(index) => {
                    bytes.truncate(usize::try_from(index.header_end).unwrap_or(usize::MAX));
                    return Ok(Self { bytes: Arc::new(bytes), index: Arc::new(index) });
                }
                Err(error) => {
                    // Reading more helps only if the file can have more bytes.
                    let last = options.file_len.unwrap_or(u64::MAX);
                    let more = bytes.len() as u64 + 1..=last;
                    let Some(needed) = error.needed().filter(|n| !ended && more.contains(n)) else {
                        return Err(error.into());
                    };
                    if needed > options.max_header_len {
                        return Err(too_long(&error, options.max_header_len).into());
                    }
                    needed
                }
            };
            // The step doubles, so that little is parsed repeatedly, but is capped, so that the memory stays close to
            // the header's size, which is what callers plan for.
            const STEPS: (u64, u64) = (64 << 10, 2 << 20);
            let len = bytes.len() as u64;
            let room = len.clamp(STEPS.0, STEPS.1).max(needed - len).min(options.max_header_len - len);
            ended = read_some(&mut source, &mut bytes, room)? < room;
        }
    }

    /// Returns the parsed view. [`Gguf::data`] returns `None`, since a header holds no tensor data.
    pub fn view(&self) -> Gguf<'_> {
        Gguf::from_index(&self.bytes, Arc::clone(&self.index))
    }

    pub(crate) fn into_parts(self) -> (SharedBytes, Arc<Index>) {
        (self.bytes, self.index)
    }

    /// Returns the bytes of the header.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for GgufHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GgufHeader").field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}

fn too_long(error: &ParseError, limit: u64) -> ParseError {
    let found = std::format!("{} before the header's end", error.found());
    ParseError::new(
        ParseErrorKind::LimitExceeded,
        error.offset(),
        std::format!("a header of at most {limit} bytes"),
        found,
    )
}

/// Appends up to `n` bytes, fewer only at the end of the source. Returns how many.
fn read_some(source: &mut impl Read, bytes: &mut Vec<u8>, n: u64) -> io::Result<u64> {
    let more = usize::try_from(n).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(more).map_err(|_| {
        io::Error::new(io::ErrorKind::OutOfMemory, std::format!("no memory for {n} more bytes of header"))
    })?;
    source.take(n).read_to_end(bytes).map(|n| n as u64)
}
