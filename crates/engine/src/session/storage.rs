//! Where the bytes of a session are kept: a file, or storage of the app's own.

use super::SessionError;
#[cfg(feature = "encryption")]
use super::{Sealed, SessionKey};
use std::fmt;
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
    /// What the system says; fewer bytes are an error. [`InvalidData`](io::ErrorKind::InvalidData) says that the bytes are damaged: the
    /// session then ends with the last turn before them.
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

/// Where a session's file is, and the key that seals it. Made from any path; that is a file without a key.
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
    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Seals the file with this key; `None`: it is not sealed.
    #[cfg(feature = "encryption")]
    pub fn sealed(mut self, key: Option<SessionKey>) -> Self {
        self.key = key;
        self
    }

    /// Whether there is a key.
    #[cfg(feature = "encryption")]
    pub fn is_sealed(&self) -> bool {
        self.key.is_some()
    }

    /// The storage in a file that is there.
    fn found_in(&self, file: RawFile) -> Result<Box<dyn Storage + Send>, SessionError> {
        #[cfg(feature = "encryption")]
        if let Some(key) = &self.key {
            return Ok(Box::new(Sealed::open(file, key)?));
        }
        Ok(Box::new(file))
    }

    /// The storage in a new file.
    fn new_in(&self, file: RawFile) -> Box<dyn Storage + Send> {
        #[cfg(feature = "encryption")]
        if let Some(key) = &self.key {
            return Box::new(Sealed::create(file, key));
        }
        Box::new(file)
    }
}

/// A session's file, locked (flock) while it is open: another process that would write it is refused.
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
    /// Opens a file that is there.
    pub(super) fn open(place: SessionPath) -> Result<Self, SessionError> {
        let failed = |error| SessionError::io(place.path(), "open", error);
        let file = File::options().read(true).write(true).open(place.path()).map_err(failed)?;
        lock(&file).map_err(failed)?;
        Ok(Self { storage: place.found_in(RawFile(file))?, place })
    }

    /// Opens a file to read it alone; another session may append to it.
    pub(super) fn read_only(place: SessionPath) -> Result<Self, SessionError> {
        let file = File::open(place.path()).map_err(|error| SessionError::io(place.path(), "open", error))?;
        Ok(Self { storage: place.found_in(RawFile(file))?, place })
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// The file's name and its key.
    pub fn place(&self) -> &SessionPath {
        &self.place
    }

    /// A file beside its place, which it takes by [`NewFile::place`]: a session's file has a whole header, or is not there.
    pub(super) fn create(place: SessionPath) -> Result<NewFile, SessionError> {
        let temporary = beside(place.path());
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
        let file = Self { storage: place.new_in(RawFile(file)), place };
        Ok(NewFile { file: Some(file), temporary })
    }
}

/// A file that is not in its place yet. Dropped before that, it is removed.
pub(super) struct NewFile {
    /// `None`: it is in its place.
    file: Option<SessionFile>,
    temporary: PathBuf,
}

impl NewFile {
    /// The storage to write to.
    pub(super) fn storage(&mut self) -> Result<&mut SessionFile, SessionError> {
        self.file.as_mut().ok_or(SessionError::NotASession { problem: "it was moved already" })
    }

    /// Gives the file its name, in one step; its bytes were synced before.
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
            // If it cannot be removed, the next writer takes it over.
            let _ = fs::remove_file(&self.temporary);
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

/// The bytes of a file.
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
        // The length counts: `sync_data` writes it where it changed.
        self.0.sync_data()
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
