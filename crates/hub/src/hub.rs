//! [`Hub`], the entry point of the crate.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use happy_gguf::{GgufHeader, Limits};

use crate::cache::RepoDir;
use crate::choose::{self, Role};
use crate::client::Client;
use crate::config::Config;
use crate::disk::{Disk, SystemDisk};
use crate::error::Error;
use crate::header;
use crate::listing::Listed;
use crate::name::{MAIN, Name};
use crate::options::{Event, Offer, OfferedFile, PullOptions, Pulled, PulledFile, Verdict};
use crate::resolve::{Resolved, Wanted, parse_url, url_dir, url_file};
use crate::safe;
use crate::transport::Transport;

/// How often a server may report another file, or stop supporting ranges, before it is believed.
pub(crate) const MAX_DOUBTS: u32 = 4;

/// Turns names of models into files on this device.
///
/// ```no_run
/// use happy_hub::{Hub, PullOptions, Verdict};
/// # #[cfg(feature = "ureq")]
/// # fn main() -> Result<(), happy_hub::Error> {
/// let hub = Hub::from_env()?;
/// let name = "qwen3-0.6b".parse()?;
/// let judge = |offer: &happy_hub::Offer| {
///     if offer.total() < 1 << 30 { Verdict::Accept } else { Verdict::Refuse("too big for me".into()) }
/// };
/// let pulled = hub.pull(&name, &PullOptions::default(), judge, |event| println!("{event:?}"))?;
/// println!("{}", pulled.path().display());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "ureq"))]
/// # fn main() {}
/// ```
pub struct Hub {
    pub(crate) config: Config,
    pub(crate) client: Arc<Client>,
    pub(crate) disk: Arc<dyn Disk>,
}

impl Hub {
    /// Makes a hub with these settings and this transport.
    ///
    /// # Errors
    /// If [`Config::endpoint`] is not an address.
    pub fn new(config: Config, transport: Arc<dyn Transport>) -> Result<Self, Error> {
        let endpoint = parse_url(&config.endpoint)?;
        let client = Arc::new(Client { transport, endpoint, token: config.token.clone() });
        Ok(Self { config, client, disk: Arc::new(SystemDisk) })
    }

    /// Makes a hub with the settings of the environment ([`Config::from_env`]) and ureq as the transport.
    ///
    /// # Errors
    /// As for [`Config::from_env`] and [`UreqTransport::new`](crate::UreqTransport::new).
    #[cfg(feature = "ureq")]
    pub fn from_env() -> Result<Self, Error> {
        let config = Config::from_env()?;
        let transport = crate::UreqTransport::new()
            .map_err(|error| Error::Transport { url: config.endpoint.clone(), error })?;
        Self::new(config, Arc::new(transport))
    }

    /// Replaces the disk.
    #[must_use]
    pub fn with_disk(self, disk: Arc<dyn Disk>) -> Self {
        Self { disk, ..self }
    }

    /// Returns the settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Searches for a model on this device only. Returns `None` if not all of its files are there.
    ///
    /// # Errors
    /// If the name matches several models of the cache.
    pub fn find(&self, name: &Name) -> Result<Option<Pulled>, Error> {
        let (dir, revision, choice) = match name {
            Name::Path(path) => {
                let bytes = match fs::metadata(path) {
                    Ok(found) if found.is_file() => found.len(),
                    _ => return Ok(None),
                };
                let file = PulledFile { path: path.clone(), role: Role::Model, bytes, verified: false };
                return Ok(Some(Pulled { files: vec![file], fetched: 0, stale: None }));
            }
            Name::Repo { repo, revision, quant } => {
                (RepoDir::new(&self.config.cache, repo), revision.clone(), Err(quant))
            }
            Name::File { repo, revision, file } => {
                (RepoDir::new(&self.config.cache, repo), revision.clone(), Ok(file.clone()))
            }
            Name::Url(url) => {
                let url = parse_url(url)?;
                (url_dir(self, &url), MAIN.to_owned(), Ok(url_file(&url).0))
            }
        };
        let Some(commit) = dir.commit(&revision) else { return Ok(None) };
        let listed = |(path, size)| Listed { path, size, sha256: None };
        let files: Vec<Listed> = dir.files(&commit).into_iter().map(listed).filter(is_gguf).collect();
        let shown = name.to_string();
        let found = match &choice {
            Ok(file) => choose::set_of(&files, file, &shown),
            Err(quant) => choose::model(&files, quant.as_deref(), &shown),
        };
        let found = match found {
            Ok(found) => found,
            Err(error @ Error::Ambiguous { .. }) => return Err(error),
            Err(_) => return Ok(None),
        };
        let file = |listed: &Listed| PulledFile {
            path: dir.snapshot(&commit).join(&listed.path),
            role: Role::of_name(&listed.path).unwrap_or(Role::Model),
            bytes: listed.size,
            verified: false,
        };
        Ok(Some(Pulled { files: found.into_iter().map(file).collect(), fetched: 0, stale: None }))
    }

