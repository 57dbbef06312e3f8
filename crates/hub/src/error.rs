//! The errors of the crate.

use std::io;
use std::path::{Path, PathBuf};

use happy_gguf::{FileError, ParseError};

use crate::transport::TransportError;

/// Why a name did not become a file. The message says what can be done about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name is not valid.
    #[error("`{name}` is not a model name: {problem}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A repository, file or folder was not found.
    #[error("{what}: {problem}")]
    NotFound {
        /// The repository, file or path.
        what: String,
        /// What was searched for, and what was found.
        problem: String,
    },
    /// Several files fit the name.
    #[error("{what}: several files match: {found}; name one with hf:owner/repo/FILE")]
    Ambiguous {
        /// The repository.
        what: String,
        /// The files.
        found: String,
    },
    /// The network is needed, and `HF_HUB_OFFLINE` or [`Config::offline`](crate::Config::offline) forbids it.
    #[error("{what} is not in the cache, and the network is switched off (HF_HUB_OFFLINE)")]
    Offline {
        /// The requested model or file.
        what: String,
    },
    /// The server answered with an error status.
    #[error("{url}: status {status}{hint}")]
    Status {
        /// The address, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What can be done about it; empty if nothing is known.
        hint: &'static str,
    },
    /// No answer arrived, even after retries.
    #[error("{url}: {error}")]
    Transport {
        /// The address, without its query.
        url: String,
        /// The transport's error.
        error: TransportError,
    },
    /// The server's answer breaks HTTP or the hub's conventions.
    #[error("{url}: expected {expected}, found {found}")]
    Protocol {
        /// The address, without its query.
        url: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The file on the server is not the requested one, or changed while it was fetched.
    #[error("{file} changed on the server: expected {expected}, found {found}; try again")]
    Changed {
        /// The file.
        file: String,
        /// What was promised.
        expected: String,
        /// What arrived.
        found: String,
    },
    /// The beginning of the file is not a GGUF header.
    #[error("{file}: {error}")]
    Header {
        /// The file.
        file: String,
        /// Why it is not a header, with the position.
        error: ParseError,
    },
    /// The header is longer than [`MAX_HEADER_BYTES`](crate::MAX_HEADER_BYTES).
    #[error("{file}: a header of more than {limit} bytes is refused, this one has at least {needed}")]
    HeaderTooLarge {
        /// The file.
        file: String,
        /// The limit in bytes.
        limit: u64,
        /// The minimum number of bytes of the header.
        needed: u64,
    },
    /// A file in the cache, or one that was given as a path, cannot be read as a model.
    #[error(transparent)]
    Model(#[from] FileError),
    /// The caller refused the offer.
    #[error("{name} is not downloaded: {reason}")]
    Refused {
        /// The model.
        name: String,
        /// The caller's reason.
        reason: String,
    },
    /// The disk has too little space.
    #[error("{} has {free} bytes free, {needed} are needed; remove models or set HF_HUB_CACHE to another disk", .folder.display())]
    DiskFull {
        /// The folder.
        folder: PathBuf,
        /// Number of bytes to write.
        needed: u64,
        /// Number of free bytes.
        free: u64,
    },
    /// The system could not read or write.
    #[error("cannot {action} {}: {error}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// All bytes arrived, but they are not those that the publisher promised. They were deleted.
    #[error("{file}: the SHA-256 is {found}, the publisher promised {expected}; the download was deleted")]
    Hash {
        /// The file.
        file: String,
        /// The publisher's SHA-256.
        expected: String,
        /// The SHA-256 of the bytes.
        found: String,
    },
    /// Another process downloads or uses the file.
    #[error("{} is locked by another process", .path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The caller's cancel flag was set. What has arrived is kept.
    #[error("cancelled")]
    Cancelled,
    /// The system refused memory or a thread.
    #[error("no memory for {what}")]
    OutOfMemory {
        /// The purpose of the memory.
        what: String,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| Self::Io { action, path, error }
    }

    /// Returns whether no answer arrived or the server is overloaded. The contents of the cache may be used instead.
    pub fn is_connection(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}

/// Formats text from a server or a file for a message: short, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 120;
    let mut out: String = text.chars().take(MOST).flat_map(char::escape_default).collect();
    if text.chars().nth(MOST).is_some() {
        out.push_str("...");
    }
    out
}
