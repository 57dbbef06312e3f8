//! Types that the caller chooses for tensors by name.

use crate::error::{QuantizeError, QuantizeErrorKind};
use happy_tensor::DType;
use std::fmt;
use std::str::FromStr;

/// A type for the matrices whose names match a pattern. It is parsed from `PATTERN=TYPE`.
///
/// The pattern matches if it occurs anywhere in the name. A `*` in it stands for any number of characters, also none. TYPE is
/// the name of any [`DType`], in upper or lower case.
///
/// ```
/// use happy_quantize::Override;
/// let rule: Override = "ffn_*.weight=q8_0".parse()?;
/// assert!(rule.matches("blk.0.ffn_up.weight") && !rule.matches("blk.0.attn_q.weight"));
/// assert_eq!(rule.to_string(), "ffn_*.weight=Q8_0");
/// # Ok::<(), happy_quantize::QuantizeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    pattern: String,
    dtype: DType,
}

impl Override {
    /// Returns the type that matching matrices get.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Returns whether the pattern matches a tensor's name.
    pub fn matches(&self, name: &str) -> bool {
        let mut rest = name;
        self.pattern.split('*').all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    }
}

impl FromStr for Override {
    type Err = QuantizeError;

    fn from_str(s: &str) -> Result<Self, QuantizeError> {
        let wrong = |message| QuantizeError::new(QuantizeErrorKind::UnknownName, message);
        let (pattern, dtype) =
            s.rsplit_once('=').ok_or_else(|| wrong(format!("expected PATTERN=TYPE, found {s:?}")))?;
        if pattern.is_empty() {
            return Err(wrong(format!("expected a pattern before the `=` of {s:?}")));
        }
        let dtype = dtype.parse::<DType>().map_err(|e| wrong(e.to_string()))?;
        Ok(Self { pattern: pattern.to_owned(), dtype })
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.pattern, self.dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_and_wrong_ones_are_refused() {
        let cases = [
            ("ffn_*.weight=Q8_0", "blk.0.ffn_up.weight", true),
            ("attn_v=q6_k", "blk.0.attn_k.weight", false),
            ("attn_v=q6_k", "blk.0.attn_v.weight", true),
            ("*=F16", "", true),
            ("a*b*c=F16", "xxaxbxc", true),
            ("a*b*c=F16", "xxaxcxb", false),
            ("a=b=F16", "a=b", true),
        ];
        for (rule, name, matches) in cases {
            assert_eq!(
                rule.parse::<Override>().ok().map(|r| r.matches(name)),
                Some(matches),
                "{rule} {name}"
            );
        }
        for (rule, expected) in [("attn_v", "PATTERN=TYPE"), ("=F16", "before the `=`"), ("a=Q9", "\"Q9\"")] {
            let error = rule.parse::<Override>().map_err(|e| e.to_string());
            assert!(error.as_ref().is_err_and(|e| e.contains(expected)), "{rule}: {error:?}");
        }
    }
}
