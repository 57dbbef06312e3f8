//! Structs that begin with their size: callers of older and newer headers.
//!
//! ```text
//! caller's struct smaller:  what it lacks has its default (options), or is not written (results)
//! caller's struct larger:   what follows ours must be 0 (options), or becomes 0 (results)
//! ```

use super::types::{
    HappyEmbedderInfo, HappyEmbedding, HappyEvent, HappyFinish, HappyMemory, HappyPlan, HappyReuse,
};
use crate::failure::{Failure, Outcome};
use std::mem::{offset_of, size_of};
use std::ptr;

/// No struct is larger: a size above was never set.
const MOST: usize = 4096;

/// A struct of the header that begins with its size.
///
/// # Safety
/// `repr(C)`, begins with a `u32` that is its size, and any bytes are a valid value.
pub(crate) unsafe trait Versioned: Copy {
    /// The struct's name, for errors.
    const NAME: &'static str;
    /// Bytes of its first version.
    const FIRST: usize;

    /// Sets the field.
    fn set_size(&mut self, size: u32);

    /// The size, if it can be one.
    fn checked_size(size: usize) -> Outcome<usize> {
        let (name, first) = (Self::NAME, Self::FIRST);
        if size < first || size > MOST {
            return Err(Failure::argument(format!(
                "the size of {name} is {size}, expected at least {first}: set it to sizeof({name})"
            )));
        }
        Ok(size)
    }
}

macro_rules! versioned {
    ($($name:ident first $first:expr;)*) => {
        $(
            // SAFETY: the struct is `repr(C)` with its size in front, and has integers, floats and pointers only.
            unsafe impl Versioned for $name {
                const NAME: &'static str = stringify!($name);
                const FIRST: usize = $first;

                fn set_size(&mut self, size: u32) {
                    self.size = size;
                }
            }
        )*
    };
}

// The first versions of the results: all of a struct until it grows. `options!` does the same for options.
versioned! {
    HappyPlan first offset_of!(HappyPlan, table_bytes);
    HappyEvent first size_of::<HappyEvent>();
    HappyFinish first size_of::<HappyFinish>();
    HappyMemory first size_of::<HappyMemory>();
    HappyReuse first size_of::<HappyReuse>();
    HappyEmbedderInfo first size_of::<HappyEmbedderInfo>();
    HappyEmbedding first size_of::<HappyEmbedding>();
}

// Without padding on 64-bit machines: a field that is added later begins after the first version. On 32-bit machines these
// are smaller; there a field of 8 bytes may leave a gap, which the zeros of `initialize` fill.
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<super::types::HappyText>() == 16);
    assert!(size_of::<HappyPlan>() == 2 * 4 + 6 * 8 + 6 * 4 + 4 * 8);
    assert!(size_of::<HappyEvent>() == 4 * 4 + 2 * 8 + 3 * 16);
    assert!(size_of::<HappyFinish>() == 2 * 4 + 7 * 8);
    assert!(size_of::<HappyMemory>() == 2 * 4 + 9 * 8);
    assert!(size_of::<HappyReuse>() == 2 * 4 + 8 * 8);
    assert!(size_of::<HappyEmbedderInfo>() == 4 * 4);
    assert!(size_of::<HappyEmbedding>() == 2 * 4 + 4 * 8);
};

/// Options with defaults.
pub(crate) trait Defaults: Versioned {
    /// What a caller gets who sets nothing.
    fn defaults() -> Self;
}

/// Sets all fields of a caller's struct to their defaults, and what only the caller knows to 0.
///
/// # Safety
/// `out` is NULL or can be written, for `size` bytes.
pub(super) unsafe fn initialize<T: Defaults>(out: *mut T, size: usize) -> Outcome<()> {
    if out.is_null() {
        return Err(Failure::argument(format!("the {} is NULL", T::NAME)));
    }
    let size = T::checked_size(size)?;
    let mut value = T::defaults();
    value.set_size(size as u32);
    let known = size.min(size_of::<T>());
    // SAFETY: the caller's promise; `known` bytes are not more than either has.
    unsafe {
        out.cast::<u8>().write_bytes(0, size);
        ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), out.cast::<u8>(), known);
    }
    Ok(())
}

