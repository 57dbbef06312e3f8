//! Options for writing files.

use std::fmt;
use std::path::Path;

use crate::write_error::{WriteError, WriteErrorKind, place_of};

/// How to write files.
///
/// ```
/// use happy_gguf::{GgufWriter, WriteErrorKind, WriteOptions};
/// # let dir = std::env::temp_dir().join(format!("happy-gguf-options-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// let path = dir.join("tiny.gguf");
/// let keep = WriteOptions { replace: false, ..WriteOptions::default() };
/// GgufWriter::new().write_file_with(&path, &keep)?;
/// let error = GgufWriter::new().write_file_with(&path, &keep).unwrap_err();
/// assert_eq!(error.kind(), WriteErrorKind::Exists);
/// # std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
#[derive(Clone, Copy)]
pub struct WriteOptions<'o> {
    /// Whether to replace files that exist (default true).
    pub replace: bool,
    /// Called before each 256 KiB; if it returns true, writing stops and what was there before stays (default: never).
    pub cancelled: &'o dyn Fn() -> bool,
}

impl Default for WriteOptions<'_> {
    fn default() -> Self {
        Self { replace: true, cancelled: &|| false }
    }
}

impl fmt::Debug for WriteOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteOptions").field("replace", &self.replace).finish_non_exhaustive()
    }
}

impl WriteOptions<'_> {
    /// Refuses a path that exists and may not be replaced.
    pub(crate) fn check(&self, path: &Path) -> Result<(), WriteError> {
        if self.replace || path.symlink_metadata().is_err() {
            return Ok(());
        }
        let kind = WriteErrorKind::Exists;
        Err(WriteError::file(kind, place_of(path), "a name that is free", "a file"))
    }
}
