//! The mixes of types, with llama.cpp's names.

use crate::error::{QuantizeError, QuantizeErrorKind};
use happy_gguf::TensorInfo;
use happy_tensor::DType;
use std::fmt;
use std::str::FromStr;

macro_rules! mixes {
    ($($variant:ident $name:literal $dtype:ident $file_type:literal;)*) => {
        /// A rule for the types of matrices. Most get the type in the mix's name; more important ones get more bits.
        ///
        /// `S`, `M` and `L` spend few, some or many bits on the more important matrices. `MXFP4_MOE` encodes only the stacked
        /// matrices of experts in MXFP4, and the others in Q8_0. `F16` and `BF16` make no exceptions.
        ///
        /// ```
        /// use happy_quantize::Mix;
        /// let mix: Mix = "q4_k".parse()?; // stands for Q4_K_M, as in llama.cpp
        /// assert_eq!((mix, mix.name(), mix.file_type()), (Mix::Q4KM, "Q4_K_M", 15));
        /// assert_eq!(mix.dtype(), happy_tensor::DType::Q4K);
        /// # Ok::<(), happy_quantize::QuantizeError>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Mix {
            $(#[doc = concat!("llama.cpp's `", $name, "`.")] $variant,)*
        }

        impl Mix {
            /// Every mix.
            pub const ALL: &[Mix] = &[$(Mix::$variant),*];

            /// Returns the name in llama.cpp, such as `Q4_K_M`.
            pub const fn name(self) -> &'static str {
                match self { $(Mix::$variant => $name,)* }
            }

            /// Returns the type that most matrices get.
            pub const fn dtype(self) -> DType {
                match self { $(Mix::$variant => DType::$dtype,)* }
            }

            /// Returns the number of the mix in the metadata, under `general.file_type`.
            pub const fn file_type(self) -> u32 {
                match self { $(Mix::$variant => $file_type,)* }
            }

            /// Returns whether mixes choose a type for a tensor, as for most matrices. Other tensors stay as they are.
            pub fn covers(tensor: &TensorInfo<'_>) -> bool {
                crate::rules::is_covered(tensor)
            }
        }
    };
}

mixes! {
    Q4_0 "Q4_0" Q4_0 2;
    Q4_1 "Q4_1" Q4_1 3;
    Q5_0 "Q5_0" Q5_0 8;
    Q5_1 "Q5_1" Q5_1 9;
    Q8_0 "Q8_0" Q8_0 7;
    Q2K "Q2_K" Q2K 10;
    Q2KS "Q2_K_S" Q2K 21;
    Q3KS "Q3_K_S" Q3K 11;
    Q3KM "Q3_K_M" Q3K 12;
    Q3KL "Q3_K_L" Q3K 13;
    Q4KS "Q4_K_S" Q4K 14;
    Q4KM "Q4_K_M" Q4K 15;
    Q5KS "Q5_K_S" Q5K 16;
    Q5KM "Q5_K_M" Q5K 17;
    Q6K "Q6_K" Q6K 18;
    IQ1S "IQ1_S" IQ1S 24;
    IQ1M "IQ1_M" IQ1M 31;
    IQ2XXS "IQ2_XXS" IQ2XXS 19;
    IQ2XS "IQ2_XS" IQ2XS 20;
    IQ2S "IQ2_S" IQ2XS 28;
    IQ2M "IQ2_M" IQ2S 29;
    IQ3XXS "IQ3_XXS" IQ3XXS 23;
    IQ3XS "IQ3_XS" IQ3S 22;
    IQ3S "IQ3_S" IQ3S 26;
    IQ3M "IQ3_M" IQ3S 27;
    IQ4NL "IQ4_NL" IQ4NL 25;
    IQ4XS "IQ4_XS" IQ4XS 30;
    TQ1_0 "TQ1_0" TQ1_0 36;
    TQ2_0 "TQ2_0" TQ2_0 37;
    Q1_0 "Q1_0" Q1_0 40;
    Q2_0 "Q2_0" Q2_0 41;
    MXFP4 "MXFP4_MOE" MXFP4 38;
    F16 "F16" F16 1;
    BF16 "BF16" BF16 32;
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mix {
    type Err = QuantizeError;

    /// Reads the name in upper or lower case. `Q3_K`, `Q4_K` and `Q5_K` are short for their `_M`, `MXFP4` for `MXFP4_MOE`.
    fn from_str(s: &str) -> Result<Self, QuantizeError> {
        let is = |name: &str| name.eq_ignore_ascii_case(s);
        let short = |name: &'static str| match name.strip_suffix("_MOE") {
            None => name.strip_suffix("_M").filter(|short| short.ends_with("_K")),
            short => short,
        };
        let found = Self::ALL.iter().copied().find(|m| is(m.name()) || short(m.name()).is_some_and(is));
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|m| m.name()).collect();
            let message = format!("unknown mix `{}`, expected one of {}", s.escape_debug(), names.join(", "));
            QuantizeError::new(QuantizeErrorKind::UnknownName, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for mix in Mix::ALL {
            assert_eq!(mix.name().to_lowercase().parse::<Mix>().ok(), Some(*mix));
        }
        for (name, mix) in [
            ("q3_k", Mix::Q3KM),
            ("q4_k", Mix::Q4KM),
            ("Q5_K", Mix::Q5KM),
            ("q2_k", Mix::Q2K),
            ("mxfp4", Mix::MXFP4),
        ] {
            assert_eq!(name.parse::<Mix>().ok(), Some(mix), "{name}");
        }
        for name in ["q9", "iq2", "iq3"] {
            assert!(name.parse::<Mix>().is_err(), "{name}");
        }
        assert!("q9".parse::<Mix>().is_err_and(|e| e.to_string().contains("Q5_K_S")));
    }
}
