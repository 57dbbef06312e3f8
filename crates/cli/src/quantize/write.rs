//! Writing a file with other types in a stream: the header first, then each tensor in groups of rows.

use super::imatrix::Imatrix;
use super::mix::dtype_of;
use crate::error::{CliError, CliResult};
use happy_gguf::{GgmlType, Gguf, GgufWriter, TensorInfo};
use happy_kernels::Pool;
use happy_tensor::{DType, dequantize_row, quantize_row, quantize_row_weighted};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Elements that are decoded and encoded together, at least a row: 16 MiB as f32, over all threads.
const GROUP: usize = 4 << 20;

/// A file that takes its name only when it is complete.
pub(crate) struct Atomic {
    path: PathBuf,
    partial: PathBuf,
    out: Option<BufWriter<File>>,
}

impl Atomic {
    /// Starts a file beside `path`.
    pub(crate) fn create(path: &Path) -> CliResult<Self> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(format!(".{}.partial", std::process::id()));
        let partial = PathBuf::from(partial);
        let file = OpenOptions::new().write(true).create_new(true).open(&partial);
        let file = file.map_err(|e| CliError::io("create", partial.display(), &e))?;
        Ok(Self { path: path.to_owned(), partial, out: Some(BufWriter::new(file)) })
    }

    /// Writes it out, and gives it its name.
    pub(crate) fn finish(mut self) -> CliResult {
        let done = match self.out.take() {
            Some(out) => out.into_inner().map_err(io::IntoInnerError::into_error).and_then(|f| f.sync_all()),
            None => Ok(()),
        };
        let done = done.and_then(|()| std::fs::rename(&self.partial, &self.path));
        done.map_err(|e| CliError::io("write", self.path.display(), &e))
    }
}

impl Write for Atomic {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.as_mut().map_or(Ok(0), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Atomic {
    /// Removes what is not complete.
    fn drop(&mut self) {
        drop(self.out.take());
        // After `finish` there is nothing of this name.
        let _ = std::fs::remove_file(&self.partial);
    }
}

/// Keeps the first bytes that are written and counts all.
struct Head {
    keep: u64,
    head: Vec<u8>,
    written: u64,
}

impl Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.keep.saturating_sub(self.written).min(bytes.len() as u64) as usize;
        self.head.extend_from_slice(&bytes[..room]);
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The type of a file that a computed type is stored as.
fn ggml_type(dtype: DType) -> Option<GgmlType> {
    GgmlType::ALL.iter().copied().find(|t| t.name() == dtype.name())
}

/// What becomes of a tensor.
struct Target<'a> {
    tensor: TensorInfo<'a>,
    /// The type to decode from and to encode to; `None`: the bytes are copied.
    types: Option<(DType, DType)>,
    bytes: u64,
}

fn targets<'a>(gguf: &Gguf<'a>, types: &BTreeMap<String, DType>) -> CliResult<Vec<Target<'a>>> {
    let target = |tensor: TensorInfo<'a>| {
        let to = types.get(tensor.name).copied().zip(dtype_of(&tensor)).filter(|(to, from)| to != from);
        let bytes = match to {
            None => Some(tensor.byte_len()),
            Some((to, _)) => ggml_type(to).and_then(|ty| ty.row_bytes(tensor.elements())),
        };
        let bytes =
            bytes.ok_or_else(|| CliError::new(format!("tensor {}: its size overflows", tensor.name)))?;
        Ok(Target { tensor, types: to.map(|(to, from)| (from, to)), bytes })
    };
    gguf.tensors().map(target).collect()
}

/// Everything before the tensor data. The writer is given bytes of the right number, which nobody reads.
fn header(gguf: &Gguf<'_>, pairs: &[(&str, u32)], targets: &[Target<'_>]) -> CliResult<Vec<u8>> {
    let mut writer = GgufWriter::new();
    for (key, value) in gguf.metadata().iter().filter(|(key, _)| !pairs.iter().any(|(k, _)| k == key)) {
        writer = writer.kv(key, value);
    }
    for (key, value) in pairs {
        writer = writer.kv(*key, *value);
    }
    let largest = targets.iter().map(|t| t.bytes).max().unwrap_or(0);
    let largest = usize::try_from(largest).map_err(|_| CliError::new("a tensor does not fit the memory"))?;
    // Zeros that are never touched take no memory, and mostly the file itself is long enough.
    let zeros = if gguf.bytes().len() < largest { vec![0; largest] } else { Vec::new() };
    let bytes = if zeros.is_empty() { gguf.bytes() } else { &zeros };
    let mut data = 0;
    for t in targets {
        let ty = t.types.and_then(|(_, to)| ggml_type(to)).unwrap_or(t.tensor.ty);
        writer = writer.tensor(t.tensor.name, ty, &t.tensor.dims, &bytes[..t.bytes as usize]);
        data += t.bytes.next_multiple_of(gguf.alignment());
    }
    let wrong = |e: happy_gguf::WriteError| CliError::new(e.to_string());
    let total = writer.write_to(io::sink()).map_err(wrong)?;
    let mut head = Head { keep: total - data, head: Vec::new(), written: 0 };
    writer.write_to(&mut head).map_err(wrong)?;
    Ok(head.head)
}

