//! [`Hub::pull`]: takes locks, reads headers, asks the caller, downloads, verifies, and puts the files in their places.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use happy_gguf::{GgufHeader, Limits};

use crate::cache::{self, RepoDir};
use crate::client::Cancel;
use crate::download::{self, End, Settings, Signal, Stream};
use crate::error::Error;
use crate::header;
use crate::hub::{Hub, MAX_DOUBTS, offered, retry_event};
use crate::lock::Lock;
use crate::name::Name;
use crate::options::{Event, Offer, PullOptions, Pulled, PulledFile, Verdict};
use crate::partial::{self, Partial};
use crate::progress::RateMeter;
use crate::resolve::{Resolved, Wanted};

/// Number of bytes that stay free on the disk.
const SPARE_DISK: u64 = 32 << 20;
/// Minimum time between two progress events.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// A file that is being downloaded.
struct Job<'a> {
    wanted: &'a Wanted,
    state: State,
    header: GgufHeader,
    missing: u64,
    /// Number of bytes that were fetched with the header.
    fetched: u64,
}

enum State {
    There(PathBuf),
    Begun { partial: Partial, stream: Option<Stream>, is_new: bool },
}

impl Hub {
    /// Gets a model from the cache if it is complete there, otherwise from the server.
    ///
    /// `judge` sees the headers before anything large is downloaded, and may refuse. This is the place for an engine's memory plan.
    /// It is not called if all files are in the cache. Both closures are called on the calling thread.
    ///
    /// # Errors
    /// If the name does not lead to a model, `judge` refuses, the disk is full, the server fails more often than
    /// [`PullOptions::retry`] allows, or the bytes are not the promised ones. Except in the last case, what has arrived is kept, and
    /// the next call continues from there.
    pub fn pull(
        &self,
        name: &Name,
        options: &PullOptions,
        mut judge: impl FnMut(&Offer) -> Verdict,
        mut on_event: impl FnMut(Event<'_>),
    ) -> Result<Pulled, Error> {
        if let Name::Path(path) = name {
            return self.find(name)?.ok_or_else(|| Error::NotFound {
                what: path.display().to_string(),
                problem: "no such file; write hf:owner/repo for a repository of the Hugging Face Hub".into(),
            });
        }
        if self.config.offline {
            return self.find(name)?.ok_or_else(|| Error::Offline { what: name.to_string() });
        }
        let resolved = match self.resolve(name, options, &mut retry_event(&mut on_event)) {
            Ok(resolved) => resolved,
            Err(error) if error.is_connection() => {
                // The cache alone cannot say whether other requested files are missing.
                let alone = !options.projector && options.also.is_empty();
                let found = if alone { self.find(name)? } else { None };
                let stale = Some(error.to_string());
                return found.map(|found| Pulled { stale, ..found }).ok_or(error);
            }
            Err(error) => return Err(error),
        };
        let bytes = resolved.wanted.iter().map(|wanted| wanted.remote.size).sum();
        on_event(Event::Resolved { files: resolved.wanted.len(), bytes });
        self.fetch(name, &resolved, options, &mut judge, &mut on_event)
    }

    fn fetch(
        &self,
        name: &Name,
        resolved: &Resolved,
        options: &PullOptions,
        judge: &mut dyn FnMut(&Offer) -> Verdict,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Pulled, Error> {
        let dir = &resolved.dir;
        let missing = |wanted: &&Wanted| self.place_of(resolved, wanted).is_none();
        let locks: Vec<_> =
            resolved.wanted.iter().filter(missing).map(|wanted| dir.lock(&wanted.blob)).collect();
        let cancel = Cancel(options.cancel.clone());
        let mut told = false;
        // Held until all files are in their places.
        let _locks = Lock::take_all(locks, || {
            if !std::mem::replace(&mut told, true) {
                on_event(Event::Waiting);
            }
            cancel.check()
        })?;
        let mut jobs = Vec::new();
        for wanted in &resolved.wanted {
            jobs.push(self.begin(resolved, wanted, options, on_event)?);
        }
        if jobs.iter().any(|job| job.missing > 0) {
            let files = jobs.iter().map(|job| offered(job.wanted, job.missing, job.header.clone())).collect();
            let offer = self.offer(name, resolved, files);
            let refused = match judge(&offer) {
                Verdict::Accept => self.check_disk(dir, &offer).err(),
                Verdict::Refuse(reason) => Some(Error::Refused { name: offer.name, reason }),
            };
            if let Some(error) = refused {
                jobs.into_iter().for_each(drop_if_new);
                return Err(error);
            }
        }
        let sum = |of: fn(&Job<'_>) -> u64| jobs.iter().map(of).sum::<u64>();
        let (total, missing) = (sum(|job| job.wanted.remote.size), sum(|job| job.missing));
        let meter = RateMeter::new(total - missing, total);
        let mut told = Told { meter, start: Instant::now(), last: None, fetched: sum(|job| job.fetched) };
        let mut files = Vec::new();
        for job in jobs {
            files.push(self.finish(resolved, job, options, &mut told, on_event)?);
        }
        if let Some(origin) = &resolved.origin {
            cache::write_whole(&dir.origin(), origin)?;
        }
        dir.set_commit(&resolved.revision, &resolved.commit)?;
        Ok(Pulled { files, fetched: told.fetched, stale: None })
    }

    /// Opens the partial file, and reads its header.
    fn begin<'a>(
        &self,
        resolved: &Resolved,
        wanted: &'a Wanted,
        options: &PullOptions,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Job<'a>, Error> {
        let remote = &wanted.remote;
        // Checked again, since another process may have placed the file while this one waited for the lock.
        if let Some(path) = self.place_of(resolved, wanted) {
            let header = GgufHeader::open(&path, &Limits::default())?;
            return Ok(Job { wanted, state: State::There(path), header, missing: 0, fetched: 0 });
        }
        let blob = resolved.dir.blob(&wanted.blob);
        let mut partial = Partial::open(&blob, remote.size, remote.identity().as_deref(), &self.disk)?;
        let before = partial.have().total();
        let mut stream = None;
        let header = header::read(&wanted.path, remote.size, &mut |bytes, to| {
            let from = partial.have().prefix();
            if from < to {
                let on_retry = &mut retry_event(&mut *on_event);
                self.span(remote, from, to, &mut stream, options, on_retry, &mut |at, more| {
                    partial.write(at, more)
                })?;
            }
            partial.read_prefix(bytes, to)
        });
        let header = match header {
            Ok(header) => header,
            Err(error) => {
                // Bytes that are not a model are useless. Those that arrived before a lost connection are not.
                let useless = matches!(error, Error::Header { .. } | Error::HeaderTooLarge { .. });
                if useless || partial.have().total() == 0 {
                    partial.discard()?;
                }
                return Err(error);
            }
        };
        on_event(Event::Header { file: &wanted.path, bytes: header.bytes().len() as u64 });
        let there = partial.have().total();
        let (missing, fetched) = (remote.size - there, there - before);
        let state = State::Begun { partial, stream, is_new: before == 0 };
        Ok(Job { wanted, state, header, missing, fetched })
    }

    fn check_disk(&self, dir: &RepoDir, offer: &Offer) -> Result<(), Error> {
        let needed = offer.missing().saturating_add(SPARE_DISK);
        match offer.free_disk {
            Some(free) if free < needed => Err(Error::DiskFull { folder: dir.blobs(), needed, free }),
            _ => Ok(()),
        }
    }

    /// Downloads the missing bytes of a file, verifies it, and puts it in its place.
    fn finish(
        &self,
        resolved: &Resolved,
        job: Job<'_>,
        options: &PullOptions,
        told: &mut Told,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<PulledFile, Error> {
        let (wanted, dir, commit) = (job.wanted, &resolved.dir, &resolved.commit);
        let place = match job.state {
            State::There(path) if path == dir.blob(&wanted.blob) => {
                // They were left by a process that was killed right after it moved the blob.
                if partial::has_leftovers(&path)
                    && let Some(_lock) = Lock::try_take(&dir.lock(&wanted.blob))?
                {
                    partial::remove_leftovers(&path);
                }
                dir.link(&*self.disk, &wanted.blob, commit, &wanted.path)?
            }
            State::There(path) => path,
            // Another path of the same repository has the same bytes, and was downloaded before.
            State::Begun { .. } if dir.has_blob(&wanted.blob, wanted.remote.size) => {
                dir.link(&*self.disk, &wanted.blob, commit, &wanted.path)?
            }
            State::Begun { partial, stream, .. } => {
                let partial = self.complete(wanted, partial, stream, options, told, on_event)?;
                let from = partial.finish()?;
                dir.place(&*self.disk, &from, &wanted.blob)?;
                let place = dir.link(&*self.disk, &wanted.blob, commit, &wanted.path)?;
                on_event(Event::Placed { path: &place });
                place
            }
        };
        let verified = wanted.remote.sha256.as_ref().is_some_and(|sha256| *sha256 == wanted.blob);
        Ok(PulledFile { path: place, role: wanted.role, bytes: wanted.remote.size, verified })
    }

    /// Downloads until all bytes have arrived and their hash is the promised one.
    fn complete(
        &self,
        wanted: &Wanted,
        mut partial: Partial,
        mut stream: Option<Stream>,
        options: &PullOptions,
        told: &mut Told,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Partial, Error> {
        let (remote, file) = (&wanted.remote, wanted.path.as_str());
        let connections = options.connections.clamp(1, 64);
        let settings = Settings {
            connections,
            piece: (options.chunk_bytes / connections as u64).max(16 << 10),
            retry: options.retry.clone(),
            cancel: Cancel(options.cancel.clone()),
        };
        let mut doubts = 0;
        loop {
            let tell = &mut |signal: Signal<'_>| match signal {
                Signal::Fetched(bytes) => told.fetched(bytes, on_event),
                Signal::Tick => told.tick(on_event),
                Signal::Retry { attempt, pause, why } => on_event(Event::Retry { file, attempt, pause, why }),
                Signal::Hashed(done) => on_event(Event::Verifying { file, done, total: remote.size }),
            };
            let (back, end) = download::run(&self.client, remote, partial, stream.take(), &settings, tell)?;
            partial = back;
            doubts += 1;
            let why = match end {
                End::Complete(found) => match &remote.sha256 {
                    Some(expected) if *expected != found => {
                        // Bytes of an earlier run may have been lost in a power failure, so it is worth another attempt.
                        if !partial.is_resumed() || doubts >= MAX_DOUBTS {
                            partial.discard()?;
                            let (file, expected) = (file.to_owned(), expected.clone());
                            return Err(Error::Hash { file, expected, found });
                        }
                        "the SHA-256 is wrong, and some bytes are from an earlier run".to_owned()
                    }
                    _ => {
                        told.end(on_event);
                        return Ok(partial);
                    }
                },
                End::Changed if doubts < MAX_DOUBTS => {
                    let on_retry = &mut retry_event(&mut *on_event);
                    self.ask(file, options, on_retry, || remote.confirm(&self.client))?;
                    continue;
                }
                End::Changed => {
                    let (expected, found) = ("one file".to_owned(), "another one each time".to_owned());
                    return Err(Error::Changed { file: file.to_owned(), expected, found });
                }
                End::Again(error) if doubts >= MAX_DOUBTS.max(options.retry.attempts) => {
                    return Err(Error::Transport { url: file.to_owned(), error });
                }
                End::Again(error) => error.to_string(),
            };
            on_event(Event::Restarted { file, why: &why });
            told.meter.lost(partial.have().total());
            partial.reset()?;
            settings.cancel.sleep(options.retry.pause(doubts, None))?;
        }
    }
}

/// Sends progress events, but not too often.
struct Told {
    meter: RateMeter,
    start: Instant,
    last: Option<Duration>,
    fetched: u64,
}

impl Told {
    fn fetched(&mut self, bytes: u64, on_event: &mut dyn FnMut(Event<'_>)) {
        self.meter.fetched(bytes);
        self.fetched += bytes;
        self.tick(on_event);
    }

    fn tick(&mut self, on_event: &mut dyn FnMut(Event<'_>)) {
        let now = self.start.elapsed();
        if self.last.is_none_or(|last| now.saturating_sub(last) >= TELL_EVERY) {
            self.last = Some(now);
            on_event(Event::Progress(self.meter.at(now)));
        }
    }

    fn end(&mut self, on_event: &mut dyn FnMut(Event<'_>)) {
        on_event(Event::Progress(self.meter.at(self.start.elapsed())));
    }
}

/// Deletes what was fetched for a refused offer, unless an earlier run had begun to download.
fn drop_if_new(job: Job<'_>) {
    if let State::Begun { partial, is_new: true, .. } = job.state {
        // The refusal is the error to report.
        let _ = partial.discard();
    }
}
