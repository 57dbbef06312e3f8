//! Downloads the bytes of one file: several connections, each with a piece at a time, and one hash from the start on.
//!
//! ```text
//! workers      take a piece, request it, write what arrives, and report how much; after a failure they continue where it stopped
//! the caller   listens to them, hashes the prefix without holes, reports the progress, and checks the cancel flag
//! ```
//! The hash reads all bytes back from the file, whether they arrived in order, out of order or in an earlier run. So it covers what
//! the file contains, and the bytes are still in the system's cache. Nobody waits for a worker that waits for a server: it finds the
//! file closed when it returns, and ends.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::client::{Cancel, Client, Failure, RetryPolicy, lost};
use crate::error::Error;
use crate::partial::Partial;
use crate::remote::{Bytes, Remote};
use crate::transport::TransportError;

/// Number of bytes that are read from a connection, written and recorded at once.
const BUFFER: usize = 128 << 10;
/// Number of bytes that are hashed before the workers' messages are read again.
const HASH_STEP: u64 = 4 << 20;
/// The longest time between two checks of the cancel flag.
const TICK: Duration = Duration::from_millis(40);
/// A piece that fails this often is given up, even if each attempt brings some bytes.
const MAX_FAILURES: u32 = 256;

/// The settings of a download.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) connections: usize,
    /// Size of a piece in bytes. Each connection requests one piece at a time.
    pub(crate) piece: u64,
    pub(crate) retry: RetryPolicy,
    pub(crate) cancel: Cancel,
}

/// What happens during a download.
pub(crate) enum Signal<'a> {
    Fetched(u64),
    Retry { attempt: u32, pause: Duration, why: &'a str },
    Hashed(u64),
    Tick,
}

/// How a download ended without an error.
#[derive(Debug)]
pub(crate) enum End {
    /// All bytes have arrived. This is their SHA-256.
    Complete(String),
    /// The server seems to have another file now.
    Changed,
    /// The server sends only whole files, and what arrived is useless.
    Again(TransportError),
}

/// A body that continues at a position, from a server that sends only whole files.
pub(crate) struct Stream {
    pub(crate) body: Box<dyn Read + Send>,
    pub(crate) at: u64,
}

enum Message {
    Fetched(u64),
    Retry {
        attempt: u32,
        pause: Duration,
        why: String,
    },
    /// The download failed permanently, for example because of a status or a full disk.
    Failed(Error),
    /// This worker has no attempts left. Others may have some.
    GaveUp(Error),
    End(End),
}

struct Shared {
    client: Arc<Client>,
    remote: Arc<Remote>,
    settings: Settings,
    state: Mutex<State>,
}

struct State {
    /// `None` if the download is over, and nothing may be written any more.
    partial: Option<Partial>,
    pieces: VecDeque<(u64, u64)>,
}

