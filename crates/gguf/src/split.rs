//! Splitting a model into several files, and merging them again.

use std::format;
use std::path::{Path, PathBuf};
use std::vec::Vec;

use crate::part_name::os_name;
use crate::set::{GgufSet, SPLIT_COUNT, SPLIT_NO, SPLIT_TENSORS};

use crate::write_error::{WriteError, WriteErrorKind};
use crate::writer::GgufWriter;
use crate::{ALIGNMENT_KEY, OwnedValue};

/// Where to cut. Example: [`GgufWriter::write_split`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitBy {
    /// So many tensors in each part but the last.
    Tensors(usize),
    /// As many tensors as fit so many bytes, at least one.
    Bytes(u64),
}

impl<'a> GgufWriter<'a> {
    /// All parts of a set as one file, the tensors borrowed, the `split.` keys left out.
    /// Example: [`GgufSet`].
    pub fn merge(set: &GgufSet<'a>) -> Self {
        let mut writer = pairs(Self::like(set), set);
        for (part, tensor) in set.tensors() {
            let data = set.parts().nth(part).and_then(|(_, gguf)| gguf.data(&tensor)).unwrap_or_default();
            writer = writer.tensor(tensor.name, tensor.ty, &tensor.dims, data);
        }
        writer
    }

    /// A model as several files, the tensors borrowed: the first one has all metadata, the others
    /// `general.alignment` only. Example: [`GgufSet`].
    ///
    /// # Errors
    /// When that makes more than 65,535 parts, or a part would have no tensor.
    pub fn split(set: &GgufSet<'a>, by: SplitBy) -> Result<Vec<Self>, WriteError> {
        let mut parts: Vec<Vec<_>> = Vec::from([Vec::new()]);
        let mut bytes = 0u64;
        let mut n = 0i32;
        for (part, tensor) in set.tensors() {
            let data = set.parts().nth(part).and_then(|(_, gguf)| gguf.data(&tensor)).unwrap_or_default();
            let last = parts.last().map_or(0, Vec::len);
            let full = match by {
                SplitBy::Tensors(max) => last >= max,
                SplitBy::Bytes(max) => bytes.saturating_add(tensor.byte_len()) > max,
            };
            if full && last > 0 {
                parts.push(Vec::new());
                bytes = 0;
            }
            bytes = bytes.saturating_add(tensor.byte_len());
            n = n.saturating_add(1);
            if let Some(part) = parts.last_mut() {
                part.push((tensor, data));
            }
        }
        let Ok(count) = u16::try_from(parts.len()) else {
            let found = format!("{}", parts.len());
            return Err(WriteError::file(WriteErrorKind::InvalidSplit, "the parts", "at most 65535", found));
        };
        let alignment = set.metadata().get(ALIGNMENT_KEY);
        Ok(parts
            .into_iter()
            .zip(0u16..)
            .map(|(tensors, no)| {
                let writer = Self::like(set);
                let writer = match (no, alignment) {
                    (0, _) => pairs(writer, set),
                    (_, Some(alignment)) => writer.kv(ALIGNMENT_KEY, alignment),
                    (_, None) => writer,
                };
                let writer = writer.kv(SPLIT_NO, no).kv(SPLIT_COUNT, count).kv(SPLIT_TENSORS, n);
                tensors.into_iter().fold(writer, |w, (t, data)| w.tensor(t.name, t.ty, &t.dims, data))
            })
            .collect())
    }

    /// Splits a model into files `prefix-00001-of-0000N.gguf`, each of which appears when it is complete; their paths.
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
    /// As [`GgufWriter::split`], and when a file cannot be written. The parts before it are there then.
    pub fn write_split(
        set: &GgufSet<'a>,
        by: SplitBy,
        prefix: impl AsRef<Path>,
    ) -> Result<Vec<PathBuf>, WriteError> {
        let prefix = prefix.as_ref();
        let parts = Self::split(set, by)?;
        let count = parts.len() as u64;
        let name = prefix.file_name().unwrap_or_default();
        let mut paths = Vec::new();
        for (part, no) in parts.iter().zip(1..) {
            let path = prefix.with_file_name(os_name(name, no, count));
            part.write_file(&path)?;
            paths.push(path);
        }
        Ok(paths)
    }

    /// An empty file of the same version and byte order.
    fn like(set: &GgufSet<'a>) -> Self {
        Self::new().version(set.first().version()).byte_order(set.first().byte_order())
    }
}

/// All metadata but that which says how the model is split.
fn pairs<'a>(writer: GgufWriter<'a>, set: &GgufSet<'a>) -> GgufWriter<'a> {
    let kept = |key: &str| ![SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS].contains(&key);
    set.metadata()
        .iter()
        .filter(|(key, _)| kept(key))
        .fold(writer, |writer, (key, value)| writer.kv(key, OwnedValue::from(value)))
}
