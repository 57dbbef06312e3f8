//! The writer: collects pairs and tensors, checks them by the reader's rules, and writes a file.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use crate::dialect::{ByteOrder, Dialect};
use crate::encode::{self, Unencoded};
use crate::encode_header::{
    Start, alignment_of, pad, padded, write_entry, write_padding, write_pair, wrong_alignment,
};
use crate::new_tensor::{Data, NewTensor};
use crate::owned_value::OwnedValue;
use crate::pending::{Pending, Synced};
use crate::sink::{Checked, Growing};
use crate::tensor_info::TensorInfo;
use crate::value::{Value, ValueType};
use crate::write_error::{WriteError, WriteErrorKind, place_of};
use crate::write_options::WriteOptions;
use crate::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, GgmlType, Gguf, Limits};

/// Builds a GGUF file; little-endian and version 3 by default.
///
/// Pairs and tensors are written in the order in which they were added, every tensor padded to the alignment. Tensor
/// bytes may be borrowed, or produced while they are written; they are not copied before [`GgufWriter::write_to`]
/// writes them.
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
#[derive(Clone, Debug)]
#[must_use]
pub struct GgufWriter<'a> {
    version: u32,
    order: ByteOrder,
    pairs: Vec<(Cow<'a, str>, Pair<'a>)>,
    tensors: Vec<NewTensor<'a>>,
    /// Memory for a pair or a tensor was refused; reported when the file is written.
    out_of_memory: bool,
}

#[derive(Clone, Debug)]
enum Pair<'a> {
    Owned(OwnedValue),
    Read(Value<'a>),
}

impl Pair<'_> {
    fn value_type(&self) -> ValueType {
        match self {
            Self::Owned(value) => value.value_type(),
            Self::Read(value) => value.value_type(),
        }
    }

    fn encode(&self, to: Dialect, out: &mut Vec<u8>) -> Result<(), Unencoded> {
        match self {
            Self::Owned(value) => value.encode(to, out),
            Self::Read(value) => encode::value(value, to, out),
        }
    }
}

impl Default for GgufWriter<'_> {
    fn default() -> Self {
        Self {
            version: 3,
            order: ByteOrder::Little,
            pairs: Vec::new(),
            tensors: Vec::new(),
            out_of_memory: false,
        }
    }
}

impl<'a> GgufWriter<'a> {
    /// Makes a writer of a file without pairs and tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts from the version, byte order, pairs and tensors of a parsed file, with the tensor bytes borrowed: for
    /// editing or rewriting a file. A file that [`Gguf::check_strict`] accepts, and that has no bytes after its last
    /// tensor, is reproduced byte by byte.
    pub fn from_gguf(gguf: &Gguf<'a>) -> Self {
        let mut writer = Self::new().version(gguf.version()).byte_order(gguf.byte_order());
        for (key, value) in gguf.metadata().iter() {
            writer = writer.kv_read(key, value);
        }
        for tensor in gguf.tensors() {
            let data = gguf.data(&tensor).unwrap_or_default();
            writer = writer.tensor_read(&tensor, Data::Bytes(data.into()));
        }
        writer
    }

    /// Sets the version of the format: 1, 2 or 3 (default 3). Other readers no longer support version 1.
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Sets the byte order of the file (default little-endian). Tensor bytes are not converted: they must already be in
    /// this order.
    pub fn byte_order(mut self, order: ByteOrder) -> Self {
        self.order = order;
        self
    }

    /// Adds a metadata pair.
    pub fn kv(self, key: impl Into<String>, value: impl Into<OwnedValue>) -> Self {
        self.pair(key.into().into(), Pair::Owned(value.into()))
    }

    /// Adds a metadata pair that was read from a file. The value is borrowed and not copied before it is written.
    pub fn kv_read(self, key: &'a str, value: Value<'a>) -> Self {
        self.pair(key.into(), Pair::Read(value))
    }

    fn pair(mut self, key: Cow<'a, str>, value: Pair<'a>) -> Self {
        match self.pairs.try_reserve(1) {
            Ok(()) => self.pairs.push((key, value)),
            Err(_) => self.out_of_memory = true,
        }
        self
    }

    /// Sets the alignment of the tensor data in bytes (default 32), by adding the pair `general.alignment`.
    pub fn alignment(self, bytes: u32) -> Self {
        self.kv(ALIGNMENT_KEY, bytes)
    }

    /// Adds a tensor: its type, its dimensions (fastest first, at most four), and its bytes as stored in the file.
    pub fn tensor(
        self,
        name: impl Into<String>,
        ty: GgmlType,
        dims: &[u64],
        bytes: impl Into<Cow<'a, [u8]>>,
    ) -> Self {
        self.push(name.into().into(), ty, dims, Data::Bytes(bytes.into()))
    }

