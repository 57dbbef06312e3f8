//! Resolves a name to files on a server, with their sizes and the hashes that the publisher promises.

use std::sync::Arc;

use crate::cache::RepoDir;
use crate::choose::{self, Role};
use crate::client::{Cancel, Client, Failure};
use crate::download::sha256_of;
use crate::error::{Error, shown};
use crate::hub::Hub;
use crate::listing::{self, Listed, Listing};
use crate::name::Name;
use crate::options::PullOptions;
use crate::remote::{self, Probe, Remote};
use crate::safe;
use crate::url::Url;

/// A file that a name refers to.
pub(crate) struct Wanted {
    /// The path within the repository.
    pub(crate) path: String,
    pub(crate) role: Role,
    pub(crate) remote: Arc<Remote>,
    /// Its name in `blobs`.
    pub(crate) blob: String,
}

/// All files that a name refers to.
pub(crate) struct Resolved {
    pub(crate) dir: RepoDir,
    /// The ref to write when all files have arrived.
    pub(crate) revision: String,
    pub(crate) commit: String,
    pub(crate) license: Option<String>,
    pub(crate) wanted: Vec<Wanted>,
    /// For an address outside of the hub, the address without its query.
    pub(crate) origin: Option<String>,
}

/// Called when a request is tried again, with file, attempt, pause and reason.
pub(crate) type OnRetry<'a> = &'a mut dyn FnMut(&str, u32, std::time::Duration, &Error);

impl Hub {
    pub(crate) fn resolve(
        &self,
        name: &Name,
        options: &PullOptions,
        on_retry: OnRetry<'_>,
    ) -> Result<Resolved, Error> {
        if let Some(sha256) = options.sha256.as_ref().filter(|sha256| !safe::is_sha256(sha256)) {
            let problem = "a SHA-256 has 64 lower-case hexadecimal digits".to_owned();
            return Err(Error::Name { name: shown(sha256), problem });
        }
        let mut resolved = match name {
            Name::Repo { repo, revision, quant } => {
                let listing = self.listing(repo, revision, options, on_retry)?;
                let model = choose::model(&listing.files, quant.as_deref(), repo)?;
                self.of_listing(repo, revision, &listing, &model, options, on_retry)?
            }
            Name::File { repo, revision, file } => match self.listing(repo, revision, options, on_retry) {
                Ok(listing) => {
                    let model = choose::set_of(&listing.files, file, repo)?;
                    self.of_listing(repo, revision, &listing, &model, options, on_retry)?
                }
                // Some mirrors have the files, but no API.
                Err(Error::Status { status: 404 | 405 | 501, .. }) => {
                    self.of_file(repo, revision, file, options, on_retry)?
                }
                Err(error) => return Err(error),
            },
            Name::Url(url) => self.of_url(url, options, on_retry)?,
            Name::Path(path) => {
                let problem = "it is already a file on this device".to_owned();
                return Err(Error::Name { name: path.display().to_string(), problem });
            }
        };
        if let (Some(sha256), [only]) = (&options.sha256, &mut resolved.wanted[..]) {
            let expected = only.remote.sha256.as_ref().unwrap_or(sha256);
            if expected != sha256 {
                let (expected, found) = (format!("SHA-256 {sha256}"), format!("SHA-256 {expected}"));
                return Err(Error::Changed { file: only.path.clone(), expected, found });
            }
        } else if options.sha256.is_some() {
            let problem = "one SHA-256 was given for several files".to_owned();
            return Err(Error::Name { name: name.to_string(), problem });
        }
        Ok(resolved)
    }

    /// Sends a request with retries.
    pub(crate) fn ask<T>(
        &self,
        file: &str,
        options: &PullOptions,
        on_retry: OnRetry<'_>,
        request: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let cancel = Cancel(options.cancel.clone());
        Client::retrying(&options.retry, &cancel, |n, pause, error| on_retry(file, n, pause, error), request)
    }

    fn listing(
        &self,
        repo: &str,
        revision: &str,
        options: &PullOptions,
        on_retry: OnRetry<'_>,
    ) -> Result<Listing, Error> {
        let (owner, name) = repo.split_once('/').unwrap_or((repo, ""));
        let url = self.client.endpoint.with_path(&["api", "models", owner, name, "revision", revision]);
        let url = url.with_query("blobs=true");
        let json = self.ask(repo, options, on_retry, || {
            self.client.exchange(false, &url, &[])?.expect(&[200])?.body(listing::MAX_LISTING)
        })?;
        listing::parse(&url.to_string(), &json)
    }

    fn of_listing(
        &self,
        repo: &str,
        revision: &str,
        listing: &Listing,
        model: &[&Listed],
        options: &PullOptions,
        on_retry: OnRetry<'_>,
    ) -> Result<Resolved, Error> {
        let mut files: Vec<(&Listed, Role)> = model.iter().map(|file| (*file, Role::Model)).collect();
        if options.projector {
            let beside = model.first().map_or("", |file| &file.path);
            files.push((choose::projector(&listing.files, beside, repo)?, Role::Projector));
        }
        for path in &options.also {
            let found = choose::set_of(&listing.files, path, repo)?;
            files.extend(
                found.into_iter().map(|file| (file, Role::of_name(&file.path).unwrap_or(Role::Model))),
            );
        }
        let mut wanted: Vec<Wanted> = Vec::new();
        for (file, role) in files {
            if wanted.iter().any(|other| other.path == file.path) {
                continue;
            }
            let url = self.file_url(repo, &listing.commit, &file.path);
            let probe = match &file.sha256 {
                Some(_) => Probe { size: file.size, sha256: file.sha256.clone(), etag: None, commit: None },
                // A file in git itself. Only its own answer has an entity tag.
                None => {
                    self.ask(&file.path, options, &mut *on_retry, || remote::probe(&self.client, &url))?
                }
            };
            wanted.push(wanted_file(file.path.clone(), role, url, &probe));
        }
        Ok(Resolved {
            dir: RepoDir::new(&self.config.cache, repo),
            revision: revision.to_owned(),
            commit: listing.commit.clone(),
            license: listing.license.clone(),
            wanted,
            origin: None,
        })
    }

