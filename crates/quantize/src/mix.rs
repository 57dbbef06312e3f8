//! The mixes of types, with llama.cpp's names.

use crate::error::{QuantizeError, QuantizeErrorKind};
use happy_tensor::DType;
use std::fmt;
use std::str::FromStr;

macro_rules! mixes {
    ($($variant:ident $name:literal $dtype:ident $file_type:literal;)*) => {
        /// A rule for the types of matrices. Most get the type in the mix's name; more important ones get more bits.
        ///
        /// `S`, `M` and `L` spend few, some or many bits on the more important matrices. A mix without `_K` is named after a
        /// type, and only the output matrix may get another one.
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
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mix {
    type Err = QuantizeError;

    /// Reads the name in upper or lower case. `Q3_K`, `Q4_K` and `Q5_K` are short for their `_M`.
    fn from_str(s: &str) -> Result<Self, QuantizeError> {
        let is = |name: &str| name.eq_ignore_ascii_case(s);
        let found =
            Self::ALL.iter().copied().find(|m| is(m.name()) || m.name().strip_suffix("_M").is_some_and(is));
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
        for (name, mix) in [("q3_k", Mix::Q3KM), ("q4_k", Mix::Q4KM), ("Q5_K", Mix::Q5KM), ("q2_k", Mix::Q2K)]
        {
            assert_eq!(name.parse::<Mix>().ok(), Some(mix), "{name}");
        }
        assert!("q9".parse::<Mix>().is_err_and(|e| e.to_string().contains("Q5_K_S")));
    }
}
