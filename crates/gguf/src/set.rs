//! A model that is split over several files, read as one.
//!
//! ```text
//! prefix-00001-of-00003.gguf   all metadata, split.no = 0, split.count = 3, split.tensors.count; the first tensors
//! prefix-00002-of-00003.gguf   split.no = 1, split.count = 3, ...; more tensors
//! ```
//! Each file has its own alignment and data offset. A file without `split.count`, or with a `split.count` of 0 or 1, is
//! a set of one.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::error::printable;
use crate::gguf::Gguf;
use crate::metadata::Metadata;
use crate::split_name::SplitName;
use crate::tensor_info::TensorInfo;
use crate::value::Value;

/// The number of this part, from 0 (a `u16`).
pub(crate) const SPLIT_NO: &str = "split.no";
/// The number of parts (a `u16`).
pub(crate) const SPLIT_COUNT: &str = "split.count";
/// The number of tensors in all parts together (an `i32`).
pub(crate) const SPLIT_TENSORS: &str = "split.tensors.count";

/// What is wrong with a set of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SetErrorKind {
    /// One or more parts are missing.
    MissingPart,
    /// A file is not the part of this model that it should be.
    ForeignPart,
    /// Two parts have a tensor with the same name.
    DuplicateTensor,
    /// The parts have more or fewer tensors than `split.tensors.count` says.
    WrongTensorCount,
    /// Two files of the folder both claim to be the same part.
    AmbiguousPart,
    /// The memory for the index could not be reserved.
    OutOfMemory,
}

/// Why files do not form one model. Names the part.
///
/// ```
/// use happy_gguf::{GgmlType, Gguf, GgufSet, GgufWriter, SplitBy};
/// let tensor = |w: GgufWriter<'static>, name: &str| w.tensor(name, GgmlType::F32, &[2], vec![7; 8]);
/// let file = tensor(tensor(GgufWriter::new(), "a"), "b").to_vec()?;
/// let whole = GgufSet::from(Gguf::parse(&file).unwrap());
/// let first = GgufWriter::split(&whole, SplitBy::Tensors(1))?[0].to_vec()?;
/// let error = GgufSet::new([("first.gguf", Gguf::parse(&first).unwrap())]).unwrap_err();
/// assert_eq!(error.part(), "part 2"); // which is missing
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: `{part}`: expected {expected}, found {found}", what = self.kind.text())]
pub struct SetError {
    kind: SetErrorKind,
    part: String,
    expected: String,
    found: String,
}

impl SetErrorKind {
    fn text(self) -> &'static str {
        match self {
            Self::MissingPart => "missing part of a split model",
            Self::ForeignPart => "not a part of this split model",
            Self::DuplicateTensor => "duplicate tensor in a split model",
            Self::WrongTensorCount => "wrong number of tensors in a split model",
            Self::AmbiguousPart => "ambiguous part of a split model",
            Self::OutOfMemory => "no memory for a split model",
        }
    }
}

impl SetError {
    pub(crate) fn new(
        kind: SetErrorKind,
        part: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { kind, part: part.to_string(), expected: expected.into(), found: found.into() }
    }

    /// Returns what is wrong with the set.
    pub fn kind(&self) -> SetErrorKind {
        self.kind
    }

    /// Returns the file at fault. If several parts are missing, all of them.
    pub fn part(&self) -> &str {
        &self.part
    }

    /// An error for the parts `missing` from a set whose files are described by `found`.
    pub(crate) fn missing(
        first: &str,
        missing: impl Iterator<Item = u64> + Clone,
        count: u64,
        found: &str,
    ) -> Self {
        const SHOWN: usize = 5;
        let name = |no: u64| {
            let split = SplitName::parse(first).and_then(|s| s.with_no(u32::try_from(no).ok()? + 1));
            split.map_or_else(|| format!("part {}", no + 1), |s| s.to_string())
        };
        let mut names: Vec<String> = missing.clone().take(SHOWN).map(name).collect();
        let more = missing.skip(SHOWN).count();
        if more > 0 {
            names.push(format!("{more} more"));
        }
        let kind = SetErrorKind::MissingPart;
        Self::new(kind, &names.join("`, `"), format!("all {count} parts"), found)
    }
}

/// The part and tensor number of each name, in name order. `None` for a single part, which has an index of its own.
pub(crate) type ByName = Option<Arc<Vec<(u32, u32)>>>;

