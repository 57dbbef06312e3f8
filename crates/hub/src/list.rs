//! Lists and removes the models in the cache.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::cache::{RepoDir, read_short};
use crate::choose::{self, Role};
use crate::error::{Error, shown};
use crate::hub::Hub;
use crate::listing::Listed;
use crate::lock::Lock;
use crate::name::{MAIN, Name};
use crate::partial::{self, PARTIAL};
use crate::resolve::{parse_url, url_dir, url_file};
use crate::safe;

/// Maximum number of repositories, and of snapshots of each, that are visited.
const MAX_REPOS: usize = 10_000;
const MAX_SNAPSHOTS: usize = 1_000;

/// The GGUF files of a cache.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Cached {
    /// Models and their companions, sorted by repository, commit and path.
    pub models: Vec<CachedModel>,
    /// Incomplete downloads.
    pub partial: Vec<CachedPartial>,
    /// Bytes that all of them use on the disk. Bytes that several snapshots or repositories share count once.
    pub bytes_on_disk: u64,
}

/// A model in the cache, in one file or in parts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CachedModel {
    /// Its name: an `hf:` name, or the address that it came from.
    pub name: String,
    /// The repository, `owner/repo`; `None` for a file that came from another address.
    pub repo: Option<String>,
    /// The commit of the snapshot.
    pub commit: String,
    /// The branches and tags that point to this commit.
    pub refs: Vec<String>,
    /// Its purpose, by its name.
    pub role: Role,
    /// The files, in the order of the parts.
    pub files: Vec<PathBuf>,
    /// The total size of the files in bytes.
    pub bytes: u64,
}

/// An incomplete download.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CachedPartial {
    /// The repository, `owner/repo`; `None` for a file that comes from another address.
    pub repo: Option<String>,
    /// The file with the bytes.
    pub path: PathBuf,
    /// Bytes that it uses on the disk.
    pub bytes: u64,
}

/// What [`Hub::remove`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// Number of removed files of snapshots.
    pub files: usize,
    /// Number of freed bytes.
    pub bytes: u64,
    /// Number of bytes that stay because they are in a store that repositories share. Other tools wrote it, and `hf cache prune`
    /// cleans it.
    pub shared: u64,
}

impl Hub {
    /// Lists the GGUF files of the cache, whichever program downloaded them.
    ///
    /// # Errors
    /// If the cache folder exists but cannot be read.
    pub fn list(&self) -> Result<Cached, Error> {
        let (mut cached, mut counted) = (Cached::default(), HashSet::new());
        for dir in self.repos()? {
            let refs = refs(&dir);
            for commit in commits(&dir) {
                list_snapshot(&dir, &commit, &refs, &mut cached, &mut counted);
            }
            for (path, metadata) in partials(&dir) {
                let bytes = partial::on_disk(&metadata);
                cached.bytes_on_disk += bytes;
                cached.partial.push(CachedPartial { repo: repo_of(&dir), path, bytes });
            }
        }
        Ok(cached)
    }

    /// Removes a model: its files from the snapshots (for the branch `main`, from all of them), and the blobs that nothing in the
    /// repository links to any more. `hf:owner/repo` without a quantization means all GGUF files of the repository and incomplete
    /// downloads. Files of other kinds, which other tools put there, stay.
    ///
    /// Nothing is deleted outside of the repository's folder. Of a blob in a store that repositories share, only the link is deleted.
    ///
    /// # Errors
    /// If nothing matches the name, another process holds a lock on one of the blobs, or the system refuses.
    pub fn remove(&self, name: &Name) -> Result<Removed, Error> {
        let missing = || Error::NotFound { what: name.to_string(), problem: "not in the cache".into() };
        let (dir, revision) = match name {
            Name::Repo { repo, revision, .. } | Name::File { repo, revision, .. } => {
                (RepoDir::new(&self.config().cache, repo), revision.as_str())
            }
            Name::Url(url) => (url_dir(self, &parse_url(url)?), MAIN),
            Name::Path(path) => {
                let problem = "files outside of the cache are not removed".to_owned();
                return Err(Error::Name { name: path.display().to_string(), problem });
            }
        };
        let commits = match revision {
            MAIN => commits(&dir),
            revision => dir.commit(revision).into_iter().collect(),
        };
        // The folder of an address contains only its file.
        let whole_repo = matches!(name, Name::Repo { quant: None, .. } | Name::Url(_));
        let mut doomed = BTreeSet::new();
        for commit in &commits {
            for path in chosen(&dir, commit, name)? {
                doomed.insert((commit.clone(), path));
            }
        }
        let begun: Vec<_> = if whole_repo { partials(&dir) } else { Vec::new() };
        if doomed.is_empty() && begun.is_empty() {
            return Err(missing());
        }
        remove_files(&dir, &doomed, &begun)
    }

