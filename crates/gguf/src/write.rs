//! The writer: collects pairs and tensors, checks what the reader would refuse, and writes a version 3 file.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Write};
use std::string::String;
use std::vec::Vec;

use crate::error::printable;
use crate::owned_value::{OwnedValue, write_string};
use crate::tensor_info::Dims;
use crate::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, GgmlType, Gguf, Limits};

/// Builds a little-endian GGUF file of version 3.
///
/// Pairs and tensors are written in the order in which they were added, every tensor padded to the alignment. Tensor
/// bytes may be borrowed: they are not copied before [`GgufWriter::write_to`] writes them.
///
/// ```
/// use happy_gguf::{GgmlType, Gguf, GgufWriter};
/// let weights: Vec<u8> = [1.0f32, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
/// let file = GgufWriter::new()
///     .alignment(64)
///     .kv("general.architecture", "llama")
///     .kv("tokenizer.ggml.tokens", vec!["<s>", "a"])
///     .tensor("output_norm.weight", GgmlType::F32, &[2], &weights[..])
///     .to_vec()?;
/// assert_eq!(Gguf::parse(&file).unwrap().tensor("output_norm.weight").unwrap().range, 256..264);
/// # Ok::<(), happy_gguf::WriteError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct GgufWriter<'a> {
    pairs: Vec<(String, OwnedValue)>,
    tensors: Vec<Tensor<'a>>,
}

#[derive(Clone, Debug)]
struct Tensor<'a> {
    name: String,
    ty: GgmlType,
    dims: Vec<u64>,
    bytes: Cow<'a, [u8]>,
}

/// What keeps a file from being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteErrorKind {
    /// A key that is empty, too long, or there twice.
    InvalidKey,
    /// An alignment that is not a `u32` power of two in the limits.
    InvalidAlignment,
    /// A tensor name that is too long, or there twice.
    InvalidTensorName,
    /// Dimensions that are too many, too large, or not whole blocks.
    InvalidShape,
    /// Bytes whose number does not follow from type and dimensions.
    WrongSize,
    /// A write to the destination failed.
    Io,
}

/// Why a file could not be written: kind, the key or tensor, what was expected and found.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {place}: expected {expected}, found {found}")]
pub struct WriteError {
    kind: WriteErrorKind,
    place: String,
    expected: String,
    found: String,
    #[source]
    source: Option<io::Error>,
}

impl WriteError {
    fn key(kind: WriteErrorKind, key: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        let place = format!("key `{}`", printable(key.as_bytes()));
        Self { kind, place, expected: expected.into(), found: found.into(), source: None }
    }

    fn tensor(
        kind: WriteErrorKind,
        name: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        let place = format!("tensor `{}`", printable(name.as_bytes()));
        Self { kind, place, expected: expected.into(), found: found.into(), source: None }
    }

    /// What is wrong.
    pub fn kind(&self) -> WriteErrorKind {
        self.kind
    }
}

impl From<io::Error> for WriteError {
    fn from(source: io::Error) -> Self {
        Self {
            kind: WriteErrorKind::Io,
            place: "the file".into(),
            expected: "a write that succeeds".into(),
            found: source.to_string(),
            source: Some(source),
        }
    }
}

impl<'a> GgufWriter<'a> {
    /// A file without pairs and tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// All pairs and tensors of a parsed file, the tensor bytes borrowed: for editing, or for writing it anew.
    pub fn from_gguf(gguf: &Gguf<'a>) -> Self {
        let mut writer = Self::new();
        for (key, value) in gguf.metadata().iter() {
            writer = writer.kv(key, value);
        }
        for tensor in gguf.tensors() {
            writer =
                writer.tensor(tensor.name, tensor.ty, &tensor.dims, gguf.data(&tensor).unwrap_or_default());
        }
        writer
    }

    /// Adds a metadata pair.
    pub fn kv(mut self, key: impl Into<String>, value: impl Into<OwnedValue>) -> Self {
        self.pairs.push((key.into(), value.into()));
        self
    }

    /// Sets the alignment of the tensor data in bytes, which is the pair `general.alignment`.
    pub fn alignment(self, bytes: u32) -> Self {
        self.kv(ALIGNMENT_KEY, bytes)
    }

    /// Adds a tensor: its type, its dimensions (fastest first, at most four), and its bytes as they are to stand in
    /// the file.
    pub fn tensor(
        mut self,
        name: impl Into<String>,
        ty: GgmlType,
        dims: &[u64],
        bytes: impl Into<Cow<'a, [u8]>>,
    ) -> Self {
        self.tensors.push(Tensor { name: name.into(), ty, dims: dims.to_vec(), bytes: bytes.into() });
        self
    }

    /// The file as bytes.
    ///
    /// # Errors
    /// As [`GgufWriter::write_to`].
    pub fn to_vec(&self) -> Result<Vec<u8>, WriteError> {
        let mut out = Vec::new();
        self.write_to(&mut out)?;
        Ok(out)
    }

