//! A split model on disk: the parts are found by the name of the first one.

use std::path::Path;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;

use crate::file::{FileError, GgufFile};
use crate::limits::Limits;
use crate::set::{GgufSet, SPLIT_COUNT, SetError, SetErrorKind};
use crate::split_name::SplitName;

/// A model of one file or of several, with their bytes. Cheap to clone, and without a lifetime.
///
/// ```
/// use happy_gguf::{GgmlType, GgufSetFile, GgufWriter, SplitBy};
/// # let dir = std::env::temp_dir().join(format!("happy-gguf-set-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// let writer = GgufWriter::new()
///     .tensor("a", GgmlType::F32, &[2], vec![1; 8])
///     .tensor("b", GgmlType::F32, &[2], vec![2; 8]);
/// let whole = writer.to_vec()?;
/// let set = happy_gguf::Gguf::parse(&whole)?.into();
/// GgufWriter::write_split(&set, SplitBy::Tensors(1), dir.join("tiny"))?;
///
/// let model = GgufSetFile::read(dir.join("tiny-00001-of-00002.gguf"))?;
/// assert_eq!(model.view().data("b"), Some(&[2; 8][..]));
/// std::fs::remove_file(dir.join("tiny-00002-of-00002.gguf"))?;
/// let error = GgufSetFile::read(dir.join("tiny-00001-of-00002.gguf")).unwrap_err();
/// assert!(error.to_string().contains("tiny-00002-of-00002.gguf"));
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct GgufSetFile {
    parts: Vec<(String, GgufFile)>,
    by_name: Arc<[(u32, u32)]>,
}

impl GgufSetFile {
    /// Reads a model into memory: the file, and when it is the first part of a split model all others.
    ///
    /// # Errors
    /// When a file cannot be read or does not parse, or the parts do not make one model.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, FileError> {
        Self::read_with(path, &Limits::default())
    }

    /// [`GgufSetFile::read`] with limits of one's own, for each part.
    ///
    /// # Errors
    /// As [`GgufSetFile::read`].
    pub fn read_with(path: impl AsRef<Path>, limits: &Limits) -> Result<Self, FileError> {
        Self::open(path.as_ref(), |path| GgufFile::read_with(path, limits))
    }

    /// Opens a model, each file by `open`: for who opens files in a way of their own.
    ///
    /// # Errors
    /// What `open` gives, and when the parts do not make one model.
    pub fn open<E: From<FileError>>(
        path: &Path,
        mut open: impl FnMut(&Path) -> Result<GgufFile, E>,
    ) -> Result<Self, E> {
        let first = open(path)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let others = other_parts(&name, &first, path.parent()).map_err(|e| FileError::set(path, e))?;
        let mut parts = Vec::new();
        parts.push((name, first));
        for name in others {
            let file = open(&path.with_file_name(&name))?;
            parts.push((name, file));
        }
        let views = parts.iter().map(|(name, file)| (name.clone(), file.view()));
        let by_name = Arc::clone(GgufSet::new(views).map_err(|e| FileError::set(path, e))?.by_name());
        Ok(Self { parts, by_name })
    }

    /// The parsed view. Nothing is parsed or checked again.
    pub fn view(&self) -> GgufSet<'_> {
        let views = self.parts.iter().map(|(name, file)| (name.clone(), file.view())).collect();
        GgufSet::from_checked(views, Arc::clone(&self.by_name))
    }

    /// The files with their names.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = (&str, &GgufFile)> {
        self.parts.iter().map(|(name, file)| (&**name, file))
    }
}

/// The names of all parts but the first, which must all be there.
fn other_parts(name: &str, first: &GgufFile, folder: Option<&Path>) -> Result<Vec<String>, SetError> {
    let view = first.view();
    let count = view.metadata().optional::<u64>(SPLIT_COUNT);
    let count = match count {
        Ok(count) => count.unwrap_or(1),
        Err(e) => return Err(SetError::new(SetErrorKind::ForeignPart, name, e.expected(), e.found())),
    };
    if count <= 1 {
        return Ok(Vec::new());
    }
    let Some(split) = SplitName::parse(name).filter(|split| u64::from(split.count()) == count) else {
        let expected = std::format!("a name of the form NAME-00001-of-{count:05}.gguf");
        return Err(SetError::new(SetErrorKind::ForeignPart, name, expected, "another"));
    };
    if split.no() != 1 {
        let first = split.with_no(1).map(|s| s.to_string()).unwrap_or_default();
        let found = std::format!("part {}", split.no());
        return Err(SetError::new(SetErrorKind::NotFirst, name, std::format!("`{first}`"), found));
    }
    let names: Vec<String> =
        (2..=split.count()).filter_map(|no| split.with_no(no)).map(|s| s.to_string()).collect();
    let absent = |name: &str| !folder.map_or_else(|| Path::new(name).into(), |f| f.join(name)).exists();
    let missing: Vec<u64> =
        names.iter().zip(1u64..).filter(|(name, _)| absent(name)).map(|(_, no)| no).collect();
    if missing.is_empty() {
        Ok(names)
    } else {
        let found = std::format!("{}", count - missing.len() as u64);
        Err(SetError::missing(name, &missing, count, &found))
    }
}
