//! Locks between processes. The Hugging Face tools lock the same files for the same blobs.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;

/// Pause before a lock that another process holds is tried again.
const PAUSE: Duration = Duration::from_millis(40);

/// A lock that is held until it is dropped or the process ends in any way.
#[derive(Debug)]
pub(crate) struct Lock {
    /// `None` if this file system has no locks. Downloads continue without them.
    _file: Option<File>,
}

impl Lock {
    /// Takes the lock. `on_wait` is called before each pause while another process holds it, and may give up.
    pub(crate) fn take(path: &Path, mut on_wait: impl FnMut() -> Result<(), Error>) -> Result<Self, Error> {
        loop {
            if let Some(lock) = Self::try_take(path)? {
                return Ok(lock);
            }
            on_wait()?;
            std::thread::sleep(PAUSE);
        }
    }

    /// Takes the lock unless another process holds it.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>, Error> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
        }
        loop {
            let file = File::options().write(true).create(true).truncate(false).open(path);
            let file = file.map_err(Error::io("open the lock", path))?;
            match file.try_lock() {
                // The previous holder may have deleted the file. A lock on a deleted file does not protect anything.
                Ok(()) if is_still_there(&file, path) => return Ok(Some(Self { _file: Some(file) })),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) if has_no_locks(&error) => {
                    return Ok(Some(Self { _file: None }));
                }
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", path)(error)),
            }
        }
    }

    /// Takes the locks of several files, always in the same order, so that two processes cannot wait for each other.
    pub(crate) fn take_all(
        mut paths: Vec<PathBuf>,
        mut on_wait: impl FnMut() -> Result<(), Error>,
    ) -> Result<Vec<Self>, Error> {
        paths.sort();
        paths.dedup();
        paths.iter().map(|path| Self::take(path, &mut on_wait)).collect()
    }
}

/// Returns whether the error is ENOLCK or ENOSYS, as on some network file systems and Android's emulated storage.
fn has_no_locks(error: &io::Error) -> bool {
    const ENOLCK_AND_ENOSYS: [i32; 2] = [37, 38];
    error.kind() == io::ErrorKind::Unsupported
        || (cfg!(target_os = "linux") || cfg!(target_os = "android"))
            && error.raw_os_error().is_some_and(|code| ENOLCK_AND_ENOSYS.contains(&code))
}

#[cfg(unix)]
fn is_still_there(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |m: std::fs::Metadata| (m.dev(), m.ino());
    match (file.metadata(), path.metadata()) {
        (Ok(ours), Ok(there)) => id(ours) == id(there),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_still_there(_file: &File, _path: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_never_a_deleted_file() {
        let dir = std::env::temp_dir().join(format!("happy-hub-lock-{}", std::process::id()));
        let path = dir.join("a").join("b.lock");
        let held = Lock::try_take(&path).unwrap().unwrap();
        assert!(Lock::try_take(&path).unwrap().is_none());
        let mut waits = 0;
        let gave_up = Lock::take(&path, || {
            waits += 1;
            if waits < 2 { Ok(()) } else { Err(Error::Cancelled) }
        });
        assert!(matches!(gave_up, Err(Error::Cancelled)) && waits == 2);
        std::fs::remove_file(&path).unwrap();
        let other = Lock::try_take(&path).unwrap();
        assert!(other.is_some() && Lock::try_take(&path).unwrap().is_none());
        drop((held, other));
        assert_eq!(Lock::take_all(vec![path.clone(), path], || Ok(())).unwrap().len(), 1);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
