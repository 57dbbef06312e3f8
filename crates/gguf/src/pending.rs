//! Files that appear whole or not at all: written beside their final place, synced to disk, and moved.
//!
//! ```text
//! .NAME.happy-tmp   the file that will be NAME, locked (flock) by the process that writes it
//! ```
//! The name is fixed, so there is at most one such file per NAME. The lock alone decides whether its writer is alive:
//! the system releases it when a process ends, however it ends. The next process that writes to the same folder removes
//! what a dead writer left. The lock follows the file when it is moved, so no other program edits the new file before
//! its writer is done.
//!
//! On file systems without locks, the name contains the process id and a number, and nothing is removed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;
use std::vec::Vec;

use crate::fault::{self, Step};
use crate::file::shown;
use crate::undo::beside;

const SUFFIX: &str = ".happy-tmp";

/// The temporary files of this process. Locked while a file gets its name, and while a header is overwritten.
static TEMPORARIES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn temporaries() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    // The set is never left inconsistent, so a panic elsewhere does not matter.
    TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the temporary files of this process and stops all its writing: whatever tries to create, commit or overwrite
/// a file afterwards waits forever. For a program that exits right after this, because of a signal. Call it from an
/// ordinary thread, not from a signal handler. If a header is being overwritten, that is finished first, so that no
/// undo file remains.
///
/// ```no_run
/// happy_gguf::abandon_writes();
/// std::process::exit(130);
/// ```
pub fn abandon_writes() {
    let temporaries = temporaries();
    for path in &*temporaries {
        // If a temporary file cannot be removed, there is nothing else to do.
        let _ = fs::remove_file(path);
    }
    std::mem::forget(temporaries);
}

/// Removes what dead writers left in the folder of `path`. Every write does this by itself; this is for programs that
/// may end before they write.
pub fn remove_leftovers(path: impl AsRef<Path>) {
    sweep(path.as_ref());
}

/// Runs work that [`abandon_writes`] waits for.
pub(crate) fn critical<T>(work: impl FnOnce() -> T) -> T {
    let _guard = temporaries();
    work()
}

/// A file that does not have its final name yet. Dropping it without [`Pending::commit`] removes it.
#[derive(Debug)]
pub(crate) struct Pending {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    done: bool,
    /// Dropped after `file`: lets the thread go on that closes a removed file.
    closed: Option<mpsc::Sender<()>>,
}

impl Pending {
    /// Creates a new file in the folder of `path`: within a folder, the file system moves a file in one step.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        // If the path is a link, its target is replaced, not the link.
        let path = retried(|| fs::canonicalize(path)).unwrap_or_else(|_| path.to_path_buf());
        if path.file_name().is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a path without a file name"));
        }
        let (file, temporary) = match locked(&path)? {
            Some(locked) => locked,
            None => unlocked(&path)?,
        };
        Ok(Self { file, temporary, path, done: false, closed: None })
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Syncs the bytes to disk, then gives the file its name. Returns the file, which is still locked.
    pub(crate) fn commit(self) -> io::Result<File> {
        let path = self.path.clone();
        let file = self.place()?;
        // The file is in place and whole. If a crash loses its new name, the old file is there: one or the other.
        let _ = sync_folder(&path);
        Ok(file)
    }

    /// Like [`Pending::commit`], but does not sync the name to disk.
    pub(crate) fn place(mut self) -> io::Result<File> {
        if let Ok(replaced) = fs::metadata(&self.path) {
            // Some file systems have no permissions.
            supported(self.file.set_permissions(replaced.permissions()))?;
        }
        sync_file(&self.file)?;
        let file = self.file.try_clone()?;
        {
            let mut temporaries = temporaries();
            let rename = || {
                fault::at(Step::Rename)?;
                fs::rename(&self.temporary, &self.path)
            };
            retried(rename)?;
            temporaries.remove(&self.temporary);
            self.done = true;
        }
        Ok(file)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            let mut temporaries = temporaries();
            let _ = retried(|| fs::remove_file(&self.temporary));
            temporaries.remove(&self.temporary);
            self.closed = close_elsewhere(&self.file);
        }
    }
}

/// Lets a thread hold a large file that was removed until the sender is dropped. The system frees the space when the last
/// handle is closed, 20 ms for 100 MB on a laptop, and a caller who cancels does not wait for that. `None`: the caller's
/// handle is the last.
fn close_elsewhere(file: &File) -> Option<mpsc::Sender<()>> {
    /// Freed in 2 ms.
    const SMALL: u64 = 8 << 20;
    /// More than the channel and the thread take: if memory is refused, it is refused here, not where std would abort.
    const ROOM: usize = 16 << 10;
    if file.metadata().ok()?.len() <= SMALL {
        return None;
    }
    Vec::<u8>::new().try_reserve_exact(ROOM).ok()?;
    let file = file.try_clone().ok()?;
    let (sender, closed) = mpsc::channel();
    let close = move || {
        let _: Result<(), _> = closed.recv();
        drop(file);
    };
    thread::Builder::new().spawn(close).ok().map(|_| sender)
}

/// Syncs a file in steps while it is written. A sync cannot be cancelled, and that of a whole model takes seconds.
#[derive(Debug, Default)]
pub(crate) struct SyncSteps {
    unsynced: u64,
}

impl SyncSteps {
    /// 4 ms on a laptop's drive, 40 ms on a slow phone's.
    const STEP: u64 = 8 << 20;

