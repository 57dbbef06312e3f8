//! Structs of parameters. The type, default and description of each field are written only once.
//!
//! The `parameters!` macro makes the struct, its `Default`, its JSON reader (feature `serde`) and `help`, which
//! supplies the descriptions of command lines and bindings. An attribute after `=>` is for serde.

macro_rules! parameters {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])+
                pub $field:ident: $ty:ty = $default:expr $(=> $serde:meta)?,
            )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(deny_unknown_fields))]
        pub struct $name {
            $(
                $(#[doc = $doc])+
                $(#[cfg_attr(feature = "serde", $serde)])?
                pub $field: $ty,
            )+
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default),+ }
            }
        }

        impl $name {
            /// Returns the description of a parameter, taken from its documentation; empty for unknown names.
            pub fn help(parameter: &str) -> &'static str {
                match parameter {
                    $(stringify!($field) => concat!($($doc),+).trim_ascii(),)+
                    _ => "",
                }
            }
        }
    };
}
pub(crate) use parameters;

/// Readers for numbers that llama.cpp allows to be negative: a value below 0 becomes 0, which turns a step off. NaN
/// stays, and is refused when the step is built.
#[cfg(feature = "serde")]
pub(crate) mod json {
    use serde::{Deserialize, Deserializer};

    /// Reads a count.
    pub(crate) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
        i64::deserialize(from).map(|n| usize::try_from(n.max(0)).unwrap_or(usize::MAX))
    }

    /// Reads a number.
    pub(crate) fn at_least_0<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
        f32::deserialize(from).map(|x| if x < 0.0 { 0.0 } else { x })
    }

    /// The default exponent of the entropy.
    pub(crate) fn one() -> f32 {
        1.0
    }
}