    /// Checks everything and writes the file; returns the number of bytes written. Writes are large, so
    /// that `out` need not be buffered.
    ///
    /// # Errors
    /// When a key, a name, the alignment or a tensor is one that a reader refuses (nothing is written then), or when
    /// a write fails.
    pub fn write_to(&self, mut out: impl Write) -> Result<u64, WriteError> {
        let alignment = self.check_alignment()?;
        let header = self.header(alignment)?;
        out.write_all(&header)?;
        let mut written = header.len() as u64;
        for tensor in &self.tensors {
            out.write_all(&tensor.bytes)?;
            written += tensor.bytes.len() as u64;
            written += write_padding(&mut out, written, alignment)?;
        }
        out.flush()?;
        Ok(written)
    }

    /// Everything before the tensor data. Padded when there are tensors, as the reference writer does.
    fn header(&self, alignment: u64) -> Result<Vec<u8>, WriteError> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.pairs.len() as u64).to_le_bytes());

        let limits = Limits::default();
        let mut seen = HashSet::new();
        for (key, value) in &self.pairs {
            let kind = WriteErrorKind::InvalidKey;
            if key.is_empty() || key.len() as u64 > limits.max_key_len {
                let expected = format!("a key of 1 to {} bytes", limits.max_key_len);
                return Err(WriteError::key(kind, key, expected, format!("{} bytes", key.len())));
            }
            if !seen.insert(key) {
                return Err(WriteError::key(kind, key, "each key once", "it again"));
            }
            write_string(key.as_bytes(), &mut out);
            out.extend(value.value_type().id().to_le_bytes());
            value.write_to(&mut out);
        }

        let mut offset = 0u64;
        let mut seen = HashSet::new();
        for tensor in &self.tensors {
            let (name, kind) = (&tensor.name, WriteErrorKind::InvalidTensorName);
            if name.len() as u64 > limits.max_tensor_name_len {
                let expected = format!("a name of at most {} bytes", limits.max_tensor_name_len);
                return Err(WriteError::tensor(kind, name, expected, format!("{} bytes", name.len())));
            }
            if !seen.insert(name) {
                return Err(WriteError::tensor(kind, name, "each tensor once", "it again"));
            }
            tensor.check_size()?;
            write_string(name.as_bytes(), &mut out);
            out.extend((tensor.dims.len() as u32).to_le_bytes()); // at most 4: checked
            out.extend(tensor.dims.iter().flat_map(|dim| dim.to_le_bytes()));
            out.extend(tensor.ty.id().to_le_bytes());
            out.extend(offset.to_le_bytes());
            // Cannot wrap: sizes of bytes in memory, and a small alignment. Saturates where borrowed slices alias.
            offset = offset.saturating_add(tensor.bytes.len() as u64).next_multiple_of(alignment);
        }
        if !self.tensors.is_empty() {
            let start = out.len() as u64;
            write_padding(&mut out, start, alignment)?;
        }
        Ok(out)
    }

    fn check_alignment(&self) -> Result<u64, WriteError> {
        let found = match self.pairs.iter().find(|(key, _)| key == ALIGNMENT_KEY) {
            None => return Ok(DEFAULT_ALIGNMENT),
            Some((_, OwnedValue::U32(n))) => {
                if n.is_power_of_two() && u64::from(*n) <= Limits::default().max_alignment {
                    return Ok((*n).into());
                }
                format!("{n}")
            }
            Some((_, value)) => format!("a value of type {}", value.value_type()),
        };
        let expected = format!("a u32 that is a power of two up to {}", Limits::default().max_alignment);
        Err(WriteError::key(WriteErrorKind::InvalidAlignment, ALIGNMENT_KEY, expected, found))
    }
}

impl Tensor<'_> {
    /// The bytes must be as many as type and dimensions say. A type of unknown size takes any number.
    fn check_size(&self) -> Result<(), WriteError> {
        let shape = |expected: &str| {
            let found = format!("{} {:?}", self.ty, self.dims);
            WriteError::tensor(WriteErrorKind::InvalidShape, &self.name, expected, found)
        };
        let Some(dims) = Dims::new(&self.dims) else { return Err(shape("at most 4 dimensions")) };
        let Some(elements) = dims.elements() else {
            return Err(shape("a product of dimensions that fits 63 bits"));
        };
        let Some(layout) = self.ty.layout() else { return Ok(()) };
        if !dims.padded()[0].is_multiple_of(layout.len.into()) {
            return Err(shape(&format!("rows of whole blocks of {} elements", layout.len)));
        }
        let Some(size) = self.ty.row_bytes(elements) else { return Err(shape("a size that fits 63 bits")) };
        let found = self.bytes.len();
        if found as u64 != size {
            let expected = format!("{size} bytes for {} {:?}", self.ty, self.dims);
            let found = format!("{found} bytes");
            return Err(WriteError::tensor(WriteErrorKind::WrongSize, &self.name, expected, found));
        }
        Ok(())
    }
}

/// Zeros up to the alignment; returns how many.
fn write_padding(out: &mut impl Write, written: u64, alignment: u64) -> io::Result<u64> {
    let padding = written.next_multiple_of(alignment) - written;
    io::copy(&mut io::Read::take(io::repeat(0), padding), out)
}