/// Writes the file; calls `done` after each tensor with the types, if it was encoded.
pub(crate) fn write(
    gguf: &Gguf<'_>,
    types: &BTreeMap<String, DType>,
    pairs: &[(&str, u32)],
    imatrix: &Imatrix,
    pool: &Pool,
    out: &mut Atomic,
    mut done: impl FnMut(&TensorInfo<'_>, Option<(DType, DType)>, u64),
) -> CliResult<u64> {
    let path = out.path.display().to_string();
    let failed = |e: io::Error| CliError::io("write", &path, &e);
    let targets = targets(gguf, types)?;
    let head = header(gguf, pairs, &targets)?;
    out.write_all(&head).map_err(failed)?;
    let mut written = head.len() as u64;
    for t in &targets {
        let data = gguf.data(&t.tensor).unwrap_or_default();
        match t.types {
            None => out.write_all(data).map_err(failed)?,
            Some(types) => {
                encode(&t.tensor, data, types, imatrix, pool, |bytes| out.write_all(bytes).map_err(failed))?
            }
        }
        let padding = t.bytes.next_multiple_of(gguf.alignment()) - t.bytes;
        io::copy(&mut io::Read::take(io::repeat(0), padding), out).map_err(failed)?;
        written += t.bytes + padding;
        done(&t.tensor, t.types, t.bytes);
    }
    Ok(written)
}

/// Decodes and encodes a tensor, a group of rows at a time, the rows by all threads.
fn encode(
    t: &TensorInfo<'_>,
    data: &[u8],
    (from, to): (DType, DType),
    imatrix: &Imatrix,
    pool: &Pool,
    mut write: impl FnMut(&[u8]) -> CliResult,
) -> CliResult {
    let wrong = |e: &dyn std::fmt::Display| CliError::new(format!("tensor {}: {e}", t.name));
    let [k, rows, matrices, more] = t.dims.padded().map(|d| d as usize);
    let (from_row, to_row) =
        (from.row_bytes(k).map_err(|e| wrong(&e))?, to.row_bytes(k).map_err(|e| wrong(&e))?);
    let weights = imatrix.get(t.name, k, matrices * more)?;
    let group = (GROUP / k.max(1)).max(1);
    let mut out = vec![0; group * to_row];
    let failure = Mutex::new(None);
    for (g, data) in data.chunks(group * from_row).enumerate() {
        let out = &mut out[..data.len() / from_row * to_row];
        // A task of some rows, so that a thread allocates now and then only.
        let per_task = (GROUP / 256 / k.max(1)).max(1);
        pool.for_each_chunk(out, per_task * to_row, &|task, out, _| {
            let mut x = vec![0.0; k];
            for (r, out) in out.chunks_exact_mut(to_row).enumerate() {
                let row = task * per_task + r;
                let done = dequantize_row(from, &data[row * from_row..(row + 1) * from_row], &mut x)
                    .map_err(|e| e.to_string())
                    .and_then(|()| finite(&x))
                    .and_then(|()| {
                        let matrix = (g * group + row) / rows.max(1);
                        let done = match weights {
                            Some(w) => quantize_row_weighted(to, &x, &w[matrix * k..(matrix + 1) * k], out),
                            None => quantize_row(to, &x, out),
                        };
                        done.map_err(|e| e.to_string())
                    });
                if let (Err(e), Ok(mut failure)) = (done, failure.lock()) {
                    failure.get_or_insert(format!("row {}: {e}", g * group + row));
                }
            }
        });
        if let Ok(Some(e)) = failure.lock().map(|mut f| f.take()) {
            return Err(wrong(&e));
        }
        write(out)?;
    }
    Ok(())
}

fn finite(x: &[f32]) -> Result<(), String> {
    match x.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(i) => Err(format!("element {i} is {}, expected a finite number", x[i])),
    }
}
