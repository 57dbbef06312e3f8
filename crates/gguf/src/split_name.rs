//! The names of the files of a split model: `prefix-00001-of-00003.gguf`.

use alloc::string::{String, ToString};
use core::fmt;

/// The parsed file name of a part of a split model.
///
/// ```
/// use happy_gguf::SplitName;
/// let name = SplitName::parse("tiny-v1.0-00002-of-00003.gguf").unwrap();
/// assert_eq!((name.prefix(), name.no(), name.count()), ("tiny-v1.0", 2, 3));
/// assert_eq!(name.with_no(3).unwrap().to_string(), "tiny-v1.0-00003-of-00003.gguf");
/// assert!(SplitName::parse("tiny.gguf").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SplitName {
    prefix: String,
    no: u32,
    count: u32,
}

impl SplitName {
    /// The largest part count that a name has room for.
    pub const MAX_COUNT: u32 = 99_999;

    /// Returns the name of part `no` (from 1) of `count`; `None` if `no` is 0 or greater than `count`, or if `count` is too
    /// large.
    pub fn new(prefix: impl Into<String>, no: u32, count: u32) -> Option<Self> {
        let fits = (1..=count).contains(&no) && count <= Self::MAX_COUNT;
        fits.then(|| Self { prefix: prefix.into(), no, count })
    }

    /// Parses a file name (without folders); `None` if it is not the name of a part.
    pub fn parse(file_name: &str) -> Option<Self> {
        let (prefix, shard) =
            file_name.strip_suffix(".gguf")?.rsplit_once("-of-").and_then(|(head, count)| {
                let (prefix, no) = head.rsplit_once('-')?;
                Some((prefix, (no, count)))
            })?;
        Self::new(prefix, number(shard.0)?, number(shard.1)?)
    }

    /// Returns the text before the numbers.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the number of the part, from 1.
    pub fn no(&self) -> u32 {
        self.no
    }

    /// Returns the number of parts.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Returns the name of another part of the same model; `None` if `no` is 0 or greater than the number of parts.
    pub fn with_no(&self, no: u32) -> Option<Self> {
        Self::new(self.prefix.to_string(), no, self.count)
    }
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:05}-of-{:05}.gguf", self.prefix, self.no, self.count)
    }
}

/// Parses exactly five digits.
fn number(digits: &str) -> Option<u32> {
    (digits.len() == 5 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_parts() {
        let names = [
            "",
            ".gguf",
            "a-00001-of-00002",
            "a-00001-of-00002.GGUF",
            "a-0001-of-0002.gguf",
            "a-00000-of-00002.gguf",
            "a-00003-of-00002.gguf",
            "a-00001-of-.gguf",
            "a-+0001-of-00002.gguf",
            "00001-of-00002.gguf",
        ];
        for name in names {
            assert_eq!(SplitName::parse(name), None, "{name}");
        }
        assert_eq!(SplitName::parse("-00001-of-00001.gguf").unwrap().prefix(), "");
        assert_eq!(SplitName::new("a", 1, 100_000), None);
    }
}
