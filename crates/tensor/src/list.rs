//! The one list of formats. Everything that exists per format is derived from it: [`DType`] and its facts, the
//! implementations of [`Block`], dispatch by [`with_block`], the loader's types and the tables of kernels.
//!
//! [`DType`]: crate::DType
//! [`Block`]: crate::Block
//! [`with_block`]: crate::with_block

/// Calls a macro with one row per format: `for_each_format!(callback)`, or `for_each_format!(callback(arguments))`, which
/// passes `(arguments)` before the rows.
///
/// A row has the variant of [`DType`](crate::DType), the block type, and facts in braces, which most callbacks ignore:
///
/// | fact | meaning |
/// |---|---|
/// | `in file` | the file of `formats/` that defines the block |
/// | a string | the name, as GGUF tools print it |
/// | `id` | the type's number in a GGUF file |
/// | `len` | number of elements in a block; the block type's size is the number of bytes |
/// | `acts` | number of values that share a scale in the int8 activations that the format is multiplied with (32 or 256); 0 for floats |
/// | `f16` | the block's fields that are f16 |
/// | a string | the documentation of the variant |
///
/// ```
/// use happy_tensor::{DType, for_each_format};
/// macro_rules! sizes {
///     ($($dtype:ident $block:ident $facts:tt)*) => { [$((DType::$dtype, size_of::<happy_tensor::$block>())),*] };
/// }
/// const SIZES: [(DType, usize); DType::COUNT] = for_each_format!(sizes);
/// assert_eq!(SIZES[DType::Q4_0 as usize], (DType::Q4_0, 18));
/// ```
#[macro_export]
macro_rules! for_each_format {
    ($callback:ident $($arguments:tt)?) => { $callback! { $($arguments)?
F32 BlockF32 { in float, "F32", id 0, len 1, acts 0, f16 [], "IEEE 754 binary32." }
F16 BlockF16 { in float, "F16", id 1, len 1, acts 0, f16 [bits], "IEEE 754 binary16." }
BF16 BlockBF16 { in float, "BF16", id 30, len 1, acts 0, f16 [], "The upper half of a binary32." }
Q4_0 BlockQ4_0 { in q4_0, "Q4_0", id 2, len 32, acts 32, f16 [d], "32 x 4 bits with a scale." }
Q4_1 BlockQ4_1 { in q4_1, "Q4_1", id 3, len 32, acts 32, f16 [d m], "32 x 4 bits with a scale and a minimum." }
Q5_0 BlockQ5_0 { in q5_0, "Q5_0", id 6, len 32, acts 32, f16 [d], "32 x 5 bits with a scale." }
Q5_1 BlockQ5_1 { in q5_1, "Q5_1", id 7, len 32, acts 32, f16 [d m], "32 x 5 bits with a scale and a minimum." }
Q8_0 BlockQ8_0 { in q8_0, "Q8_0", id 8, len 32, acts 32, f16 [d], "32 x 8 bits with a scale." }
Q2K BlockQ2K { in q2_k, "Q2_K", id 10, len 256, acts 256, f16 [d dmin],
    "256 x 2 bits in 16 sub-blocks, each with a 4-bit scale and a 4-bit minimum." }
Q3K BlockQ3K { in q3_k, "Q3_K", id 11, len 256, acts 256, f16 [d],
    "256 x 3 bits in 16 sub-blocks, each with a 6-bit scale." }
Q4K BlockQ4K { in q4_k, "Q4_K", id 12, len 256, acts 256, f16 [d dmin],
    "256 x 4 bits in 8 sub-blocks, each with a 6-bit scale and a 6-bit minimum." }
Q5K BlockQ5K { in q5_k, "Q5_K", id 13, len 256, acts 256, f16 [d dmin],
    "256 x 5 bits in 8 sub-blocks, each with a 6-bit scale and a 6-bit minimum." }
Q6K BlockQ6K { in q6_k, "Q6_K", id 14, len 256, acts 256, f16 [d],
    "256 x 6 bits in 16 sub-blocks, each with an 8-bit scale." }
Q1_0 BlockQ1_0 { in one_two, "Q1_0", id 41, len 128, acts 32, f16 [d], "128 x 1 bit with a scale: -d or d." }
Q2_0 BlockQ2_0 { in one_two, "Q2_0", id 42, len 64, acts 32, f16 [d], "64 x 2 bits with a scale: -d, 0, d or 2 d." }
IQ1S BlockIQ1S { in iq1, "IQ1_S", id 19, len 256, acts 256, f16 [d],
    "256 elements in groups of 8, each a point from a table of {-1, 0, 1}^8; 8 sub-blocks, each with a 3-bit scale and a shift." }
IQ1M BlockIQ1M { in iq1, "IQ1_M", id 29, len 256, acts 256, f16 [],
    "256 elements in groups of 8, each a point from a table of {-1, 0, 1}^8 with a shift; 16 sub-blocks, each with a 3-bit scale." }
IQ2XXS BlockIQ2XXS { in iq2, "IQ2_XXS", id 16, len 256, acts 256, f16 [d],
    "256 elements in groups of 8, each one of 256 points with signs; 8 sub-blocks, each with a 4-bit scale." }
IQ2XS BlockIQ2XS { in iq2, "IQ2_XS", id 17, len 256, acts 256, f16 [d],
    "256 elements in groups of 8, each one of 512 points with signs; 16 sub-blocks, each with a 4-bit scale." }
IQ2S BlockIQ2S { in iq2, "IQ2_S", id 22, len 256, acts 256, f16 [d],
    "256 elements in groups of 8, each one of 1,024 points with signs; 16 sub-blocks, each with a 4-bit scale." }
IQ3XXS BlockIQ3XXS { in iq3, "IQ3_XXS", id 18, len 256, acts 256, f16 [d],
    "256 elements in groups of 4, each one of 256 points with signs; 8 sub-blocks, each with a 4-bit scale." }
IQ3S BlockIQ3S { in iq3, "IQ3_S", id 21, len 256, acts 256, f16 [d],
    "256 elements in groups of 4, each one of 512 points with signs; 8 sub-blocks, each with a 4-bit scale." }
IQ4NL BlockIQ4NL { in iq4, "IQ4_NL", id 20, len 32, acts 32, f16 [d],
    "32 x 4 bits that choose from 16 uneven levels, with a scale." }
IQ4XS BlockIQ4XS { in iq4, "IQ4_XS", id 23, len 256, acts 256, f16 [d],
    "256 x 4 bits that choose from 16 uneven levels, in 8 sub-blocks, each with a 6-bit scale." }
TQ1_0 BlockTQ1_0 { in ternary, "TQ1_0", id 34, len 256, acts 256, f16 [d], "256 trits, five per byte, with a scale." }
TQ2_0 BlockTQ2_0 { in ternary, "TQ2_0", id 35, len 256, acts 256, f16 [d], "256 trits of two bits each, with a scale." }
MXFP4 BlockMXFP4 { in fp4, "MXFP4", id 39, len 32, acts 32, f16 [], "32 x 4-bit floats with a shared 8-bit exponent." }
NVFP4 BlockNVFP4 { in fp4, "NVFP4", id 40, len 64, acts 32, f16 [],
    "64 x 4-bit floats in 4 sub-blocks, each with an 8-bit float as its scale." }
    } };
}
