//! The borrowed view of a parsed file.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::dialect::ByteOrder;
use crate::error::{ParseError, ParseErrorKind};
use crate::index::Index;
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::parse;
use crate::rules::Rules;
use crate::tensor_info::TensorInfo;
use crate::warning::{self, Subject, Warning};

/// A parsed GGUF file over borrowed bytes. Every range of its metadata and tensor entries is known to lie in the bytes.
///
/// Cheap to clone. Reads versions 1, 2 and 3, little-endian and big-endian.
///
/// ```
/// use happy_gguf::{Gguf, GgmlType, GgufWriter};
/// let file = GgufWriter::new()
///     .kv("general.architecture", "llama")
///     .tensor("output.weight", GgmlType::Q4_0, &[32, 2], vec![0u8; 36])
///     .to_vec()
///     .unwrap();
/// let gguf = Gguf::parse(&file).unwrap();
/// assert_eq!(gguf.metadata().get_str("general.architecture").unwrap(), "llama");
/// let tensor = gguf.tensor("output.weight").unwrap();
/// assert_eq!((tensor.ty, &*tensor.dims), (GgmlType::Q4_0, &[32, 2][..]));
/// assert_eq!(gguf.data(&tensor).unwrap().len(), 36);
/// ```
#[derive(Clone, Debug)]
pub struct Gguf<'a> {
    bytes: &'a [u8],
    index: Arc<Index>,
    metadata: Metadata<'a>,
}

