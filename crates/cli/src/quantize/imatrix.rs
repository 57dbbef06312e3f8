//! Importance matrices: for each column of a matrix, how large its activations are in the mean of their squares.
//!
//! ```text
//! GGUF:    tensors NAME.in_sum2 [columns, matrices] and NAME.counts [1, matrices]; weight = sum / count
//! older:   i32 entries; each: i32 length, name, i32 calls, i32 values, values x f32; weight = value / calls
//! ```

use crate::error::{CliError, CliResult};
use crate::paths::shown;
use happy_gguf::GgufFile;
use happy_tensor::{DType, dequantize_to_vec};
use std::collections::HashMap;
use std::path::Path;

/// Weights for the columns of matrices, by name; those of the matrices of a stack one after the other.
#[derive(Debug, Default)]
pub(crate) struct Imatrix(HashMap<String, Vec<f32>>);

impl Imatrix {
    /// Reads either format.
    pub(crate) fn read(path: &Path) -> CliResult<Self> {
        let wrong = |what: String| CliError::new(format!("importance matrix `{}`: {what}", shown(path)));
        let bytes = std::fs::read(path).map_err(|e| CliError::io("read", shown(path), &e))?;
        let matrix = if bytes.starts_with(b"GGUF") {
            Self::of_gguf(&GgufFile::read(path)?).map_err(wrong)?
        } else {
            Self::of_old(&bytes).map_err(wrong)?
        };
        if matrix.0.is_empty() {
            return Err(wrong("expected entries, found none".to_owned()));
        }
        Ok(matrix)
    }

    fn of_gguf(file: &GgufFile) -> Result<Self, String> {
        let gguf = file.view();
        let values = |name: &str| {
            let tensor = gguf.tensor(name).ok_or_else(|| format!("tensor {name} is missing"))?;
            let data = gguf.data(&tensor).unwrap_or_default();
            match DType::from_name(tensor.ty.name()) {
                Some(dtype) => dequantize_to_vec(dtype, data).map_err(|e| format!("tensor {name}: {e}")),
                None => Err(format!("tensor {name} is of type {}, expected F32", tensor.ty)),
            }
        };
        let mut matrix = Self::default();
        for tensor in gguf.tensors() {
            let Some(name) = tensor.name.strip_suffix(".in_sum2") else { continue };
            let (mut sums, counts) = (values(tensor.name)?, values(&format!("{name}.counts"))?);
            let columns = sums.len() / counts.len().max(1);
            if columns == 0 || sums.len() != columns * counts.len() {
                return Err(format!("{name}: {} sums do not go with {} counts", sums.len(), counts.len()));
            }
            for (sums, &count) in sums.chunks_exact_mut(columns).zip(&counts) {
                // An expert that was never asked has no preferences.
                sums.iter_mut().for_each(|s| *s = if count > 0.0 { *s / count } else { 1.0 });
            }
            matrix.insert(name, sums)?;
        }
        Ok(matrix)
    }

    fn of_old(bytes: &[u8]) -> Result<Self, String> {
        let mut rest = Rest { bytes, at: 0 };
        let mut matrix = Self::default();
        for _ in 0..rest.number()? {
            let len = rest.number()?;
            let name = String::from_utf8_lossy(rest.take(len)?).into_owned();
            let (calls, values) = (rest.number()?.max(1), rest.number()?);
            let data = rest.take(values.checked_mul(4).ok_or("too many values")?)?;
            let mut weights = Vec::new();
            weights
                .try_reserve_exact(values)
                .map_err(|_| format!("{name}: no memory for {values} weights"))?;
            weights.extend(data.as_chunks().0.iter().map(|v| f32::from_le_bytes(*v) / calls as f32));
            matrix.insert(&name, weights)?;
        }
        Ok(matrix)
    }

    fn insert(&mut self, name: &str, values: Vec<f32>) -> Result<(), String> {
        if let Some(bad) = values.iter().find(|v| !v.is_finite() || **v < 0.0) {
            return Err(format!("{name}: expected finite weights that are not negative, found {bad}"));
        }
        self.0.try_reserve(1).map_err(|_| format!("{name}: no memory for an entry"))?;
        self.0.insert(name.to_owned(), values);
        Ok(())
    }

    /// The weights of a stack of `matrices` with `columns` each.
    ///
    /// # Errors
    /// If there are weights, but not as many.
    pub(crate) fn get(&self, name: &str, columns: usize, matrices: usize) -> CliResult<Option<&[f32]>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(values) if Some(values.len()) == columns.checked_mul(matrices) => Ok(Some(values)),
            Some(values) => Err(CliError::new(format!(
                "importance matrix: tensor {name} has {matrices} x {columns} columns, found {} weights",
                values.len()
            ))),
        }
    }
}

/// What is left to read of the older format.
struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| {
            format!("expected {n} bytes at offset {}, found {}", self.at, self.bytes.len() - self.at)
        })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// An `i32` that is not negative.
    fn number(&mut self) -> Result<usize, String> {
        let at = self.at;
        let word = i32::from_le_bytes(self.take(4)?.first_chunk().copied().unwrap_or_default());
        usize::try_from(word).map_err(|_| format!("expected a count at offset {at}, found {word}"))
    }
}
