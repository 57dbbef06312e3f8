//! Splitting a model into several files, and merging them again.

use std::format;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec::Vec;

use crate::ALIGNMENT_KEY;
use crate::file::FileError;
use crate::new_tensor::Data;
use crate::part_name::os_name;
use crate::set::{GgufSet, SPLIT_COUNT, SPLIT_NO, SPLIT_TENSORS};
use crate::set_reader::GgufSetReader;
use crate::tensor_info::TensorInfo;
use crate::write_error::{WriteError, WriteErrorKind, place_of};
use crate::write_options::WriteOptions;
use crate::writer::GgufWriter;

/// The number of parts that are open at once. Many systems allow a process 1,024 open files, some fewer.
const OPEN_PARTS: usize = 256;

/// Where to cut a model into parts. Example: [`GgufWriter::write_split`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitBy {
    /// This many tensors in each part, fewer in the last one.
    Tensors(usize),
    /// As many tensors as fit in this many bytes, at least one.
    Bytes(u64),
}

impl<'a> GgufWriter<'a> {
    /// Combines all parts of a set into one file. The tensors are borrowed, and the `split.` keys are left out.
    /// Example: [`GgufSet`].
    pub fn merge(set: &GgufSet<'a>) -> Self {
        Self::merged(set, |part, tensor| in_memory(set, part, tensor))
    }

    /// Splits a model into several files. The tensors are borrowed. The first file has all metadata, the others only
    /// `general.alignment` and the `split.` keys. Example: [`GgufSet`].
    ///
    /// # Errors
    /// If there would be more than 65,535 parts, or if memory for their description is refused.
    pub fn split(set: &GgufSet<'a>, by: SplitBy) -> Result<Vec<Self>, WriteError> {
        Self::cut(set, by, |part, tensor| in_memory(set, part, tensor))
    }

    fn merged(set: &GgufSet<'a>, data: impl Fn(usize, &TensorInfo<'a>) -> Data<'a>) -> Self {
        let writer = pairs(Self::like(set), set);
        set.tensors().fold(writer, |writer, (part, tensor)| {
            let data = data(part, &tensor);
            writer.tensor_read(&tensor, data)
        })
    }

    fn cut(
        set: &GgufSet<'a>,
        by: SplitBy,
        data: impl Fn(usize, &TensorInfo<'a>) -> Data<'a>,
    ) -> Result<Vec<Self>, WriteError> {
        let no_memory = |_| WriteError::out_of_memory("the parts");
        let alignment = set.metadata().get(ALIGNMENT_KEY);
        let mut parts = Vec::from([pairs(Self::like(set), set)]);
        let (mut bytes, mut in_part, mut n) = (0u64, 0usize, 0i32);
        for (part, tensor) in set.tensors() {
            let full = match by {
                SplitBy::Tensors(max) => in_part >= max,
                SplitBy::Bytes(max) => bytes.saturating_add(tensor.byte_len()) > max,
            };
            if full && in_part > 0 {
                let writer = Self::like(set);
                parts.try_reserve(1).map_err(no_memory)?;
                parts.push(match &alignment {
                    Some(alignment) => writer.kv_read(ALIGNMENT_KEY, *alignment),
                    None => writer,
                });
                (bytes, in_part) = (0, 0);
            }
            bytes = bytes.saturating_add(tensor.byte_len());
            in_part += 1;
            n = n.saturating_add(1);
            if let Some(last) = parts.pop() {
                let data = data(part, &tensor);
                parts.push(last.tensor_read(&tensor, data));
            }
        }
        let Ok(count) = u16::try_from(parts.len()) else {
            let found = format!("{}", parts.len());
            return Err(WriteError::file(WriteErrorKind::InvalidSplit, "the parts", "at most 65535", found));
        };
        for (part, no) in parts.iter_mut().zip(0u16..) {
            let writer = std::mem::take(part);
            *part = writer.kv(SPLIT_NO, no).kv(SPLIT_COUNT, count).kv(SPLIT_TENSORS, n);
        }
        Ok(parts)
    }

    /// Splits a model into files `prefix-00001-of-0000N.gguf` and returns their paths. Each file appears when it is
    /// complete.
    ///
    /// ```
    /// use happy_gguf::{GgmlType, Gguf, GgufSet, GgufSetFile, GgufWriter, SplitBy};
    /// # let dir = std::env::temp_dir().join(format!("happy-gguf-split-doc-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// let tensor = |w: GgufWriter<'static>, name: &str| w.tensor(name, GgmlType::F32, &[2], vec![7; 8]);
    /// let file = tensor(tensor(GgufWriter::new(), "a"), "b").to_vec()?;
    /// let set = GgufSet::from(Gguf::parse(&file).unwrap());
    /// let paths = GgufWriter::write_split(&set, SplitBy::Tensors(1), &dir.join("m"))?;
    /// assert!(paths[1].ends_with("m-00002-of-00002.gguf"));
    /// assert_eq!(GgufSetFile::read(&paths[0]).unwrap().view().tensors().count(), 2);
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), happy_gguf::WriteError>(())
    /// ```
    ///
    /// # Errors
    /// The same as [`GgufWriter::write_parts`].
    pub fn write_split(
        set: &GgufSet<'a>,
        by: SplitBy,
        prefix: impl AsRef<Path>,
    ) -> Result<Vec<PathBuf>, WriteError> {
        Self::write_parts(&Self::split(set, by)?, prefix, &WriteOptions::default())
    }

    /// Writes the parts of a split model as `prefix-00001-of-0000N.gguf` and returns their paths. The parts get their
    /// names when all of them are complete, so that a full disk leaves no incomplete model. More than 256 parts would
    /// be too many open files; they get their names in batches of 256, each when it is complete.
    ///
    /// # Errors
    /// If a part cannot be written, if a file exists that may not be replaced, or if the work is cancelled.
    pub fn write_parts(
        parts: &[Self],
        prefix: impl AsRef<Path>,
        options: &WriteOptions<'_>,
    ) -> Result<Vec<PathBuf>, WriteError> {
        let paths = part_paths(prefix.as_ref(), parts.len());
        paths.iter().try_for_each(|path| options.check(path))?;
        for (parts, paths) in parts.chunks(OPEN_PARTS).zip(paths.chunks(OPEN_PARTS)) {
            let mut written = Vec::new();
            for (part, path) in parts.iter().zip(paths) {
                written.push(part.write_pending(path, options)?.0);
            }
            paths.iter().try_for_each(|path| options.check(path))?;
            for (pending, path) in written.into_iter().zip(paths) {
                pending.commit().map_err(|e| WriteError::io(place_of(path), e))?;
            }
        }
        Ok(paths)
    }

    /// An empty file of the same version and byte order.
    fn like(set: &GgufSet<'a>) -> Self {
        Self::new().version(set.first().version()).byte_order(set.first().byte_order())
    }
}

