//! Parses the header fields of ranges, entity tags and retries.

/// The value of `Content-Range`: which bytes were sent, and of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentRange {
    /// The first byte, and the byte after the last; `None` if the requested range is not in the file.
    pub(crate) range: Option<(u64, u64)>,
    /// The length of the file; `None` if it is not given.
    pub(crate) total: Option<u64>,
}

impl ContentRange {
    /// Reads `bytes 0-99/1234`, `bytes 0-99/*` or `bytes */1234`. Returns `None` for everything else.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let (unit, rest) = value.trim().split_once(' ')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (range, total) = rest.trim().split_once('/')?;
        let total = if total == "*" { None } else { Some(number(total)?) };
        let range = if range == "*" {
            None
        } else {
            let (first, last) = range.split_once('-')?;
            let (first, end) = (number(first)?, number(last)?.checked_add(1)?);
            if first >= end || total.is_some_and(|total| end > total) {
                return None;
            }
            Some((first, end))
        };
        (range.is_some() || total.is_some()).then_some(Self { range, total })
    }
}

/// Reads a number that consists only of digits, without a sign or spaces.
pub(crate) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Returns an entity tag, with its quotes, if it is strong. It then promises equal bytes; a weak one (`W/"..."`) only promises equal
/// meaning.
pub(crate) fn strong_etag(value: &str) -> Option<&str> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    // It is written into a header of the next request, and into the journal.
    let plain =
        !inner.is_empty() && inner.len() <= 256 && inner.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
    plain.then_some(value)
}

/// Returns an entity tag without `W/` and quotes, which is how the cache names its blobs.
pub(crate) fn bare_etag(value: &str) -> &str {
    value.trim_start_matches("W/").trim_matches('"')
}

/// Reads the value of `Retry-After` in seconds. The other form, a date, needs the server's clock and is not supported.
pub(crate) fn retry_after(value: &str) -> Option<u64> {
    number(value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        let whole = |a, b, total| Some(ContentRange { range: Some((a, b)), total });
        assert_eq!(ContentRange::parse("bytes 0-99/1234"), whole(0, 100, Some(1234)));
        assert_eq!(ContentRange::parse("Bytes 5-5/*"), whole(5, 6, None));
        assert_eq!(ContentRange::parse("bytes */7"), Some(ContentRange { range: None, total: Some(7) }));
        for bad in [
            "",
            "bytes",
            "bytes ",
            "bytes 0-99",
            "bytes 1-0/5",
            "bytes 0-5/5",
            "bytes -1-5/9",
            "bytes +1-5/9",
            "bytes 0-99/",
            "items 0-1/2",
            "bytes */*",
            "bytes 0-18446744073709551615/*",
            "bytes 0-99999999999999999999/*",
            "bytes a-b/c",
        ] {
            assert_eq!(ContentRange::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn entity_tags() {
        assert_eq!(strong_etag("\"abc\""), Some("\"abc\""));
        for weak in ["W/\"abc\"", "abc", "\"\"", "\"a\"b\"", "\"a\nb\"", "\"ä\""] {
            assert_eq!(strong_etag(weak), None, "{weak}");
        }
        assert_eq!((bare_etag("W/\"abc\""), bare_etag("\"abc\""), bare_etag("abc")), ("abc", "abc", "abc"));
        assert_eq!(
            (retry_after(" 12 "), retry_after("-1"), retry_after("Wed, 21 Oct")),
            (Some(12), None, None)
        );
    }
}
