//! The tensor types of ggml: their ids, names and block sizes.

use core::fmt;

/// How a tensor type stores its elements: each block of `len` consecutive elements of a row takes `bytes` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockLayout {
    /// Elements per block (1 for the plain number types).
    pub len: u32,
    /// Bytes per block.
    pub bytes: u32,
}

// One row per type: doc, name, id in the file, elements per block, bytes per block. Ids and sizes are those of ggml.h
// and of gguf-py's GGML_QUANT_SIZES.
macro_rules! ggml_types {
    ($( $doc:literal $name:ident $id:literal $len:literal $bytes:literal; )*) => {
        /// The element type of a tensor, by its id in the file.
        ///
        /// Ids that this version does not know are kept as [`GgmlType::Unknown`].
        ///
        /// ```
        /// use happy_gguf::GgmlType;
        /// assert_eq!(GgmlType::from_id(12), GgmlType::Q4_K);
        /// assert_eq!(GgmlType::Q4_K.row_bytes(512), Some(288));
        /// assert_eq!(GgmlType::Q4_K.row_bytes(100), None); // not whole blocks
        /// assert_eq!(GgmlType::from_id(1000).to_string(), "unknown(1000)");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(non_camel_case_types)] // the names of the format
        #[non_exhaustive]
        pub enum GgmlType {
            $( #[doc = $doc] $name, )*
            /// A type id that this version does not know, with an unknown size.
            Unknown(u32),
        }

        impl GgmlType {
            /// Every known type, in id order.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )* ];

            /// Returns the type with this id in a file; [`GgmlType::Unknown`] if this version does not know it.
            pub const fn from_id(id: u32) -> Self {
                match id {
                    $( $id => Self::$name, )*
                    id => Self::Unknown(id),
                }
            }

            /// Returns the type's id in a file.
            pub const fn id(self) -> u32 {
                match self {
                    $( Self::$name => $id, )*
                    Self::Unknown(id) => id,
                }
            }

            /// Returns the name as ggml writes it; `"unknown"` for an unknown type.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$name => stringify!($name), )*
                    Self::Unknown(_) => "unknown",
                }
            }

            /// Returns the elements and bytes of a block; `None` for an unknown type.
            pub const fn layout(self) -> Option<BlockLayout> {
                match self {
                    $( Self::$name => Some(BlockLayout { len: $len, bytes: $bytes }), )*
                    Self::Unknown(_) => None,
                }
            }
        }
    };
}

ggml_types! {
    "IEEE 754 single precision." F32 0 1 4;
    "IEEE 754 half precision." F16 1 1 2;
    "4 bits, one f16 scale per 32." Q4_0 2 32 18;
    "4 bits, f16 scale and minimum per 32." Q4_1 3 32 20;
    "5 bits, one f16 scale per 32." Q5_0 6 32 22;
    "5 bits, f16 scale and minimum per 32." Q5_1 7 32 24;
    "8 bits, one f16 scale per 32." Q8_0 8 32 34;
    "8 bits, f16 scale and sum per 32 (activations)." Q8_1 9 32 36;
    "2 bits, super-blocks of 256." Q2_K 10 256 84;
    "3 bits, super-blocks of 256." Q3_K 11 256 110;
    "4 bits, super-blocks of 256." Q4_K 12 256 144;
    "5 bits, super-blocks of 256." Q5_K 13 256 176;
    "6 bits, super-blocks of 256." Q6_K 14 256 210;
    "8 bits, f32 scale and sums per 256 (activations)." Q8_K 15 256 292;
    "2.06 bits, lattice codebook." IQ2_XXS 16 256 66;
    "2.31 bits, lattice codebook." IQ2_XS 17 256 74;
    "3.06 bits, lattice codebook." IQ3_XXS 18 256 98;
    "1.56 bits, lattice codebook." IQ1_S 19 256 50;
    "4 bits, non-linear codebook, one f16 scale per 32." IQ4_NL 20 32 18;
    "3.44 bits, lattice codebook." IQ3_S 21 256 110;
    "2.56 bits, lattice codebook." IQ2_S 22 256 82;
    "4.25 bits, non-linear codebook, super-blocks of 256." IQ4_XS 23 256 136;
    "Signed 8-bit integer." I8 24 1 1;
    "Signed 16-bit integer." I16 25 1 2;
    "Signed 32-bit integer." I32 26 1 4;
    "Signed 64-bit integer." I64 27 1 8;
    "IEEE 754 double precision." F64 28 1 8;
    "1.75 bits, lattice codebook." IQ1_M 29 256 56;
    "bfloat16." BF16 30 1 2;
    "Ternary, 1.69 bits." TQ1_0 34 256 54;
    "Ternary, 2.06 bits." TQ2_0 35 256 66;
    "OCP microscaling 4-bit float, e8m0 scale per 32." MXFP4 39 32 17;
    "4-bit float, four ue4m3 scales per 64." NVFP4 40 64 36;
    "1 bit, one f16 scale per 128." Q1_0 41 128 18;
    "2 bits, one f16 scale per 64." Q2_0 42 64 18;
}

impl GgmlType {
    /// Returns the size of `n` consecutive elements in bytes. `None` if they are not whole blocks, if the size does not fit in
    /// 64 bits, or if the type is unknown.
    pub const fn row_bytes(self, n: u64) -> Option<u64> {
        let Some(layout) = self.layout() else { return None };
        if !n.is_multiple_of(layout.len as u64) {
            return None;
        }
        (n / layout.len as u64).checked_mul(layout.bytes as u64)
    }

    /// Returns whether the type packs several elements into a block. False for an unknown type.
    pub const fn is_quantized(self) -> bool {
        matches!(self.layout(), Some(BlockLayout { len: 2.., .. }))
    }

    /// The name of a type whose id was once in use and has been removed from the format. No current reader supports
    /// files with these types.
    pub(crate) const fn removed_name(id: u32) -> Option<&'static str> {
        match id {
            4 => Some("Q4_2"),
            5 => Some("Q4_3"),
            31 => Some("Q4_0_4_4"),
            32 => Some("Q4_0_4_8"),
            33 => Some("Q4_0_8_8"),
            36 => Some("IQ4_NL_4_4"),
            37 => Some("IQ4_NL_4_8"),
            38 => Some("IQ4_NL_8_8"),
            _ => None,
        }
    }
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(id) => write!(f, "unknown({id})"),
            known => f.pad(known.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_are_consistent() {
        for ty in GgmlType::ALL {
            assert_eq!(GgmlType::from_id(ty.id()), *ty);
            assert_eq!(GgmlType::removed_name(ty.id()), None);
            let layout = ty.layout().unwrap();
            assert_eq!(ty.row_bytes(u64::from(layout.len)), Some(u64::from(layout.bytes)));
            assert_eq!(ty.row_bytes(0), Some(0));
            assert_eq!(ty.is_quantized(), layout.len > 1);
        }
        assert_eq!(GgmlType::ALL.len(), 43 - 8);
    }

    #[test]
    fn row_bytes_does_not_wrap() {
        assert_eq!(GgmlType::F64.row_bytes(1 << 61), None);
        assert_eq!(GgmlType::Q4_0.row_bytes(31), None);
        assert_eq!(GgmlType::Unknown(99).row_bytes(32), None);
    }
}
