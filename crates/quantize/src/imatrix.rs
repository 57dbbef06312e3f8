//! Importance matrices: one weight per column of a matrix, which is the mean square of the activations it is multiplied with.
//!
//! ```text
//! GGUF:    tensors NAME.in_sum2 [columns, matrices] and NAME.counts [1, matrices]; weight = sum / count
//! older:   i32 entries; each: i32 length, name, i32 calls, i32 values, values x f32; weight = value / calls
//! ```
//! Numbers of the older format are little-endian.

use crate::error::{QuantizeError, QuantizeErrorKind};
use byteorder::{ByteOrder as _, LE};
use happy_gguf::{ByteOrder, Gguf, ParseErrorKind};
use happy_tensor::{DType, RowError, dequantize_to_vec};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// An importance matrix: weights for the columns of matrices, by tensor name. llama.cpp's `llama-imatrix` writes such files.
///
/// ```
/// use happy_gguf::{GgmlType, GgufWriter};
/// use happy_quantize::Imatrix;
/// let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
/// let file = GgufWriter::new()
///     .tensor("blk.0.attn_q.weight.in_sum2", GgmlType::F32, &[2], floats(&[6.0, 2.0]))
///     .tensor("blk.0.attn_q.weight.counts", GgmlType::F32, &[1], floats(&[2.0]))
///     .to_vec()?;
/// let imatrix = Imatrix::parse(&file)?;
/// assert_eq!(imatrix.get("blk.0.attn_q.weight"), Some(&[3.0, 1.0][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Imatrix(HashMap<String, Vec<f32>>);

/// Why bytes are not an importance matrix.
enum Wrong {
    OutOfMemory(String),
    Invalid(String),
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self::Invalid(message)
    }
}

