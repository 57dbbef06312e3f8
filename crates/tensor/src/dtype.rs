//! [`DType`]: the element types that can be decoded, and their sizes.

use core::fmt;
use core::mem::offset_of;
use core::str::FromStr;

use crate::ShapeError;

macro_rules! dtypes {
    ($($dtype:ident $block:ident {
        in $file:ident, $name:literal, id $id:literal, len $len:literal, acts $acts:literal, f16 [$($field:ident)*], $doc:literal
    })*) => {
        /// Element type of a stored tensor.
        ///
        /// A row is stored in blocks of [`block_len`](Self::block_len) consecutive elements. Each block takes
        /// [`block_bytes`](Self::block_bytes) bytes. For F32, F16 and BF16, a block is one element.
        ///
        /// The enum is exhaustive on purpose: code that matches on it should stop compiling when a format is added.
        ///
        /// ```
        /// use happy_tensor::DType;
        /// let t: DType = "Q4_K".parse().unwrap();
        /// assert_eq!((t.block_len(), t.block_bytes(), t.activation_len()), (256, 144, Some(256)));
        /// assert_eq!(t.matrix_bytes(10, 512), Ok(2880));
        /// assert_eq!(t.f16_fields(), [0, 2]);
        /// assert!(DType::BF16.is_float() && DType::BF16.activation_len().is_none());
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DType {
            $(#[doc = $doc] $dtype,)*
        }

        impl DType {
            /// Every element type, in the order of the enum.
            pub const ALL: [DType; DType::COUNT] = [$(DType::$dtype),*];

            /// Number of element types.
            pub const COUNT: usize = [$($id),*].len();

            const INFO: [Info; DType::COUNT] = [$(Info {
                name: $name,
                id: $id,
                block_len: $len,
                block_bytes: size_of::<crate::$block>(),
                activation_len: $acts,
                f16_fields: &[$(offset_of!(crate::$block, $field)),*],
            }),*];
        }
    };
}

for_each_format!(dtypes);

/// What [`DType`] knows about a format.
#[derive(Clone, Copy)]
struct Info {
    name: &'static str,
    /// The number of the type in a GGUF file.
    id: u32,
    block_len: usize,
    block_bytes: usize,
    /// Elements in a block of the activations that the format is multiplied with; 0 if activations stay f32.
    activation_len: usize,
    /// Byte offsets of the f16 fields in a block.
    f16_fields: &'static [usize],
}

impl DType {
    const fn info(self) -> Info {
        Self::INFO[self as usize]
    }

    /// Returns the usual name, as GGUF tools print it, such as `"Q4_K"` or `"F16"`.
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// Returns the type with a given [`name`](Self::name). ASCII case does not matter.
    ///
    /// ```
    /// use happy_tensor::DType;
    /// assert_eq!(DType::from_name("q4_k"), Some(DType::Q4K));
    /// assert_eq!(DType::from_name("Q4_2"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<DType> {
        Self::ALL.into_iter().find(|t| t.name().eq_ignore_ascii_case(name))
    }

    /// Returns the number of the type in a GGUF file.
    ///
    /// ```
    /// use happy_tensor::DType;
    /// assert_eq!(DType::Q4K.id(), 12);
    /// assert_eq!(DType::from_id(12), Some(DType::Q4K));
    /// assert_eq!(DType::from_id(4), None); // Q4_2, which is no longer in use
    /// ```
    pub const fn id(self) -> u32 {
        self.info().id
    }

    /// Returns the type with a given [`id`](Self::id), or `None` if the id is unknown or belongs to a type that is only
    /// stored, such as integers and F64.
    pub fn from_id(id: u32) -> Option<DType> {
        Self::ALL.into_iter().find(|t| t.id() == id)
    }

    /// Returns the number of elements in a block.
    pub const fn block_len(self) -> usize {
        self.info().block_len
    }

    /// Returns the size of a block in bytes.
    pub const fn block_bytes(self) -> usize {
        self.info().block_bytes
    }

    /// Returns whether each element is stored as a float of its own (F32, F16, BF16), not as part of a block.
    pub const fn is_float(self) -> bool {
        self.block_len() == 1
    }

    /// Returns the number of elements in a block of the int8 activations that this format is multiplied with (32 or 256),
    /// or `None` for float types, whose activations stay f32.
    pub const fn activation_len(self) -> Option<usize> {
        match self.info().activation_len {
            0 => None,
            n => Some(n),
        }
    }

    /// Returns the byte offsets of a block's f16 fields.
    ///
    /// A check for infinities and NaNs has to look at these fields, at F32 and BF16 elements, and at the f16 that IQ1_M
    /// keeps in four pieces (see [`BlockIQ1M`](crate::BlockIQ1M)). No other field can be non-finite, but the values of
    /// MXFP4 blocks with an exponent above 252 can overflow.
    pub const fn f16_fields(self) -> &'static [usize] {
        self.info().f16_fields
    }

    /// Returns the size in bytes of a row of `k` elements.
    ///
    /// # Errors
    /// [`ShapeError::NotWholeBlocks`] if `k` is not a multiple of [`block_len`](Self::block_len),
    /// [`ShapeError::Overflow`] if the size does not fit in `usize`.
    ///
    /// ```
    /// use happy_tensor::DType;
    /// assert_eq!(DType::Q4_0.row_bytes(64), Ok(36));
    /// assert!(DType::Q4_0.row_bytes(48).is_err());
    /// ```
    pub const fn row_bytes(self, k: usize) -> Result<usize, ShapeError> {
        self.matrix_bytes(1, k)
    }

    /// Returns the bytes of `rows` contiguous rows of `k` elements.
    ///
    /// # Errors
    /// As [`row_bytes`](Self::row_bytes).
    pub const fn matrix_bytes(self, rows: usize, k: usize) -> Result<usize, ShapeError> {
        if !k.is_multiple_of(self.block_len()) {
            return Err(ShapeError::NotWholeBlocks { dtype: self, elements: k });
        }
        let overflow = ShapeError::Overflow { dtype: self, rows, elements: k };
        match (k / self.block_len()).checked_mul(self.block_bytes()) {
            Some(row) => match row.checked_mul(rows) {
                Some(bytes) => Ok(bytes),
                None => Err(overflow),
            },
            None => Err(overflow),
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The error for a string that is not the name of a [`DType`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown element type {name:?}: expected one of {}", DType::ALL.map(DType::name).join(", "))]
pub struct UnknownDType {
    /// The string.
    pub name: String,
}

impl FromStr for DType {
    type Err = UnknownDType;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        DType::from_name(s).ok_or_else(|| UnknownDType { name: s.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_order_and_names_round_trip() {
        for (i, t) in DType::ALL.into_iter().enumerate() {
            assert_eq!(t as usize, i);
            assert_eq!(t.name().parse(), Ok(t));
            assert_eq!(DType::from_id(t.id()), Some(t));
            assert_eq!(format!("{t:>6}").trim_start(), t.name());
        }
        let message = "Q9".parse::<DType>().map_err(|e| e.to_string());
        assert!(message.is_err_and(|m| m.contains("\"Q9\"") && m.contains(", IQ2_XXS, ")));
    }

    #[test]
    fn sizes() {
        let big = usize::MAX / 256 * 256;
        assert_eq!(DType::Q6K.row_bytes(0), Ok(0));
        assert_eq!(DType::Q6K.row_bytes(512), Ok(420));
        assert_eq!(DType::Q8_0.matrix_bytes(3, 64), Ok(204));
        assert_eq!(
            DType::Q6K.row_bytes(255),
            Err(ShapeError::NotWholeBlocks { dtype: DType::Q6K, elements: 255 })
        );
        assert_eq!(
            DType::F32.row_bytes(big),
            Err(ShapeError::Overflow { dtype: DType::F32, rows: 1, elements: big })
        );
        assert!(DType::Q8_0.matrix_bytes(usize::MAX, 64).is_err());
        assert_eq!(
            DType::Q4K.row_bytes(300).map_err(|e| e.to_string()),
            Err("a row of 300 elements is not a whole number of Q4_K blocks: expected a multiple of 256, \
                 found a remainder of 44"
                .to_owned())
        );
    }
}
