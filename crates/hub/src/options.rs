//! The options, events and results of a download.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use happy_gguf::GgufHeader;

use crate::choose::Role;
use crate::client::RetryPolicy;
use crate::progress::Progress;

/// Options for a download.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PullOptions {
    /// Number of simultaneous connections, at most 64. The default is 4. More help only on networks that slow down each connection.
    pub connections: usize,
    /// Number of bytes that are requested at one time, over all connections. The default is 32 MiB. After a process was killed, less
    /// than this is fetched again.
    pub chunk_bytes: u64,
    /// How often and after which pauses to try again.
    pub retry: RetryPolicy,
    /// Whether to also fetch the projector (`mmproj`) beside the model. The default is false.
    pub projector: bool,
    /// Paths of other `.gguf` files in the same repository to fetch, such as adapters.
    pub also: Vec<String>,
    /// The SHA-256 that the file must have, in lower-case hexadecimal. Use it for addresses outside of the hub, whose servers do not
    /// promise one. It cannot be used for models in several parts.
    pub sha256: Option<String>,
    /// A flag that another thread or a signal handler can set to stop the download. What has arrived is kept for the next time.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self {
            connections: 4,
            chunk_bytes: 32 << 20,
            retry: RetryPolicy::default(),
            projector: false,
            also: Vec::new(),
            sha256: None,
            cancel: None,
        }
    }
}

/// What would be downloaded. The caller sees it before anything large is fetched.
///
/// The headers have all metadata and tensor shapes, which is enough to plan the memory. Those of a split model make one set:
/// `GgufSetFile::from_parts(offer.files.iter().map(|file| (file.path.clone(), file.header.clone().into())))`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Offer {
    /// The name, in the form that can be parsed again.
    pub name: String,
    /// The repository's commit, or its substitute for an address outside of the hub.
    pub commit: String,
    /// The license that the repository's tags name; `None` if they name none.
    pub license: Option<String>,
    /// The files: the parts of the model in order, then the other requested files.
    pub files: Vec<OfferedFile>,
    /// Free bytes on the disk with the cache; `None` if unknown.
    pub free_disk: Option<u64>,
}

impl Offer {
    /// Returns the size of all files in bytes.
    pub fn total(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Returns the number of bytes that have to be fetched.
    pub fn missing(&self) -> u64 {
        self.files.iter().map(|file| file.missing).sum()
    }
}

/// A file of an [`Offer`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OfferedFile {
    /// The path within the repository.
    pub path: String,
    /// The purpose of the file.
    pub role: Role,
    /// Its size in bytes.
    pub bytes: u64,
    /// Number of bytes that are not in the cache yet.
    pub missing: u64,
    /// The SHA-256 that the publisher promises, if it promises one.
    pub sha256: Option<String>,
    /// The header, with metadata and tensor entries.
    pub header: GgufHeader,
}

/// The caller's answer to an [`Offer`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Download it.
    Accept,
    /// Do not download it. The reason becomes part of the error's message ([`Error::Refused`](crate::Error::Refused)).
    Refuse(String),
}

/// What happens during a download.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The name was resolved to files.
    Resolved {
        /// Number of files.
        files: usize,
        /// Their total size in bytes.
        bytes: u64,
    },
    /// Another process downloads the same file; this one waits for it.
    Waiting,
    /// A header was read.
    Header {
        /// The file.
        file: &'a str,
        /// Size of the header in bytes.
        bytes: u64,
    },
    /// Bytes arrived. This is sent at most ten times per second, and at the end.
    Progress(Progress),
    /// Something failed and is tried again after a pause.
    Retry {
        /// The file.
        file: &'a str,
        /// Number of failures without a new byte.
        attempt: u32,
        /// The pause.
        pause: Duration,
        /// What failed.
        why: &'a str,
    },
    /// All bytes have arrived, and those that were not hashed yet are read back.
    Verifying {
        /// The file.
        file: &'a str,
        /// Number of bytes that were hashed.
        done: u64,
        /// Size of the file in bytes.
        total: u64,
    },
    /// The bytes so far are useless, and the download of the file starts again.
    Restarted {
        /// The file.
        file: &'a str,
        /// The reason.
        why: &'a str,
    },
    /// A file is complete, verified and in its place.
    Placed {
        /// The file.
        path: &'a Path,
    },
}

/// A model on this device.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pulled {
    /// The files: the parts of the model in order, then the other requested files. Never empty.
    pub files: Vec<PulledFile>,
    /// Number of bytes that were fetched over the network.
    pub fetched: u64,
    /// Why the server could not be reached, so that the files come from the cache; `None` if it was reached or not needed.
    pub stale: Option<String>,
}

impl Pulled {
    /// Returns the path of the model, or of its first part, by which readers find the others.
    pub fn path(&self) -> &Path {
        self.files.first().map_or(Path::new(""), |file| &file.path)
    }
}

/// A file of a [`Pulled`] model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PulledFile {
    /// Its path.
    pub path: PathBuf,
    /// Its purpose.
    pub role: Role,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether it is in the cache under the SHA-256 that the publisher promises. This crate puts nothing there without checking it.
    /// `false` if no SHA-256 is promised, or the publisher was not asked.
    pub verified: bool,
}
