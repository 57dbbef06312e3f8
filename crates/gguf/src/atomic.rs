//! Files that appear whole or not at all: written beside their place, brought to the disk, and moved.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::string::String;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::write_error::WriteError;
use crate::writer::GgufWriter;

/// A file that has not got its name yet. Dropped without [`Pending::commit`] it goes away.
#[derive(Debug)]
pub(crate) struct Pending {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    done: bool,
}

impl Pending {
    /// A new file in the folder of `path`: a move within a folder is one step for the file system.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // What a link points to is replaced, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let name = path.file_name().ok_or_else(|| io::Error::other("a path without a file name"))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        hidden.push(std::format!(".{}-{number}.tmp", std::process::id()));
        let temporary = path.with_file_name(hidden);
        let file = File::options().read(true).write(true).create_new(true).open(&temporary)?;
        Ok(Self { file, temporary, path, done: false })
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Brings the bytes to the disk, then gives the file its name; the name too is on the disk afterwards.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        if let Ok(replaced) = fs::metadata(&self.path) {
            self.file.set_permissions(replaced.permissions())?;
        }
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        self.done = true;
        sync_folder(&self.path)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            // Nothing can be done about a temporary file that will not go.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Brings the names in the folder of `path` to the disk, where the system can.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

impl GgufWriter<'_> {
    /// Writes a file, atomically: it is written beside its place, brought to the disk, and moved over what was there.
    /// A crash leaves the old file or the new one. Returns its length.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("happy-gguf-write-doc-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// let path = dir.join("tiny.gguf");
    /// let len = happy_gguf::GgufWriter::new().kv("general.name", "tiny").write_file(&path)?;
    /// assert_eq!(std::fs::metadata(&path).unwrap().len(), len);
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), happy_gguf::WriteError>(())
    /// ```
    ///
    /// # Errors
    /// As [`GgufWriter::write_to`], and when the file cannot be made or moved.
    pub fn write_file(&self, path: impl AsRef<Path>) -> Result<u64, WriteError> {
        let path = path.as_ref();
        let place = |e| WriteError::io(place_of(path), e);
        let mut pending = Pending::create(path).map_err(place)?;
        let len = self.write_to(pending.file())?;
        pending.commit().map_err(place)?;
        Ok(len)
    }
}

/// A path for a message.
pub(crate) fn place_of(path: &Path) -> String {
    std::format!("`{}`", path.display())
}
