//! An incomplete file: its bytes, and a journal of the ranges that have arrived.
//!
//! ```text
//! blobs/<name>.happy-partial           the bytes at their positions; missing bytes are holes
//! blobs/<name>.happy-partial.ranges    a line with size and identity, then records of 24 bytes: start, end, check
//! ```
//! A record is written after its bytes. So if a process is killed at any moment, at most the bytes of one write are lost. After a
//! power failure, the journal may list bytes that the disk never got; the hash of the whole file reveals this.
//!
//! The names differ from `<name>.incomplete`, which the Hugging Face tools resume by its length: they would take a hole for data.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, is_full};
use crate::error::Error;
use crate::ranges::Ranges;

/// The ending of the names of partial files.
pub(crate) const PARTIAL: &str = ".happy-partial";
const JOURNAL: &str = ".happy-partial.ranges";

/// Size at which a journal is compacted when it is opened, and maximum size of a journal that is read.
const COMPACT_AT: u64 = 1 << 20;
const MAX_JOURNAL: u64 = 64 << 20;

const RECORD: usize = 24;

/// An incomplete download. The caller holds its lock.
pub(crate) struct Partial {
    data: File,
    path: PathBuf,
    journal: File,
    journal_path: PathBuf,
    /// The journal's first line.
    head: String,
    have: Ranges,
    size: u64,
    disk: Arc<dyn Disk>,
    /// Whether some bytes are from an earlier run.
    resumed: bool,
}

impl Partial {
    /// Opens the partial file of `blob` (a path in `blobs`), or creates one. Bytes of a file with another size or identity are deleted.
    /// Without an identity, nothing can be resumed, since it is unknown whether the server still has the same file.
    pub(crate) fn open(
        blob: &Path,
        size: u64,
        identity: Option<&str>,
        disk: &Arc<dyn Disk>,
    ) -> Result<Self, Error> {
        let (path, journal_path) = (with_ending(blob, PARTIAL), with_ending(blob, JOURNAL));
        if let Some(folder) = blob.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
        }
        let head = format!("happy-hub-partial 1 {size} {}\n", identity.unwrap_or("?"));
        let mut have = match identity {
            Some(_) => read_journal(&journal_path, &head).unwrap_or_default(),
            None => Ranges::default(),
        };
        let data = open(&path)?;
        // Bytes beyond the end of the file were lost in a power failure.
        let len = data.metadata().map_err(Error::io("read", &path))?.len();
        have.truncate(len.min(size));
        let is_new = have.total() == 0;
        if is_new {
            data.set_len(0).map_err(Error::io("write", &path))?;
        }
        let journal_len = journal_path.metadata().map_or(0, |m| m.len());
        let kept = head.len() as u64 + have.len() as u64 * RECORD as u64;
        if is_new
            || journal_len > COMPACT_AT.max(2 * kept)
            || !journal_len.wrapping_sub(head.len() as u64).is_multiple_of(RECORD as u64)
        {
            write_journal(&journal_path, &head, &have)?;
        }
        let journal = open_at_end(&journal_path)?;
        Ok(Self {
            data,
            path,
            journal,
            journal_path,
            head,
            have,
            size,
            disk: Arc::clone(disk),
            resumed: !is_new,
        })
    }

    /// Writes bytes that arrived, and records them.
    pub(crate) fn write(&mut self, start: u64, bytes: &[u8]) -> Result<(), Error> {
        let end = start.saturating_add(bytes.len() as u64).min(self.size);
        let bytes = bytes.get(..end.saturating_sub(start) as usize).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        let written = self.disk.write_at(&self.data, bytes, start);
        let record = record(start, end);
        let written = written.and_then(|()| self.journal.write_all(&record));
        written.map_err(|error| self.failed(error))?;
        self.have.insert(start, end);
        Ok(())
    }

    fn failed(&self, error: std::io::Error) -> Error {
        if is_full(&error) {
            let folder = self.path.parent().unwrap_or(&self.path);
            let free = self.disk.free(folder).unwrap_or(0);
            return Error::DiskFull {
                folder: folder.to_path_buf(),
                needed: self.size - self.have.total(),
                free,
            };
        }
        Error::io("write", &self.path)(error)
    }

    /// Reads the bytes from the end of `bytes` up to `to`, which must have arrived, and appends them.
    pub(crate) fn read_prefix(&self, bytes: &mut Vec<u8>, to: u64) -> Result<(), Error> {
        let from = bytes.len() as u64;
        let more = to.saturating_sub(from);
        let no_memory = |_| Error::OutOfMemory { what: format!("{to} bytes of a header") };
        bytes.try_reserve(usize::try_from(more).unwrap_or(usize::MAX)).map_err(no_memory)?;
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            file.take(more).read_to_end(bytes)
        });
        match read {
            Ok(n) if n as u64 == more => Ok(()),
            Ok(_) => Err(Error::io("read", &self.path)(std::io::ErrorKind::UnexpectedEof.into())),
            Err(error) => Err(Error::io("read", &self.path)(error)),
        }
    }

    pub(crate) fn have(&self) -> &Ranges {
        &self.have
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.resumed
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs the bytes to the disk, and returns the path from which the file can be moved.
    pub(crate) fn finish(self) -> Result<PathBuf, Error> {
        self.disk.sync(&self.data).map_err(|error| self.failed(error))?;
        Ok(self.path)
    }

    /// Discards all bytes.
    pub(crate) fn reset(&mut self) -> Result<(), Error> {
        self.data.set_len(0).map_err(Error::io("write", &self.path))?;
        self.have = Ranges::default();
        self.resumed = false;
        write_journal(&self.journal_path, &self.head, &self.have)?;
        self.journal = open_at_end(&self.journal_path)?;
        Ok(())
    }

    /// Deletes the file and its journal.
    pub(crate) fn discard(self) -> Result<(), Error> {
        std::fs::remove_file(&self.path).map_err(Error::io("delete", &self.path))?;
        std::fs::remove_file(&self.journal_path).map_err(Error::io("delete", &self.journal_path))
    }
}