    fn repos(&self) -> Result<Vec<RepoDir>, Error> {
        let cache = &self.config().cache;
        let entries = match fs::read_dir(cache) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read", cache)(error)),
        };
        let is_repo = |name: &String| name.starts_with("models--");
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok())
            .filter(is_repo)
            .take(MAX_REPOS)
            .collect();
        names.sort();
        Ok(names.into_iter().map(|folder| RepoDir::of_folder(cache, folder)).collect())
    }
}

/// Returns `owner/repo` if the folder belongs to a repository.
fn repo_of(dir: &RepoDir) -> Option<String> {
    dir.repo().filter(|repo| safe::repo(repo).is_ok())
}

fn list_snapshot(
    dir: &RepoDir,
    commit: &str,
    refs: &BTreeMap<String, String>,
    cached: &mut Cached,
    counted: &mut HashSet<Id>,
) {
    let files: Vec<Listed> =
        dir.files(commit).into_iter().map(|(path, size)| Listed { path, size, sha256: None }).collect();
    let refs: Vec<String> = refs.iter().filter(|(_, c)| *c == commit).map(|(name, _)| name.clone()).collect();
    let revision = if refs.iter().any(|name| name == MAIN) { String::new() } else { format!("@{commit}") };
    let mut listed = BTreeSet::new();
    for file in files.iter().filter(|file| file.path.to_ascii_lowercase().ends_with(".gguf")) {
        let Some(role) = Role::of_name(&file.path) else { continue };
        // If parts of a split model are missing, the existing ones are listed.
        let parts: Vec<&Listed> = match choose::part_paths(&file.path) {
            Some(paths) => files.iter().filter(|other| paths.contains(&other.path)).collect(),
            None => vec![file],
        };
        let first = parts.first().map_or(file.path.as_str(), |part| part.path.as_str());
        if !listed.insert(first.to_owned()) {
            continue;
        }
        let repo = repo_of(dir);
        let name = match &repo {
            Some(repo) => format!("hf:{repo}{revision}/{first}"),
            None => read_short(&dir.origin()).map_or_else(|| first.to_owned(), |origin| shown(&origin)),
        };
        let paths: Vec<PathBuf> = parts.iter().map(|part| dir.snapshot(commit).join(&part.path)).collect();
        for (path, metadata) in paths.iter().filter_map(|path| Some((path, fs::metadata(path).ok()?))) {
            if counted.insert(id(path, &metadata)) {
                cached.bytes_on_disk += partial::on_disk(&metadata);
            }
        }
        let bytes = parts.iter().map(|part| part.size).sum();
        let (commit, refs) = (commit.to_owned(), refs.clone());
        cached.models.push(CachedModel { name, repo, commit, refs, role, files: paths, bytes });
    }
}

/// Returns the paths in a snapshot that a name refers to.
fn chosen(dir: &RepoDir, commit: &str, name: &Name) -> Result<Vec<String>, Error> {
    let is_gguf = |path: &str| path.to_ascii_lowercase().ends_with(".gguf");
    let files: Vec<Listed> = dir
        .files(commit)
        .into_iter()
        .filter(|(path, _)| is_gguf(path))
        .map(|(path, size)| Listed { path, size, sha256: None })
        .collect();
    let of_file = |file: &str| {
        let paths = choose::part_paths(file).unwrap_or_else(|| vec![file.to_owned()]);
        files.iter().map(|listed| listed.path.clone()).filter(|path| paths.contains(path)).collect()
    };
    Ok(match name {
        Name::Repo { quant: None, .. } => files.into_iter().map(|file| file.path).collect(),
        Name::Repo { quant: Some(quant), repo, .. } => match choose::model(&files, Some(quant), repo) {
            Ok(found) => found.into_iter().map(|file| file.path.clone()).collect(),
            Err(error @ Error::Ambiguous { .. }) => return Err(error),
            Err(_) => Vec::new(),
        },
        Name::File { file, .. } => of_file(file),
        Name::Url(url) => of_file(&url_file(&parse_url(url)?).0),
        Name::Path(_) => Vec::new(),
    })
}

