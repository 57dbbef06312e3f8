//! A folder in Hugging Face's form: the configuration, and the position of each tensor.

use crate::error::{ConvertError, printable};
use crate::json::{Object, parse_optional};
use crate::safetensors::{Dtype, Entry, MAX_HEADER, header_len, parse};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The file of models with a single file, and the index of the others.
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// An open folder with a model: `config.json`, and `model.safetensors` or the files that `model.safetensors.index.json` lists.
///
/// Only headers are kept in memory.
#[derive(Debug)]
pub struct Checkpoint {
    pub(crate) dir: PathBuf,
    pub(crate) config: Object,
    files: Vec<PathBuf>,
    /// Ordered by name.
    tensors: Vec<Tensor>,
    /// The file that was read last, which is usually the next one to be read.
    open: Mutex<Option<(usize, File)>>,
}

/// One tensor of a folder.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) dtype_name: String,
    /// The slowest dimension first.
    pub(crate) shape: Vec<u64>,
    file: usize,
    /// The first byte in the file.
    offset: u64,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Reads the configuration and the headers of all files.
    ///
    /// # Errors
    /// If a file is missing, cannot be read or is not valid, or if a tensor that the index lists is not in its file.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, ConvertError> {
        let dir = dir.as_ref().to_path_buf();
        let config = Object::open(dir.join("config.json"))?.flattened("text_config");
        let index_path = dir.join(INDEX);
        let (files, tensors) = match parse_optional::<Index>(&index_path)? {
            Some(index) => read_shards(&dir, &index_path, &index.weight_map)?,
            None => {
                let path = dir.join(SINGLE);
                let tensors = read_header(&path, 0)?;
                (vec![path], tensors)
            }
        };
        Ok(Self { dir, config, files, tensors, open: Mutex::new(None) })
    }

    /// Returns the files that are read. A caller must not overwrite them.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Tensor> {
        let at = self.tensors.binary_search_by(|t| t.name.as_str().cmp(name)).ok()?;
        self.tensors.get(at)
    }

    pub(crate) fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Reads bytes of a tensor.
    pub(crate) fn read_at(&self, t: &Tensor, offset: u64, out: &mut [u8]) -> Result<(), ConvertError> {
        let Some(path) = self.files.get(t.file) else { return Ok(()) };
        let failed = |e| ConvertError::read(path, &e);
        let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let file = match &mut *open {
            Some((number, file)) if *number == t.file => file,
            other => &mut other.insert((t.file, File::open(path).map_err(failed)?)).1,
        };
        file.seek(SeekFrom::Start(t.offset.saturating_add(offset))).map_err(failed)?;
        file.read_exact(out).map_err(failed)
    }
}

fn read_header(path: &Path, number: usize) -> Result<Vec<Tensor>, ConvertError> {
    let failed = |e| ConvertError::read(path, &e);
    let mut file = File::open(path).map_err(failed)?;
    let file_len = file.metadata().map_err(failed)?.len();
    let mut first = [0; 8];
    file.read_exact(&mut first).map_err(failed)?;
    let len = header_len(first, file_len).map_err(|e| ConvertError::invalid(path, e))?;
    debug_assert!(len <= MAX_HEADER);
    let mut header = Vec::new();
    // Also room for the parsed values.
    let room = usize::try_from(len).unwrap_or(usize::MAX).saturating_mul(3);
    header
        .try_reserve_exact(room)
        .map_err(|_| ConvertError::no_memory(room as u64, crate::error::shown(path)))?;
    file.take(len).read_to_end(&mut header).map_err(failed)?;
    let start = 8 + len;
    let entries =
        parse(&header, file_len.saturating_sub(start)).map_err(|e| ConvertError::invalid(path, e))?;
    let tensor = |Entry { name, dtype, dtype_name, shape, range }| Tensor {
        name,
        dtype,
        dtype_name,
        shape,
        file: number,
        offset: start.saturating_add(range.start),
    };
    Ok(entries.into_iter().map(tensor).collect())
}

/// Reads the tensors of all files of an index. Each must be in the file that the index names.
fn read_shards(
    dir: &Path,
    index: &Path,
    weight_map: &BTreeMap<String, String>,
) -> Result<(Vec<PathBuf>, Vec<Tensor>), ConvertError> {
    let mut names: Vec<&str> = weight_map.values().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let (mut files, mut tensors) = (Vec::new(), Vec::new());
    for (number, name) in names.into_iter().enumerate() {
        if name.contains(['/', '\\', ':']) || matches!(name, "" | "." | "..") {
            let message = format!("file `{}`: expected a name without folders", printable(name));
            return Err(ConvertError::invalid(index, message));
        }
        let path = dir.join(name);
        let listed = |t: &Tensor| weight_map.get(&t.name).is_some_and(|file| file == name);
        tensors.extend(read_header(&path, number)?.into_iter().filter(listed));
        files.push(path);
    }
    tensors.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    // Both lists are sorted, and names are unique in each file. So the first difference is a missing tensor.
    let found = tensors.iter().map(|t| &t.name);
    if let Some((name, file)) = weight_map
        .iter()
        .zip(found.map(Some).chain(std::iter::repeat(None)))
        .find_map(|((name, file), found)| (found != Some(name)).then_some((name, file)))
    {
        let (name, file) = (printable(name), printable(file));
        return Err(ConvertError::invalid(
            index,
            format!("tensor `{name}`: not in `{file}`, although the index says so"),
        ));
    }
    Ok((files, tensors))
}