/// The options of a caller: NULL means all defaults.
///
/// # Safety
/// `options` is NULL, or points to a struct whose first field says how many bytes of it can be read.
pub(super) unsafe fn read<T: Defaults>(options: *const T) -> Outcome<T> {
    let mut value = T::defaults();
    if options.is_null() {
        return Ok(value);
    }
    let bytes = options.cast::<u8>();
    // SAFETY: every such struct begins with its size.
    let size = T::checked_size(unsafe { bytes.cast::<u32>().read_unaligned() } as usize)?;
    let known = size.min(size_of::<T>());
    for offset in known..size {
        // SAFETY: below the size that the caller promises.
        if unsafe { bytes.add(offset).read() } != 0 {
            return Err(Failure::argument(format!(
                "{} has a field at byte {offset} that this version of the library does not know: it must be 0",
                T::NAME
            )));
        }
    }
    // SAFETY: `known` bytes are not more than either has, and any bytes are a valid value.
    unsafe { ptr::copy_nonoverlapping(bytes, (&raw mut value).cast::<u8>(), known) };
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::pointers::OutStruct;

    /// The second version of a struct, whose first had `a` only.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Two {
        size: u32,
        a: u32,
        b: u64,
    }

    // SAFETY: integers only, the size in front.
    unsafe impl Versioned for Two {
        const NAME: &'static str = "Two";
        const FIRST: usize = 8;
        fn set_size(&mut self, size: u32) {
            self.size = size;
        }
    }

    impl Defaults for Two {
        fn defaults() -> Self {
            Two { size: 16, a: 10, b: 20 }
        }
    }

    /// Bytes of a caller with a size in front.
    fn caller(size: u32, words: &[u32]) -> Vec<u32> {
        [&[size], words].concat()
    }

    #[test]
    fn options_of_other_versions() {
        let cases: &[(&str, Vec<u32>, Result<(u32, u64), &str>)] = &[
            ("ours", caller(16, &[1, 2, 0]), Ok((1, 2))),
            ("the first version", caller(8, &[1, 7, 7]), Ok((1, 20))),
            ("half of a field", caller(12, &[1, 2, 7]), Ok((1, 2))),
            ("newer, zeros after ours", caller(24, &[1, 2, 0, 0, 0]), Ok((1, 2))),
            ("newer, something set", caller(24, &[1, 2, 0, 0, 1 << 8]), Err("a field at byte 21")),
            ("nothing", caller(0, &[1, 2, 0]), Err("the size of Two is 0")),
            ("below the first", caller(7, &[1, 2, 0]), Err("expected at least 8")),
            ("never set", caller(u32::MAX, &[1, 2, 0]), Err("the size of Two is 4294967295")),
            ("over the limit", caller(4097, &[1, 2, 0]), Err("sizeof(Two)")),
        ];
        let mut failures = Vec::new();
        for (what, words, expected) in cases {
            // SAFETY: the sizes that are read are those of the words.
            let found = unsafe { read(words.as_ptr().cast::<Two>()) };
            let fits = match (&found, expected) {
                (Ok(two), Ok(expected)) => (two.a, two.b) == *expected,
                (Err(failure), Err(expected)) => failure.message.contains(expected),
                _ => false,
            };
            if !fits {
                failures.push(format!("{what}: {found:?}"));
            }
        }
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { read::<Two>(ptr::null()) }, Ok(Two::defaults()));
        assert!(failures.is_empty(), "{failures:#?}");
    }

    #[test]
    fn only_the_callers_bytes_are_written() {
        let seven = 0x0707_0707;
        for (size, expected) in [
            (8u32, [8, 1, seven, seven, seven, seven]),
            (12, [12, 1, 2, seven, seven, seven]),
            (16, [16, 1, 2, 0, seven, seven]),
            (20, [20, 1, 2, 0, 0, seven]),
        ] {
            let mut words = [seven; 6];
            words[0] = size;
            // SAFETY: the words are more than the size says.
            let out = unsafe { OutStruct::new(words.as_mut_ptr().cast::<Two>()) }.unwrap();
            out.set(Two { size: 0, a: 1, b: 2 });
            assert_eq!(words, expected);
            let mut words = [seven; 6];
            // SAFETY: the words are more than the size says.
            unsafe { initialize(words.as_mut_ptr().cast::<Two>(), size as usize) }.unwrap();
            let filled = expected.map(|word| match word {
                1 => 10,
                2 => 20,
                word => word,
            });
            assert_eq!(words, filled);
        }
    }
}