/// The files of one model, checked against each other.
///
/// ```
/// use happy_gguf::{GgmlType, Gguf, GgufSet, GgufWriter, SetErrorKind, SplitBy};
/// let whole = GgufWriter::new()
///     .kv("general.architecture", "llama")
///     .tensor("a", GgmlType::F32, &[8], vec![1; 32])
///     .tensor("b", GgmlType::F32, &[8], vec![2; 32])
///     .to_vec()?;
/// let parts = GgufWriter::split(&GgufSet::from(Gguf::parse(&whole).unwrap()), SplitBy::Tensors(1))?;
/// let files = parts.iter().map(GgufWriter::to_vec).collect::<Result<Vec<_>, _>>()?;
///
/// let parsed = files.iter().enumerate().map(|(i, file)| (format!("part {i}"), Gguf::parse(file).unwrap()));
/// let set = GgufSet::new(parsed.clone()).unwrap();
/// assert_eq!((set.parts().len(), set.tensor("b").unwrap().0, set.data("b").unwrap()), (2, 1, &[2; 32][..]));
/// assert_eq!(GgufWriter::merge(&set).to_vec()?, whole);
///
/// let error = GgufSet::new(parsed.take(1)).unwrap_err();
/// assert_eq!((error.kind(), error.part()), (SetErrorKind::MissingPart, "part 2"));
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GgufSet<'a> {
    parts: Vec<(String, Gguf<'a>)>,
    by_name: ByName,
}

impl<'a> GgufSet<'a> {
    /// Makes a set of files, given in part order with the names to use in messages.
    ///
    /// # Errors
    /// If a part is missing or foreign, a tensor occurs twice, or tensors are missing.
    pub fn new<N: Into<String>>(parts: impl IntoIterator<Item = (N, Gguf<'a>)>) -> Result<Self, SetError> {
        let parts: Vec<_> = parts.into_iter().map(|(name, gguf)| (name.into(), gguf)).collect();
        let by_name = check(&parts)?;
        Ok(Self { parts, by_name })
    }

    /// A set of the files that an earlier [`GgufSet::new`] checked.
    #[cfg(feature = "std")]
    pub(crate) fn from_checked(parts: Vec<(String, Gguf<'a>)>, by_name: ByName) -> Self {
        Self { parts, by_name }
    }

    #[cfg(feature = "std")]
    pub(crate) fn by_name(&self) -> &ByName {
        &self.by_name
    }

    /// Returns the files with their names, in part order.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = (&str, &Gguf<'a>)> + DoubleEndedIterator {
        self.parts.iter().map(|(name, gguf)| (&**name, gguf))
    }

    /// Returns the metadata of the model, which the first part holds.
    ///
    /// # Panics
    /// Never: every set has a first part.
    pub fn metadata(&self) -> &Metadata<'a> {
        self.first().metadata()
    }

    /// Returns the first part.
    pub fn first(&self) -> &Gguf<'a> {
        // No constructor makes a set without parts.
        &self.parts[0].1
    }

    /// Returns the tensors of all parts, each with the number of its part, from 0.
    pub fn tensors(&self) -> impl Iterator<Item = (usize, TensorInfo<'a>)> + '_ {
        self.parts.iter().enumerate().flat_map(|(i, (_, gguf))| gguf.tensors().map(move |t| (i, t)))
    }

    /// Returns the tensor named `name` and the number of its part, from 0; `None` if there is no such tensor.
    pub fn tensor(&self, name: &str) -> Option<(usize, TensorInfo<'a>)> {
        let Some(by_name) = &self.by_name else { return Some((0, self.first().tensor(name)?)) };
        let at = by_name.binary_search_by(|place| self.name(*place).as_bytes().cmp(name.as_bytes())).ok()?;
        let (part, tensor) = *by_name.get(at)?;
        Some((part as usize, self.parts.get(part as usize)?.1.nth_tensor(tensor as usize)?))
    }

    /// Returns the tensors in byte order of their names, each with the number of its part.
    pub fn tensors_by_name(&self) -> impl Iterator<Item = (usize, TensorInfo<'a>)> + '_ {
        let first = &self.first().index().by_name;
        let len = self.by_name.as_ref().map_or(first.len(), |places| places.len());
        (0..len).filter_map(move |i| {
            let (part, tensor) = match &self.by_name {
                None => (0, *first.get(i)?),
                Some(places) => *places.get(i)?,
            };
            Some((part as usize, self.parts.get(part as usize)?.1.nth_tensor(tensor as usize)?))
        })
    }

    /// Returns the bytes of the tensor named `name`. `None` if there is no such tensor, or only the headers were read.
    pub fn data(&self, name: &str) -> Option<&'a [u8]> {
        let (part, tensor) = self.tensor(name)?;
        self.parts.get(part)?.1.data(&tensor)
    }

    fn name(&self, place: (u32, u32)) -> &'a str {
        name_of(&self.parts, place)
    }
}

/// A set of one file, whatever the file says about other parts: for reading one part alone.
impl<'a> From<Gguf<'a>> for GgufSet<'a> {
    fn from(gguf: Gguf<'a>) -> Self {
        Self { parts: alloc::vec![(String::new(), gguf)], by_name: None }
    }
}

fn name_of<'a>(parts: &[(String, Gguf<'a>)], (part, tensor): (u32, u32)) -> &'a str {
    let tensor = parts.get(part as usize).and_then(|(_, gguf)| gguf.nth_tensor(tensor as usize));
    tensor.map_or("", |t| t.name)
}

