//! [`DType`]: the element types that can be computed with, and the arithmetic of their sizes.

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
        /// Elements are stored in blocks of [`block_len`](Self::block_len) consecutive elements of a row that take
        /// [`block_bytes`](Self::block_bytes) bytes; for F32, F16 and BF16 a block is one element.
        ///
        /// The enum is exhaustive on purpose: code that chooses by format should stop compiling when a format is added.
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

/// What [`DType`] knows of a format.
#[derive(Clone, Copy)]
struct Info {
    name: &'static str,
    /// The number of the type in a GGUF file.
    id: u32,
    block_len: usize,
    block_bytes: usize,
    /// Elements in one activation block that the format pairs with; 0: activations stay f32.
    activation_len: usize,
    /// Byte offsets of the f16 fields in a block.
    f16_fields: &'static [usize],
}

impl DType {
    const fn info(self) -> Info {
        Self::INFO[self as usize]
    }

    /// The usual name, as GGUF tools print it: `"Q4_K"`, `"F16"`.
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// The type with this [`name`](Self::name); ASCII case does not matter.
    ///
    /// ```
    /// use happy_tensor::DType;
    /// assert_eq!(DType::from_name("q4_k"), Some(DType::Q4K));
    /// assert_eq!(DType::from_name("Q4_2"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<DType> {
        Self::ALL.into_iter().find(|t| t.name().eq_ignore_ascii_case(name))
    }

    /// The number of the type in a GGUF file.
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

    /// The type with this [`id`](Self::id); `None` for other types of a file, such as integers.
    pub fn from_id(id: u32) -> Option<DType> {
        Self::ALL.into_iter().find(|t| t.id() == id)
    }

    /// Elements in a block.
    pub const fn block_len(self) -> usize {
        self.info().block_len
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        self.info().block_bytes
    }

    /// Whether an element is a float of its own (F32, F16, BF16) and not part of an integer block.
    pub const fn is_float(self) -> bool {
        self.block_len() == 1
    }

    /// Elements in the int8 activation block that this format is multiplied with (32 or 256);
    /// `None` for float types, whose activations stay f32.
    pub const fn activation_len(self) -> Option<usize> {
        match self.info().activation_len {
            0 => None,
            n => Some(n),
        }
    }

    /// Byte offsets, within a block, of its f16 fields: with F32 and BF16 elements and the f16 that IQ1_M keeps in four
    /// pieces (see [`BlockIQ1M`](crate::BlockIQ1M)) the only fields that can hold a non-finite value. The values of
    /// MXFP4 blocks with an exponent above 252 overflow.
    pub const fn f16_fields(self) -> &'static [usize] {
        self.info().f16_fields
    }

    /// Bytes of a row of `k` elements.
    ///
    /// # Errors
    /// [`ShapeError::NotWholeBlocks`] when `k` is not a multiple of [`block_len`](Self::block_len),
    /// [`ShapeError::Overflow`] when the size does not fit `usize`.
    ///
    /// ```
    /// use happy_tensor::DType;
    /// assert_eq!(DType::Q4_0.row_bytes(64), Ok(36));
    /// assert!(DType::Q4_0.row_bytes(48).is_err());
    /// ```
    pub const fn row_bytes(self, k: usize) -> Result<usize, ShapeError> {
        self.matrix_bytes(1, k)
    }

    /// Bytes of `rows` contiguous rows of `k` elements.
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

/// A string that names no [`DType`].
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
