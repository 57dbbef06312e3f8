//! What can go wrong between a name and a file.

use std::io;
use std::path::{Path, PathBuf};

use happy_gguf::{FileError, ParseError};

use crate::transport::TransportError;

/// Why a name did not become a file. The message says what to do where something can be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name is not one that this crate understands.
    #[error("`{name}` is not a model name: {problem}")]
    Name {
        /// What was given.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing is there.
    #[error("{what}: {problem}")]
    NotFound {
        /// The repository, file or path.
        what: String,
        /// What was looked for, and what there is.
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
        /// What was asked for.
        what: String,
    },
    /// The server refused.
    #[error("{url}: status {status}{hint}")]
    Status {
        /// The address, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What can be done about it; empty if nothing is known.
        hint: &'static str,
    },
    /// No answer came, also after retries.
    #[error("{url}: {error}")]
    Transport {
        /// The address, without its query.
        url: String,
        /// What the transport says.
        error: TransportError,
    },
    /// The server's answer breaks HTTP or the hub's conventions.
    #[error("{url}: expected {expected}, found {found}")]
    Protocol {
        /// The address, without its query.
        url: String,
        /// What the answer should have.
        expected: String,
        /// What it has.
        found: String,
    },
    /// The file on the server is not the one that was asked for, or changes while it is fetched.
    #[error("{file} changed on the server: expected {expected}, found {found}; try again")]
    Changed {
        /// The file.
        file: String,
        /// What was promised.
        expected: String,
        /// What came.
        found: String,
    },
    /// The beginning of the file is not a GGUF header.
    #[error("{file}: {error}")]
    Header {
        /// The file.
        file: String,
        /// Where and why.
        error: ParseError,
    },
    /// The header is longer than [`MAX_HEADER_BYTES`](crate::MAX_HEADER_BYTES).
    #[error("{file}: a header of more than {limit} bytes is refused, this one has at least {needed}")]
    HeaderTooLarge {
        /// The file.
        file: String,
        /// The limit in bytes.
        limit: u64,
        /// How many bytes the header has at least.
        needed: u64,
    },
    /// A file that lies in the cache or was given as a path cannot be read as a model.
    #[error(transparent)]
    Model(#[from] FileError),
    /// The caller's judge refused.
    #[error("{name} is not downloaded: {reason}")]
    Refused {
        /// The model.
        name: String,
        /// What the judge says.
        reason: String,
    },
    /// The disk has too little room.
    #[error("{} has {free} bytes free, {needed} are needed; remove models or set HF_HUB_CACHE to another disk", .folder.display())]
    DiskFull {
        /// The folder.
        folder: PathBuf,
        /// How many bytes are to be written.
        needed: u64,
        /// How many bytes are free.
        free: u64,
    },
    /// The system refused to read or write.
    #[error("cannot {action} {}: {error}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// All bytes came, and they are not the ones that the publisher promised. They are deleted.
    #[error(
        "{file}: the SHA-256 is {found}, the publisher promised {expected}; what was downloaded is deleted"
    )]
    Hash {
        /// The file.
        file: String,
        /// The publisher's.
        expected: String,
        /// That of the bytes.
        found: String,
    },
    /// Another process downloads or uses the file.
    #[error("{} is locked by another process", .path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The caller's flag was set. What has arrived is kept.
    #[error("cancelled")]
    Cancelled,
    /// The system refused memory or a thread.
    #[error("no memory for {what}")]
    OutOfMemory {
        /// What it was for.
        what: String,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| Self::Io { action, path, error }
    }

    /// No answer came, or a server that is overloaded asks for patience: what the cache holds may serve instead.
    pub fn is_connection(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}

/// Text from a server or a file, fit for a message: short, without control characters.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 120;
    let mut out: String = text.chars().take(MOST).flat_map(char::escape_default).collect();
    if text.chars().nth(MOST).is_some() {
        out.push_str("...");
    }
    out
}