/// Writes models whose tensors are read while they are written: without a map, and with little memory.
impl GgufSetReader {
    /// Returns the same as [`GgufWriter::merge`].
    pub fn merge(&self) -> GgufWriter<'_> {
        GgufWriter::merged(&self.view(), |part, tensor| self.data(part, tensor))
    }

    /// Returns the same as [`GgufWriter::split`].
    ///
    /// # Errors
    /// The same as [`GgufWriter::split`].
    pub fn split(&self, by: SplitBy) -> Result<Vec<GgufWriter<'_>>, WriteError> {
        GgufWriter::cut(&self.view(), by, |part, tensor| self.data(part, tensor))
    }

    fn data<'a>(&'a self, part: usize, tensor: &TensorInfo<'a>) -> Data<'a> {
        let (len, tensor) = (tensor.byte_len(), tensor.clone());
        let produce = move |out: &mut dyn Write| {
            self.read_tensor(part, &tensor, |piece| Ok(out.write_all(piece)?)).map_err(|e| match e {
                Failure::Read(e) => io::Error::other(e),
                Failure::Write(e) => e,
            })
        };
        Data::Produced(Arc::new(produce), Some(len))
    }
}

/// Why copying a tensor stopped.
enum Failure {
    Read(FileError),
    Write(io::Error),
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::Read(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// Returns the paths of the parts of a split model.
///
/// ```
/// let paths = happy_gguf::part_paths("models/m".as_ref(), 2);
/// assert!(paths[1].ends_with("models/m-00002-of-00002.gguf"));
/// ```
pub fn part_paths(prefix: &Path, count: usize) -> Vec<PathBuf> {
    let name = prefix.file_name().unwrap_or_default();
    (1..=count as u64).map(|no| prefix.with_file_name(os_name(name, no, count as u64))).collect()
}

fn in_memory<'a>(set: &GgufSet<'a>, part: usize, tensor: &TensorInfo<'a>) -> Data<'a> {
    let gguf = set.parts().nth(part).map(|(_, gguf)| gguf);
    Data::Bytes(gguf.and_then(|gguf| gguf.data(tensor)).unwrap_or_default().into())
}

/// All metadata except the keys that say how the model is split.
fn pairs<'a>(writer: GgufWriter<'a>, set: &GgufSet<'a>) -> GgufWriter<'a> {
    let kept = |key: &str| ![SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS].contains(&key);
    set.metadata()
        .iter()
        .filter(|(key, _)| kept(key))
        .fold(writer, |writer, (key, value)| writer.kv_read(key, value))
}
