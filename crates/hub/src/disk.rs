//! What a download asks of the disk, so that tests and apps can put something else in its place.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// The disk on which the cache lies. The default, [`SystemDisk`], is the system's; a test gives one that is full.
pub trait Disk: Send + Sync {
    /// How many bytes may still be written in `folder`, which exists; `None`: unknown, and no reason to refuse.
    fn free(&self, folder: &Path) -> Option<u64>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// As the system; [`io::ErrorKind::StorageFull`] and [`io::ErrorKind::QuotaExceeded`] say that the disk is full.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Brings what was written to a file, or the names in a folder, to the disk: what a power failure must not take.
    ///
    /// # Errors
    /// As the system.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Makes `link` a symbolic link to `target`, which is relative to the link's folder.
    ///
    /// # Errors
    /// As the system; a place without links is one reason.
    fn link(&self, target: &Path, link: &Path) -> io::Result<()>;
}

/// The system's disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn free(&self, folder: &Path) -> Option<u64> {
        free(folder)
    }

    fn write_at(&self, mut file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        // Two calls instead of one that only some systems have: a file is written by one thread at a time.
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        match file.sync_all() {
            // Some emulated file systems have no fsync.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            synced => synced,
        }
    }

    fn link(&self, target: &Path, link: &Path) -> io::Result<()> {
        symlink(target, link)
    }
}

#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(not(unix))]
fn free(_folder: &Path) -> Option<u64> {
    None
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_target: &Path, _link: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The disk has no room, or the user's share of it.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
