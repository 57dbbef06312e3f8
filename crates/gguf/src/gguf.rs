//! The borrowed view of a parsed file.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::error::{ParseError, ParseErrorKind};
use crate::index::Index;
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::parse;
use crate::tensor_info::TensorInfo;
use crate::warning::{self, Warning};

/// A parsed GGUF file over borrowed bytes: metadata and tensor entries, every range of which lies in the bytes.
///
/// Cheap to clone. Little-endian files of versions 2 and 3 are read.
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

    /// Parses a whole file: proves magic, version, counts, keys, values, alignment, and that every tensor lies in the
    /// file and shares no byte with another.
    ///
    /// Tensor types that this version does not know are kept, as are the other deviations that
    /// [`Gguf::warnings`] lists; [`Gguf::check_strict`] refuses them.
    ///
    /// # Errors
    /// When the bytes are not a little-endian GGUF file of version 2 or 3, when the file is cut or broken, or beyond
    /// `limits`. The error says where, what was expected and what was found.
    pub fn parse_with(bytes: &'a [u8], limits: &Limits) -> Result<Self, ParseError> {
        Ok(Self::from_index(bytes, Arc::new(parse::parse(bytes, limits)?)))
    }

    /// `bytes` must be those that `index` was made from.
    pub(crate) fn from_index(bytes: &'a [u8], index: Arc<Index>) -> Self {
        let metadata = Metadata::new(bytes, Arc::clone(&index));
        Self { bytes, index, metadata }
    }

    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// The version of the format: 2 or 3.
    pub fn version(&self) -> u32 {
        self.index.version
    }

    /// The alignment of the tensor data, in bytes.
    pub fn alignment(&self) -> u64 {
        self.index.alignment
    }

    /// Where the tensor data begins, in bytes from the start. A file without tensors may end before.
    pub fn data_offset(&self) -> u64 {
        self.index.data_offset
    }

    /// The metadata.
    pub fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    /// The bytes of the whole file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The tensors, in the order of the file.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorInfo<'a>> + DoubleEndedIterator + '_ {
        self.index.tensors.iter().map(|tensor| tensor.info(self.bytes))
    }

    /// The tensor with this name.
    pub fn tensor(&self, name: &str) -> Option<TensorInfo<'a>> {
        Some(self.index.find_tensor(self.bytes, name)?.info(self.bytes))
    }

    /// The bytes of a tensor of this file; `None` for a tensor of another file whose range does not lie in this one.
    pub fn data(&self, tensor: &TensorInfo<'_>) -> Option<&'a [u8]> {
        let start = usize::try_from(tensor.range.start).ok()?;
        let end = usize::try_from(tensor.range.end).ok()?;
        self.bytes.get(start..end)
    }

    /// What in the file deviates from the format's document or would not be taken by other readers, in the order of
    /// the file.
    pub fn warnings(&self) -> Vec<Warning> {
        warning::collect(self)
    }

    /// Refuses what the reference reader (llama.cpp, loading the tensor data) refuses and [`Gguf::parse`] takes: tensor
    /// types it does not know, gaps between tensors or another order than the entries', and missing padding at the end.
    ///
    /// # Errors
    /// [`ParseErrorKind::NotStrict`], about the first such [`Warning`].
    pub fn check_strict(&self) -> Result<(), ParseError> {
        match self.warnings().into_iter().find(Warning::is_refused_elsewhere) {
            None => Ok(()),
            Some(w) => {
                let error = ParseError::new(ParseErrorKind::NotStrict, w.offset, w.kind.expected(), w.found);
                Err(if w.kind.is_about_a_tensor() {
                    error.in_tensor(w.name.as_bytes())
                } else {
                    error.in_key(w.name.as_bytes())
                })
            }
        }
    }
}
