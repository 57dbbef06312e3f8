//! Editing the metadata of a file on disk: in place if the new header fits, otherwise through a new file.

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
use crate::pending::{Pending, SyncSteps, is_at, retried, try_lock};
use crate::undo::{self, read_range};
use crate::write_error::{WriteError, WriteErrorKind, place_of};

/// How [`edit_file`] may change a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EditMode {
    /// Overwrites the header if the new one takes the same space including padding and the alignment does not change;
    /// otherwise behaves like [`EditMode::Rewrite`]. The tensor data is not copied. No process may have the file mapped
    /// meanwhile.
    #[default]
    InPlace,
    /// Writes a new file and moves it over the old one. Processes that have the old file open or mapped keep it.
    Rewrite,
}

/// How a file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    /// The metadata did not change; nothing was written.
    Unchanged,
    /// The header was overwritten.
    InPlace,
    /// A new file took the place of the old one.
    Rewritten,
}

/// Edits the metadata of a file. `change` receives the metadata and modifies it; if it returns an error, the file stays
/// as it is.
///
/// A crash loses nothing. A new file is written beside the old one, synced to disk, and moved. Before a header is
/// overwritten in place, the old one is saved to a file `.NAME.undo`, from which the next edit (or [`recover_file`])
/// restores it. The tensor data never changes; a new `general.alignment` moves it ([`GgufEdit::write_to`]).
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
/// If the file cannot be read or written, does not parse, or is being edited by another program, or if the new metadata
/// is not valid. The file then stays as it was.
pub fn edit_file<E: From<WriteError>>(
    path: impl AsRef<Path>,
    mode: EditMode,
    change: impl FnOnce(&mut GgufEdit<'_>) -> Result<(), E>,
) -> Result<Edited, E> {
    edit_file_with(path, mode, change, &|| false)
}

/// Like [`edit_file`], but can be cancelled: `cancelled` is called before each MiB of tensor data that is copied.
///
/// # Errors
/// The same as [`edit_file`], and if `cancelled` returns true.
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

/// Restores a header whose edit in place was interrupted. Returns whether there was one. [`edit_file`] does this by
/// itself.
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
/// If the file cannot be written, or the undo file is damaged.
pub fn recover_file(path: impl AsRef<Path>) -> Result<bool, WriteError> {
    let path = path.as_ref();
    if !undo::path_of(path).exists() {
        return Ok(false);
    }
    let mut file = open(path).map_err(|e| WriteError::io(place_of(path), e))?;
    recover(path, &mut file).map_err(|e| WriteError::io(place_of(path), e))
}

/// Opens a file for reading and writing, and locks out other editors. Without locks in the file system, no editor is
/// locked out.
fn open(path: &Path) -> io::Result<File> {
    /// 40 tries take a fifth of a second. By then an editor has finished with a header, and so has a process that
    /// inherited another's lock between fork and exec.
    const TRIES: u32 = 40;
    for _ in 0..TRIES {
        let file = File::options().read(true).write(true).open(path)?;
        match try_lock(&file) {
            // Another editor may have moved a new file here before we got the lock.
            Ok(_) if is_at(&file, path) => return Ok(file),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(5)),
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "the file is being edited by another program"))
}

/// Copies from an offset of one file up to its length, to the end of another file.
fn copy_range(
    file: &mut File,
    range: Range<u64>,
    out: &mut File,
    cancelled: &dyn Fn() -> bool,
) -> io::Result<()> {
    const STEP: u64 = 1 << 20;
    let start = out.stream_position()?;
    let len = range.end.saturating_sub(range.start);
    let mut steps = SyncSteps::default();
    loop {
        // If a signal interrupts the copy, part of it may be done; the position tells how much.
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
            Ok(copied) if copied == step => steps.wrote(out, step)?,
            Ok(_) => {
                let what = "it was truncated while it was copied";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Turns an I/O error into a write error, or into `Cancelled` if the caller cancelled.
fn ended(path: &Path, error: io::Error, cancelled: &dyn Fn() -> bool) -> WriteError {
    if error.kind() == io::ErrorKind::Other && cancelled() {
        return WriteError::cancelled(place_of(path));
    }
    WriteError::io(place_of(path), error)
}

/// Writes the new header and the data as a new file.
fn rewrite(
    path: &Path,
    file: &mut File,
    header: &[u8],
    data: impl FnOnce(&mut File, &mut File) -> io::Result<()>,
) -> io::Result<()> {
    let mut pending = Pending::create(path)?;
    // Starts over, so that what a signal interrupted is written again.
    let write = || {
        pending.file().rewind()?;
        fault::write_all(pending.file(), header)
    };
    retried(write)?;
    data(file, pending.file())?;
    pending.commit().map(drop)
}
