//! What a caller says about a download, and hears of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use happy_gguf::GgufHeader;

use crate::choose::Role;
use crate::client::RetryPolicy;
use crate::progress::Progress;

/// How to download, and what besides the model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PullOptions {
    /// Connections at one time (default 4, at most 64). More than a few help only on networks that slow each one down.
    pub connections: usize,
    /// Bytes asked for at one time, over all connections (default 32 MiB). What a killed process had asked for and not yet
    /// written comes again: less than this.
    pub chunk_bytes: u64,
    /// How often and how fast to try again.
    pub retry: RetryPolicy,
    /// Fetches the projector (`mmproj`) beside the model too.
    pub projector: bool,
    /// Other `.gguf` files of the same repository to fetch too, such as adapters: paths within it.
    pub also: Vec<String>,
    /// The SHA-256 that the file must have, in lower-case hexadecimal: for addresses outside the hub, whose servers
    /// promise none. Not for models in several parts.
    pub sha256: Option<String>,
    /// Set it from another thread or a signal handler to stop. What has arrived is kept for the next time.
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

/// What would be downloaded: shown to the caller's judge before anything big is.
///
/// The headers have all metadata and tensor shapes, which is what a plan of the memory needs. Those of a split model make one
/// set: `GgufSetFile::from_parts(offer.files.iter().map(|file| (file.path.clone(), file.header.clone().into())))`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Offer {
    /// The name, as it can be typed again.
    pub name: String,
    /// The repository's commit, or what stands for it of an address outside the hub.
    pub commit: String,
    /// The license, as the repository's tags say; `None`: they don't.
    pub license: Option<String>,
    /// The files: the parts of the model in their order, then what else was asked for.
    pub files: Vec<OfferedFile>,
    /// Free bytes where the cache is; `None`: unknown.
    pub free_disk: Option<u64>,
}

impl Offer {
    /// Bytes of all files.
    pub fn total(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Bytes that are still to be fetched.
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
    /// What the file is for.
    pub role: Role,
    /// Its size in bytes.
    pub bytes: u64,
    /// Bytes that are not in the cache yet.
    pub missing: u64,
    /// The SHA-256 that the publisher promises.
    pub sha256: Option<String>,
    /// Metadata and tensor entries.
    pub header: GgufHeader,
}

/// The judgment of an [`Offer`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Download it.
    Accept,
    /// Don't; the reason becomes the error's message ([`Error::Refused`](crate::Error::Refused)).
    Refuse(String),
}

/// What happens during a download.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The name is resolved to files.
    Resolved {
        /// How many files.
        files: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// Another process downloads the same file; this one waits for it.
    Waiting,
    /// A header was read.
    Header {
        /// The file.
        file: &'a str,
        /// Bytes of the header.
        bytes: u64,
    },
    /// Bytes came; at most ten times a second, and at the end.
    Progress(Progress),
    /// Something failed and is tried again after a pause.
    Retry {
        /// The file.
        file: &'a str,
        /// How often it failed without a new byte.
        attempt: u32,
        /// The pause.
        pause: Duration,
        /// What failed.
        why: &'a str,
    },
    /// All bytes are there, and those that were not hashed yet are read back.
    Verifying {
        /// The file.
        file: &'a str,
        /// Bytes that are hashed.
        done: u64,
        /// Bytes of the file.
        total: u64,
    },
    /// What was there is of no use; the file comes from its beginning.
    Restarted {
        /// The file.
        file: &'a str,
        /// Why.
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
    /// The files: the parts of the model in their order, then what else was asked for. Never empty.
    pub files: Vec<PulledFile>,
    /// Bytes that came over the network.
    pub fetched: u64,
    /// The server could not be asked, for this reason, and the files are what the cache holds.
    pub stale: Option<String>,
}

impl Pulled {
    /// The model, or its first part, by which the others are found.
    pub fn path(&self) -> &Path {
        self.files.first().map_or(Path::new(""), |file| &file.path)
    }
}

/// A file of a [`Pulled`] model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PulledFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is for.
    pub role: Role,
    /// Its size in bytes.
    pub bytes: u64,
    /// It lies in the cache under the SHA-256 that the publisher promises, where this crate puts nothing without checking it.
    /// `false`: none is promised, or the publisher was not asked.
    pub verified: bool,
}
