//! The writer: collects pairs and tensors, checks what the reader would refuse, and writes a file.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use crate::dialect::{ByteOrder, Dialect};
use crate::encode::{self, Out, Unencoded};
use crate::owned_value::OwnedValue;
use crate::pending::Pending;
use crate::sink::{Checked, Growing, Room};
use crate::tensor_info::{Dims, TensorInfo};
use crate::value::{Value, ValueType};
use crate::write_error::{WriteError, WriteErrorKind, place_of};
use crate::write_options::WriteOptions;
use crate::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, GgmlType, Gguf, Limits};

/// Builds a GGUF file: little-endian and of version 3 unless told otherwise.
///
/// Pairs and tensors are written in the order in which they were added, every tensor padded to the alignment. Tensor
/// bytes may be borrowed, or produced while they are written: they are not copied before [`GgufWriter::write_to`]
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
    tensors: Vec<Tensor<'a>>,
    /// A pair or a tensor found no room; said when the file is written.
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

#[derive(Clone, Debug)]
struct Tensor<'a> {
    name: Cow<'a, str>,
    ty: GgmlType,
    dims: Vec<u64>,
    data: Data<'a>,
}

/// Writes a tensor's bytes, all of them, each time it is called.
pub(crate) type Producer<'a> = Arc<dyn Fn(&mut dyn Write) -> io::Result<()> + Send + Sync + 'a>;

#[derive(Clone)]
pub(crate) enum Data<'a> {
    Bytes(Cow<'a, [u8]>),
    /// And how many bytes, where the type does not say it.
    Produced(Producer<'a>, Option<u64>),
}

impl fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Produced(..) => f.write_str("produced"),
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
    /// A file without pairs and tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Version, byte order, all pairs and tensors of a parsed file, the tensor bytes borrowed: for editing, or for
    /// writing it anew. A file that [`Gguf::check_strict`] takes, and that has nothing behind its last tensor, comes out
    /// byte by byte as it was.
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

    /// Sets the version of the format: 1, 2 or 3 (the default). Other readers have dropped version 1.
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Sets the byte order of everything but the tensors' bytes, which must be in it already.
    pub fn byte_order(mut self, order: ByteOrder) -> Self {
        self.order = order;
        self
    }

    /// Adds a metadata pair.
    pub fn kv(self, key: impl Into<String>, value: impl Into<OwnedValue>) -> Self {
        self.pair(key.into().into(), Pair::Owned(value.into()))
    }

    /// Adds a metadata pair that was read from a file. The value is borrowed: nothing is copied before it is written.
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

    /// Sets the alignment of the tensor data in bytes, which is the pair `general.alignment`.
    pub fn alignment(self, bytes: u32) -> Self {
        self.kv(ALIGNMENT_KEY, bytes)
    }

    /// Adds a tensor: its type, its dimensions (fastest first, at most four), and its bytes as they are to stand in
    /// the file.
    pub fn tensor(
        self,
        name: impl Into<String>,
        ty: GgmlType,
        dims: &[u64],
        bytes: impl Into<Cow<'a, [u8]>>,
    ) -> Self {
        self.push(name.into().into(), ty, dims, Data::Bytes(bytes.into()))
    }

    /// Adds a tensor whose bytes are produced while the file is written, so that they need not be in memory at once.
    /// `produce` must write as many bytes as follow from type and dimensions.
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

    /// [`GgufWriter::tensor_from`] for a type whose size is not known to follow from the dimensions: `len` bytes are
    /// produced. `None` is as many as type and dimensions say.
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

    /// A tensor that was read from a file.
    pub(crate) fn tensor_read(self, tensor: &TensorInfo<'a>, data: Data<'a>) -> Self {
        self.push(tensor.name.into(), tensor.ty, &tensor.dims, data)
    }

    fn push(mut self, name: Cow<'a, str>, ty: GgmlType, dims: &[u64], data: Data<'a>) -> Self {
        match self.tensors.try_reserve(1) {
            Ok(()) => self.tensors.push(Tensor { name, ty, dims: dims.to_vec(), data }),
            Err(_) => self.out_of_memory = true,
        }
        self
    }

    /// The file as bytes.
    ///
    /// # Errors
    /// As [`GgufWriter::write_to`].
    pub fn to_vec(&self) -> Result<Vec<u8>, WriteError> {
        let mut out = Growing(Vec::new());
        self.write_to(&mut out)?;
        Ok(out.0)
    }

    /// Checks everything and writes the file; returns the number of bytes written. Writes are large, so
    /// that `out` need not be buffered.
    ///
    /// # Errors
    /// When a key, a name, the alignment or a tensor is one that a reader refuses (nothing is written then), when a
    /// producer writes too much or too little, or when a write fails.
    pub fn write_to(&self, out: impl Write) -> Result<u64, WriteError> {
        self.write_to_with(out, &|| false)
    }

    /// [`GgufWriter::write_to`], ended when `cancelled` says so. It is asked before each 256 KiB; a producer should ask by
    /// itself if it computes for long between two writes.
    ///
    /// # Errors
    /// As [`GgufWriter::write_to`], and when the work is cancelled.
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

    /// Writes a file, atomically: it is written beside its place, brought to the disk, and moved over what was there.
    /// A crash leaves the old file or the new one, and at most one file `.NAME.happy-tmp`, which the next write to the same
    /// folder removes. Returns its length.
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
    /// As [`GgufWriter::write_to`], and when the file cannot be made or moved; what was there before stays.
    pub fn write_file(&self, path: impl AsRef<Path>) -> Result<u64, WriteError> {
        self.write_file_with(path, &WriteOptions::default())
    }

    /// [`GgufWriter::write_file`] with options.
    ///
    /// # Errors
    /// As [`GgufWriter::write_file`], when there is a file that is not to be replaced, and when the work is cancelled.
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

    /// Writes the file without giving it its name.
    pub(crate) fn write_pending(
        &self,
        path: &Path,
        options: &WriteOptions<'_>,
    ) -> Result<(Pending, u64), WriteError> {
        let mut pending = Pending::create(path).map_err(|e| WriteError::io(place_of(path), e))?;
        let len = self.write_to_with(pending.file(), options.cancelled).map_err(|e| e.at(path))?;
        Ok((pending, len))
    }

    /// The number of bytes that [`GgufWriter::write_to`] writes.
    ///
    /// # Errors
    /// As [`GgufWriter::write_to`], but for what only shows when the tensors are written.
    pub fn file_len(&self) -> Result<u64, WriteError> {
        let alignment = self.check_alignment()?;
        let header = self.header(alignment)?.len() as u64;
        let sizes = self.tensors.iter().map(|tensor| tensor.size().unwrap_or(0));
        Ok(sizes.fold(header, |sum, size| sum.saturating_add(padded(size, alignment))))
    }

    /// Everything before the tensor data. Padded when there are tensors, as the reference writer does.
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
            // Whatever it is, it is a value that owns nothing, or not an alignment.
            Some((_, Pair::Read(value @ (Value::String(_) | Value::Array(_))))) => {
                Err(wrong_alignment(format!("a value of type {}", value.value_type())))
            }
            Some((_, Pair::Read(value))) => alignment_of(&(*value).into()),
        }
    }
}

