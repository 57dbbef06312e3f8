//! Overwriting part of a file so that a crash cannot tear it: the old bytes are on disk before the new ones are
//! written.
//!
//! The undo file (`undo.rs`) gets its name only when it is complete, and is removed when the new bytes are on disk. A
//! write that fails is reverted at once; a write that was interrupted, by the next edit.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use crate::fault::{self, Step};
use crate::pending::{Pending, critical, retried, sync_file, sync_folder};
use crate::undo::{State, Undo, contents, path_of};

/// The bytes that an edit in place replaces.
pub(crate) struct Change<'b> {
    /// The number of bytes before the tensor data.
    pub(crate) header_len: u64,
    /// Where the old and the new bytes are; both have the same length.
    pub(crate) offset: u64,
    pub(crate) old: &'b [u8],
    pub(crate) new: &'b [u8],
}

/// Overwrites the old bytes with the new ones. Whatever happens meanwhile, the file has either the old or the new bytes
/// after [`recover`]. After an error it has the old ones, unless they could not be restored.
pub(crate) fn overwrite(path: &Path, file: &mut File, change: &Change<'_>) -> io::Result<()> {
    prepare(path, file, change)?;
    let written = critical(|| {
        let Err(error) = write_at(file, change.offset, change.new) else { return Ok(()) };
        match write_at(file, change.offset, change.old) {
            Ok(()) => Err((error, true)),
            Err(_) => Err((error, false)),
        }
    });
    match written {
        Ok(()) => {
            done(path);
            Ok(())
        }
        Err((error, true)) => {
            done(path);
            Err(error)
        }
        Err((error, false)) => {
            let undo = path_of(path);
            let what = "and the old header could not be restored; run `happy gguf check --recover` to restore it from";
            Err(io::Error::new(error.kind(), std::format!("{error}, {what} `{}`", undo.display())))
        }
    }
}

/// Makes the undo file. Its name must be on disk before anything is overwritten.
pub(crate) fn prepare(path: &Path, file: &File, change: &Change<'_>) -> io::Result<()> {
    let bytes = contents(file, change.header_len, change.offset, change.old, change.new)?;
    let undo = path_of(path);
    let mut pending = Pending::create(&undo)?;
    retried(|| fault::write_all(pending.file(), &bytes))?;
    pending.place()?;
    sync_folder(&undo).inspect_err(|_| done(path))
}

pub(crate) fn write_at(file: &mut File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let write = || {
        file.seek(SeekFrom::Start(offset))?;
        fault::write_all(file, bytes)
    };
    retried(write)?;
    sync_file(file)
}

/// Removes the undo file. If that fails, the undo file still says that the file is whole, and the next edit removes it.
fn done(path: &Path) {
    let undo = path_of(path);
    let remove = || {
        fault::at(Step::Remove)?;
        fs::remove_file(&undo)
    };
    let _ = retried(remove);
    let _ = sync_folder(&undo);
}

/// Restores the old bytes if a write was interrupted. Returns whether there was one. Removes an undo file that does not
/// belong to this file (any more).
pub(crate) fn recover(path: &Path, file: &mut File) -> io::Result<bool> {
    let Some(undo) = Undo::beside(path)? else { return Ok(false) };
    let torn = undo.state(file)? == State::Torn;
    if torn {
        critical(|| write_at(file, undo.offset, &undo.old))?;
    }
    done(path);
    Ok(torn)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::vec::Vec;

    use super::*;
    use crate::FileError;
    use crate::undo::refuse_torn;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(std::format!("happy-gguf-undo-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn open(path: &Path) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    /// Whether `refuse_torn` refuses the file.
    fn refused(path: &Path) -> bool {
        match refuse_torn(path, &open(path)) {
            Ok(()) => false,
            Err(FileError::Torn { .. }) => true,
            Err(error) => panic!("{error}"),
        }
    }

    const CHANGE: Change<'_> = Change { header_len: 8, offset: 3, old: b"3456", new: b"abcd" };

    /// A crash after each step, and with any subset of the bytes of the writing step, in either order on the disk.
    #[test]
    fn a_crash_loses_nothing() {
        let folder = folder("crash");
        let path = folder.join("m.gguf");
        for mask in 0..16u32 {
            fs::write(&path, b"0123456789").unwrap();
            prepare(&path, &open(&path), &CHANGE).unwrap();
            let byte = |i: usize| if mask >> i & 1 == 1 { CHANGE.new[i] } else { CHANGE.old[i] };
            write_at(&mut open(&path), 3, &(0..4).map(byte).collect::<Vec<_>>()).unwrap();
            // The machine crashes here.
            let torn = mask != 0 && mask != 15;
            assert_eq!(refused(&path), torn, "{mask}");
            assert_eq!(recover(&path, &mut open(&path)).unwrap(), torn);
            let expected = if mask == 15 { b"012abcd789" } else { b"0123456789" };
            assert_eq!(fs::read(&path).unwrap(), expected);
            assert!(!path_of(&path).exists());
            assert!(!recover(&path, &mut open(&path)).unwrap());
        }
        let mut file = open(&path);
        fs::write(&path, b"0123456789").unwrap();
        overwrite(&path, &mut file, &CHANGE).unwrap();
        assert!(!recover(&path, &mut file).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"012abcd789");
        fs::remove_dir_all(folder).unwrap();
    }

    /// An undo file is not applied to another model of the same length that took the name or the inode; that model can
    /// be read.
    #[test]
    fn an_undo_file_is_not_applied_to_another_file() {
        let folder = folder("other");
        let path = folder.join("m.gguf");
        let data = vec![7u8; 300_000];
        let model = |header: &[u8]| [header, &data[..]].concat();
        let mut others =
            Vec::from([model(b"012xyzw7"), model(b"0123456!"), model(b"!12abcd7"), model(b"!12ab567")]);
        for at in [8, 4000, 299_999] {
            // Change a byte in the samples of the data: elsewhere only the header can tell the files apart.
            let mut other = model(b"012ab567");
            other[at] ^= 1;
            others.push(other);
        }
        others.push(model(b"012ab567")[..200_000].to_vec());
        for (i, other) in others.iter().enumerate() {
            for by_rename in [false, true] {
                fs::write(&path, model(b"01234567")).unwrap();
                prepare(&path, &open(&path), &CHANGE).unwrap();
                let new = if by_rename { folder.join("new") } else { path.clone() };
                fs::write(&new, other).unwrap();
                fs::rename(&new, &path).unwrap();
                assert!(!refused(&path), "{i}");
                assert!(!recover(&path, &mut open(&path)).unwrap(), "{i}");
                assert_eq!(&fs::read(&path).unwrap(), other, "{i}");
            }
        }
        fs::remove_dir_all(folder).unwrap();
    }

    /// A truncated or changed undo file is refused, and nothing is written. It does not prevent reading.
    #[test]
    fn a_broken_undo_file_is_refused() {
        let folder = folder("broken");
        let path = folder.join("m.gguf");
        fs::write(&path, b"0123456789").unwrap();
        prepare(&path, &open(&path), &CHANGE).unwrap();
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
            assert!(!refused(&path));
        }
        assert_eq!(fs::read(&path).unwrap(), b"0123456789");
        fs::remove_dir_all(folder).unwrap();
    }
}
