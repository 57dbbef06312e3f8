//! Mapping a model's file: the engine's use of the unsafe constructors.
#![allow(unsafe_code)]

use happy_gguf::{FileError, FilePart, GgufFile, Limits};
use std::path::Path;

/// Maps a model's file.
///
/// A safe function, although the system can't keep other programs from writing to the file: what
/// [`Engine::open`](crate::Engine::open) documents is what every program that maps its data relies on, and
/// [`LoadOptions::mmap`](crate::LoadOptions::mmap) is there for files where it does not hold.
pub(crate) fn map(path: &Path) -> Result<GgufFile, FileError> {
    // SAFETY: the documented contract of `Engine::open`: nobody changes or truncates the file while it is mapped.
    unsafe { GgufFile::map(path) }
}

/// Maps the part of a file that is a model; as [`map`].
pub(crate) fn map_part(part: &FilePart<'_>) -> Result<GgufFile, FileError> {
    // SAFETY: the documented contract of `Engine::open`: nobody changes or truncates the file while it is mapped.
    unsafe { GgufFile::map_part(part, &Limits::default()) }
}
