//! Where a model's bytes come from: a path, or parts of open files.
//!
//! ```text
//! open   maps the files, which costs no memory, or reads their headers alone
//! plan   from the headers
//! read   what was not mapped, once the plan is within the budget
//! ```

use crate::plan::Weights;
use crate::{EngineError, LoadOptions, mmap};
use happy_gguf::{FileError, FilePart, GgufFile, GgufHeader, GgufSetFile, Limits};
use std::ops::ControlFlow;
use std::path::Path;

/// A model's file, or the files of a split model.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Source<'a> {
    /// A file by its path; of a split model any part, next to the others.
    Path(&'a Path),
    /// Parts of open files, such as assets of an Android package, which may begin at any offset: one part, or those of a
    /// split model in any order. The files' positions do not matter and stay as they are.
    Parts(&'a [FilePart<'a>]),
}

/// Of the time for a file that is read, the share that reading takes; of one that is mapped.
const READING: f32 = 0.9;
const MAPPING: f32 = 0.1;

/// Hears a share of the work, and may refuse to go on.
pub(crate) type Tick<'a> = dyn FnMut(f32) -> Result<(), EngineError> + 'a;

/// A model whose header is there.
pub(crate) struct Opened {
    /// All of the files if they are mapped (or were a pipe), else their headers alone.
    pub(crate) files: GgufSetFile,
    /// Whether more is to be read.
    pub(crate) headers_only: bool,
    pub(crate) weights: Weights,
}

impl Opened {
    /// Files that are there as a whole.
    pub(crate) fn whole(files: GgufSetFile, copied: bool) -> Self {
        let bytes = files.parts().map(|(_, file)| file.bytes().len() as u64).fold(0, u64::saturating_add);
        Self { files, headers_only: false, weights: Weights { bytes, copied } }
    }

    /// The share of the work that getting the bytes is.
    pub(crate) fn share(&self) -> f32 {
        if self.weights.copied { READING } else { MAPPING }
    }
}

impl Source<'_> {
    /// What errors call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Source::Path(path) => path.display().to_string(),
            Source::Parts(parts) => parts.first().map_or_else(String::new, |part| part.name().to_owned()),
        }
    }

    /// Maps the files, or reads them if [`LoadOptions::mmap`] is off or the system cannot map them.
    ///
    /// # Errors
    /// If one cannot be read or is not a GGUF file, or a part is missing; the error names it.
    pub fn files(&self, options: &LoadOptions) -> Result<GgufSetFile, EngineError> {
        let opened = self.open(options.mmap)?;
        if opened.headers_only { self.read(&mut |_| Ok(())) } else { Ok(opened.files) }
    }

    /// Maps the files if that is wanted and the system can, else reads their headers.
    pub(crate) fn open(&self, mmap: bool) -> Result<Opened, EngineError> {
        if mmap {
            match self.map() {
                // Some file systems map nothing: these files are read, and the plan says so.
                Err(FileError::Map { .. }) => {}
                files => return Ok(Opened::whole(files?, false)),
            }
        }
        let limits = Limits::default();
        let (files, bytes) = match *self {
            // A pipe can be read once, and has neither a length nor other parts.
            Source::Path(path) if path.exists() && !path.is_file() && !path.is_dir() => {
                let file = GgufFile::read(path)?;
                return Ok(Opened::whole(GgufSetFile::from_parts([(path, file)])?, true));
            }
            Source::Path(path) => {
                let files = GgufSetFile::headers(path, &limits)?;
                let lengths = files.paths().map(|path| path.metadata().map_or(0, |m| m.len()));
                let bytes = lengths.fold(0, u64::saturating_add);
                (files, bytes)
            }
            Source::Parts(parts) => {
                (set(parts, |part| GgufHeader::read_part(part, &limits).map(GgufFile::from))?, len_of(parts))
            }
        };
        Ok(Opened { files, headers_only: true, weights: Weights { bytes, copied: true } })
    }

    /// Reads the files into memory.
    pub(crate) fn read(&self, tick: &mut Tick<'_>) -> Result<GgufSetFile, EngineError> {
        let limits = Limits::default();
        let mut go_on = |share| match tick(share) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        let parts = match *self {
            Source::Path(path) => return Ok(GgufSetFile::read_with(path, &limits, &mut go_on)?),
            Source::Parts(parts) => parts,
        };
        let total = len_of(parts).max(1) as f64;
        let mut done = 0;
        set(parts, |part| {
            let read = GgufFile::read_part(part, &limits, &mut |share| {
                go_on(((done as f64 + f64::from(share) * part.len() as f64) / total) as f32)
            })?;
            done += part.len();
            read.ok_or(EngineError::Cancelled)
        })
    }

    fn map(&self) -> Result<GgufSetFile, FileError> {
        match *self {
            Source::Path(path) => mmap::map_set(path),
            Source::Parts(parts) => set(parts, mmap::map_part),
        }
    }
}

/// Opens parts and puts them together.
fn set<E: From<FileError>>(
    parts: &[FilePart<'_>],
    mut open: impl FnMut(&FilePart<'_>) -> Result<GgufFile, E>,
) -> Result<GgufSetFile, E> {
    let mut files = Vec::new();
    for part in parts {
        files.push((part.name(), open(part)?));
    }
    Ok(GgufSetFile::from_parts(files)?)
}

/// Bytes of parts.
fn len_of(parts: &[FilePart<'_>]) -> u64 {
    parts.iter().map(FilePart::len).fold(0, u64::saturating_add)
}
