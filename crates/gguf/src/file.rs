//! A file that owns its bytes: parsed once, viewed any number of times.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use crate::error::{ParseError, printable_up_to};
use crate::gguf::Gguf;
use crate::header::GgufHeader;
use crate::index::Index;
use crate::limits::Limits;
use crate::set::SetError;
use crate::undo::refuse_torn;

/// Bytes shared by several owners: a mapped file, a `Vec<u8>`, or anything else that holds bytes.
///
/// `as_ref` must return the same bytes each time. Otherwise values read later may be wrong or empty, but nothing
/// panics.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// A parsed file together with its bytes. Cheap to clone, and without a lifetime.
///
/// ```
/// use happy_gguf::{GgmlType, GgufFile, GgufWriter};
/// # let dir = std::env::temp_dir().join(format!("happy-gguf-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// # let path = dir.join("model.gguf");
/// let bytes = GgufWriter::new().tensor("w", GgmlType::F32, &[2], vec![0u8; 8]).to_vec().unwrap();
/// std::fs::write(&path, bytes).unwrap();
/// let file = GgufFile::read(&path)?;
/// assert_eq!(file.view().tensor("w").unwrap().dims[0], 2);
/// # std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), happy_gguf::FileError>(())
/// ```
#[derive(Clone)]
pub struct GgufFile {
    bytes: SharedBytes,
    index: Arc<Index>,
    /// Whether the bytes are a map of a file.
    pub(crate) mapped: bool,
}

impl GgufFile {
    /// Reads a whole file into memory and parses it. Later writes to the file do not affect the copy.
    ///
    /// # Errors
    /// If the file cannot be read, does not fit in memory, or does not parse.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, FileError> {
        Self::read_with(path, &Limits::default())
    }

    /// Like [`GgufFile::read`], with the caller's limits.
    ///
    /// # Errors
    /// The same as [`GgufFile::read`].
    pub fn read_with(path: impl AsRef<Path>, limits: &Limits) -> Result<Self, FileError> {
        let path = path.as_ref();
        let (file, _) = open(path)?;
        let bytes = read_all(file).map_err(|e| FileError::io(path, e))?;
        Self::parse_shared(Arc::new(bytes), limits).map_err(|e| FileError::parse(path, e))
    }

    /// Parses bytes that the caller already holds.
    ///
    /// # Errors
    /// The same as [`Gguf::parse_with`].
    pub fn from_shared(bytes: SharedBytes, limits: &Limits) -> Result<Self, ParseError> {
        Self::parse_shared(bytes, limits)
    }

    pub(crate) fn parse_shared(bytes: SharedBytes, limits: &Limits) -> Result<Self, ParseError> {
        let index = Arc::clone(Gguf::parse_with((*bytes).as_ref(), limits)?.index());
        Ok(Self { bytes, index, mapped: false })
    }

    /// Returns the parsed view. Costs two reference counts; nothing is parsed again.
    pub fn view(&self) -> Gguf<'_> {
        Gguf::from_index(self.bytes(), Arc::clone(&self.index))
    }

    /// Returns the bytes of the whole file.
    pub fn bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    /// Returns the bytes with their owner, for callers that keep ranges of them
    /// ([`TensorInfo::range`](crate::TensorInfo::range)).
    pub fn shared(&self) -> SharedBytes {
        Arc::clone(&self.bytes)
    }
}

/// A file of which only the header is available: [`Gguf::data`] returns `None`.
impl From<GgufHeader> for GgufFile {
    fn from(header: GgufHeader) -> Self {
        let (bytes, index) = header.into_parts();
        Self { bytes, index, mapped: false }
    }
}

impl fmt::Debug for GgufFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GgufFile").field("len", &self.bytes().len()).finish_non_exhaustive()
    }
}