    /// Reads the headers of a model without downloading it. This fetches a little more than their size, and writes nothing.
    ///
    /// # Errors
    /// If the name does not lead to a model, or the server cannot be reached.
    pub fn inspect(
        &self,
        name: &Name,
        options: &PullOptions,
        mut on_event: impl FnMut(Event<'_>),
    ) -> Result<Offer, Error> {
        if let Name::Path(_) = name {
            return self.offer_of_path(name);
        }
        self.online(name)?;
        let resolved = self.resolve(name, options, &mut retry_event(&mut on_event))?;
        let mut files = Vec::new();
        for wanted in &resolved.wanted {
            let (remote, path) = (&wanted.remote, &wanted.path);
            let there = self.place_of(&resolved, wanted);
            let mut stream = None;
            let header = match &there {
                Some(path) => GgufHeader::open(path, &Limits::default())?,
                None => header::read(path, remote.size, &mut |bytes, to| {
                    let on_retry = &mut retry_event(&mut on_event);
                    self.span(
                        remote,
                        bytes.len() as u64,
                        to,
                        &mut stream,
                        options,
                        on_retry,
                        &mut |_, more| {
                            let no_memory = |_| Error::OutOfMemory { what: format!("the header of {path}") };
                            bytes.try_reserve(more.len()).map_err(no_memory)?;
                            bytes.extend_from_slice(more);
                            Ok(())
                        },
                    )
                })?,
            };
            on_event(Event::Header { file: path, bytes: header.bytes().len() as u64 });
            let missing = if there.is_some() { 0 } else { remote.size };
            files.push(offered(wanted, missing, header));
        }
        Ok(self.offer(name, &resolved, files))
    }

    /// Returns the path of a file in the cache, if it exists. A blob that no snapshot of this commit contains yet is linked later. So is
    /// a file whose snapshot links to another blob than the one that the publisher promises.
    pub(crate) fn place_of(&self, resolved: &Resolved, wanted: &Wanted) -> Option<PathBuf> {
        let (dir, size) = (&resolved.dir, wanted.remote.size);
        let promised = |path: &PathBuf| {
            let target = fs::read_link(path).ok();
            let name = target.as_ref().and_then(|target| target.file_name()?.to_str());
            name.is_none_or(|name| !safe::is_blob(name) || name == wanted.blob)
        };
        dir.file(&resolved.commit, &wanted.path, Some(size))
            .filter(promised)
            .or_else(|| dir.has_blob(&wanted.blob, size).then(|| dir.blob(&wanted.blob)))
    }

    pub(crate) fn offer(&self, name: &Name, resolved: &Resolved, files: Vec<OfferedFile>) -> Offer {
        let near = [resolved.dir.blobs(), self.config.cache.clone()];
        let folder = near.iter().flat_map(|path| path.ancestors()).find(|path| path.is_dir());
        Offer {
            name: name.to_string(),
            commit: resolved.commit.clone(),
            license: resolved.license.clone(),
            files,
            free_disk: folder.and_then(|folder| self.disk.free(folder)),
        }
    }

    fn offer_of_path(&self, name: &Name) -> Result<Offer, Error> {
        let pulled = self.pull(name, &PullOptions::default(), |_| Verdict::Accept, |_| {})?;
        let header = GgufHeader::open(pulled.path(), &Limits::default())?;
        let bytes = pulled.files.iter().map(|file| file.bytes).sum();
        let path = pulled.path().display().to_string();
        let file = OfferedFile { path, role: Role::Model, bytes, missing: 0, sha256: None, header };
        Ok(Offer {
            name: name.to_string(),
            commit: String::new(),
            license: None,
            files: vec![file],
            free_disk: None,
        })
    }

    fn online(&self, name: &Name) -> Result<(), Error> {
        if self.config.offline { Err(Error::Offline { what: name.to_string() }) } else { Ok(()) }
    }
}

fn is_gguf(listed: &Listed) -> bool {
    listed.path.to_ascii_lowercase().ends_with(".gguf") && safe::file_path(&listed.path).is_ok()
}

pub(crate) fn offered(wanted: &Wanted, missing: u64, header: GgufHeader) -> OfferedFile {
    let remote = &wanted.remote;
    let (path, sha256) = (wanted.path.clone(), remote.sha256.clone());
    OfferedFile { path, role: wanted.role, bytes: remote.size, missing, sha256, header }
}

pub(crate) fn retry_event<'a>(
    on_event: &'a mut dyn FnMut(Event<'_>),
) -> impl FnMut(&str, u32, Duration, &Error) + use<'a> {
    move |file, attempt, pause, error| {
        let why = error.to_string();
        on_event(Event::Retry { file, attempt, pause, why: &why });
    }
}
