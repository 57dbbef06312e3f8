//! What makes a write in the middle of a file safe from a crash: the old bytes, on the disk before the new ones are.
//!
//! ```text
//! .NAME.undo:  "GGUFUNDO", u64 length of the file, u64 offset, u64 n, n old bytes, u64 checksum of all before
//! ```
//! Numbers are little-endian. The undo file gets its name only when it is complete, and goes when the new bytes are on the
//! disk. Where there is one, its bytes are put back before anything else is done.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::vec::Vec;

use crate::atomic::{Pending, sync_folder};

const MAGIC: &[u8; 8] = b"GGUFUNDO";
const HEAD: usize = 8 + 8 + 8 + 8;
/// A header is rewritten, never more; the same bound as for reading one.
const MAX_LEN: u64 = 256 << 20;

/// The path of the undo file of `path`.
pub(crate) fn path_of(path: &Path) -> PathBuf {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".undo");
    path.with_file_name(name)
}

/// Overwrites `old` at `offset` by `new`, which has the same length. Whatever happens meanwhile, the file has either the one
/// or the other after [`recover`].
pub(crate) fn overwrite(path: &Path, file: &mut File, offset: u64, old: &[u8], new: &[u8]) -> io::Result<()> {
    prepare(path, file, offset, old)?;
    write_at(file, offset, new)?;
    done(path)
}

/// Makes the undo file.
fn prepare(path: &Path, file: &File, offset: u64, old: &[u8]) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    for n in [file.metadata()?.len(), offset, old.len() as u64] {
        bytes.extend(n.to_le_bytes());
    }
    bytes.extend(old);
    bytes.extend(checksum(&bytes).to_le_bytes());
    let mut pending = Pending::create(&path_of(path))?;
    pending.file().write_all(&bytes)?;
    pending.commit()
}

fn write_at(file: &mut File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Removes the undo file.
fn done(path: &Path) -> io::Result<()> {
    let undo = path_of(path);
    fs::remove_file(&undo)?;
    sync_folder(&undo)
}

/// Puts the old bytes back if a write was interrupted; whether there was one.
pub(crate) fn recover(path: &Path, file: &mut File) -> io::Result<bool> {
    let undo = path_of(path);
    let mut bytes = Vec::new();
    match File::open(&undo) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
        Ok(undo) => undo.take(MAX_LEN + 64).read_to_end(&mut bytes)?,
    };
    let refuse = |what| {
        let message = std::format!("`{}` {what}; remove it if the model is whole", undo.display());
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    };
    let Some((offset, old)) = contents(&bytes, file.metadata()?.len()) else {
        return refuse("is no undo file of this model");
    };
    write_at(file, offset, old)?;
    done(path)?;
    Ok(true)
}

fn contents(bytes: &[u8], file_len: u64) -> Option<(u64, &[u8])> {
    let number = |at: usize| {
        let field = bytes.get(at..)?.first_chunk::<8>()?;
        Some(u64::from_le_bytes(*field))
    };
    let (sum_at, head) = (bytes.len().checked_sub(8)?, bytes.get(..HEAD)?);
    let old = bytes.get(HEAD..sum_at)?;
    let (len, offset, n) = (number(8)?, number(16)?, number(24)?);
    let whole = head.starts_with(MAGIC)
        && number(sum_at)? == checksum(bytes.get(..sum_at)?)
        && n == old.len() as u64
        && len == file_len
        && offset.checked_add(n)? <= len;
    whole.then_some((offset, old))
}

/// FNV-1a: it tells a complete file from a cut one, no more.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(std::format!("happy-gguf-undo-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn open(path: &Path) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    /// A crash after each step, and after every number of bytes of the step that writes.
    #[test]
    fn a_crash_loses_nothing() {
        let folder = folder("crash");
        let path = folder.join("m.gguf");
        for written in 0..=4 {
            fs::write(&path, b"0123456789").unwrap();
            let mut file = open(&path);
            prepare(&path, &file, 3, b"3456").unwrap();
            write_at(&mut file, 3, &b"abcd"[..written]).unwrap();
            // Here the machine goes down.
            assert!(recover(&path, &mut open(&path)).unwrap());
            assert_eq!(fs::read(&path).unwrap(), b"0123456789");
            assert!(!recover(&path, &mut open(&path)).unwrap());
        }
        let mut file = open(&path);
        overwrite(&path, &mut file, 3, b"3456", b"abcd").unwrap();
        assert!(!recover(&path, &mut file).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"012abcd789");
        fs::remove_dir_all(folder).unwrap();
    }

    /// An undo file that is cut, changed or of another model is refused, and nothing is written.
    #[test]
    fn a_broken_undo_file_is_refused() {
        let folder = folder("broken");
        let path = folder.join("m.gguf");
        fs::write(&path, b"0123456789").unwrap();
        prepare(&path, &open(&path), 0, b"abcd").unwrap();
        let good = fs::read(path_of(&path)).unwrap();
        let mut broken: Vec<Vec<u8>> = (0..good.len()).map(|n| good[..n].to_vec()).collect();
        broken.extend((0..good.len()).map(|i| {
            let mut bytes = good.clone();
            bytes[i] ^= 1;
            bytes
        }));
        for bytes in broken {
            fs::write(path_of(&path), bytes).unwrap();
            assert!(recover(&path, &mut open(&path)).is_err());
        }
        assert_eq!(fs::read(&path).unwrap(), b"0123456789");
        fs::remove_dir_all(folder).unwrap();
    }
}
