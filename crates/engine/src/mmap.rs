//! Mapping a model's files: the engine's use of the unsafe constructors.
//!
//! These are safe functions, although the system can't keep other programs from writing to a file: what
//! [`Engine::open`](crate::Engine::open) documents is what every program that maps its data relies on, and
//! [`LoadOptions::mmap`](crate::LoadOptions::mmap) is there for files for which it does not hold.
#![allow(unsafe_code)]

use happy_gguf::{FileError, FilePart, GgufFile, GgufSetFile, Limits};
use std::path::Path;

/// Maps a model: a file, or all parts of a split one.
pub(crate) fn map_set(path: &Path) -> Result<GgufSetFile, FileError> {
    // SAFETY: the documented contract of `Engine::open`, for each part.
    unsafe { GgufSetFile::map(path) }
}

/// Maps a part of an open file that is a model, or a part of a split one.
pub(crate) fn map_part(part: &FilePart<'_>) -> Result<GgufFile, FileError> {
    // SAFETY: the documented contract of `Engine::open`: nobody changes or truncates the file while it is mapped.
    unsafe { GgufFile::map_part(part, &Limits::default()) }
}
