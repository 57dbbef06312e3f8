//! A split model on disk, opened by any of its parts.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

use crate::file::{FileError, GgufFile, shown};
use crate::header::GgufHeader;
use crate::limits::Limits;
use crate::part::FilePart;
use crate::part_name::parts_of;
use crate::set::{ByName, GgufSet, SPLIT_NO, integer};

/// A model of one file or of several, with its bytes. Cheap to clone, and without a lifetime.
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
/// std::fs::remove_file(dir.join("tiny-00001-of-00002.gguf"))?;
/// let error = GgufSetFile::read(dir.join("tiny-00002-of-00002.gguf")).unwrap_err();
/// assert!(error.to_string().contains("missing part of a split model: `tiny-00001-of-00002.gguf`"));
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct GgufSetFile {
    parts: Vec<Part>,
    by_name: ByName,
}

#[derive(Clone, Debug)]
struct Part {
    path: PathBuf,
    /// The file name, for messages.
    name: String,
    file: GgufFile,
}

impl GgufSetFile {
    /// Reads a model into memory: the file and, if it is a part of a split model, all other parts.
    ///
    /// # Errors
    /// If a file cannot be read or does not parse, or if the parts do not form one model. The error names missing
    /// parts.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, FileError> {
        Self::read_with(path, &Limits::default(), &mut |_| ControlFlow::Continue(()))
    }

    /// Like [`GgufSetFile::read`], with limits for each part. `progress` is called after each MiB with the fraction of
    /// all bytes read so far, 0 to 1, and may cancel the operation, which then returns [`FileError::Cancelled`].
    ///
    /// # Errors
    /// The same as [`GgufSetFile::read`], and if `progress` cancels the operation.
    pub fn read_with(
        path: impl AsRef<Path>,
        limits: &Limits,
        progress: &mut dyn FnMut(f32) -> ControlFlow<()>,
    ) -> Result<Self, FileError> {
        let path = path.as_ref();
        if !path.is_file() {
            // A pipe has no length, and no other parts beside it.
            return Self::from_parts([(path, GgufFile::read_with(path, limits)?)]);
        }
        let (mut total, mut done) = (0, 0);
        for path in Self::headers(path, limits)?.paths() {
            total += path.metadata().map_err(|e| FileError::io(path, e))?.len();
        }
        Self::open(path, |path| {
            let file = File::open(path).map_err(|e| FileError::io(path, e))?;
            let name = shown(path);
            let part = FilePart::new(&file, &name, 0, None)?;
            let read = GgufFile::read_part(&part, limits, &mut |share| {
                let bytes = done as f64 + f64::from(share) * part.len() as f64;
                progress((bytes / total.max(1) as f64).min(1.0) as f32)
            })?;
            done += part.len();
            read.ok_or_else(|| FileError::Cancelled { path: path.to_path_buf() })
        })
    }

    /// Reads the headers alone: metadata and tensor entries of all parts, checked against each other. [`GgufSet::data`]
    /// of the view returns `None`. Use it to plan before anything big is read.
    ///
    /// # Errors
    /// The same as [`GgufSetFile::read`].
    pub fn headers(path: impl AsRef<Path>, limits: &Limits) -> Result<Self, FileError> {
        Self::open(path.as_ref(), |path| GgufHeader::open(path, limits).map(GgufFile::from))
    }

    /// Opens a model by any of its parts, each file with `open`. Use it to open files in a way of your own.
    ///
    /// The other parts are found by name (`NAME-00001-of-00003.gguf`) or, failing that, among the `.gguf` files of the
    /// same folder. The `split.no`, `split.count` and `split.tensors.count` of every part must agree.
    ///
    /// # Errors
    /// The errors of `open`, and if the parts do not form one model.
    pub fn open<E: From<FileError>>(
        path: &Path,
        mut open: impl FnMut(&Path) -> Result<GgufFile, E>,
    ) -> Result<Self, E> {
        let mut given = Some(open(path)?);
        let view = given.as_ref().map(GgufFile::view);
        let found =
            view.map(|view| parts_of(path, &view)).transpose().map_err(|e| FileError::set(path, e))?;
        let (paths, no) = found.unwrap_or_default();
        let mut parts = Vec::new();
        for (i, path) in paths.into_iter().enumerate() {
            let file = match given.take_if(|_| i == no) {
                Some(file) => file,
                None => open(&path)?,
            };
            parts.push((path, file));
        }
        Ok(Self::checked(path, parts)?)
    }

    /// Combines parts that the caller has opened, in any order. One of several parts alone is refused, and the error
    /// names the missing ones.
    ///
    /// # Errors
    /// If the parts do not form one model.
    pub fn from_parts<P: Into<PathBuf>>(
        parts: impl IntoIterator<Item = (P, GgufFile)>,
    ) -> Result<Self, FileError> {
        Self::in_order(parts.into_iter().map(|(path, file)| (path.into(), file)).collect())
    }

    fn in_order(mut parts: Vec<(PathBuf, GgufFile)>) -> Result<Self, FileError> {
        parts.sort_by_key(|(_, file)| integer(&file.view(), SPLIT_NO).ok().flatten());
        let path = parts.first().map(|(path, _)| path.clone()).unwrap_or_default();
        Self::checked(&path, parts)
    }

    fn checked(path: &Path, parts: Vec<(PathBuf, GgufFile)>) -> Result<Self, FileError> {
        let part = |(path, file): (PathBuf, GgufFile)| {
            let name = shown(Path::new(path.file_name().unwrap_or(path.as_os_str())));
            Part { path, name, file }
        };
        let parts: Vec<Part> = parts.into_iter().map(part).collect();
        let views = parts.iter().map(|part| (part.name.clone(), part.file.view()));
        let by_name = GgufSet::new(views).map_err(|e| FileError::set(path, e))?.by_name().clone();
        Ok(Self { parts, by_name })
    }

    /// Returns the parsed view. Nothing is parsed or checked again.
    pub fn view(&self) -> GgufSet<'_> {
        let views = self.parts.iter().map(|part| (part.name.clone(), part.file.view())).collect();
        GgufSet::from_checked(views, self.by_name.clone())
    }

    /// Returns the files with their names, escaped for messages. A part's index is its number.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = (&str, &GgufFile)> {
        self.parts.iter().map(|part| (&*part.name, &part.file))
    }

    /// Returns the first part, which has the metadata.
    ///
    /// # Panics
    /// Never: every model has a first part.
    pub fn first(&self) -> &GgufFile {
        // No constructor makes a set without parts.
        &self.parts[0].file
    }

    /// Returns the paths of the files, in part order.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.parts.iter().map(|part| &*part.path)
    }
}
