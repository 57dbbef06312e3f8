//! Finds the other parts of a split model: by the name of one of them, or else by the contents of its folder.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::string::ToString;
use std::vec::Vec;

use crate::gguf::Gguf;
use crate::header::GgufHeader;
use crate::limits::Limits;
use crate::set::{SPLIT_COUNT, SPLIT_NO, SPLIT_TENSORS, SetError, SetErrorKind, integer};
use crate::split_name::SplitName;

/// The maximum number of files of a folder to look into.
const MAX_CANDIDATES: usize = 1024;

/// The paths of all parts of the model that `path` belongs to, in part order, and the index of `path` among them.
///
/// If the name and the metadata of a file disagree, the metadata counts. A part that the naming convention does not
/// find is looked for among the `.gguf` files of the folder.
pub(crate) fn parts_of(path: &Path, gguf: &Gguf<'_>) -> Result<(Vec<PathBuf>, usize), SetError> {
    let name = path.file_name().unwrap_or_default();
    let name_shown = crate::file::shown(Path::new(name));
    let field = |key| {
        integer(gguf, key).map_err(|found| {
            SetError::new(SetErrorKind::ForeignPart, &name_shown, std::format!("a number as `{key}`"), found)
        })
    };
    let count = field(SPLIT_COUNT)?.unwrap_or(1).max(1);
    if count == 1 {
        return Ok((Vec::from([path.to_path_buf()]), 0));
    }
    let no = field(SPLIT_NO)?.filter(|no| *no < count && count <= u64::from(u16::MAX));
    let Some(no) = no else {
        let expected = std::format!("a number below `{SPLIT_COUNT}` (at most {}) as `{SPLIT_NO}`", u16::MAX);
        let found =
            field(SPLIT_NO)?.map_or_else(|| "nothing".to_string(), |no| std::format!("{no} of {count}"));
        return Err(SetError::new(SetErrorKind::ForeignPart, &name_shown, expected, found));
    };

    let by_name = split_os(name).filter(|(_, n, of)| (u64::from(*n), u64::from(*of)) == (no + 1, count));
    let no_memory = || {
        let expected = std::format!("memory for {count} paths");
        SetError::new(SetErrorKind::OutOfMemory, &name_shown, expected, "none")
    };
    let mut found: Vec<Option<PathBuf>> = Vec::new();
    found.try_reserve_exact(count as usize).map_err(|_| no_memory())?;
    for i in 0..count {
        let there = by_name.as_ref().map(|(prefix, ..)| path.with_file_name(os_name(prefix, i + 1, count)));
        found.push(there.filter(|there| i == no || there.exists()));
    }
    let given = no as usize;
    if let Some(place) = found.get_mut(given) {
        *place = Some(path.to_path_buf());
    }
    if found.iter().any(Option::is_none) {
        search(path, count, gguf, &mut found)?;
    }
    let missing = || found.iter().zip(0u64..).filter(|(path, _)| path.is_none()).map(|(_, i)| i);
    let n = missing().count() as u64;
    if n > 0 {
        return Err(SetError::missing(&name_shown, missing(), count, &std::format!("{}", count - n)));
    }
    let mut paths = Vec::new();
    paths.try_reserve_exact(found.len()).map_err(|_| no_memory())?;
    paths.extend(found.into_iter().flatten());
    Ok((paths, given))
}

/// Searches the folder for the parts that are not found yet.
fn search(path: &Path, count: u64, gguf: &Gguf<'_>, found: &mut [Option<PathBuf>]) -> Result<(), SetError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let is_gguf = |name: &OsStr| Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    let names = entries.flatten().map(|entry| entry.file_name()).filter(|name| is_gguf(name));
    let mut names: Vec<OsString> = names.take(MAX_CANDIDATES).collect();
    names.sort_unstable();
    let wanted = (Some(count), integer(gguf, SPLIT_TENSORS).ok().flatten());
    let is_found = |(i, path): (usize, &Option<PathBuf>)| path.is_some().then_some(i);
    // An incomplete set has only a few parts that were found by name.
    let by_name: BTreeSet<usize> = found.iter().enumerate().filter_map(is_found).collect();
    for name in names {
        let candidate = path.with_file_name(&name);
        if found.iter().flatten().any(|path| *path == candidate) || !candidate.is_file() {
            continue;
        }
        let Ok(header) = GgufHeader::open(&candidate, &Limits::default()) else { continue };
        let view = header.view();
        let field = |key| integer(&view, key).ok().flatten();
        let no = field(SPLIT_NO).and_then(|no| usize::try_from(no).ok()).unwrap_or(usize::MAX);
        if (field(SPLIT_COUNT), field(SPLIT_TENSORS)) != wanted || by_name.contains(&no) {
            continue;
        }
        let Some(place) = found.get_mut(no) else { continue };
        if let Some(other) = place {
            let (a, b) = (crate::file::shown(other), crate::file::shown(&candidate));
            let part = std::format!("part {} of {count}", no + 1);
            let found = std::format!("`{a}` and `{b}`");
            return Err(SetError::new(SetErrorKind::AmbiguousPart, &part, "one file", found));
        }
        *place = Some(candidate);
    }
    Ok(())
}

/// The prefix, number and count of a part's file name, which need not be UTF-8.
fn split_os(name: &OsStr) -> Option<(OsString, u32, u32)> {
    if let Some(name) = name.to_str() {
        let name = SplitName::parse(name)?;
        return Some((name.prefix().into(), name.no(), name.count()));
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        const TAIL: usize = "-00001-of-00003.gguf".len();
        let bytes = name.as_bytes();
        let (prefix, tail) = bytes.split_at_checked(bytes.len().checked_sub(TAIL)?)?;
        let tail = SplitName::parse(core::str::from_utf8(tail).ok()?)?;
        Some((OsStr::from_bytes(prefix).into(), tail.no(), tail.count()))
    }
    #[cfg(not(unix))]
    None
}

/// The file name of part `no` (from 1) of `count`.
pub(crate) fn os_name(prefix: &OsStr, no: u64, count: u64) -> OsString {
    let mut name = prefix.to_os_string();
    name.push(std::format!("-{no:05}-of-{count:05}.gguf"));
    name
}