fn remove_files(
    dir: &RepoDir,
    doomed: &BTreeSet<(String, String)>,
    begun: &[(PathBuf, Metadata)],
) -> Result<Removed, Error> {
    let place = |(commit, path): &(String, String)| dir.snapshot(commit).join(path);
    let blobs: BTreeSet<String> = doomed.iter().filter_map(|file| blob_of(dir, &place(file))).collect();
    let name_of = |path: &Path| Some(path.file_name()?.to_str()?.strip_suffix(PARTIAL)?.to_owned());
    let begun: BTreeSet<String> = begun.iter().filter_map(|(path, _)| name_of(path)).collect();
    // A process that holds a lock is writing the blob.
    let mut locks = Vec::new();
    for blob in blobs.union(&begun) {
        let path = dir.lock(blob);
        locks.push(Lock::try_take(&path)?.ok_or(Error::Locked { path })?);
    }
    let mut removed = Removed::default();
    for file in doomed {
        let path = place(file);
        let own = fs::symlink_metadata(&path).map_err(Error::io("read", &path))?;
        fs::remove_file(&path).map_err(Error::io("delete", &path))?;
        removed.files += 1;
        // If links are not supported, the file itself is here.
        removed.bytes += if own.is_file() { partial::on_disk(&own) } else { 0 };
        prune(path.parent(), &dir.snapshots());
    }
    let still_linked = linked_blobs(dir);
    for blob in blobs.iter().filter(|blob| !still_linked.contains(*blob)) {
        let path = dir.blob(blob);
        let Ok(own) = fs::symlink_metadata(&path) else { continue };
        let behind = fs::metadata(&path).map_or(0, |m| partial::on_disk(&m));
        fs::remove_file(&path).map_err(Error::io("delete", &path))?;
        if own.is_symlink() { removed.shared += behind } else { removed.bytes += behind }
    }
    for blob in &begun {
        removed.bytes += partial::remove_leftovers(&dir.blob(blob));
    }
    let left: BTreeSet<String> = commits(dir).into_iter().collect();
    for (name, _) in refs(dir).iter().filter(|(_, commit)| !left.contains(*commit)) {
        let path = dir.refs().join(name);
        // A remaining ref is harmless, since it leads nowhere.
        let _ = fs::remove_file(&path);
        prune(path.parent(), &dir.refs());
    }
    remove_if_empty(dir);
    Ok(removed)
}

/// Deletes empty folders: those of the repository and of its locks.
fn remove_if_empty(dir: &RepoDir) {
    // `remove_dir` deletes only empty folders.
    for folder in [dir.snapshots(), dir.blobs(), dir.refs()] {
        let _ = fs::remove_dir(folder);
    }
    if !dir.snapshots().exists() && !dir.blobs().exists() {
        let _ = fs::remove_file(dir.origin());
        if fs::remove_dir(dir.path()).is_ok() {
            let _ = fs::remove_dir_all(dir.locks());
        }
    }
}

/// Deletes empty folders from `folder` up to `top`, which stays.
fn prune(folder: Option<&Path>, top: &Path) {
    let mut at = folder;
    while let Some(folder) = at.filter(|folder| *folder != top && folder.starts_with(top)) {
        if fs::remove_dir(folder).is_err() {
            return;
        }
        at = folder.parent();
    }
}

/// Returns the name of the blob that a file of a snapshot links to, if the blob belongs to this repository.
fn blob_of(dir: &RepoDir, place: &Path) -> Option<String> {
    let target = fs::read_link(place).ok()?;
    let name = target.file_name()?.to_str().filter(|name| safe::is_blob(name))?;
    let folder = fs::canonicalize(place.parent()?.join(target.parent()?)).ok()?;
    (folder == fs::canonicalize(dir.blobs()).ok()?).then(|| name.to_owned())
}

/// Returns the blobs that files of any kind in any snapshot link to.
fn linked_blobs(dir: &RepoDir) -> BTreeSet<String> {
    let of = |commit: &String| -> Vec<String> {
        let files = dir.files(commit).into_iter();
        files.filter_map(|(path, _)| blob_of(dir, &dir.snapshot(commit).join(path))).collect()
    };
    commits(dir).iter().flat_map(of).collect()
}

fn commits(dir: &RepoDir) -> Vec<String> {
    // Links are not followed, since their targets do not belong to the cache.
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let entries = fs::read_dir(dir.snapshots()).into_iter().flatten().flatten().filter(is_folder);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| safe::is_commit(name)).take(MAX_SNAPSHOTS).collect();
    names.sort();
    names
}

/// Returns branches and tags with their commits.
fn refs(dir: &RepoDir) -> BTreeMap<String, String> {
    fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_SNAPSHOTS) {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = format!("{prefix}{name}");
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if depth < 4 {
                    walk(&entry.path(), &format!("{name}/"), depth + 1, found);
                }
            } else if let Some(commit) = read_short(&entry.path()).filter(|commit| safe::is_commit(commit)) {
                found.insert(name, commit);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&dir.refs(), "", 0, &mut found);
    found
}

/// Returns the incomplete downloads of a repository.
fn partials(dir: &RepoDir) -> Vec<(PathBuf, Metadata)> {
    let entries = fs::read_dir(dir.blobs()).into_iter().flatten().flatten();
    let is_partial = |path: &PathBuf| path.to_str().is_some_and(|path| path.ends_with(PARTIAL));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_partial).collect();
    paths.sort();
    paths.into_iter().filter_map(|path| Some((path.clone(), fs::metadata(&path).ok()?))).collect()
}

/// The identity of a file, which is the same for all links to it.
#[cfg(unix)]
type Id = (u64, u64);
#[cfg(not(unix))]
type Id = PathBuf;

#[cfg(unix)]
fn id(_path: &Path, metadata: &Metadata) -> Id {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn id(path: &Path, _metadata: &Metadata) -> Id {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}