/// A file could not be read, mapped or parsed. Names the file.
///
/// ```
/// use happy_gguf::{FileError, GgufFile};
/// let error = GgufFile::read("absent.gguf").unwrap_err();
/// assert!(error.path().ends_with("absent.gguf"));
/// ```
///
/// The message includes the cause, so these errors have no [`source`](std::error::Error::source). Programs find the
/// inner error in the fields.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system reported an error.
    #[error("cannot read `{path}`: {error}", path = shown(path))]
    #[non_exhaustive]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The system cannot map this file: some file systems do not support it, and a pipe has no fixed bytes. Reading it
    /// still works.
    #[error("cannot map `{path}`: {error}; read it into memory instead (--no-mmap)", path = shown(path))]
    #[non_exhaustive]
    Map {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The bytes are not a GGUF file that this crate can parse.
    #[error("cannot parse `{path}`: {error}", path = shown(path))]
    #[non_exhaustive]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: ParseError,
    },
    /// The files do not form one split model.
    #[error("cannot read `{path}`: {error}", path = shown(path))]
    #[non_exhaustive]
    Set {
        /// The file that was opened first.
        path: PathBuf,
        /// Which part, and why.
        error: SetError,
    },
    /// The header is a mixture of its old and new bytes: an edit in place was interrupted, or is still under way.
    /// [`recover_file`](crate::recover_file) restores the old header.
    #[error(
        "cannot read `{path}`: a change of its header was interrupted; `happy gguf check --recover {path}` puts the \
         old one back from `{undo}`",
        path = shown(path),
        undo = shown(undo)
    )]
    #[non_exhaustive]
    Torn {
        /// The file.
        path: PathBuf,
        /// The undo file, which holds the old header.
        undo: PathBuf,
    },
    /// The caller cancelled the operation.
    #[error("cannot read `{path}`: cancelled", path = shown(path))]
    #[non_exhaustive]
    Cancelled {
        /// The file.
        path: PathBuf,
    },
}

impl FileError {
    pub(crate) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), error }
    }

    pub(crate) fn parse(path: &Path, error: ParseError) -> Self {
        Self::Parse { path: path.to_path_buf(), error }
    }

    pub(crate) fn set(path: &Path, error: SetError) -> Self {
        Self::Set { path: path.to_path_buf(), error }
    }

    /// Returns the file.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Io { path, .. }
            | Self::Map { path, .. }
            | Self::Parse { path, .. }
            | Self::Set { path, .. }
            | Self::Torn { path, .. }
            | Self::Cancelled { path } => path.clone(),
        }
    }
}

/// A path for a message. Control characters and invalid UTF-8 are escaped.
pub(crate) fn shown(path: &Path) -> String {
    printable_up_to(path.as_os_str().as_encoded_bytes(), 4096)
}

/// Opens a file for reading, and tells whether it is a regular file. Refuses directories here, since some systems open
/// them and fail with an obscure message at the first read. Refuses a torn header.
pub(crate) fn open(path: &Path) -> Result<(File, bool), FileError> {
    let opened = File::open(path).and_then(|file| file.metadata().map(|m| (file, m)));
    let (file, metadata) = opened.map_err(|e| FileError::io(path, e))?;
    if metadata.is_dir() {
        return Err(FileError::io(path, io::Error::new(io::ErrorKind::IsADirectory, "it is a directory")));
    }
    if metadata.is_file() {
        refuse_torn(path, &file)?;
    }
    Ok((file, metadata.is_file()))
}

/// Reads the whole file into memory that is reserved fallibly, where `read_to_end` would abort. A file without the
/// magic may be huge or endless, so only its first four bytes are read.
fn read_all(mut file: File) -> io::Result<Vec<u8>> {
    const STEP: u64 = 1 << 20;
    let len = file.metadata()?.len();
    let mut bytes = Vec::new();
    (&mut file).take(4).read_to_end(&mut bytes)?;
    if bytes != b"GGUF" {
        return Ok(bytes);
    }
    // One more byte than the file's length, so that the first read already sees the end.
    let mut room = len.saturating_sub(4).saturating_add(1);
    loop {
        let no_room = || io::Error::new(io::ErrorKind::OutOfMemory, format!("no memory for {room} bytes"));
        let more = usize::try_from(room).map_err(|_| no_room())?;
        bytes.try_reserve_exact(more).map_err(|_| no_room())?;
        if (&mut file).take(room).read_to_end(&mut bytes)? < more {
            return Ok(bytes);
        }
        // The file has grown, or it is not a regular file and has no length: continue in steps.
        room = STEP;
    }
}
