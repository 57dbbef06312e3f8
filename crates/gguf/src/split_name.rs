//! The names of the files of a split model: `prefix-00001-of-00003.gguf`.

use alloc::string::{String, ToString};
use core::fmt;

/// The file name of a part of a split model, in its parts.
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
    /// The most parts that a name has room for.
    pub const MAX_COUNT: u32 = 99_999;

    /// The name of part `no` (from 1) of `count`; `None` when the numbers do not fit.
    pub fn new(prefix: impl Into<String>, no: u32, count: u32) -> Option<Self> {
        let fits = (1..=count).contains(&no) && count <= Self::MAX_COUNT;
        fits.then(|| Self { prefix: prefix.into(), no, count })
    }

    /// Takes a file name (without folders) apart; `None` when it is not one of a part.
    pub fn parse(file_name: &str) -> Option<Self> {
        let (prefix, shard) =
            file_name.strip_suffix(".gguf")?.rsplit_once("-of-").and_then(|(head, count)| {
                let (prefix, no) = head.rsplit_once('-')?;
                Some((prefix, (no, count)))
            })?;
        Self::new(prefix, number(shard.0)?, number(shard.1)?)
    }

    /// What stands before the numbers.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Which part, from 1.
    pub fn no(&self) -> u32 {
        self.no
    }

    /// How many parts.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The name of another part of the same model; `None` when there is none of that number.
    pub fn with_no(&self, no: u32) -> Option<Self> {
        Self::new(self.prefix.to_string(), no, self.count)
    }
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:05}-of-{:05}.gguf", self.prefix, self.no, self.count)
    }
}

/// Five digits.
fn number(digits: &str) -> Option<u32> {
    (digits.len() == 5 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_part() {
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
