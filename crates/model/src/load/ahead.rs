//! The parts of a model's files that a thread can read ahead, before a token needs them.

use std::ops::Range;

use happy_gguf::{GgufFile, GgufSetFile};

use crate::error::LoadError;
use crate::model::Model;
use crate::names::{self, Read};
use crate::reserve::reserved;

/// The matrices that every token reads, in the order in which a token reads them.
///
/// It owns references to the files, which so stay mapped while it lives.
#[derive(Debug)]
pub struct ReadAhead {
    ranges: Vec<(GgufFile, Range<u64>)>,
}

impl ReadAhead {
    /// Lists the matrices of the files that `model` was loaded from. Experts and tables, of which a token reads a part, are not among them.
    ///
    /// # Errors
    /// If memory could not be reserved.
    pub fn new(files: &GgufSetFile, model: &Model) -> Result<Self, LoadError> {
        let (gguf, spec) = (files.view(), model.spec());
        let mut found = reserved(gguf.tensors().count())?;
        let whole = gguf.tensors().filter(|(_, info)| names::read(info.name, &gguf, spec) == Read::Whole);
        found.extend(whole.map(|(part, info)| (names::layer(info.name, spec), part, info.range)));
        // What belongs to no layer comes last: it is the output matrix.
        found.sort_unstable_by_key(|(layer, part, range)| (layer.unwrap_or(usize::MAX), *part, range.start));
        let mut ranges = reserved(found.len())?;
        for (_, part, range) in found {
            let file = files.parts().nth(part).map(|(_, file)| file.clone());
            ranges.extend(file.map(|file| (file, range)));
        }
        Ok(Self { ranges })
    }

    /// Returns how many bytes there are to read.
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|(_, range)| range.end - range.start).sum()
    }

    /// Reads the matrices into memory, and returns how many bytes are there at the end. `go_on` is asked before every 2 MiB and ends the
    /// work with `false`. See [`GgufFile::read_ahead`] for the systems that can do it.
    pub fn run(&self, go_on: &mut dyn FnMut() -> bool) -> u64 {
        let mut done = 0;
        for (file, range) in &self.ranges {
            let read = file.read_ahead(range.clone(), go_on);
            done += read;
            if read < range.end - range.start {
                break;
            }
        }
        done
    }
}
