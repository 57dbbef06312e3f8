//! The layout of the Hugging Face cache, which other programs on the device share.
//!
//! ```text
//! models--owner--repo/refs/main                    the commit of a branch
//! models--owner--repo/blobs/<sha256>               the bytes, or a link into a store that repositories share
//! models--owner--repo/snapshots/<commit>/<path>    a link to ../../blobs/<sha256>, or the file if links are not supported
//! .locks/models--owner--repo/<sha256>.lock         held while the blob is written
//! ```

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::Disk;
use crate::error::Error;
use crate::partial;
use crate::safe;

/// Maximum number of files of a snapshot, and depth of folders, that are visited.
const MAX_FILES: usize = 20_000;
const MAX_DEPTH: usize = 16;

/// The folder of a repository in the cache.
#[derive(Clone, Debug)]
pub(crate) struct RepoDir {
    cache: PathBuf,
    folder: String,
}

impl RepoDir {
    /// Returns the folder of `owner/repo`, which must have been checked.
    pub(crate) fn new(cache: &Path, repo: &str) -> Self {
        Self::of_folder(cache, format!("models--{}", repo.replace('/', "--")))
    }

    /// Returns the folder of an address outside of the hub. It begins with a dot, as no repository's name does.
    pub(crate) fn of_url(cache: &Path, url_hash: &str) -> Self {
        Self::of_folder(cache, format!("models--.url--{}", url_hash.get(..32).unwrap_or(url_hash)))
    }

    pub(crate) fn of_folder(cache: &Path, folder: String) -> Self {
        Self { cache: cache.to_path_buf(), folder }
    }

    /// Returns `owner/repo`, from the folder's name.
    pub(crate) fn repo(&self) -> Option<String> {
        Some(self.folder.strip_prefix("models--")?.replacen("--", "/", 1))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.cache.join(&self.folder)
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.path().join("blobs")
    }

    pub(crate) fn blob(&self, name: &str) -> PathBuf {
        self.blobs().join(name)
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.path().join("snapshots")
    }

    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.snapshots().join(commit)
    }

    pub(crate) fn refs(&self) -> PathBuf {
        self.path().join("refs")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.cache.join(".locks").join(&self.folder)
    }

    pub(crate) fn lock(&self, blob: &str) -> PathBuf {
        self.locks().join(format!("{blob}.lock"))
    }

    /// Returns the path of the file that stores the address of a file outside of the hub.
    pub(crate) fn origin(&self) -> PathBuf {
        self.path().join("origin")
    }

    /// Returns the commit of a revision: the revision itself, or the contents of the ref.
    pub(crate) fn commit(&self, revision: &str) -> Option<String> {
        if safe::is_commit(revision) {
            return Some(revision.to_owned());
        }
        safe::revision(revision).ok()?;
        read_short(&self.refs().join(revision)).filter(|commit| safe::is_commit(commit))
    }

    /// Records the commit of a revision.
    pub(crate) fn set_commit(&self, revision: &str, commit: &str) -> Result<(), Error> {
        if revision == commit || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        write_whole(&self.refs().join(revision), commit)
    }

    /// Returns the path of a file in a snapshot, if it exists with this size (`None`: any size).
    pub(crate) fn file(&self, commit: &str, path: &str, size: Option<u64>) -> Option<PathBuf> {
        let path = self.snapshot(commit).join(path);
        let found = fs::metadata(&path).ok()?;
        (found.is_file() && size.is_none_or(|size| size == found.len())).then_some(path)
    }

    /// Returns the files of a snapshot, sorted: paths within it, and sizes. Dangling links are left out.
    pub(crate) fn files(&self, commit: &str) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        walk(&self.snapshot(commit), "", 0, &mut found);
        found.sort();
        found
    }

    /// Puts a complete blob into a snapshot, and returns the path there.
    ///
    /// A link is made beside its place and then moved, so that no other process sees it half made. If links are not supported, the
    /// blob itself is moved.
    pub(crate) fn link(
        &self,
        disk: &dyn Disk,
        blob: &str,
        commit: &str,
        path: &str,
    ) -> Result<PathBuf, Error> {
        let place = self.snapshot(commit).join(path);
        let folder = place.parent().unwrap_or(&place);
        fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
        let up = "../".repeat(2 + path.matches('/').count());
        let beside = folder.join(format!(".{blob}.happy-link"));
        let from = match disk.link(Path::new(&format!("{up}blobs/{blob}")), &beside) {
            Ok(()) => beside,
            // It was left by another process, or by one that was killed between the two steps. Its name says that it leads to the
            // same blob.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => beside,
            Err(_) => self.blob(blob),
        };
        match fs::rename(&from, &place) {
            // The other process was faster.
            Err(error) if error.kind() == ErrorKind::NotFound && place.is_file() => {}
            moved => moved.map_err(Error::io("move a download to", &place))?,
        }
        sync_folder(disk, folder);
        Ok(place)
    }

    /// Moves a finished download from `from` to the place of the blob.
    pub(crate) fn place(&self, disk: &dyn Disk, from: &Path, blob: &str) -> Result<(), Error> {
        let to = self.blob(blob);
        fs::rename(from, &to).map_err(Error::io("move a download to", &to))?;
        sync_folder(disk, &self.blobs());
        partial::remove_leftovers(&to);
        Ok(())
    }

    /// Returns whether the complete blob exists.
    pub(crate) fn has_blob(&self, blob: &str, size: u64) -> bool {
        fs::metadata(self.blob(blob)).is_ok_and(|found| found.is_file() && found.len() == size)
    }
}

fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut Vec<(String, u64)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let path = format!("{prefix}{name}");
        if found.len() >= MAX_FILES || safe::file_path(&path).is_err() {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            if depth < MAX_DEPTH {
                walk(&entry.path(), &format!("{path}/"), depth + 1, found);
            }
        } else if let Ok(metadata) = fs::metadata(entry.path())
            && metadata.is_file()
        {
            found.push((path, metadata.len()));
        }
    }
}

/// Reads the text of a small file, without white space around it.
pub(crate) fn read_short(path: &Path) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(4096).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

/// Writes a small file, so that it exists either with all of its text or not at all.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let beside =
        folder.join(format!(".happy-{}-{}.new", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).map_err(Error::io("write", path))
}

/// Syncs a new name in a folder to the disk, if the system supports it.
fn sync_folder(disk: &dyn Disk, folder: &Path) {
    if cfg!(unix)
        && let Ok(folder) = fs::File::open(folder)
    {
        // A file system that does not support it keeps the order by itself, or nothing can be done.
        let _ = disk.sync(&folder);
    }
}