/// Returns whether there is a journal beside a blob.
pub(crate) fn has_leftovers(blob: &Path) -> bool {
    with_ending(blob, JOURNAL).exists()
}

/// Deletes the remains of a download that is no longer wanted or whose file was moved. Returns the number of freed bytes.
pub(crate) fn remove_leftovers(blob: &Path) -> u64 {
    let path = with_ending(blob, PARTIAL);
    let bytes = path.metadata().map_or(0, |m| on_disk(&m));
    // There may be nothing to delete.
    let _ = std::fs::remove_file(path);
    let _ = std::fs::remove_file(with_ending(blob, JOURNAL));
    bytes
}

/// Returns the number of bytes that a file uses on the disk. Holes use none.
pub(crate) fn on_disk(metadata: &std::fs::Metadata) -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (metadata.blocks() * 512).min(metadata.len())
    }
    #[cfg(not(unix))]
    metadata.len()
}

fn open(path: &Path) -> Result<File, Error> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
    file.map_err(Error::io("open", path))
}

fn open_at_end(path: &Path) -> Result<File, Error> {
    let mut file = open(path)?;
    file.seek(SeekFrom::End(0)).map_err(Error::io("read", path))?;
    Ok(file)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(ending);
    PathBuf::from(name)
}

fn record(start: u64, end: u64) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..8].copy_from_slice(&start.to_le_bytes());
    record[8..16].copy_from_slice(&end.to_le_bytes());
    record[16..].copy_from_slice(&check(start, end).to_le_bytes());
    record
}

/// Distinguishes a record from zeros and garbage. The hash checks the bytes themselves.
fn check(start: u64, end: u64) -> u64 {
    (start.rotate_left(17) ^ end).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x6861_7070_7968_7562
}

/// Reads the ranges of a journal. Returns `None` if it does not exist or does not begin with `head`.
fn read_journal(path: &Path, head: &str) -> Option<Ranges> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    let len = file.metadata().ok()?.len().min(MAX_JOURNAL);
    bytes.try_reserve(usize::try_from(len).ok()?).ok()?;
    file.take(MAX_JOURNAL).read_to_end(&mut bytes).ok()?;
    Some(parse_journal(bytes.strip_prefix(head.as_bytes())?))
}

