//! Writing a file with other types in a stream: the writer asks for each tensor when its turn comes, and gets it in groups
//! of rows.

use super::imatrix::Imatrix;
use super::mix::dtype_of;
use crate::error::{CliError, CliResult};
use happy_gguf::{GgmlType, Gguf, GgufWriter, TensorInfo};
use happy_kernels::Pool;
use happy_tensor::{DType, dequantize_row, quantize_row, quantize_row_weighted};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

/// Elements that are decoded and encoded together, at least a row: 16 MiB as f32, over all threads.
const GROUP: usize = 4 << 20;

/// The type of a file that a computed type is stored as.
fn ggml_type(dtype: DType) -> Option<GgmlType> {
    GgmlType::ALL.iter().copied().find(|t| t.name() == dtype.name())
}

/// Hears of each tensor as it is written, with the types if it is encoded.
pub(crate) type Progress<'a> = &'a (dyn Fn(&TensorInfo<'_>, Option<(DType, DType)>) + Send + Sync);

/// Writes the file at `path` at once or not at all; returns its length.
pub(crate) fn write(
    gguf: &Gguf<'_>,
    types: &BTreeMap<String, DType>,
    pairs: &[(&str, u32)],
    imatrix: &Imatrix,
    pool: &Pool,
    path: &Path,
    progress: Progress<'_>,
) -> CliResult<u64> {
    let mut writer = GgufWriter::new();
    for (key, value) in gguf.metadata().iter().filter(|(key, _)| !pairs.iter().any(|(k, _)| k == key)) {
        writer = writer.kv(key, value);
    }
    for (key, value) in pairs {
        writer = writer.kv(*key, *value);
    }
    for t in gguf.tensors() {
        let data = gguf.data(&t).unwrap_or_default();
        let to = types.get(t.name).copied().filter(|to| dtype_of(&t) != Some(*to));
        let types = dtype_of(&t).zip(to);
        let ty = to.and_then(ggml_type).filter(|_| types.is_some()).unwrap_or(t.ty);
        let (name, dims) = (t.name, t.dims);
        writer = writer.tensor_from(name, ty, &dims, move |out| {
            progress(&t, types);
            match types {
                None => out.write_all(data),
                Some(types) => encode(&t, data, types, imatrix, pool, out).map_err(io::Error::other),
            }
        });
    }
    writer.write_file(path).map_err(|e| CliError::new(e.to_string()))
}

/// Decodes and encodes a tensor, a group of rows at a time, the rows by all threads.
fn encode(
    t: &TensorInfo<'_>,
    data: &[u8],
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
        to_file.write_all(out).map_err(|e| wrong(&e))?;
    }
    Ok(())
}

fn finite(x: &[f32]) -> Result<(), String> {
    match x.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(i) => Err(format!("element {i} is {}, expected a finite number", x[i])),
    }
}
