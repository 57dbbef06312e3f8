//! Where a model's bytes come from: a path, or a part of an open file.

use crate::EngineError;
use happy_gguf::{FilePart, GgufFile, Limits};
use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;

/// A model's file.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Source<'a> {
    /// A file by its path.
    Path(&'a Path),
    /// A part of an open file, like an asset of an Android package; it may begin at any offset. The file's position
    /// does not matter and stays as it is.
    Part {
        /// The file.
        file: &'a File,
        /// What errors call it.
        name: &'a str,
        /// Bytes before the model.
        offset: u64,
        /// Bytes of the model; `None`: to the end of the file.
        len: Option<u64>,
    },
}

/// Of the time for a file that is read, the share that reading takes; of one that is mapped.
const READING: f32 = 0.9;
const MAPPING: f32 = 0.1;

/// Hears a share of the work, and may refuse to go on.
type Tick<'a> = dyn FnMut(f32) -> Result<(), EngineError> + 'a;

impl Source<'_> {
    /// What errors call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Source::Path(path) => path.display().to_string(),
            Source::Part { name, .. } => (*name).to_owned(),
        }
    }

    /// The share of the work that getting the bytes is, and progress with breaks as errors.
    pub(crate) fn shares<'p>(
        &self,
        mmap: bool,
        progress: &'p mut dyn FnMut(f32) -> ControlFlow<()>,
    ) -> (f32, Box<Tick<'p>>) {
        let tick = move |share| match progress(share) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(EngineError::Cancelled),
        };
        (if mmap { MAPPING } else { READING }, Box::new(tick))
    }

    /// Maps or reads the file, and parses it.
    pub(crate) fn read(&self, mmap: bool, tick: &mut Tick<'_>) -> Result<GgufFile, EngineError> {
        let file = match *self {
            Source::Path(path) if mmap => crate::mmap::map(path)?,
            Source::Path(path) => read_path(path, tick)?,
            Source::Part { file, name, offset, len } => {
                let part = FilePart::new(file, name, offset, len)?;
                if mmap { crate::mmap::map_part(&part)? } else { read_part(&part, tick)? }
            }
        };
        tick(1.0)?;
        Ok(file)
    }
}

/// Reads a file with progress, where it has a length.
fn read_path(path: &Path, tick: &mut Tick<'_>) -> Result<GgufFile, EngineError> {
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) if file.metadata().is_ok_and(|m| m.is_file() && m.len() > 0) => {
            read_part(&FilePart::new(&file, &name, 0, None)?, tick)
        }
        // Pipes can be read too; what cannot be opened gives its error here.
        _ => Ok(GgufFile::read(path)?),
    }
}

fn read_part(part: &FilePart<'_>, tick: &mut Tick<'_>) -> Result<GgufFile, EngineError> {
    let mut broken = None;
    let file = GgufFile::read_part(part, &Limits::default(), &mut |share| match tick(share) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            broken = Some(error);
            ControlFlow::Break(())
        }
    })?;
    file.ok_or_else(|| broken.unwrap_or(EngineError::Cancelled))
}
