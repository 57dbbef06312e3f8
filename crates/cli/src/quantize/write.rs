//! Writing a model with other types in a stream: the writer asks for each tensor when its turn comes, which is read, decoded
//! and encoded in groups of rows. Nothing is mapped.

use super::imatrix::Imatrix;
use super::mix::{Types, dtype_of};
use crate::error::{CliError, CliResult};
use happy_gguf::{GgmlType, GgufSetReader, GgufWriter, TensorInfo, WriteOptions};
use happy_kernels::Pool;
use happy_tensor::{DType, dequantize_row, quantize_row, quantize_row_weighted};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

/// Elements that are decoded and encoded together, at least a row: 4 MiB as f32, over all threads.
const GROUP: usize = 1 << 20;
/// Elements of a task, at least a row, so that a thread allocates now and then only.
const TASK: usize = 16 << 10;

/// The type of a file that a computed type is stored as.
fn ggml_type(dtype: DType) -> Option<GgmlType> {
    GgmlType::ALL.iter().copied().find(|t| t.name() == dtype.name())
}

/// Hears of each tensor as it is written, with the types if it is encoded.
pub(crate) type Progress<'a> = &'a (dyn Fn(&TensorInfo<'_>, Option<(DType, DType)>) + Send + Sync);

/// Writes the file at `path` at once or not at all; returns its length.
pub(crate) fn write(
    model: &GgufSetReader,
    types: &Types,
    pairs: &[(&'static str, u32)],
    imatrix: &Imatrix,
    pool: &Pool,
    (path, options): (&Path, &WriteOptions<'_>),
    progress: Progress<'_>,
) -> CliResult<u64> {
    let set = model.view();
    let mut writer = GgufWriter::new();
    let is_kept = |key: &str| !key.starts_with("split.") && !pairs.iter().any(|(k, _)| *k == key);
    for (key, value) in set.metadata().iter().filter(|(key, _)| is_kept(key)) {
        writer = writer.kv_read(key, value);
    }
    for (key, value) in pairs {
        writer = writer.kv(*key, *value);
    }
    for (part, t) in set.tensors() {
        let to = types.get(t.name).filter(|to| dtype_of(&t) != Some(*to));
        let types = dtype_of(&t).zip(to);
        let ty = to.and_then(ggml_type).filter(|_| types.is_some()).unwrap_or(t.ty);
        let (name, dims, len) = (t.name, t.dims, types.is_none().then(|| t.byte_len()));
        writer = writer.tensor_from_sized(name, ty, &dims, len, move |out| {
            progress(&t, types);
            match types {
                None => copy(model, part, &t, out),
                Some(types) => encode(model, (part, &t), types, imatrix, pool, out).map_err(io::Error::other),
            }
        });
    }
    writer.write_file_with(path, options).map_err(|e| CliError::new(e.to_string()))
}

/// Copies a tensor as it is.
fn copy(model: &GgufSetReader, part: usize, t: &TensorInfo<'_>, out: &mut dyn Write) -> io::Result<()> {
    /// Reading and writing fail in different ways.
    struct Failed(io::Error);
    impl From<happy_gguf::FileError> for Failed {
        fn from(error: happy_gguf::FileError) -> Self {
            Self(io::Error::other(error))
        }
    }
    model.read_tensor(part, t, |piece| out.write_all(piece).map_err(Failed)).map_err(|Failed(e)| e)
}

/// So many zeros, or that there is no memory for them.
fn zeros<T: Clone + Default>(n: usize) -> Result<Vec<T>, String> {
    let mut values = Vec::new();
    let bytes = n.saturating_mul(size_of::<T>());
    values.try_reserve_exact(n).map_err(|_| format!("no memory for {bytes} bytes"))?;
    values.resize(n, T::default());
    Ok(values)
}

/// Decodes and encodes a tensor, a group of rows at a time, the rows by all threads.
fn encode(
    model: &GgufSetReader,
    (part, t): (usize, &TensorInfo<'_>),
    (from, to): (DType, DType),
    imatrix: &Imatrix,
    pool: &Pool,
    to_file: &mut dyn Write,
) -> Result<(), String> {
    let wrong = |e: &dyn std::fmt::Display| format!("tensor {}: {e}", t.name);
    let [k, rows, matrices, more] = t.dims.padded().map(|d| d as usize);
    let (from_row, to_row) =
        (from.row_bytes(k).map_err(|e| wrong(&e))?, to.row_bytes(k).map_err(|e| wrong(&e))?);
    let weights = imatrix.get(t.name, k, matrices * more).map_err(|e| e.to_string())?;
    let all_rows = (t.byte_len() / from_row.max(1) as u64) as usize;
    let group = (GROUP / k.max(1)).clamp(1, all_rows.max(1));
    let per_task = (TASK / k.max(1)).max(1);
    let mut data = zeros::<u8>(group * from_row).map_err(|e| wrong(&e))?;
    let mut out = zeros::<u8>(group * to_row).map_err(|e| wrong(&e))?;
    let failure = Mutex::new(None);
    for first in (0..all_rows).step_by(group) {
        let n = group.min(all_rows - first);
        let (data, out) = (&mut data[..n * from_row], &mut out[..n * to_row]);
        model.read_at(part, t, first as u64 * from_row as u64, data).map_err(|e| e.to_string())?;
        let data = &*data;
        pool.for_each_chunk(out, per_task * to_row, &|task, out, _| {
            let done = zeros::<f32>(k).and_then(|mut x| {
                for (r, out) in out.chunks_exact_mut(to_row).enumerate() {
                    let row = task * per_task + r;
                    let done = dequantize_row(from, &data[row * from_row..(row + 1) * from_row], &mut x)
                        .map_err(|e| e.to_string())
                        .and_then(|()| finite(&x))
                        .and_then(|()| {
                            let matrix = (first + row) / rows.max(1);
                            let done = match weights {
                                Some(w) => {
                                    quantize_row_weighted(to, &x, &w[matrix * k..(matrix + 1) * k], out)
                                }
                                None => quantize_row(to, &x, out),
                            };
                            done.map_err(|e| e.to_string())
                        });
                    done.map_err(|e| format!("row {}: {e}", first + row))?;
                }
                Ok(())
            });
            if let (Err(e), Ok(mut failure)) = (done, failure.lock()) {
                failure.get_or_insert(e);
            }
        });
        if let Ok(Some(e)) = failure.lock().map(|mut f| f.take()) {
            return Err(wrong(&e));
        }
        to_file.write_all(out).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn finite(x: &[f32]) -> Result<(), String> {
    match x.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(i) => Err(format!("element {i} is {}, expected a finite number", x[i])),
    }
}