/// Fetches the missing bytes of `partial`. After an error, the file is closed and kept.
pub(crate) fn run(
    client: &Arc<Client>,
    remote: &Arc<Remote>,
    partial: Partial,
    stream: Option<Stream>,
    settings: &Settings,
    tell: &mut dyn FnMut(Signal<'_>),
) -> Result<(Partial, End), Error> {
    let (size, have) = (partial.size(), partial.have());
    let whole = remote.is_whole_only();
    if whole && stream.is_none() && (1..size).contains(&have.total()) {
        return Ok((partial, End::Again(TransportError::passing("the server sends only whole files"))));
    }
    let piece = if whole { u64::MAX } else { settings.piece };
    let pieces: VecDeque<(u64, u64)> = have.missing(size, piece).collect();
    let workers = settings.connections.clamp(1, 64).min(pieces.len());
    let mut hash = Prefix::open(partial.path())?;
    let shared = Arc::new(Shared {
        client: Arc::clone(client),
        remote: Arc::clone(remote),
        settings: settings.clone(),
        state: Mutex::new(State { partial: Some(partial), pieces }),
    });
    let result = watch(&shared, workers, stream, &mut hash, tell);
    let partial = shared.state().partial.take();
    let gone = || Error::OutOfMemory { what: "the state of a download".into() };
    Ok((partial.ok_or_else(gone)?, result?))
}

fn watch(
    shared: &Arc<Shared>,
    workers: usize,
    stream: Option<Stream>,
    hash: &mut Prefix,
    tell: &mut dyn FnMut(Signal<'_>),
) -> Result<End, Error> {
    let messages = start(shared, workers, stream)?;
    let mut last_error = None;
    loop {
        shared.settings.cancel.check()?;
        let more = hash.advance(shared.prefix(), HASH_STEP)?;
        // No waiting while there is something to hash.
        let message = messages.recv_timeout(if more { Duration::ZERO } else { TICK });
        match message {
            Ok(Message::Fetched(bytes)) => tell(Signal::Fetched(bytes)),
            Ok(Message::Retry { attempt, pause, why }) => tell(Signal::Retry { attempt, pause, why: &why }),
            Ok(Message::Failed(error)) => return Err(error),
            Ok(Message::GaveUp(error)) => last_error = Some(error),
            Ok(Message::End(end)) => return Ok(end),
            Err(RecvTimeoutError::Timeout) => tell(Signal::Tick),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let size = shared.remote.size;
    if shared.prefix() < size {
        let message = "the connections ended before the file was complete";
        let error = TransportError::passing(message);
        return Err(last_error.unwrap_or(Error::Transport { url: shared.remote.label.clone(), error }));
    }
    while hash.advance(size, HASH_STEP)? {
        shared.settings.cancel.check()?;
        tell(Signal::Hashed(hash.at));
    }
    Ok(End::Complete(hash.finish()))
}

/// Starts the workers. It is enough if some of the requested ones start.
fn start(
    shared: &Arc<Shared>,
    workers: usize,
    mut stream: Option<Stream>,
) -> Result<Receiver<Message>, Error> {
    let (send, receive) = sync_channel(64);
    let mut started = 0;
    for i in 0..workers {
        let (shared, send, stream) = (Arc::clone(shared), send.clone(), stream.take());
        let builder = std::thread::Builder::new().name(format!("happy-hub-{i}")).stack_size(512 << 10);
        started += usize::from(builder.spawn(move || work(&shared, &send, stream)).is_ok());
    }
    if started == 0 && workers > 0 {
        return Err(Error::OutOfMemory { what: "a thread for a download".into() });
    }
    Ok(receive)
}

fn work(shared: &Shared, send: &SyncSender<Message>, mut stream: Option<Stream>) {
    let mut buffer = Vec::new();
    if buffer.try_reserve_exact(BUFFER).is_err() {
        let error = Error::OutOfMemory { what: "the buffer of a connection".into() };
        let _ = send.send(Message::GaveUp(error));
        return;
    }
    buffer.resize(BUFFER, 0);
    while let Some((mut start, end)) = shared.next_piece() {
        let (mut vain, mut failures) = (0, 0);
        while start < end {
            let before = start;
            let failure = match shared.attempt(&mut start, end, stream.take(), &mut buffer, send) {
                Ok(()) => continue,
                Err(Stop::Over) => return,
                Err(Stop::End(end)) => {
                    let _ = send.send(Message::End(end));
                    return;
                }
                Err(Stop::Failure(failure)) => failure,
            };
            failures += 1;
            vain = if start > before { 1 } else { vain + 1 };
            let policy = &shared.settings.retry;
            if !failure.retry {
                let _ = send.send(Message::Failed(*failure.error));
                return;
            }
            if vain >= policy.attempts || failures >= MAX_FAILURES {
                // Another connection may have more luck with the rest.
                shared.give_back((start, end));
                let _ = send.send(Message::GaveUp(*failure.error));
                return;
            }
            let pause = policy.pause(vain, failure.after);
            let why = failure.error.to_string();
            if send.send(Message::Retry { attempt: vain, pause, why }).is_err() || !shared.sleep(pause) {
                return;
            }
        }
    }
}

/// Why an attempt ended before its piece was complete.
enum Stop {
    /// The download is over.
    Over,
    Failure(Failure),
    End(End),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panicked leaves consistent records, since bytes are recorded after they are written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prefix(&self) -> u64 {
        self.state().partial.as_ref().map_or(0, |partial| partial.have().prefix())
    }

    fn next_piece(&self) -> Option<(u64, u64)> {
        let mut state = self.state();
        state.partial.is_some().then(|| state.pieces.pop_front()).flatten()
    }

    fn give_back(&self, piece: (u64, u64)) {
        self.state().pieces.push_front(piece);
    }

    /// Sleeps. Returns `false` if the download is over meanwhile.
    fn sleep(&self, mut pause: Duration) -> bool {
        while !pause.is_zero() {
            if self.state().partial.is_none() || self.settings.cancel.check().is_err() {
                return false;
            }
            let step = pause.min(TICK);
            std::thread::sleep(step);
            pause -= step;
        }
        true
    }

    /// Requests `start..end`, and advances `start` with every byte that was written.
    fn attempt(
        &self,
        start: &mut u64,
        end: u64,
        stream: Option<Stream>,
        buffer: &mut [u8],
        send: &SyncSender<Message>,
    ) -> Result<(), Stop> {
        let (mut body, last) = match stream {
            Some(stream) => {
                *start = stream.at;
                (stream.body, end)
            }
            None => match self.remote.fetch(&self.client, *start, end)? {
                Bytes::Range(body, last) => (body, last),
                Bytes::Changed { .. } => return Err(Stop::End(End::Changed)),
                Bytes::Whole(body) if *start == 0 && end == self.remote.size => (body, end),
                Bytes::Whole(_) => {
                    let error = TransportError::passing("the server no longer sends ranges");
                    return Err(Stop::End(End::Again(error)));
                }
            },
        };
        let whole = self.remote.is_whole_only();
        while *start < last {
            let room = buffer.len().min(usize::try_from(last - *start).unwrap_or(usize::MAX));
            let read = match body.read(buffer.get_mut(..room).unwrap_or_default()) {
                Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read,
            };
            let n = match read {
                Ok(n) => n,
                // Another answer might be another file, and a part of this one is hashed.
                Err(error) if whole => {
                    return Err(Stop::End(End::Again(TransportError::passing(error.to_string()))));
                }
                Err(error) => return Err(lost(&self.remote.label, &error).into()),
            };
            {
                let mut state = self.state();
                let partial = state.partial.as_mut().ok_or(Stop::Over)?;
                partial.write(*start, buffer.get(..n).unwrap_or_default()).map_err(Failure::lasting)?;
            }
            *start += n as u64;
            send.send(Message::Fetched(n as u64)).map_err(|_| Stop::Over)?;
        }
        // Reads the end of the body, so that the transport can reuse the connection.
        let _ = body.read(buffer.get_mut(..1).unwrap_or_default());
        Ok(())
    }
}

/// The SHA-256 of a growing prefix of a file.
struct Prefix {
    file: File,
    path: std::path::PathBuf,
    at: u64,
    sha256: Sha256,
    buffer: Vec<u8>,
}

impl Prefix {
    fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let mut buffer = Vec::new();
        let no_memory = |_| Error::OutOfMemory { what: "the buffer of a hash".into() };
        buffer.try_reserve_exact(BUFFER).map_err(no_memory)?;
        buffer.resize(BUFFER, 0);
        Ok(Self { file, path: path.to_path_buf(), at: 0, sha256: Sha256::new(), buffer })
    }

    /// Hashes up to `to`, but at most `step` bytes. Returns whether there is more.
    fn advance(&mut self, to: u64, step: u64) -> Result<bool, Error> {
        let end = to.min(self.at.saturating_add(step));
        while self.at < end {
            let room = self.buffer.len().min(usize::try_from(end - self.at).unwrap_or(usize::MAX));
            let read = self.file.read(self.buffer.get_mut(..room).unwrap_or_default());
            let n = match read {
                Ok(0) => return Err(Error::io("read", &self.path)(ErrorKind::UnexpectedEof.into())),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io("read", &self.path)(error)),
            };
            self.sha256.update(self.buffer.get(..n).unwrap_or_default());
            self.at += n as u64;
        }
        Ok(self.at < to)
    }

    fn finish(&mut self) -> String {
        hex(&self.sha256.finalize_reset())
    }
}

/// Returns the SHA-256 of a text, in hexadecimal.
pub(crate) fn sha256_of(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