/// Returns the ranges of a journal's records, up to the first damaged one.
pub(crate) fn parse_journal(records: &[u8]) -> Ranges {
    let mut have = Ranges::default();
    for record in records.as_chunks::<RECORD>().0 {
        let field = |i: usize| record.as_chunks::<8>().0.get(i).map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let (start, end) = (field(0), field(1));
        if start >= end || field(2) != check(start, end) {
            break;
        }
        have.insert(start, end);
    }
    have
}

/// Replaces the journal by a new one.
fn write_journal(path: &Path, head: &str, have: &Ranges) -> Result<(), Error> {
    let mut bytes = head.as_bytes().to_vec();
    have.iter().for_each(|(start, end)| bytes.extend(record(start, end)));
    let beside = with_ending(path, ".new");
    std::fs::write(&beside, bytes)
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SystemDisk;

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("happy-hub-partial-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        dir
    }

    fn open(dir: &Path, size: u64, identity: Option<&str>) -> Partial {
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        Partial::open(&dir.join("blob"), size, identity, &disk).unwrap()
    }

    #[test]
    fn bytes_are_found_again_only_by_the_same_identity() {
        let dir = folder("identity");
        let mut partial = open(&dir, 100, Some("a"));
        partial.write(10, &[1; 20]).unwrap();
        partial.write(95, &[2; 20]).unwrap();
        drop(partial);
        let partial = open(&dir, 100, Some("a"));
        assert_eq!(partial.have().iter().collect::<Vec<_>>(), [(10, 30), (95, 100)]);
        assert!(partial.is_resumed());
        drop(partial);
        for (size, identity) in [(101, Some("a")), (100, Some("b")), (100, None)] {
            let mut partial = open(&dir, size, identity);
            assert_eq!((partial.have().total(), partial.is_resumed()), (0, false));
            partial.write(0, &[3; 5]).unwrap();
        }
        assert_eq!(open(&dir, 100, None).have().total(), 0);
        open(&dir, 100, None).discard().unwrap();
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_journal_cut_anywhere_claims_nothing_more() {
        let dir = folder("cut");
        let mut partial = open(&dir, 100, Some("a"));
        let writes = [(0, 10), (20, 40), (10, 20), (90, 100)];
        for (start, end) in writes {
            partial.write(start, &vec![7; (end - start) as usize]).unwrap();
        }
        drop(partial);
        let journal = dir.join("blob.happy-partial.ranges");
        let whole = std::fs::read(&journal).unwrap();
        let head = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
        for cut in 0..=whole.len() {
            std::fs::write(&journal, &whole[..cut]).unwrap();
            std::fs::write(dir.join("blob.happy-partial"), [7; 100]).unwrap();
            let mut partial = open(&dir, 100, Some("a"));
            let mut expected = Ranges::default();
            writes[..cut.saturating_sub(head) / RECORD].iter().for_each(|w| expected.insert(w.0, w.1));
            assert_eq!(*partial.have(), expected, "cut at {cut}");
            // What is recorded after a torn record is found again.
            partial.write(50, &[7; 5]).unwrap();
            expected.insert(50, 55);
            drop(partial);
            assert_eq!(*open(&dir, 100, Some("a")).have(), expected, "cut at {cut}");
        }
        // Every flipped bit of a record ends the journal there.
        for at in head..head + RECORD {
            let mut torn = whole.clone();
            torn[at] ^= 1;
            assert_eq!(parse_journal(&torn[head..]), Ranges::default(), "byte {at}");
        }
        // A file that lost its end lost those ranges.
        std::fs::write(&journal, &whole).unwrap();
        std::fs::write(dir.join("blob.happy-partial"), [7; 25]).unwrap();
        assert_eq!(open(&dir, 100, Some("a")).have().iter().collect::<Vec<_>>(), [(0, 25)]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