    /// Call it after each write of `bytes` bytes.
    pub(crate) fn wrote(&mut self, file: &File, bytes: u64) -> io::Result<()> {
        self.unsynced = self.unsynced.saturating_add(bytes);
        if self.unsynced < Self::STEP {
            return Ok(());
        }
        self.unsynced = 0;
        supported(retried(|| file.sync_data()))
    }
}

/// Writes to a file that is synced in steps.
pub(crate) struct Synced<'a> {
    file: &'a mut File,
    steps: SyncSteps,
}

impl<'a> Synced<'a> {
    pub(crate) fn new(file: &'a mut File) -> Self {
        Self { file, steps: SyncSteps::default() }
    }
}

impl Write for Synced<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.steps.wrote(self.file, written as u64).map(|()| written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A new file with the fixed name, locked by us; `None` if the file system has no locks.
fn locked(path: &Path) -> io::Result<Option<(File, PathBuf)>> {
    /// 40 tries take a fifth of a second. A process that removes leftovers holds the lock only briefly.
    const TRIES: usize = 40;
    let temporary = beside(path, SUFFIX);
    for _ in 0..TRIES {
        sweep(path);
        let mut temporaries = temporaries();
        let create = || {
            fault::at(Step::Create)?;
            File::options().read(true).write(true).create_new(true).open(&temporary)
        };
        match retried(create) {
            Ok(file) => match try_lock(&file) {
                Ok(true) if is_at(&file, &temporary) => {
                    temporaries.insert(temporary.clone());
                    return Ok(Some((file, temporary)));
                }
                Ok(false) => {
                    fs::remove_file(&temporary)?;
                    return Ok(None);
                }
                // Another process removed the file before we locked it.
                Ok(true) | Err(_) => {}
            },
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
        drop(temporaries);
        thread::sleep(Duration::from_millis(5));
    }
    let what = std::format!("`{}` exists: another program is writing the file", shown(&temporary));
    Err(io::Error::new(io::ErrorKind::WouldBlock, what))
}

/// A file with a unique name, without a lock.
fn unlocked(path: &Path) -> io::Result<(File, PathBuf)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = beside(path, &std::format!(".{}-{number}{SUFFIX}", std::process::id()));
        let mut temporaries = temporaries();
        match File::options().read(true).write(true).create_new(true).open(&temporary) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            file => {
                temporaries.insert(temporary.clone());
                return Ok((file?, temporary));
            }
        }
    }
}

/// Removes what dead writers left in the folder of `path`. What cannot be removed stays; that does not fail this write.
fn sweep(path: &Path) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(folder) else { return };
    let ours = |name: &OsString| {
        let name = name.as_encoded_bytes();
        name.starts_with(b".") && name.ends_with(SUFFIX.as_bytes()) && name.len() > SUFFIX.len() + 1
    };
    for name in entries.flatten().map(|entry| entry.file_name()).filter(ours) {
        let left = path.with_file_name(name);
        let temporaries = temporaries();
        if temporaries.contains(&left) || !fs::symlink_metadata(&left).is_ok_and(|m| m.is_file()) {
            continue;
        }
        let Ok(file) = File::options().read(true).write(true).open(&left) else { continue };
        if try_lock(&file).is_ok_and(|locked| locked) && is_at(&file, &left) {
            let _ = fs::remove_file(&left);
        }
    }
}

/// Locks a file for this process; `false` if the file system has no locks. An error of kind `WouldBlock` if another
/// process holds the lock.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    let lock = || {
        fault::at(Step::Lock)?;
        Ok(file.try_lock()?)
    };
    match retried(lock) {
        Ok(()) => Ok(true),
        Err(e) if is_unsupported(&e) || NO_LOCKS.is_some() && e.raw_os_error() == NO_LOCKS => Ok(false),
        Err(e) => Err(e),
    }
}

/// ENOLCK, which `ErrorKind` has no name for.
const NO_LOCKS: Option<i32> = if cfg!(any(target_os = "linux", target_os = "android")) {
    Some(37)
} else if cfg!(unix) {
    Some(77)
} else {
    None
};

/// Whether an open file is still the one at `path`; another file may have been moved there.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => is_same(&a, &b),
        _ => false,
    }
}

#[cfg(unix)]
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// On other systems an open file cannot be moved away.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Syncs the contents of a file to disk, if the file system supports it.
pub(crate) fn sync_file(file: &File) -> io::Result<()> {
    let sync = || {
        fault::at(Step::Sync)?;
        file.sync_all()
    };
    supported(retried(sync))
}

/// Syncs the names in the folder of `path` to disk, if the system supports it: many network and user-space file systems
/// do not, nor does a folder that is writable but not readable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let sync = || {
            fault::at(Step::SyncFolder)?;
            File::open(folder)?.sync_all()
        };
        return supported(retried(sync));
    }
    Ok(())
}

/// Repeats work that a signal interrupted.
pub(crate) fn retried<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match work() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// An operation that the file system does not support is not an error.
fn supported(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|e| if is_unsupported(&e) { Ok(()) } else { Err(e) })
}

/// EINVAL, EBADF, EACCES, EPERM, ENOSYS, EOPNOTSUPP.
fn is_unsupported(e: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    const BAD_FILE: i32 = 9;
    matches!(e.kind(), InvalidInput | PermissionDenied | Unsupported)
        || cfg!(unix) && e.raw_os_error() == Some(BAD_FILE)
}