fn check(parts: &[(String, Gguf<'_>)]) -> Result<ByName, SetError> {
    let Some((first_name, first)) = parts.first() else {
        return Err(SetError::missing("", 0..1, 1, "none"));
    };
    let count =
        integer(first, SPLIT_COUNT).map_err(|found| foreign(first_name, "the number of parts", found))?;
    let count = count.unwrap_or(1).max(1);
    if count > u64::from(u16::MAX) {
        return Err(foreign(
            first_name,
            format!("at most {} as `{SPLIT_COUNT}`", u16::MAX),
            count.to_string(),
        ));
    }
    if let ([(name, gguf)], true) = (parts, count > 1)
        && let Ok(Some(no)) = integer(gguf, SPLIT_NO)
        && no < count
    {
        let missing = (0..count).filter(|i| *i != no);
        return Err(SetError::missing(name, missing, count, &format!("part {} alone", no + 1)));
    }
    for (i, (name, gguf)) in parts.iter().enumerate() {
        if i > 0 || count > 1 {
            check_part(name, gguf, i as u64, count, first)?;
        }
    }
    if (parts.len() as u64) < count {
        let missing = parts.len() as u64..count;
        return Err(SetError::missing(first_name, missing, count, &format!("{}", parts.len())));
    }

    if let Some((name, _)) = parts.get(usize::try_from(count).unwrap_or(usize::MAX)) {
        return Err(foreign(name, format!("{count} parts"), format!("{}", parts.len())));
    }

    if count == 1 {
        return Ok(None);
    }
    let n = parts.iter().map(|(_, gguf)| gguf.tensors().len()).sum::<usize>();
    let places = parts
        .iter()
        .zip(0u32..)
        .flat_map(|((_, gguf), part)| (0..gguf.tensors().len() as u32).map(move |tensor| (part, tensor)));
    let mut by_name: Vec<(u32, u32)> = Vec::new();
    by_name.try_reserve_exact(n).map_err(|_| {
        SetError::new(SetErrorKind::OutOfMemory, first_name, format!("memory for {n} tensors"), "none")
    })?;
    by_name.extend(places);
    by_name.sort_unstable_by_key(|place| name_of(parts, *place));
    for pair in by_name.windows(2) {
        if let [a, b] = *pair
            && name_of(parts, a) == name_of(parts, b)
        {
            let part = |place: (u32, u32)| parts.get(place.0 as usize).map_or("", |(name, _)| name);
            let expected = format!("tensor `{}` once", printable(name_of(parts, a).as_bytes()));
            let found = format!("it in `{}` too", part(a.min(b)));
            return Err(SetError::new(SetErrorKind::DuplicateTensor, part(a.max(b)), expected, found));
        }
    }
    if let Ok(Some(expected)) = integer(first, SPLIT_TENSORS)
        && expected != n as u64
    {
        let (expected, found) = (format!("{expected} tensors in all parts"), format!("{n}"));
        return Err(SetError::new(SetErrorKind::WrongTensorCount, first_name, expected, found));
    }
    Ok(Some(Arc::new(by_name)))
}

fn foreign(part: &str, expected: impl Into<String>, found: impl Into<String>) -> SetError {
    SetError::new(SetErrorKind::ForeignPart, part, expected, found)
}

/// Checks that a file says that it is part `no` of `count`, and that it does not contradict the first part.
fn check_part(name: &str, gguf: &Gguf<'_>, no: u64, count: u64, first: &Gguf<'_>) -> Result<(), SetError> {
    let total = integer(first, SPLIT_TENSORS).ok().flatten();
    for (key, wanted) in [(SPLIT_COUNT, Some(count)), (SPLIT_NO, Some(no)), (SPLIT_TENSORS, total)] {
        let found = match integer(gguf, key) {
            Ok(found) if found == wanted => continue,
            Ok(None) => "nothing".to_string(),
            Ok(Some(found)) => found.to_string(),
            Err(found) => found,
        };
        let wanted = wanted.map_or_else(|| "nothing".to_string(), |n| n.to_string());
        return Err(foreign(name, format!("{wanted} as `{key}`"), found));
    }
    if gguf.byte_order() != first.byte_order() {
        let (wanted, found) = (first.byte_order().to_string(), gguf.byte_order().to_string());
        return Err(foreign(name, wanted, found));
    }
    let architecture = |g: &Gguf<'_>| g.metadata().get("general.architecture").map(|v| v.describe());
    if let (Some(wanted), Some(found)) = (architecture(first), architecture(gguf))
        && wanted != found
    {
        return Err(foreign(name, format!("{wanted} as `general.architecture`"), found));
    }
    Ok(())
}

/// A non-negative integer of any type, or `None` if the key is missing. The error describes any other value.
pub(crate) fn integer(gguf: &Gguf<'_>, key: &str) -> Result<Option<u64>, String> {
    let Some(value) = gguf.metadata().get(key) else { return Ok(None) };
    let integer = value.as_integer().and_then(|v| u64::try_from(v).ok());
    integer.map(Some).ok_or_else(|| Value::describe(&value))
}

impl fmt::Display for GgufSet<'_> {
    /// Writes the names of the parts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, _)) in self.parts.iter().enumerate() {
            write!(f, "{}{name}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}