impl<'a> Gguf<'a> {
    /// Parses a whole file with the default [`Limits`].
    ///
    /// # Errors
    /// See [`Gguf::parse_with`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Self::parse_with(bytes, &Limits::default())
    }

    /// Parses a whole file. Checks the magic, the version, all counts, keys and values, the alignment, and that every
    /// tensor lies in the file and shares no byte with another.
    ///
    /// Tensor types that this version does not know are accepted, and so are the other deviations that
    /// [`Gguf::warnings`] lists. [`Gguf::check_strict`] refuses them.
    ///
    /// # Errors
    /// If the bytes are not a GGUF file, if the file is truncated or malformed, or if it exceeds `limits`. The error
    /// says where, what was expected and what was found.
    pub fn parse_with(bytes: &'a [u8], limits: &Limits) -> Result<Self, ParseError> {
        Self::parse_by(bytes, &Rules { limits, lenient: false, file_len: Some(bytes.len() as u64) })
    }

    /// Like [`Gguf::parse_with`], but also accepts two violations of the format that some readers tolerate: bools other
    /// than 0 and 1 (read as true), and tensors whose offset is not a multiple of the alignment. [`Gguf::warnings`]
    /// lists both.
    ///
    /// ```
    /// use happy_gguf::{Gguf, GgufWriter, Limits, WarningKind};
    /// let mut file = GgufWriter::new().kv("a.b", true).to_vec().unwrap();
    /// *file.last_mut().unwrap() = 7;
    /// assert!(Gguf::parse(&file).is_err());
    /// let gguf = Gguf::parse_lenient(&file, &Limits::default()).unwrap();
    /// assert!(gguf.metadata().get_bool("a.b").unwrap());
    /// assert_eq!(gguf.warnings()[0].kind, WarningKind::OddBool);
    /// ```
    ///
    /// # Errors
    /// The same as [`Gguf::parse_with`].
    pub fn parse_lenient(bytes: &'a [u8], limits: &Limits) -> Result<Self, ParseError> {
        Self::parse_by(bytes, &Rules { limits, lenient: true, file_len: Some(bytes.len() as u64) })
    }

    /// Parses the beginning of a file: all metadata and tensor entries must be there, the tensors' bytes need not be.
    ///
    /// `file_len` is the length of the whole file in bytes, if it is known; every tensor must then lie within it.
    /// [`Gguf::data`] returns the tensors that lie in `bytes`. If the bytes end before the last tensor entry does, the
    /// error's [`ParseError::needed`] says how many bytes to fetch before trying again.
    ///
    /// ```
    /// use happy_gguf::{GgmlType, Gguf, GgufWriter, Limits};
    /// let file = GgufWriter::new().tensor("w", GgmlType::F32, &[64], vec![0; 256]).to_vec().unwrap();
    /// let (mut have, limits) = (4, Limits::default());
    /// let gguf = loop {
    ///     match Gguf::parse_header(&file[..have], Some(file.len() as u64), &limits) {
    ///         Ok(gguf) => break gguf,
    ///         Err(error) => have = error.needed().ok_or(error).unwrap() as usize,
    ///     }
    /// };
    /// let w = gguf.tensor("w").unwrap();
    /// assert!(have < 100 && w.byte_len() == 256 && gguf.data(&w).is_none());
    /// ```
    ///
    /// # Errors
    /// The same as [`Gguf::parse_with`].
    pub fn parse_header(bytes: &'a [u8], file_len: Option<u64>, limits: &Limits) -> Result<Self, ParseError> {
        Self::parse_by(bytes, &Rules { limits, lenient: false, file_len })
    }

    pub(crate) fn parse_by(bytes: &'a [u8], rules: &Rules<'_>) -> Result<Self, ParseError> {
        Ok(Self::from_index(bytes, Arc::new(parse::parse(bytes, rules)?)))
    }

    /// `bytes` must be the bytes that `index` was made from.
    pub(crate) fn from_index(bytes: &'a [u8], index: Arc<Index>) -> Self {
        let metadata = Metadata::new(bytes, Arc::clone(&index));
        Self { bytes, index, metadata }
    }

    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Returns the version of the format: 1, 2 or 3.
    pub fn version(&self) -> u32 {
        self.index.version
    }

    /// Returns the byte order of every number in the file, including those in the tensors.
    pub fn byte_order(&self) -> ByteOrder {
        self.index.dialect.order
    }

    /// Returns the alignment of the tensor data, in bytes.
    pub fn alignment(&self) -> u64 {
        self.index.alignment
    }

    /// Returns where the tensor data begins, in bytes from the start of the file. A file without tensors may end before this
    /// offset.
    pub fn data_offset(&self) -> u64 {
        self.index.data_offset
    }

    /// Returns where the tensor entries end, in bytes from the start. Padding follows, up to [`Gguf::data_offset`].
    pub fn header_end(&self) -> u64 {
        self.index.header_end
    }

    /// Returns where the last tensor's data ends, in bytes from the start. A complete file has at least this many bytes. For a
    /// file without tensors it is [`Gguf::header_end`].
    pub fn data_end(&self) -> u64 {
        self.index.tensors.iter().map(|tensor| tensor.range.end).fold(self.index.header_end, u64::max)
    }

    /// Returns the metadata.
    pub fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    /// Returns the bytes that were parsed: the whole file, except after [`Gguf::parse_header`].
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the tensors, in file order.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorInfo<'a>> + DoubleEndedIterator + '_ {
        self.index.tensors.iter().map(|tensor| tensor.info(self.bytes))
    }

    pub(crate) fn nth_tensor(&self, i: usize) -> Option<TensorInfo<'a>> {
        Some(self.index.tensors.get(i)?.info(self.bytes))
    }

    /// Returns the tensor named `name`, or `None` if the file has no such tensor.
    pub fn tensor(&self, name: &str) -> Option<TensorInfo<'a>> {
        Some(self.index.find_tensor(self.bytes, name)?.info(self.bytes))
    }

    /// Returns the bytes of a tensor of this file. `None` if its range does not lie in these bytes: after
    /// [`Gguf::parse_header`], or for a tensor of another file.
    pub fn data(&self, tensor: &TensorInfo<'_>) -> Option<&'a [u8]> {
        let start = usize::try_from(tensor.range.start).ok()?;
        let end = usize::try_from(tensor.range.end).ok()?;
        self.bytes.get(start..end)
    }

    /// Returns deviations from the format's document, and what other readers would refuse, in file order.
    pub fn warnings(&self) -> Vec<Warning> {
        warning::collect(self)
    }

    /// Refuses what [`Gguf::parse`] accepts but the reference reader (llama.cpp, when it loads the tensor data)
    /// refuses: tensor types it does not know, gaps between tensors, tensors in another order than their entries,
    /// missing padding at the end, version 1, and big-endian files.
    ///
    /// # Errors
    /// [`ParseErrorKind::NotStrict`], for the first such [`Warning`].
    pub fn check_strict(&self) -> Result<(), ParseError> {
        match self.warnings().into_iter().find(Warning::is_refused_elsewhere) {
            None => Ok(()),
            Some(w) => {
                let error = ParseError::new(ParseErrorKind::NotStrict, w.offset, w.kind.expected(), w.found);
                Err(match w.kind.subject() {
                    Subject::File => error,
                    Subject::Key => error.in_key(w.name.as_bytes()),
                    Subject::Tensor => error.in_tensor(w.name.as_bytes()),
                })
            }
        }
    }
}