/// The alignment that a value of [`ALIGNMENT_KEY`] means, if a reader takes it.
pub(crate) fn alignment_of(value: &OwnedValue) -> Result<u64, WriteError> {
    let max = Limits::default().max_alignment;
    let found = match value {
        OwnedValue::U32(n) if n.is_power_of_two() && u64::from(*n) <= max => return Ok((*n).into()),
        OwnedValue::U32(n) => format!("{n}"),
        value => format!("a value of type {}", value.value_type()),
    };
    Err(wrong_alignment(found))
}

fn wrong_alignment(found: String) -> WriteError {
    let expected = format!("a u32 that is a power of two up to {}", Limits::default().max_alignment);
    WriteError::key(WriteErrorKind::InvalidAlignment, ALIGNMENT_KEY, expected, found)
}

/// The first fields of a file.
pub(crate) struct Start {
    pub(crate) version: u32,
    pub(crate) n_tensors: usize,
    pub(crate) n_pairs: usize,
}

impl Start {
    pub(crate) fn bytes(&self, to: Dialect) -> Result<Vec<u8>, WriteError> {
        if !(1..=3).contains(&self.version) {
            let found = self.version.to_string();
            return Err(WriteError::file(
                WriteErrorKind::InvalidVersion,
                "the file",
                "version 1, 2 or 3",
                found,
            ));
        }
        let mut out = Vec::new();
        let counts = [self.n_tensors, self.n_pairs];
        let mut write = || {
            out.put(b"GGUF")?;
            encode::u32(self.version, to, &mut out)?;
            counts.into_iter().try_for_each(|n| encode::len(n as u64, to, &mut out))
        };
        match write() {
            Ok(()) => Ok(out),
            Err(Unencoded::OutOfMemory) => Err(WriteError::out_of_memory("the file")),
            Err(Unencoded::TooLarge) => {
                let (kind, found) = (WriteErrorKind::TooLarge, format!("{counts:?}"));
                Err(WriteError::file(kind, "the file", "counts that fit 32 bits (version 1)", found))
            }
        }
    }
}

