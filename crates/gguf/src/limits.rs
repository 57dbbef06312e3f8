//! Bounds on what a file may ask of the reader.

/// Bounds on the contents of a file, in addition to those that follow from its length.
///
/// Every count and length is compared with the remaining bytes before anything is allocated. These limits bound the
/// rest: the memory of the parsed index (at most about 3.5 MiB with the defaults), and sizes that only a malformed or
/// hostile file has. No published model comes close to a default.
///
/// ```
/// use happy_gguf::{Gguf, Limits, ParseErrorKind};
/// let limits = Limits { max_pairs: 0, ..Limits::default() };
/// let file = happy_gguf::GgufWriter::new().kv("general.name", "x").to_vec().unwrap();
/// assert_eq!(Gguf::parse_with(&file, &limits).unwrap_err().kind(), ParseErrorKind::LimitExceeded);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of metadata pairs (default 16,384; published models have fewer than 100).
    pub max_pairs: u64,
    /// Maximum number of tensors (default 32,768; published models have fewer than 4,000).
    pub max_tensors: u64,
    /// Maximum length of a key in bytes (default 65,535, which the format specifies).
    pub max_key_len: u64,
    /// Maximum length of a tensor name in bytes (default 64, which the format specifies).
    pub max_tensor_name_len: u64,
    /// Maximum length of a string value or array element in bytes (default 2^30, as in llama.cpp).
    pub max_string_len: u64,
    /// Maximum number of elements of an array (default 2^30, as in llama.cpp).
    pub max_array_len: u64,
    /// Maximum nesting of arrays; an array of scalars has depth 1 (default 8). Nesting costs stack, so values above
    /// [`Limits::MAX_ARRAY_DEPTH`] are treated as that maximum.
    pub max_array_depth: u32,
    /// Maximum alignment of the tensor data in bytes (default 2^20).
    pub max_alignment: u64,
}

impl Limits {
    /// The deepest nesting of arrays that any setting of [`Limits::max_array_depth`] allows.
    pub const MAX_ARRAY_DEPTH: u32 = 64;

    /// Only the bounds that keep the reader itself safe, for walking over bytes that were parsed before.
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
