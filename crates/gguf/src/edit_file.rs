//! Editing the metadata of a file on disk: in place where the new header fits, else by a new file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::edit::{GgufEdit, difference};
use crate::fault::{self, Step};
use crate::header::{GgufHeader, HeaderError};
use crate::overwrite::{Change, overwrite, recover};
use crate::pending::{Pending, is_at, retried, try_lock};
use crate::undo::{self, read_range};
use crate::write_error::{WriteError, WriteErrorKind, place_of};

/// How [`edit_file`] may change a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EditMode {
    /// Overwrite the header where the new one takes as much room, padding included, and the alignment stays what it is;
    /// else as [`EditMode::Rewrite`]. The
    /// tensor data are not copied, and the file must not be mapped by anybody meanwhile.
    #[default]
    InPlace,
    /// Write a new file and move it over the old one: who has the old one open or mapped keeps it.
    Rewrite,
}

/// How a file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    /// The header is as it was; nothing was written.
    Unchanged,
    /// The header was overwritten.
    InPlace,
    /// A new file took the place of the old one.
    Rewritten,
}

/// Changes the metadata of a file. `change` gets the metadata and changes it; its error ends the edit.
///
/// A crash loses nothing: a new file is written beside the old one, brought to the disk and moved; before the header is
/// overwritten in place, the old one is saved to a file `.NAME.undo`, from which the next edit (or [`recover_file`]) puts it
/// back. The tensor data are never changed; another `general.alignment` moves them ([`GgufEdit::write_to`]).
///
/// ```
/// use happy_gguf::{EditMode, Edited, GgmlType, GgufFile, GgufWriter, edit_file};
/// # let dir = std::env::temp_dir().join(format!("happy-gguf-edit-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// # let path = dir.join("tiny.gguf");
/// GgufWriter::new().kv("general.name", "tiny").tensor("w", GgmlType::F32, &[2], vec![7; 8]).write_file(&path)?;
/// let done = edit_file(&path, EditMode::InPlace, |edit| {
///     edit.set("general.name", "tony");
///     Ok::<_, happy_gguf::WriteError>(())
/// })?;
/// assert_eq!(done, Edited::InPlace);
/// let done = edit_file(&path, EditMode::InPlace, |edit| {
///     edit.set("general.description", "a model that is too small for everything");
///     Ok::<_, happy_gguf::WriteError>(())
/// })?;
/// assert_eq!(done, Edited::Rewritten);
/// assert_eq!(GgufFile::read(&path).unwrap().view().metadata().get_str("general.name").unwrap(), "tony");
/// # std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
///
/// # Errors
/// When the file cannot be read or written, does not parse, is being edited by somebody else, or when the new metadata is
/// not valid. The file is as it was then.
pub fn edit_file<E: From<WriteError>>(
    path: impl AsRef<Path>,
    mode: EditMode,
    change: impl FnOnce(&mut GgufEdit<'_>) -> Result<(), E>,
) -> Result<Edited, E> {
    edit_file_with(path, mode, change, &|| false)
}

/// [`edit_file`], ended when `cancelled` says so: it is asked before each MiB of tensor data that is copied.
///
/// # Errors
/// As [`edit_file`], and when the work is cancelled.
pub fn edit_file_with<E: From<WriteError>>(
    path: impl AsRef<Path>,
    mode: EditMode,
    change: impl FnOnce(&mut GgufEdit<'_>) -> Result<(), E>,
    cancelled: &dyn Fn() -> bool,
) -> Result<Edited, E> {
    let path = path.as_ref();
    let place = |e| WriteError::io(place_of(path), e);
    let mut file = open(path).map_err(place)?;
    recover(path, &mut file).map_err(place)?;
    file.rewind().map_err(place)?;
    let header = GgufHeader::read(&mut file).map_err(|e| match e {
        HeaderError::Io(e) => place(e),
        HeaderError::Parse(e) => {
            WriteError::file(WriteErrorKind::InvalidFile, place_of(path), "a GGUF file", std::format!("{e}"))
        }
    })?;

    let view = header.view();
    let mut edit = GgufEdit::new(&view);
    change(&mut edit)?;
    let file_len = file.metadata().map_err(place)?.len();
    let data_start = view.data_offset().min(file_len);
    let old = read_range(&file, 0, data_start).map_err(place)?;
    let padding = old.get(header.bytes().len()..).unwrap_or_default();
    let (new, realigned) = edit.start(file_len, padding)?;

    if let Some(realigned) = realigned {
        let data = |file: &mut File, out: &mut File| {
            realigned.write(out, |range, out| copy_range(file, range, out, cancelled)).map(drop)
        };
        rewrite(path, &mut file, &new, data).map_err(|e| ended(path, e, cancelled))?;
        Ok(Edited::Rewritten)
    } else if new.len() == old.len() && mode == EditMode::InPlace {
        let Some((from, to)) = difference(&old, &new) else { return Ok(Edited::Unchanged) };
        let (old, new) = (old.get(from..to).unwrap_or_default(), new.get(from..to).unwrap_or_default());
        let change = Change { header_len: data_start, offset: from as u64, old, new };
        overwrite(path, &mut file, &change).map_err(place)?;
        Ok(Edited::InPlace)
    } else if new == old {
        Ok(Edited::Unchanged)
    } else {
        let data = |file: &mut File, out: &mut File| copy_range(file, data_start..file_len, out, cancelled);
        rewrite(path, &mut file, &new, data).map_err(|e| ended(path, e, cancelled))?;
        Ok(Edited::Rewritten)
    }
}

/// Puts a header back whose change in place was interrupted; whether there was one. [`edit_file`] does so by itself.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("happy-gguf-recover-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// let path = dir.join("tiny.gguf");
/// happy_gguf::GgufWriter::new().kv("general.name", "tiny").write_file(&path)?;
/// assert!(!happy_gguf::recover_file(&path)?); // nothing was interrupted
/// # std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
///
/// # Errors
/// When the file cannot be written, or what was saved is not of this file.
pub fn recover_file(path: impl AsRef<Path>) -> Result<bool, WriteError> {
    let path = path.as_ref();
    if !undo::path_of(path).exists() {
        return Ok(false);
    }
    let mut file = open(path).map_err(|e| WriteError::io(place_of(path), e))?;
    recover(path, &mut file).map_err(|e| WriteError::io(place_of(path), e))
}

/// For reading and writing, and for nobody else who edits. Where the file system has no locks, for everybody.
fn open(path: &Path) -> io::Result<File> {
    /// A fifth of a second: an editor of a header is done by then, and so is a process that holds the lock of another one
    /// between its fork and its exec.
    const TRIES: u32 = 40;
    for _ in 0..TRIES {
        let file = File::options().read(true).write(true).open(path)?;
        match try_lock(&file) {
            // Another editor may have put a new file in its place before we got the lock.
            Ok(_) if is_at(&file, path) => return Ok(file),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(5)),
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "it is being edited by another program"))
}

/// A range of one file, to the end of another.
fn copy_range(
    file: &mut File,
    range: Range<u64>,
    out: &mut File,
    cancelled: &dyn Fn() -> bool,
) -> io::Result<()> {
    const STEP: u64 = 1 << 20;
    let start = out.stream_position()?;
    let len = range.end.saturating_sub(range.start);
    loop {
        // Of a copy that a signal ends a part may be done; the position knows.
        let done = out.stream_position()?.saturating_sub(start);
        if done >= len {
            return Ok(());
        }
        if cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        file.seek(SeekFrom::Start(range.start.saturating_add(done)))?;
        let step = (len - done).min(STEP);
        match fault::at(Step::Copy).and_then(|()| io::copy(&mut file.take(step), out)) {
            Ok(copied) if copied == step => {}
            Ok(_) => {
                let what = "it was cut while it was copied";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// An error of writing, or that the caller ended it.
fn ended(path: &Path, error: io::Error, cancelled: &dyn Fn() -> bool) -> WriteError {
    if error.kind() == io::ErrorKind::Other && cancelled() {
        return WriteError::cancelled(place_of(path));
    }
    WriteError::io(place_of(path), error)
}

/// The new header and the data, as a new file.
fn rewrite(
    path: &Path,
    file: &mut File,
    header: &[u8],
    data: impl FnOnce(&mut File, &mut File) -> io::Result<()>,
) -> io::Result<()> {
    let mut pending = Pending::create(path)?;
    // From the start: what a signal cut off is written again.
    let write = || {
        pending.file().rewind()?;
        fault::write_all(pending.file(), header)
    };
    retried(write)?;
    data(file, pending.file())?;
    pending.commit().map(drop)
}
