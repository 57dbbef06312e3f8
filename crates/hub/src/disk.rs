//! The operations of a disk that a download needs. Tests and apps can replace them.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// The disk with the cache. The default is [`SystemDisk`]. A test may use one that is full.
pub trait Disk: Send + Sync {
    /// Returns how many bytes can still be written in `folder`, which exists, or `None` if this is unknown. Unknown space is not a
    /// reason to refuse a download.
    fn free(&self, folder: &Path) -> Option<u64>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// Those of the system. [`io::ErrorKind::StorageFull`] and [`io::ErrorKind::QuotaExceeded`] mean that the disk is full.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Syncs the contents of a file, or the names in a folder, to the disk, so that they survive a power failure.
    ///
    /// # Errors
    /// Those of the system.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Makes `link` a symbolic link to `target`, which is relative to the link's folder.
    ///
    /// # Errors
    /// Those of the system, for example if links are not supported.
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
        // Two calls, since only some systems have a single one. Only one thread writes to a file at a time.
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

/// Returns whether the disk, or the user's share of it, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
