//! Where the bytes of a session are kept: a file, or storage of the app's own, which may encrypt them.

use super::SessionError;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes that a session appends to.
///
/// A session writes only at its end, and shortens the storage only to take back what it did not finish. Every operation may fail,
/// and a write may fail after a part of its bytes: what counts is decided by the checksums in what is read.
pub trait Storage {
    /// Bytes that are there.
    ///
    /// # Errors
    /// What the system says.
    fn len(&mut self) -> io::Result<u64>;

    /// Whether there are no bytes.
    ///
    /// # Errors
    /// As [`len`](Self::len).
    fn is_empty(&mut self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `to` with the bytes from `offset` on.
    ///
    /// # Errors
    /// What the system says; fewer bytes are an error.
    fn read_at(&mut self, offset: u64, to: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` from `offset` on, which is at most the length.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Drops what is after the first `len` bytes.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Returns when all bytes are on the device.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&mut self) -> io::Result<()>;
}

/// A session's file, locked (flock) while it is open: another process that would write it is refused.
#[derive(Debug)]
pub struct SessionFile {
    file: File,
    path: PathBuf,
}

impl SessionFile {
    /// Opens a file that is there.
    pub(super) fn open(path: &Path) -> Result<Self, SessionError> {
        let failed = |error| SessionError::io(path, "open", error);
        let file = File::options().read(true).write(true).open(path).map_err(failed)?;
        lock(&file).map_err(failed)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Opens a file to read it alone; another session may append to it.
    pub(super) fn read_only(path: &Path) -> Result<Self, SessionError> {
        let file = File::open(path).map_err(|error| SessionError::io(path, "open", error))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file beside `path`, which takes its place by [`NewFile::place`]: a session's file has a whole header, or is not there.
    pub(super) fn create(path: &Path) -> Result<NewFile, SessionError> {
        let temporary = beside(path);
        let failed = |error| SessionError::io(&temporary, "create", error);
        // What a process that was killed left; a lock tells whether another one is at work.
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&temporary).map_err(failed)?;
        lock(&file).map_err(failed)?;
        if !is_at(&file, &temporary) {
            // Its writer gave it its name before we had the lock: it is a session now.
            return Err(failed(io::Error::new(io::ErrorKind::WouldBlock, "another session is being made")));
        }
        file.set_len(0).map_err(failed)?;
        Ok(NewFile { file: SessionFile { file, path: temporary }, path: path.to_owned(), placed: false })
    }
}

/// A file that is not in its place yet. Dropped before that, it is removed.
pub(super) struct NewFile {
    file: SessionFile,
    path: PathBuf,
    placed: bool,
}

impl NewFile {
    /// The storage to write to.
    pub(super) fn storage(&mut self) -> &mut SessionFile {
        &mut self.file
    }

    /// Gives the file its name, in one step; its bytes were synced before.
    pub(super) fn place(mut self) -> Result<SessionFile, SessionError> {
        let failed = |error| SessionError::io(&self.path, "move a new file to", error);
        let file = self.file.file.try_clone().map_err(failed)?;
        fs::rename(&self.file.path, &self.path).map_err(failed)?;
        self.placed = true;
        sync_folder(&self.path);
        Ok(SessionFile { file, path: std::mem::take(&mut self.path) })
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.placed {
            // If it cannot be removed, the next writer takes it over.
            let _ = fs::remove_file(&self.file.path);
        }
    }
}

/// The name of the file that will be `path`.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".happy-tmp");
    path.with_file_name(name)
}

/// Locks a file for this process; file systems without locks are used without.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(fs::TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::WouldBlock, "another session has it open"))
        }
        Err(fs::TryLockError::Error(_)) => Ok(()),
    }
}

/// Whether an open file is still the one at this path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// On other systems an open file cannot be moved away.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// Syncs a folder's names. Systems that cannot do that keep the old file or the new one after a power failure, never a part.
fn sync_folder(path: &Path) {
    if cfg!(unix) {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

impl Storage for SessionFile {
    fn len(&mut self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&mut self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(to)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(bytes)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        // The length counts: `sync_data` writes it where it changed.
        self.file.sync_data()
    }
}

/// Bytes in memory: for tests, and for apps that keep sessions elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStorage(pub Vec<u8>);

impl Storage for MemoryStorage {
    fn len(&mut self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&mut self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|at| self.0.get(at..)?.get(..to.len()));
        to.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).ok().filter(|at| *at <= self.0.len());
        self.0.truncate(at.ok_or(io::ErrorKind::InvalidInput)?);
        self.0.try_reserve(bytes.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
