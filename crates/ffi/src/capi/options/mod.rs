//! Options: each is declared once, in `list.rs`.
//!
//! ```text
//! options! { struct Name for Settings {          the struct of the header, and what it becomes in the library
//!     first { /// description                    rows of the first version of the struct
//!             name: Kind => path;                the field in C, the key in JSON; where it goes in Settings
//!             list, n_list: Kind => path; }      a list and its length
//!     later { .. }                               rows that later versions added, always at the end
//! } }
//! ```
//! From a row come the field, its default, its reader from C and from JSON (what Java writes), and the sum of sizes. A kind
//! (`kinds.rs`) says how a value is written. The tool that writes the header, `cargo xtask options`, makes the classes of Java and
//! Dart from the same rows; a row without a description takes that of the parameter of happy-sampler at its path.

mod kinds;
mod list;

pub use list::{
    HappyEmbedOptions, HappyGenerateOptions, HappyLoadOptions, HappySamplerOptions, HappySessionOptions,
};

use super::structs::{Defaults, read};
use super::types::HappyProgress;
use crate::core::CancelToken;
use crate::failure::{Failure, Outcome};
use happy_engine::LoadOptions;
use serde_json::{Map, Value as Json};
use std::ffi::c_void;
use std::sync::Arc;

/// Options of the header.
pub(crate) trait Options: Defaults {
    /// What they become.
    type Settings: Default;

    /// Reads the fields.
    ///
    /// # Safety
    /// Texts, lists and handles in the struct are what the header says.
    unsafe fn settings(&self) -> Outcome<Self::Settings>;

    /// Takes the fields out of a JSON object; what it lacks has its default.
    #[cfg_attr(not(feature = "jni"), allow(dead_code))]
    fn take(fields: &mut Map<String, Json>) -> Outcome<Self::Settings>;
}

/// Reads the options of a caller in C: NULL means all defaults.
///
/// # Safety
/// As [`read`], for the texts and lists in the struct too.
pub(super) unsafe fn settings<T: Options>(options: *const T) -> Outcome<T::Settings> {
    // SAFETY: the caller's promise.
    unsafe { read(options)?.settings() }
}

/// Reads options from a JSON object. A key that is not an option is an error.
pub(crate) fn from_json<T: Options>(mut fields: Map<String, Json>) -> Outcome<T::Settings> {
    let settings = T::take(&mut fields)?;
    match fields.keys().next() {
        None => Ok(settings),
        Some(key) => Err(Failure::argument(format!("unknown option `{key}`"))),
    }
}

/// How to load, and who watches.
pub(crate) struct Loading {
    pub(crate) options: LoadOptions,
    pub(super) progress: HappyProgress,
    pub(super) progress_user: *mut c_void,
    pub(super) cancel: Option<Arc<CancelToken>>,
}

impl Default for Loading {
    fn default() -> Self {
        let options = LoadOptions::default();
        Loading { options, progress: None, progress_user: std::ptr::null_mut(), cancel: None }
    }
}

/// The place of an option in the settings; a reserved field has none.
macro_rules! place {
    ($settings:ident) => {
        &mut ()
    };
    ($settings:ident $(. $at:ident)+) => {
        &mut $settings $(. $at)+
    };
}

macro_rules! options {
    ($(
        $(#[doc = $doc:literal])+
        struct $name:ident for $settings:ident {
            first { $($first:tt)* }
            later { $($later:tt)* }
        }
    )*) => {
        $(
            options! { @struct $(#[doc = $doc])+ $name $settings { $($first)* $($later)* } }

            // SAFETY: the struct is `repr(C)`, begins with its size, and has integers, floats and pointers only.
            unsafe impl Versioned for $name {
                const NAME: &'static str = stringify!($name);
                const FIRST: usize = options!(@first $name $($later)*);

                fn set_size(&mut self, size: u32) {
                    self.size = size;
                }
            }
        )*
    };
    (@first $name:ident) => {
        size_of::<$name>()
    };
    (@first $name:ident $(#[doc = $doc:literal])* $option:ident $($rest:tt)*) => {
        std::mem::offset_of!($name, $option)
    };
    (@struct $(#[doc = $doc:literal])+ $name:ident $settings:ident {
        $(
            $(#[doc = $about:literal])*
            $option:ident $(, $count:ident)?: $kind:ident $(=> $($at:ident).+)?;
        )*
    }) => {
        $(#[doc = $doc])+
        // Some descriptions are those of happy-sampler; the header has all of them. Types are plain ones of C, written by way of
        // the kinds, which are private.
        #[allow(missing_docs, private_interfaces)]
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            #[doc = concat!("`sizeof(", stringify!($name), ")`.")]
            pub size: u32,
            $(
                $(#[doc = $about])*
                pub $option: <kinds::$kind as Kind>::C,
                $(
                    /// Number of elements.
                    pub $count: usize,
                )?
            )*
        }

        // No padding on 64-bit machines, so that a field that is added later begins after the first version: an option of 4 bytes
        // comes with another one or with a `Reserved`. On 32-bit machines structs are smaller; there a field of 8 bytes may leave
        // a gap, which the zeros of `initialize` fill.
        #[cfg(target_pointer_width = "64")]
        const _: () = assert!(
            size_of::<$name>()
                == size_of::<u32>()
                    $(+ size_of::<<kinds::$kind as Kind>::C>() $(+ { let $count = size_of::<usize>(); $count })?)*,
            "padding: add a field `Reserved`"
        );

        impl Defaults for $name {
            fn defaults() -> Self {
                let mut settings = $settings::default();
                $name {
                    size: size_of::<Self>() as u32,
                    $(
                        $option: kinds::$kind::to_c(place!(settings $($(. $at)+)?)),
                        $($count: 0,)?
                    )*
                }
            }
        }

        impl Options for $name {
            type Settings = $settings;

            unsafe fn settings(&self) -> Outcome<$settings> {
                let mut settings = $settings::default();
                $(
                    let count = 0 $(+ self.$count)?;
                    // SAFETY: the caller's promise.
                    unsafe {
                        let place = place!(settings $($(. $at)+)?);
                        kinds::$kind::read_c(stringify!($option), self.$option, count, place)?;
                    }
                )*
                Ok(settings)
            }

            fn take(fields: &mut Map<String, Json>) -> Outcome<$settings> {
                let mut settings = $settings::default();
                $(
                    if kinds::$kind::IN_JSON && let Some(value) = fields.remove(stringify!($option)) {
                        let key = Key { name: stringify!($option), value: &value };
                        kinds::$kind::read_json(&key, place!(settings $($(. $at)+)?))?;
                    }
                )*
                Ok(settings)
            }
        }
    };
}
use {options, place};
