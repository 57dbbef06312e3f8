//! Where the bytes of a session are stored: in a file, or in storage of the app's own.

use super::SessionError;
#[cfg(feature = "encryption")]
use super::{Sealed, SessionKey};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Storage to which a session appends bytes.
///
/// A session writes only at its end, and shortens the storage only to remove what it did not finish. Every operation
/// may fail, and a write may fail after a part of its bytes: when the session is read, checksums decide what counts.
pub trait Storage {
    /// Returns the number of bytes.
    ///
    /// # Errors
    /// The error of the system.
    fn len(&mut self) -> io::Result<u64>;

    /// Returns whether there are no bytes.
    ///
    /// # Errors
    /// As [`len`](Self::len).
    fn is_empty(&mut self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `to` with the bytes from `offset` on.
    ///
    /// # Errors
    /// The error of the system, also if there are fewer bytes. [`InvalidData`](io::ErrorKind::InvalidData) means that
    /// the bytes are damaged: the session then ends with the last turn before them.
    fn read_at(&mut self, offset: u64, to: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` from `offset` on, which is at most the length.
    ///
    /// # Errors
    /// The error of the system.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Drops what follows the first `len` bytes.
    ///
    /// # Errors
    /// The error of the system.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Waits until all bytes are on the device.
    ///
    /// # Errors
    /// The error of the system.
    fn sync(&mut self) -> io::Result<()>;
}

/// The path of a session's file, and the key that seals it. Any path converts to one without a key.
#[derive(Clone, Debug)]
pub struct SessionPath {
    path: PathBuf,
    #[cfg(feature = "encryption")]
    key: Option<SessionKey>,
}

impl<P: AsRef<Path>> From<P> for SessionPath {
    fn from(path: P) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            #[cfg(feature = "encryption")]
            key: None,
        }
    }
}

impl SessionPath {
    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Seals the file with this key; with `None` it is not sealed.
    #[cfg(feature = "encryption")]
    pub fn sealed(mut self, key: Option<SessionKey>) -> Self {
        self.key = key;
        self
    }

    /// Returns whether there is a key.
    #[cfg(feature = "encryption")]
    pub fn is_sealed(&self) -> bool {
        self.key.is_some()
    }

    /// Returns the storage in an existing file.
    fn found_in(&self, file: RawFile) -> Result<Box<dyn Storage + Send>, SessionError> {
        #[cfg(feature = "encryption")]
        if let Some(key) = &self.key {
            return Ok(Box::new(Sealed::open(file, key)?));
        }
        Ok(Box::new(file))
    }

    /// Returns the storage in a new file.
    fn new_in(&self, file: RawFile) -> Box<dyn Storage + Send> {
        #[cfg(feature = "encryption")]
        if let Some(key) = &self.key {
            return Box::new(Sealed::create(file, key));
        }
        Box::new(file)
    }
}

/// A session's file. It is locked while it is open, so that another process that would write to it is refused.
pub struct SessionFile {
    storage: Box<dyn Storage + Send>,
    place: SessionPath,
}

impl fmt::Debug for SessionFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFile").field("place", &self.place).finish_non_exhaustive()
    }
}

impl SessionFile {
    /// Opens an existing file.
    pub(super) fn open(place: SessionPath) -> Result<Self, SessionError> {
        let failed = |error| SessionError::io(place.path(), "open", error);
        let file = File::options().read(true).write(true).open(place.path()).map_err(failed)?;
        lock(&file).map_err(failed)?;
        Ok(Self { storage: place.found_in(RawFile(file))?, place })
    }

    /// Opens a file for reading only; another session may append to it.
    pub(super) fn read_only(place: SessionPath) -> Result<Self, SessionError> {
        let file = File::open(place.path()).map_err(|error| SessionError::io(place.path(), "open", error))?;
        Ok(Self { storage: place.found_in(RawFile(file))?, place })
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Returns the path of the file, and its key.
    pub fn place(&self) -> &SessionPath {
        &self.place
    }

    /// Makes a file with a temporary name, which [`NewFile::place`] renames: so a session's file has a complete header,
    /// or does not exist.
    pub(super) fn create(place: SessionPath) -> Result<NewFile, SessionError> {
        let temporary = beside(place.path());
        let failed = |error| SessionError::io(&temporary, "create", error);
        // The file may be one that a killed process left. The lock tells whether another process is still using it.
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&temporary).map_err(failed)?;
        lock(&file).map_err(failed)?;
        if !is_at(&file, &temporary) {
            // Its writer renamed it before we had the lock, so it is a session now.
            return Err(failed(io::Error::new(io::ErrorKind::WouldBlock, "another session is being made")));
        }
        file.set_len(0).map_err(failed)?;
        let file = Self { storage: place.new_in(RawFile(file)), place };
        Ok(NewFile { file: Some(file), temporary })
    }
}

/// A file that still has its temporary name. It is removed if it is dropped before it is renamed.
pub(super) struct NewFile {
    /// `None` once it is renamed.
    file: Option<SessionFile>,
    temporary: PathBuf,
}

impl NewFile {
    /// Returns the storage to write to.
    pub(super) fn storage(&mut self) -> Result<&mut SessionFile, SessionError> {
        self.file.as_mut().ok_or(SessionError::NotASession { problem: "it was moved already" })
    }

    /// Renames the file to its final name, in one step. Its bytes must be synced before.
    pub(super) fn place(mut self) -> Result<SessionFile, SessionError> {
        let path = self.storage()?.path().to_owned();
        fs::rename(&self.temporary, &path)
            .map_err(|error| SessionError::io(&path, "move a new file to", error))?;
        sync_folder(&path);
        self.file.take().ok_or(SessionError::NotASession { problem: "it was moved already" })
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            // If it cannot be removed, the next writer reuses it.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Returns the temporary name of the file that will be `path`.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".happy-tmp");
    path.with_file_name(name)
}

/// Locks a file for this process. On file systems without locks it is used without one.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(fs::TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::WouldBlock, "another session has it open"))
        }
        Err(fs::TryLockError::Error(_)) => Ok(()),
    }
}

/// Returns whether an open file is still the one at this path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Returns true: on other systems an open file cannot be renamed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// Syncs the names in a folder. Systems that cannot do that keep the old or the new file after a loss of power, never a
/// part.
fn sync_folder(path: &Path) {
    if cfg!(unix) {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

impl Storage for SessionFile {
    fn len(&mut self) -> io::Result<u64> {
        self.storage.len()
    }

    fn read_at(&mut self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        self.storage.read_at(offset, to)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.storage.write_at(offset, bytes)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.storage.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.storage.sync()
    }
}

/// A file as storage.
struct RawFile(File);

impl Storage for RawFile {
    fn len(&mut self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&mut self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.read_exact(to)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.write_all(bytes)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        // `sync_data` also writes the length if it changed.
        self.0.sync_data()
    }
}

/// Storage in memory: for tests, and for apps that keep sessions elsewhere.
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
