//! [`DType`]: the element types that can be computed with, and the arithmetic of their sizes.

use core::fmt;
use core::str::FromStr;

use crate::ShapeError;

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
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// 32 x 4 bits, a scale.
    Q4_0,
    /// 32 x 4 bits, a scale and a minimum.
    Q4_1,
    /// 32 x 5 bits, a scale.
    Q5_0,
    /// 32 x 5 bits, a scale and a minimum.
    Q5_1,
    /// 32 x 8 bits, a scale.
    Q8_0,
    /// 256 x 2 bits, 16 sub-blocks with a 4-bit scale and a 4-bit minimum.
    Q2K,
    /// 256 x 3 bits, 16 sub-blocks with a 6-bit scale.
    Q3K,
    /// 256 x 4 bits, 8 sub-blocks with a 6-bit scale and a 6-bit minimum.
    Q4K,
    /// 256 x 5 bits, 8 sub-blocks with a 6-bit scale and a 6-bit minimum.
    Q5K,
    /// 256 x 6 bits, 16 sub-blocks with an 8-bit scale.
    Q6K,
    /// 128 x 1 bit, a scale: -d or d.
    Q1_0,
    /// 64 x 2 bits, a scale: -d, 0, d or 2 d.
    Q2_0,
    /// 256 elements as points of a table of {-1, 0, 1}^8, 8 sub-blocks with a 3-bit scale and a shift.
    IQ1S,
    /// 256 elements as points of a table of {-1, 0, 1}^8, 16 sub-blocks with a 3-bit scale; a shift a point.
    IQ1M,
    /// 256 elements as points of a table of 256 and signs, 8 sub-blocks with a 4-bit scale.
    IQ2XXS,
    /// 256 elements as points of a table of 512 and signs, 16 sub-blocks with a 4-bit scale.
    IQ2XS,
    /// 256 elements as points of a table of 1024 and signs, 16 sub-blocks with a 4-bit scale.
    IQ2S,
    /// 256 elements as points of a table of 256 and signs, 8 sub-blocks with a 4-bit scale.
    IQ3XXS,
    /// 256 elements as points of a table of 512 and signs, 8 sub-blocks with a 4-bit scale.
    IQ3S,
    /// 32 x 4 bits that choose from 16 uneven levels, a scale.
    IQ4NL,
    /// 256 x 4 bits that choose from 16 uneven levels, 8 sub-blocks with a 6-bit scale.
    IQ4XS,
    /// 256 trits, five a byte, a scale.
    TQ1_0,
    /// 256 trits, two bits each, a scale.
    TQ2_0,
    /// 32 x 4-bit floats, an 8-bit exponent.
    MXFP4,
    /// 64 x 4-bit floats, 4 sub-blocks with an 8-bit float for a scale.
    NVFP4,
}

/// What [`DType`] knows of a format, in one line of a table.
struct Info {
    name: &'static str,
    block_len: usize,
    block_bytes: usize,
    /// Elements in one activation block that the format pairs with; 0: activations stay f32.
    activation_len: usize,
    /// Byte offsets of the f16 fields in a block.
    f16_fields: &'static [usize],
}

const fn info(
    name: &'static str,
    block_len: usize,
    block_bytes: usize,
    activation_len: usize,
    f16_fields: &'static [usize],
) -> Info {
    Info { name, block_len, block_bytes, activation_len, f16_fields }
}

impl DType {
    /// Every element type, in the order of the enum.
    pub const ALL: [DType; 28] = [
        DType::F32,
        DType::F16,
        DType::BF16,
        DType::Q4_0,
        DType::Q4_1,
        DType::Q5_0,
        DType::Q5_1,
        DType::Q8_0,
        DType::Q2K,
        DType::Q3K,
        DType::Q4K,
        DType::Q5K,
        DType::Q6K,
        DType::Q1_0,
        DType::Q2_0,
        DType::IQ1S,
        DType::IQ1M,
        DType::IQ2XXS,
        DType::IQ2XS,
        DType::IQ2S,
        DType::IQ3XXS,
        DType::IQ3S,
        DType::IQ4NL,
        DType::IQ4XS,
        DType::TQ1_0,
        DType::TQ2_0,
        DType::MXFP4,
        DType::NVFP4,
    ];

    const fn info(self) -> Info {
        match self {
            DType::F32 => info("F32", 1, 4, 0, &[]),
            DType::F16 => info("F16", 1, 2, 0, &[0]),
            DType::BF16 => info("BF16", 1, 2, 0, &[]),
            DType::Q4_0 => info("Q4_0", 32, 18, 32, &[0]),
            DType::Q4_1 => info("Q4_1", 32, 20, 32, &[0, 2]),
            DType::Q5_0 => info("Q5_0", 32, 22, 32, &[0]),
            DType::Q5_1 => info("Q5_1", 32, 24, 32, &[0, 2]),
            DType::Q8_0 => info("Q8_0", 32, 34, 32, &[0]),
            DType::Q2K => info("Q2_K", 256, 84, 256, &[80, 82]),
            DType::Q3K => info("Q3_K", 256, 110, 256, &[108]),
            DType::Q4K => info("Q4_K", 256, 144, 256, &[0, 2]),
            DType::Q5K => info("Q5_K", 256, 176, 256, &[0, 2]),
            DType::Q6K => info("Q6_K", 256, 210, 256, &[208]),
            DType::Q1_0 => info("Q1_0", 128, 18, 32, &[0]),
            DType::Q2_0 => info("Q2_0", 64, 18, 32, &[0]),
            DType::IQ1S => info("IQ1_S", 256, 50, 256, &[0]),
            DType::IQ1M => info("IQ1_M", 256, 56, 256, &[]),
            DType::IQ2XXS => info("IQ2_XXS", 256, 66, 256, &[0]),
            DType::IQ2XS => info("IQ2_XS", 256, 74, 256, &[0]),
            DType::IQ2S => info("IQ2_S", 256, 82, 256, &[0]),
            DType::IQ3XXS => info("IQ3_XXS", 256, 98, 256, &[0]),
            DType::IQ3S => info("IQ3_S", 256, 110, 256, &[0]),
            DType::IQ4NL => info("IQ4_NL", 32, 18, 32, &[0]),
            DType::IQ4XS => info("IQ4_XS", 256, 136, 256, &[0]),
            DType::TQ1_0 => info("TQ1_0", 256, 54, 256, &[52]),
            DType::TQ2_0 => info("TQ2_0", 256, 66, 256, &[64]),
            DType::MXFP4 => info("MXFP4", 32, 17, 32, &[]),
            DType::NVFP4 => info("NVFP4", 64, 36, 32, &[]),
        }
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
#[error(
    "unknown element type {name:?}: expected one of F32, F16, BF16, Q1_0 .. Q8_0, Q2_K .. Q6_K, IQ1_S .. IQ4_XS, TQ1_0, TQ2_0, MXFP4, NVFP4"
)]
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
            assert_eq!(format!("{t:>6}").trim_start(), t.name());
        }
        let message = "Q9".parse::<DType>().map_err(|e| e.to_string());
        assert!(message.is_err_and(|m| m.contains("\"Q9\"")));
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