/// Checks and appends a pair, the value by `encode`.
pub(crate) fn write_pair(
    key: &str,
    ty: ValueType,
    to: Dialect,
    out: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), Unencoded>,
) -> Result<(), WriteError> {
    let max = Limits::default().max_key_len;
    if key.is_empty() || key.len() as u64 > max {
        let (expected, found) = (format!("a key of 1 to {max} bytes"), format!("{} bytes", key.len()));
        return Err(WriteError::key(WriteErrorKind::InvalidKey, key, expected, found));
    }
    let write = || {
        encode::string(key.as_bytes(), to, out)?;
        encode::u32(ty.id(), to, out)?;
        encode(out)
    };
    write().map_err(|e| match e {
        Unencoded::OutOfMemory => WriteError::out_of_memory("the file"),
        Unencoded::TooLarge => {
            let expected = "lengths that fit the version, and arrays at most 64 deep";
            WriteError::key(WriteErrorKind::TooLarge, key, expected, "more")
        }
    })
}

/// Appends a tensor entry; `dims` are at most four.
pub(crate) fn write_entry(
    name: &str,
    dims: &[u64],
    ty: GgmlType,
    offset: u64,
    to: Dialect,
    out: &mut Vec<u8>,
) -> Result<(), Unencoded> {
    encode::string(name.as_bytes(), to, out)?;
    encode::u32(dims.len() as u32, to, out)?;
    dims.iter().try_for_each(|dim| encode::len(*dim, to, out))?;
    encode::u32(ty.id(), to, out)?;
    encode::u64(offset, to, out)
}

impl Tensor<'_> {
    /// The size in bytes: as many as type and dimensions say. A type of unknown size takes any number of bytes.
    fn size(&self) -> Result<u64, WriteError> {
        let shape = |expected: &str| {
            let found = format!("{} {:?}", self.ty, self.dims);
            WriteError::tensor(WriteErrorKind::InvalidShape, &self.name, expected, found)
        };
        let Some(dims) = Dims::new(&self.dims) else { return Err(shape("at most 4 dimensions")) };
        let Some(elements) = dims.elements() else {
            return Err(shape("a product of dimensions that fits 63 bits"));
        };
        let Some(layout) = self.ty.layout() else {
            return match &self.data {
                Data::Bytes(bytes) if bytes.is_empty() && elements > 0 => Err(self.wrong_size(1, 0)),
                Data::Bytes(bytes) => Ok(bytes.len() as u64),
                Data::Produced(_, Some(len)) => Ok(*len),
                Data::Produced(_, None) => Err(shape("a type of known size for bytes that are produced")),
            };
        };
        if !dims.padded()[0].is_multiple_of(layout.len.into()) {
            return Err(shape(&format!("rows of whole blocks of {} elements", layout.len)));
        }
        let Some(size) = self.ty.row_bytes(elements).filter(|n| i64::try_from(*n).is_ok()) else {
            return Err(shape("a size that fits 63 bits"));
        };
        match &self.data {
            Data::Bytes(bytes) if bytes.len() as u64 != size => {
                Err(self.wrong_size(size, bytes.len() as u64))
            }
            _ => Ok(size),
        }
    }

    fn wrong_size(&self, size: u64, found: u64) -> WriteError {
        let expected = format!("{size} bytes for {} {:?}", self.ty, self.dims);
        WriteError::tensor(WriteErrorKind::WrongSize, &self.name, expected, format!("{found} bytes"))
    }

    fn write_to(&self, out: &mut dyn Write) -> Result<u64, WriteError> {
        let size = self.size()?;
        match &self.data {
            Data::Bytes(bytes) => out.write_all(bytes)?,
            Data::Produced(produce, _) => {
                let mut room = Room { out, left: size, too_much: false };
                let done = produce(&mut room);
                if room.too_much {
                    return Err(self.wrong_size(size, size.saturating_add(1)));
                }
                done?;
                if room.left > 0 {
                    return Err(self.wrong_size(size, size - room.left));
                }
            }
        }
        Ok(size)
    }
}

/// Rounded up to the alignment; at most `u64::MAX`.
pub(crate) fn padded(size: u64, alignment: u64) -> u64 {
    size.checked_next_multiple_of(alignment).unwrap_or(u64::MAX)
}

/// Zeros up to the alignment; returns how many.
pub(crate) fn write_padding(out: &mut impl Write, written: u64, alignment: u64) -> io::Result<u64> {
    let padding = padded(written, alignment) - written;
    io::copy(&mut io::Read::take(io::repeat(0), padding), out)
}

/// Zeros up to the alignment.
pub(crate) fn pad(out: &mut Vec<u8>, alignment: u64) -> Result<(), WriteError> {
    let len = padded(out.len() as u64, alignment);
    let more = usize::try_from(len).ok().and_then(|len| len.checked_sub(out.len()));
    let more = more.filter(|more| out.try_reserve(*more).is_ok());
    let more = more.ok_or_else(|| WriteError::out_of_memory("the file"))?;
    out.resize(out.len() + more, 0);
    Ok(())
}
