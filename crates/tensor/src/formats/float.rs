//! F32, F16 and BF16: blocks of one element.
//!
//! ```text
//! F32    |0 bits, little-endian 3|      F16, BF16    |0 bits, little-endian 1|
//! ```

use super::Quantize;

macro_rules! float_block {
    ($(#[$doc:meta])* $ty:ident, $bytes:literal, $decode:expr, $encode:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(C)]
        pub struct $ty {
            /// The value's bits, little-endian.
            pub bits: [u8; $bytes],
        }

        const _: () = assert!(size_of::<$ty>() == $bytes);

        impl $ty {
            /// Returns the value as f32. This is exact.
            #[inline]
            pub fn value(&self) -> f32 {
                $decode(self.bits)
            }

            /// Decodes the one element.
            #[inline]
            pub fn dequantize(&self, out: &mut [f32; 1]) {
                *out = [self.value()];
            }
        }

        impl Quantize for $ty {
            /// Rounds to nearest, ties to even. Every value is allowed, including infinities and NaNs.
            fn quantize(x: &[f32; 1]) -> Self {
                let [v] = *x;
                Self { bits: $encode(v) }
            }
        }
    };
}

float_block!(
    /// An f32 as it is stored.
    ///
    /// ```
    /// use happy_tensor::{BlockF32, Quantize};
    /// assert_eq!(BlockF32::quantize(&[0.1]).value(), 0.1);
    /// ```
    BlockF32, 4, f32::from_le_bytes, f32::to_le_bytes
);
float_block!(
    /// An f16 as it is stored.
    ///
    /// ```
    /// use happy_tensor::{BlockF16, Quantize};
    /// assert_eq!(BlockF16::quantize(&[0.1]).value(), 0.099_975_586);
    /// ```
    BlockF16, 2, |b| crate::convert::f16_to_f32(u16::from_le_bytes(b)), super::f16_le_from
);
float_block!(
    /// A bf16 as it is stored.
    ///
    /// ```
    /// use happy_tensor::{BlockBF16, Quantize};
    /// assert_eq!(BlockBF16::quantize(&[0.1]).value(), 0.100_097_656);
    /// ```
    BlockBF16, 2, |b| half::bf16::from_le_bytes(b).to_f32(), |v| half::bf16::from_f32(v).to_le_bytes()
);
