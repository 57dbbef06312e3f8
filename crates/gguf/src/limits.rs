//! Bounds on what a file may ask of the reader.

/// Bounds that a file must keep, on top of those that follow from its length.
///
/// Every count and length is compared with the bytes that are left before anything is allocated; these
/// limits bound the rest: the memory of the parsed index (at most about 3.5 MiB with the defaults), and
/// sizes that only a broken or hostile file has. No published model comes near a default.
///
/// ```
/// use happy_gguf::{Gguf, Limits, ParseErrorKind};
/// let limits = Limits { max_pairs: 0, ..Limits::default() };
/// let file = happy_gguf::GgufWriter::new().kv("general.name", "x").to_vec().unwrap();
/// assert_eq!(Gguf::parse_with(&file, &limits).unwrap_err().kind(), ParseErrorKind::LimitExceeded);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Metadata pairs (default 16,384; published models have fewer than 100).
    pub max_pairs: u64,
    /// Tensors (default 32,768; published models have fewer than 4,000).
    pub max_tensors: u64,
    /// Bytes of a key (default 65,535, the format's own bound).
    pub max_key_len: u64,
    /// Bytes of a tensor name (default 64, the format's own bound).
    pub max_tensor_name_len: u64,
    /// Bytes of one string value or array element (default 2^30, as llama.cpp).
    pub max_string_len: u64,
    /// Elements of one array (default 2^30, as llama.cpp).
    pub max_array_len: u64,
    /// Nesting of arrays; an array of scalars has depth 1 (default 8). Values above
    /// [`Limits::MAX_ARRAY_DEPTH`] count as that, since nesting costs stack.
    pub max_array_depth: u32,
    /// Alignment of the tensor data in bytes (default 2^20).
    pub max_alignment: u64,
}

impl Limits {
    /// The deepest nesting of arrays that any setting of [`Limits::max_array_depth`] allows.
    pub const MAX_ARRAY_DEPTH: u32 = 64;

    /// Only the bounds that keep the reader itself safe: for walking over what was parsed before.
    pub(crate) const UNBOUNDED: Self = Self {
        max_pairs: u64::MAX,
        max_tensors: u64::MAX,
        max_key_len: u64::MAX,
        max_tensor_name_len: u64::MAX,
        max_string_len: u64::MAX,
        max_array_len: u64::MAX,
        max_array_depth: Self::MAX_ARRAY_DEPTH,
        max_alignment: u64::MAX,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pairs: 1 << 14,
            max_tensors: 1 << 15,
            max_key_len: 65_535,
            max_tensor_name_len: 64,
            max_string_len: 1 << 30,
            max_array_len: 1 << 30,
            max_array_depth: 8,
            max_alignment: 1 << 20,
        }
    }
}