    /// Resolves a file by its own address, for servers without the API.
    fn of_file(
        &self,
        repo: &str,
        revision: &str,
        file: &str,
        options: &PullOptions,
        on_retry: OnRetry<'_>,
    ) -> Result<Resolved, Error> {
        if options.projector || !options.also.is_empty() {
            let problem =
                "the server does not list the repository, which is needed for further files".to_owned();
            return Err(Error::NotFound { what: repo.to_owned(), problem });
        }
        let paths = choose::part_paths(file).unwrap_or_else(|| vec![file.to_owned()]);
        let (mut commit, mut wanted) = (None, Vec::new());
        for path in paths {
            let url = self.file_url(repo, commit.as_deref().unwrap_or(revision), &path);
            let probe = self.ask(&path, options, &mut *on_retry, || remote::probe(&self.client, &url))?;
            let found = probe.commit.clone().ok_or_else(|| Error::Protocol {
                url: url.to_string(),
                expected: "a commit (X-Repo-Commit)".into(),
                found: "none; for a file outside the hub, use its https:// address".into(),
            })?;
            commit = Some(found);
            wanted.push(wanted_file(path, Role::Model, url, &probe));
        }
        Ok(Resolved {
            dir: RepoDir::new(&self.config.cache, repo),
            revision: revision.to_owned(),
            commit: commit.unwrap_or_default(),
            license: None,
            wanted,
            origin: None,
        })
    }

    fn of_url(&self, text: &str, options: &PullOptions, on_retry: OnRetry<'_>) -> Result<Resolved, Error> {
        let url = parse_url(text)?;
        let shown_url = url.to_string();
        if options.projector || !options.also.is_empty() {
            let problem = "further files are fetched from a repository only (hf:owner/repo)".to_owned();
            return Err(Error::Name { name: shown_url, problem });
        }
        let (name, query) = url_file(&url);
        let paths = choose::part_paths(&name).unwrap_or_else(|| vec![name.clone()]);
        let (mut commit, mut wanted) = (String::new(), Vec::new());
        for path in paths {
            let mut part = url
                .join(&path)
                .map_err(|problem| Error::Name { name: shown_url.clone(), problem: problem.into() })?;
            if path == name {
                part = url.clone();
            } else if let Some(query) = &query {
                part = part.with_query(query);
            }
            let mut probe =
                self.ask(&path, options, &mut *on_retry, || remote::probe(&self.client, &part))?;
            probe.sha256 = probe.sha256.or_else(|| options.sha256.clone());
            let one = wanted_file(path, Role::Model, part, &probe);
            commit = sha256_of(&format!("{commit}\n{}", one.blob));
            wanted.push(one);
        }
        Ok(Resolved {
            dir: url_dir(self, &url),
            revision: crate::name::MAIN.to_owned(),
            commit: commit.get(..40).unwrap_or_default().to_owned(),
            license: None,
            wanted,
            origin: Some(shown_url),
        })
    }

    fn file_url(&self, repo: &str, revision: &str, path: &str) -> Url {
        let (owner, name) = repo.split_once('/').unwrap_or((repo, ""));
        let mut segments = vec![owner, name, "resolve", revision];
        segments.extend(path.split('/'));
        self.client.endpoint.with_path(&segments)
    }
}

pub(crate) fn parse_url(text: &str) -> Result<Url, Error> {
    Url::parse(text).map_err(|problem| Error::Name { name: shown(text), problem: problem.to_owned() })
}

/// Returns the folder of a file outside of the hub. The query does not count, since signed addresses have another one each time.
pub(crate) fn url_dir(hub: &Hub, url: &Url) -> RepoDir {
    RepoDir::of_url(&hub.config.cache, &sha256_of(&url.to_string()))
}

/// Returns the file name of an address, if it is valid on every system, and its query.
pub(crate) fn url_file(url: &Url) -> (String, Option<String>) {
    let name = url.path().rsplit('/').next().unwrap_or_default();
    let name = if safe::file_path(name).is_ok() { name } else { "model.gguf" };
    let full = url.full();
    (name.to_owned(), full.split_once('?').map(|(_, query)| query.to_owned()))
}

fn wanted_file(path: String, role: Role, url: Url, probe: &Probe) -> Wanted {
    let blob = match (&probe.sha256, &probe.etag) {
        (Some(sha256), _) => sha256.clone(),
        (None, Some(etag)) if safe::is_blob(crate::http::bare_etag(etag)) => {
            crate::http::bare_etag(etag).to_owned()
        }
        (None, Some(etag)) => sha256_of(&format!("{url}\n{etag}")),
        (None, None) => sha256_of(&format!("{url}\n{}", probe.size)),
    };
    let remote = Arc::new(Remote::new(path.clone(), url, probe));
    Wanted { path, role, remote, blob }
}
