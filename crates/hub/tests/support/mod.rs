//! A hub and a host of bytes, both on this machine, that break every rule when a test asks for it, and count what they send.

#![allow(dead_code, unreachable_pub, unused_imports)] // Each test uses a part of it.

mod server;

pub use server::{Fault, Server};

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use happy_gguf::{GgmlType, GgufWriter};
use happy_hub::{
    Config, Disk, Error, Event, Hub, Offer, PullOptions, Pulled, RetryPolicy, SystemDisk, Token,
    UreqTransport, Verdict,
};
use sha2::{Digest, Sha256};

/// What the tests ask for at one time: a fault may cost that many bytes more, and not one more.
pub const CHUNK: u64 = 256 << 10;

/// Options for tests: small pieces, short pauses.
pub fn options() -> PullOptions {
    let mut retry = RetryPolicy::default();
    (retry.first, retry.longest) = (Duration::from_millis(1), Duration::from_millis(4));
    let mut options = PullOptions::default();
    (options.chunk_bytes, options.retry) = (CHUNK, retry);
    options
}

/// A folder that is deleted at the end of a test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("happy-hub-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A hub whose cache is in `folder` and whose endpoint is the server. Its token is `hf_secret`.
pub fn hub(folder: &Folder, server: &Server) -> Hub {
    // Longer than a busy machine makes a thread wait.
    hub_with_patience(folder, server, 3_000)
}

/// As [`hub`], with so many milliseconds for a silent server.
pub fn hub_with_patience(folder: &Folder, server: &Server, ms: u64) -> Hub {
    let mut config = Config::new(folder.path());
    config.endpoint = server.endpoint();
    config.token = Token::new("hf_secret");
    let transport = UreqTransport::with_patience(Duration::from_millis(ms)).unwrap();
    Hub::new(config, Arc::new(transport)).unwrap().with_disk(Arc::new(NoSync))
}

/// The system's disk without waiting for it: a killed process loses nothing that the system has taken.
pub struct NoSync;

impl Disk for NoSync {
    fn free(&self, folder: &Path) -> Option<u64> {
        SystemDisk.free(folder)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        SystemDisk.write_at(file, bytes, offset)
    }

    fn sync(&self, _file: &File) -> io::Result<()> {
        Ok(())
    }

    fn link(&self, target: &Path, link: &Path) -> io::Result<()> {
        SystemDisk.link(target, link)
    }
}

/// Pulls a name and accepts whatever is offered.
pub fn pull(hub: &Hub, name: &str) -> Result<Pulled, Error> {
    pull_with(hub, name, &options())
}

pub fn pull_with(hub: &Hub, name: &str, options: &PullOptions) -> Result<Pulled, Error> {
    hub.pull(&name.parse()?, options, accept, quiet)
}

pub fn accept(_: &Offer) -> Verdict {
    Verdict::Accept
}

pub fn quiet(_: Event<'_>) {}

/// A model with random weights of `bytes` bytes.
pub fn model(seed: u64, bytes: usize) -> Vec<u8> {
    let n = bytes / 4;
    GgufWriter::new()
        .kv("general.architecture", "llama")
        .kv("general.name", format!("model {seed}"))
        .tensor("w", GgmlType::F32, &[n as u64], noise(seed, n * 4))
        .to_vec()
        .unwrap()
}

/// Bytes that no two places have in common, so that a piece in a wrong place is noticed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend(step());
    }
    bytes.truncate(len);
    bytes
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every file below a folder, relative, sorted; links are not followed.
pub fn tree(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else {
                found.push(name);
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, "", &mut found);
    found.sort();
    found
}

/// What is left of downloads that did not end.
pub fn leftovers(folder: &Path) -> Vec<String> {
    tree(folder).into_iter().filter(|path| path.contains("happy-")).collect()
}