    /// Adds a tensor whose bytes are produced while the file is written, so that they need not all be in memory.
    /// `produce` must write exactly as many bytes as type and dimensions determine. It may be called more than once.
    ///
    /// ```
    /// use happy_gguf::{GgmlType, GgufWriter};
    /// let file = GgufWriter::new()
    ///     .tensor_from("ones", GgmlType::F32, &[4, 1000], |out| {
    ///         (0..4000).try_for_each(|_| out.write_all(&1f32.to_le_bytes()))
    ///     })
    ///     .to_vec()?;
    /// assert_eq!(file.len(), 96 + 16_000);
    /// # Ok::<(), happy_gguf::WriteError>(())
    /// ```
    pub fn tensor_from(
        self,
        name: impl Into<String>,
        ty: GgmlType,
        dims: &[u64],
        produce: impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync + 'a,
    ) -> Self {
        self.push(name.into().into(), ty, dims, Data::Produced(Arc::new(produce), None))
    }

    /// Like [`GgufWriter::tensor_from`], for a type whose size does not follow from the dimensions: `produce` writes
    /// `len` bytes. `None` stands for the size that type and dimensions determine.
    pub fn tensor_from_sized(
        self,
        name: impl Into<String>,
        ty: GgmlType,
        dims: &[u64],
        len: Option<u64>,
        produce: impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync + 'a,
    ) -> Self {
        self.push(name.into().into(), ty, dims, Data::Produced(Arc::new(produce), len))
    }

    /// Adds a tensor that was read from a file.
    pub(crate) fn tensor_read(self, tensor: &TensorInfo<'a>, data: Data<'a>) -> Self {
        self.push(tensor.name.into(), tensor.ty, &tensor.dims, data)
    }

    fn push(mut self, name: Cow<'a, str>, ty: GgmlType, dims: &[u64], data: Data<'a>) -> Self {
        match self.tensors.try_reserve(1) {
            Ok(()) => self.tensors.push(NewTensor { name, ty, dims: dims.to_vec(), data }),
            Err(_) => self.out_of_memory = true,
        }
        self
    }

    /// Writes the file into memory.
    ///
    /// # Errors
    /// The same as [`GgufWriter::write_to`].
    pub fn to_vec(&self) -> Result<Vec<u8>, WriteError> {
        let mut out = Growing(Vec::new());
        self.write_to(&mut out)?;
        Ok(out.0)
    }

    /// Checks everything and writes the file; returns the number of bytes written. Writes are large, so `out` need not
    /// be buffered.
    ///
    /// # Errors
    /// If a reader would refuse a key, a name, the alignment or a tensor (nothing is written then), if a producer
    /// writes too much or too little, or if a write fails.
    pub fn write_to(&self, out: impl Write) -> Result<u64, WriteError> {
        self.write_to_with(out, &|| false)
    }

    /// Like [`GgufWriter::write_to`], but can be cancelled: `cancelled` is called before each 256 KiB. A producer that
    /// computes for long between two writes should check by itself.
    ///
    /// # Errors
    /// The same as [`GgufWriter::write_to`], and if `cancelled` returns true.
    pub fn write_to_with(&self, out: impl Write, cancelled: &dyn Fn() -> bool) -> Result<u64, WriteError> {
        let mut out = Checked { out, cancelled, stopped: false };
        let written = self.write_checked(&mut out);
        if out.stopped { Err(WriteError::cancelled("the file")) } else { written }
    }

    fn write_checked(&self, mut out: impl Write) -> Result<u64, WriteError> {
        let alignment = self.check_alignment()?;
        let header = self.header(alignment)?;
        out.write_all(&header)?;
        let mut written = header.len() as u64;
        for tensor in &self.tensors {
            written += tensor.write_to(&mut out)?;
            written += write_padding(&mut out, written, alignment)?;
        }
        out.flush()?;
        Ok(written)
    }

