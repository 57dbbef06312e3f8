//! Mapping a file: the one place of the crate that needs `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::file::{FileError, GgufFile, open};
use crate::limits::Limits;

impl GgufFile {
    /// Maps a file into memory, read-only and shared, and parses it. Nothing is copied: the pages stay
    /// file-backed, and the system may drop and re-read them at will.
    ///
    /// # Safety
    /// Until the last owner of the bytes is gone (this, its clones, and every [`SharedBytes`](crate::SharedBytes) taken
    /// from it), no process may write to the file or truncate it. Writes break Rust's rule that borrowed bytes
    /// do not change, which is undefined behaviour; reading behind a new, nearer end raises SIGBUS. Where others may
    /// write to the file, use [`GgufFile::read`].
    ///
    /// # Errors
    /// When the file cannot be opened or mapped (only regular files can), or does not parse.
    ///
    /// ```no_run
    /// // SAFETY: nobody writes to the models of this program while it runs.
    /// let file = unsafe { happy_gguf::GgufFile::map("model.gguf") }?;
    /// println!("{} tensors", file.view().tensors().len());
    /// # Ok::<(), happy_gguf::FileError>(())
    /// ```
    pub unsafe fn map(path: impl AsRef<Path>) -> Result<Self, FileError> {
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { Self::map_with(path, &Limits::default()) }
    }

    /// [`GgufFile::map`] with limits of one's own.
    ///
    /// # Safety
    /// As [`GgufFile::map`].
    ///
    /// # Errors
    /// As [`GgufFile::map`].
    pub unsafe fn map_with(path: impl AsRef<Path>, limits: &Limits) -> Result<Self, FileError> {
        let path = path.as_ref();
        let (file, is_regular) = open(path)?;
        if !is_regular {
            let kind = std::io::ErrorKind::InvalidInput;
            return Err(FileError::io(
                path,
                std::io::Error::new(kind, "not a regular file, cannot be mapped"),
            ));
        }
        // SAFETY: the caller promises that nobody changes or truncates the file while the map lives.
        let map = unsafe { map_file(&file) }.map_err(|e| FileError::io(path, e))?;
        Self::parse_shared(Arc::new(map), limits).map_err(|e| FileError::parse(path, e))
    }
}

/// # Safety
/// As [`GgufFile::map`].
unsafe fn map_file(file: &File) -> std::io::Result<memmap2::Mmap> {
    // SAFETY: the caller promises that nobody changes or truncates the file while the map lives.
    unsafe { memmap2::Mmap::map(file) }
}
