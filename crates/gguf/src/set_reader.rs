//! A model on disk whose tensors are read on request: without a map, and with little more memory than the headers take.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::vec::Vec;

use crate::file::{self, FileError, GgufFile, shown};
use crate::header::{GgufHeader, HeaderError};
use crate::limits::Limits;
use crate::part::read_exact_at;
use crate::set::GgufSet;
use crate::set_file::GgufSetFile;
use crate::tensor_info::TensorInfo;

/// The most bytes that [`GgufSetReader::read_tensor`] passes to its callback at once.
const PIECE: u64 = 256 << 10;

/// A model of one file or of several: headers in memory, files open. If another process writes to the files or
/// truncates them, reading returns an error, where a map would fault.
///
/// ```
/// use happy_gguf::{GgmlType, GgufSetReader, GgufWriter, Limits};
/// # let dir = std::env::temp_dir().join(format!("happy-gguf-reader-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// let path = dir.join("tiny.gguf");
/// GgufWriter::new().tensor("w", GgmlType::I8, &[4], vec![1, 2, 3, 4]).write_file(&path)?;
/// let model = GgufSetReader::open(&path, &Limits::default())?;
/// let (part, w) = model.view().tensor("w").unwrap();
/// let mut middle = [0; 2];
/// model.read_at(part, &w, 1, &mut middle)?;
/// assert_eq!(middle, [2, 3]);
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct GgufSetReader {
    headers: GgufSetFile,
    /// The files, in part order.
    files: Vec<File>,
}

impl GgufSetReader {
    /// Opens a model by any of its files, and reads the headers.
    ///
    /// # Errors
    /// The same as [`GgufSetFile::headers`], and if a file is not a regular file.
    pub fn open(path: impl AsRef<Path>, limits: &Limits) -> Result<Self, FileError> {
        let mut opened: Vec<(PathBuf, File)> = Vec::new();
        let headers = GgufSetFile::open(path.as_ref(), |path| {
            let (file, is_regular) = file::open(path)?;
            if !is_regular {
                let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
                return Err(FileError::io(path, error));
            }
            let header = GgufHeader::of_file(&file, is_regular, limits).map_err(|e| match e {
                HeaderError::Io(e) => FileError::io(path, e),
                HeaderError::Parse(e) => FileError::parse(path, e),
            })?;
            opened.push((path.to_path_buf(), file));
            Ok(GgufFile::from(header))
        })?;
        // The file that the caller named was opened first, whichever part it is.
        opened.sort_by_key(|(path, _)| headers.paths().position(|p| p == path));
        Ok(Self { headers, files: opened.into_iter().map(|(_, file)| file).collect() })
    }

    /// Returns the headers of all parts. [`GgufSet::data`] returns `None`.
    pub fn view(&self) -> GgufSet<'_> {
        self.headers.view()
    }

    /// Returns the paths of the files, in part order.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.headers.paths()
    }

    /// Returns the total size of all files in bytes.
    ///
    /// # Errors
    /// If the system does not report a size.
    pub fn file_len(&self) -> Result<u64, FileError> {
        let mut len = 0u64;
        for (file, path) in self.files.iter().zip(self.paths()) {
            len = len.saturating_add(file.metadata().map_err(|e| FileError::io(path, e))?.len());
        }
        Ok(len)
    }

    /// Fills `buffer` with the bytes of a tensor of part `part` (from 0), starting `offset` bytes into the tensor.
    ///
    /// # Errors
    /// If the file cannot be read or has become shorter, or if the tensor has fewer bytes than asked for.
    pub fn read_at(
        &self,
        part: usize,
        tensor: &TensorInfo<'_>,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), FileError> {
        let path = self.paths().nth(part).unwrap_or(Path::new(""));
        let wrong = |what: &str| FileError::io(path, io::Error::new(io::ErrorKind::InvalidInput, what));
        let file = self.files.get(part).ok_or_else(|| wrong("a part that this model does not have"))?;
        let start = tensor.range.start.checked_add(offset);
        let end = start.and_then(|start| start.checked_add(buffer.len() as u64));
        match (start, end) {
            (Some(start), Some(end)) if end <= tensor.range.end => read_exact_at(file, buffer, start)
                .map_err(|e| {
                    let what = std::format!("{e} (tensor `{}`)", shown(Path::new(tensor.name)));
                    FileError::io(path, io::Error::new(e.kind(), what))
                }),
            _ => Err(wrong("more bytes than the tensor has")),
        }
    }

    /// Passes the bytes of a tensor to `each`, up to 256 KiB at a time.
    ///
    /// # Errors
    /// The same as [`GgufSetReader::read_at`], and the errors that `each` returns.
    pub fn read_tensor<E: From<FileError>>(
        &self,
        part: usize,
        tensor: &TensorInfo<'_>,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let path = self.paths().nth(part).unwrap_or(Path::new(""));
        let len = tensor.byte_len();
        let mut buffer = Vec::new();
        let room = len.min(PIECE) as usize;
        buffer
            .try_reserve_exact(room)
            .map_err(|_| FileError::io(path, crate::undo::no_memory(room as u64)))?;
        buffer.resize(room, 0);
        let mut at = 0;
        while at < len {
            let piece = buffer.get_mut(..(len - at).min(PIECE) as usize).unwrap_or_default();
            self.read_at(part, tensor, at, piece)?;
            each(piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }
}