    /// Writes a file atomically: it is written beside its final place, synced to disk, and moved over what was there. A
    /// crash leaves the old file or the new one, and at most one file `.NAME.happy-tmp`, which the next write to the
    /// same folder removes. Returns the length of the file in bytes.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("happy-gguf-write-doc-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// let path = dir.join("tiny.gguf");
    /// let len = happy_gguf::GgufWriter::new().kv("general.name", "tiny").write_file(&path)?;
    /// assert_eq!(std::fs::metadata(&path).unwrap().len(), len);
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), happy_gguf::WriteError>(())
    /// ```
    ///
    /// # Errors
    /// The same as [`GgufWriter::write_to`], and if the file cannot be created or moved; what was there before stays.
    pub fn write_file(&self, path: impl AsRef<Path>) -> Result<u64, WriteError> {
        self.write_file_with(path, &WriteOptions::default())
    }

    /// Like [`GgufWriter::write_file`], with options.
    ///
    /// # Errors
    /// The same as [`GgufWriter::write_file`], and if a file exists that may not be replaced, or if the work is
    /// cancelled.
    pub fn write_file_with(
        &self,
        path: impl AsRef<Path>,
        options: &WriteOptions<'_>,
    ) -> Result<u64, WriteError> {
        let path = path.as_ref();
        options.check(path)?;
        let (pending, len) = self.write_pending(path, options)?;
        options.check(path)?;
        pending.commit().map_err(|e| WriteError::io(place_of(path), e))?;
        Ok(len)
    }

    /// Writes the file without giving it its final name.
    pub(crate) fn write_pending(
        &self,
        path: &Path,
        options: &WriteOptions<'_>,
    ) -> Result<(Pending, u64), WriteError> {
        let mut pending = Pending::create(path).map_err(|e| WriteError::io(place_of(path), e))?;
        let out = Synced::new(pending.file());
        let len = self.write_to_with(out, options.cancelled).map_err(|e| e.at(path))?;
        Ok((pending, len))
    }

    /// Returns the number of bytes that [`GgufWriter::write_to`] writes.
    ///
    /// # Errors
    /// The same as [`GgufWriter::write_to`], except for errors that only appear when the tensors are written.
    pub fn file_len(&self) -> Result<u64, WriteError> {
        let alignment = self.check_alignment()?;
        let header = self.header(alignment)?.len() as u64;
        let sizes = self.tensors.iter().map(|tensor| tensor.size().unwrap_or(0));
        Ok(sizes.fold(header, |sum, size| sum.saturating_add(padded(size, alignment))))
    }

    /// Everything before the tensor data. Padded if there are tensors, as the reference writer does.
    fn header(&self, alignment: u64) -> Result<Vec<u8>, WriteError> {
        let no_memory = || WriteError::out_of_memory("the file");
        if self.out_of_memory {
            return Err(no_memory());
        }
        let to = Dialect::new(self.version, self.order);
        let start = Start { version: self.version, n_tensors: self.tensors.len(), n_pairs: self.pairs.len() };
        let mut out = start.bytes(to)?;

        let limits = Limits::default();
        let mut seen = HashSet::new();
        seen.try_reserve(self.pairs.len()).map_err(|_| no_memory())?;
        for (key, value) in &self.pairs {
            if !seen.insert(key) {
                return Err(WriteError::key(WriteErrorKind::InvalidKey, key, "each key once", "it again"));
            }
            write_pair(key, value.value_type(), to, &mut out, |out| value.encode(to, out))?;
        }

        let mut offset = 0u64;
        let mut seen = HashSet::new();
        seen.try_reserve(self.tensors.len()).map_err(|_| no_memory())?;
        for tensor in &self.tensors {
            let (name, kind) = (&tensor.name, WriteErrorKind::InvalidTensorName);
            if name.len() as u64 > limits.max_tensor_name_len {
                let expected = format!("a name of at most {} bytes", limits.max_tensor_name_len);
                return Err(WriteError::tensor(kind, name, expected, format!("{} bytes", name.len())));
            }
            if !seen.insert(name) {
                return Err(WriteError::tensor(kind, name, "each tensor once", "it again"));
            }
            let size = tensor.size()?;
            write_entry(name, &tensor.dims, tensor.ty, offset, to, &mut out).map_err(|e| match e {
                Unencoded::OutOfMemory => no_memory(),
                Unencoded::TooLarge => {
                    let expected = "dimensions of 32 bits (version 1)";
                    let found = format!("{:?}", tensor.dims);
                    WriteError::tensor(WriteErrorKind::TooLarge, name, expected, found)
                }
            })?;
            offset = offset.saturating_add(padded(size, alignment));
            if i64::try_from(offset).is_err() {
                let found = format!("{offset} bytes with this one");
                let expected = "tensors whose sizes together fit 63 bits";
                return Err(WriteError::tensor(WriteErrorKind::InvalidShape, name, expected, found));
            }
        }
        if !self.tensors.is_empty() {
            pad(&mut out, alignment)?;
        }
        Ok(out)
    }

    fn check_alignment(&self) -> Result<u64, WriteError> {
        match self.pairs.iter().find(|(key, _)| key == ALIGNMENT_KEY) {
            None => Ok(DEFAULT_ALIGNMENT),
            Some((_, Pair::Owned(value))) => alignment_of(value),
            // Arrays and strings are not valid alignments; the other values own no memory.
            Some((_, Pair::Read(value @ (Value::String(_) | Value::Array(_))))) => {
                Err(wrong_alignment(format!("a value of type {}", value.value_type())))
            }
            Some((_, Pair::Read(value))) => alignment_of(&(*value).into()),
        }
    }
}