impl Imatrix {
    /// Reads a file in GGUF or in the older format (`imatrix.dat`).
    ///
    /// # Errors
    /// [`QuantizeErrorKind::InvalidImatrix`] if the file cannot be read or is not an importance matrix,
    /// [`QuantizeErrorKind::OutOfMemory`] if memory is refused.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, QuantizeError> {
        let path = path.as_ref();
        let place = format!("importance matrix `{}`", path.to_string_lossy().escape_debug());
        let bytes = read(path).map_err(|e| match e.kind() {
            io::ErrorKind::OutOfMemory => QuantizeError::no_memory(&place),
            _ => {
                QuantizeError::new(QuantizeErrorKind::InvalidImatrix, format!("{place}: cannot read it: {e}"))
            }
        })?;
        Self::parse_at(&bytes, &place)
    }

    /// Reads the bytes of such a file.
    ///
    /// # Errors
    /// [`QuantizeErrorKind::InvalidImatrix`] if the bytes are not an importance matrix,
    /// [`QuantizeErrorKind::OutOfMemory`] if memory is refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, QuantizeError> {
        Self::parse_at(bytes, "importance matrix")
    }

    fn parse_at(bytes: &[u8], place: &str) -> Result<Self, QuantizeError> {
        let read = if bytes.starts_with(b"GGUF") { Self::of_gguf(bytes) } else { Self::of_older(bytes) };
        let read = read.and_then(|matrix| match matrix.0.is_empty() {
            true => Err(Wrong::Invalid("expected entries, found none".to_owned())),
            false => Ok(matrix),
        });
        read.map_err(|wrong| match wrong {
            Wrong::OutOfMemory(what) => QuantizeError::no_memory(format!("{place}: {what}")),
            Wrong::Invalid(what) => {
                QuantizeError::new(QuantizeErrorKind::InvalidImatrix, format!("{place}: {what}"))
            }
        })
    }

    /// Returns the weights of a tensor, one per column. For a stack of matrices (experts), the weights of each matrix follow in
    /// turn.
    pub fn get(&self, tensor: &str) -> Option<&[f32]> {
        self.0.get(tensor).map(Vec::as_slice)
    }

    /// Returns the names of the tensors, in no particular order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn of_gguf(bytes: &[u8]) -> Result<Self, Wrong> {
        let gguf = Gguf::parse(bytes).map_err(|e| match e.kind() {
            ParseErrorKind::OutOfMemory => Wrong::OutOfMemory("its index".to_owned()),
            _ => Wrong::Invalid(e.to_string()),
        })?;
        if gguf.byte_order() == ByteOrder::Big {
            return Err(Wrong::Invalid("expected a little-endian file, found a big-endian one".to_owned()));
        }
        let values = |name: &str| {
            let tensor = gguf.tensor(name).ok_or_else(|| format!("tensor `{name}` is missing"))?;
            let data = gguf.data(&tensor).unwrap_or_default();
            let dtype = DType::from_name(tensor.ty.name())
                .ok_or_else(|| format!("tensor `{name}`: type {}, expected F32", tensor.ty))?;
            dequantize_to_vec(dtype, data).map_err(|e| match e {
                RowError::OutOfMemory { .. } => Wrong::OutOfMemory(format!("tensor `{name}`")),
                e => Wrong::Invalid(format!("tensor `{name}`: {e}")),
            })
        };
        let mut matrix = Self::default();
        for tensor in gguf.tensors() {
            let Some(name) = tensor.name.strip_suffix(".in_sum2") else { continue };
            let (mut sums, counts) = (values(tensor.name)?, values(&format!("{name}.counts"))?);
            let columns = sums.len() / counts.len().max(1);
            if columns == 0 || sums.len() != columns * counts.len() {
                let (sums, counts) = (sums.len(), counts.len());
                return Err(Wrong::Invalid(format!(
                    "tensor `{name}`: {sums} sums, expected a multiple of the {counts} counts"
                )));
            }
            for (sums, &count) in sums.chunks_exact_mut(columns).zip(&counts) {
                // An expert that was never used gets equal weights.
                sums.iter_mut().for_each(|s| *s = if count > 0.0 { *s / count } else { 1.0 });
            }
            matrix.insert(name, sums)?;
        }
        Ok(matrix)
    }

    fn of_older(bytes: &[u8]) -> Result<Self, Wrong> {
        let mut rest = Rest { bytes, at: 0 };
        let mut matrix = Self::default();
        for _ in 0..rest.number()? {
            let len = rest.number()?;
            let at = rest.at;
            let name = std::str::from_utf8(rest.take(len)?)
                .map_err(|_| format!("expected a name in UTF-8 at offset {at}, found other bytes"))?;
            let (calls, values) = (rest.number()?.max(1), rest.number()?);
            let data = rest.take(values.checked_mul(4).ok_or_else(|| "too many values".to_owned())?)?;
            let mut weights = Vec::new();
            weights
                .try_reserve_exact(values)
                .map_err(|_| Wrong::OutOfMemory(format!("{values} weights of a tensor")))?;
            weights.resize(values, 0.0);
            LE::read_f32_into(data, &mut weights);
            weights.iter_mut().for_each(|v| *v /= calls as f32);
            matrix.insert(name, weights)?;
        }
        Ok(matrix)
    }

    fn insert(&mut self, name: &str, values: Vec<f32>) -> Result<(), Wrong> {
        if let Some(bad) = values.iter().find(|v| !v.is_finite() || **v < 0.0) {
            let name = name.escape_debug();
            return Err(Wrong::Invalid(format!(
                "tensor `{name}`: expected finite weights that are not negative, found {bad}"
            )));
        }
        let no_memory = |_| Wrong::OutOfMemory("its names".to_owned());
        let mut key = String::new();
        key.try_reserve_exact(name.len()).map_err(no_memory)?;
        key.push_str(name);
        self.0.try_reserve(1).map_err(no_memory)?;
        self.0.insert(key, values);
        Ok(())
    }
}

/// Reads a regular file. Other files, such as pipes, may never end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    let len = usize::try_from(metadata.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.try_reserve_exact(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    file.take(metadata.len()).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The unread rest of a file in the older format.
struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Wrong> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest
            .get(..n)
            .ok_or_else(|| format!("expected {n} bytes at offset {}, found {}", self.at, rest.len()))?;
        self.at += n;
        Ok(taken)
    }

    /// Reads an `i32` that must not be negative.
    fn number(&mut self) -> Result<usize, Wrong> {
        let at = self.at;
        let number = LE::read_i32(self.take(4)?);
        usize::try_from(number).map_err(|_| format!("expected a count at offset {at}, found {number}").into())
    }
}
