//! The part of URLs that downloads need: absolute `http` and `https` addresses, and the resolution of `Location`.

use std::fmt;

/// Maximum length of an address. Signed addresses have about 2,000 bytes.
const MAX_LEN: usize = 16 << 10;

/// The parts of an absolute address.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    https: bool,
    /// The host in lower case. An IPv6 address has its brackets.
    host: String,
    port: u16,
    /// Everything from `/` on, including the query.
    path: String,
}

impl Url {
    /// Parses an address. Otherwise, returns what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_LEN {
            return Err("it is longer than 16 KiB");
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("it has spaces, control characters or letters that are not ASCII");
        }
        let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("its scheme is neither http nor https"),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("it contains a user name or password; use HF_TOKEN");
        }
        // A colon inside of the brackets of an IPv6 address does not begin a port.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (
                host,
                port.parse().ok().filter(|p| *p > 0).ok_or("its port is not a number from 1 to 65535")?,
            ),
            _ => (authority, if https { 443 } else { 80 }),
        };
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let is_ipv6 = |b: u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
        // A colon in a name would be taken for the beginning of a port.
        let valid = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => !address.is_empty() && address.bytes().all(is_ipv6),
            None => !host.is_empty() && host.bytes().all(is_name),
        };
        if !valid {
            return Err("it has no valid host");
        }
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { https, host: host.to_ascii_lowercase(), port, path })
    }

    /// Resolves the `Location` of an answer from this address.
    pub(crate) fn join(&self, location: &str) -> Result<Self, &'static str> {
        let scheme = if self.https { "https" } else { "http" };
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{scheme}://{rest}"));
        }
        if location.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':')) {
            return Self::parse(location);
        }
        let folder = self.path.split('?').next().unwrap_or_default();
        let folder = folder.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = match location.as_bytes().first() {
            Some(b'/') => location.to_owned(),
            Some(b'?') => format!("{}{location}", self.path.split('?').next().unwrap_or_default()),
            _ => format!("{folder}/{location}"),
        };
        Self::parse(&format!("{scheme}://{}:{}{path}", self.host, self.port))
    }

    /// Returns the address with `segments` after its path. Each is percent-encoded, including slashes.
    pub(crate) fn with_path(&self, segments: &[&str]) -> Self {
        let mut path = self.path.trim_end_matches('/').to_owned();
        for segment in segments {
            path.push('/');
            for byte in segment.bytes() {
                if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                    path.push(char::from(byte));
                } else {
                    path.push_str(&format!("%{byte:02X}"));
                }
            }
        }
        Self { path, ..self.clone() }
    }

    pub(crate) fn with_query(mut self, query: &str) -> Self {
        self.path.push('?');
        self.path.push_str(query);
        self
    }

    /// Returns whether scheme, host and port are the same, so that a token for one may be sent to the other.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        (self.https, &self.host, self.port) == (other.https, &other.host, other.port)
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the path from `/` on, without the query.
    pub(crate) fn path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// Returns the whole address, for the transport.
    pub(crate) fn full(&self) -> String {
        format!("{}{}", self.origin(), self.path)
    }

    fn origin(&self) -> String {
        let (scheme, usual) = if self.https { ("https", 443) } else { ("http", 80) };
        let port = if self.port == usual { String::new() } else { format!(":{}", self.port) };
        format!("{scheme}://{}{port}", self.host)
    }
}

/// Prints the address without the query, which may contain a signature, for messages.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn addresses_are_taken_apart() {
        for (text, full) in [
            ("https://Hub.example", "https://hub.example/"),
            ("HTTP://a:80/b?c=d#e", "http://a/b?c=d"),
            ("http://[::1]:8080/x", "http://[::1]:8080/x"),
            ("http://[::1]/x", "http://[::1]/x"),
            ("https://a?b", "https://a/?b"),
        ] {
            assert_eq!(url(text).full(), full);
        }
        for bad in [
            "",
            "a",
            "ftp://a/b",
            "file:///etc/passwd",
            "http://",
            "http://a b/",
            "http://a\r\nX: y/",
            "http://u:p@a/",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "http://a:0/",
            "http://a:65536/",
            "http://a:x/",
            "http://ä/",
            "https:///x",
            "https://a:8:443/",
            "http://[a]b/",
            "http://[]/",
            "http://a]/",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Url::parse(&format!("http://a/{}", "b".repeat(MAX_LEN))).is_err());
    }

    #[test]
    fn locations_are_joined() {
        let base = url("https://a:8443/b/c?d=e");
        for (location, full) in [
            ("https://x/y", "https://x/y"),
            ("//x/y", "https://x/y"),
            ("/y?z", "https://a:8443/y?z"),
            ("y", "https://a:8443/b/y"),
            ("?q", "https://a:8443/b/c?q"),
        ] {
            assert_eq!(base.join(location).unwrap().full(), full);
        }
        assert!(base.join("javascript:alert(1)").is_err());
        assert!(base.same_origin(&base.join("/").unwrap()));
        for other in ["http://a:8443/", "https://a/", "https://b:8443/"] {
            assert!(!base.same_origin(&url(other)), "{other}");
        }
    }

    #[test]
    fn paths_are_encoded_and_queries_are_not_shown() {
        let file = url("https://a/").with_path(&["o", "r", "resolve", "refs/pr/1", "a b?#%ä.gguf"]);
        assert_eq!(file.full(), "https://a/o/r/resolve/refs%2Fpr%2F1/a%20b%3F%23%25%C3%A4.gguf");
        let shown = file.to_string();
        assert_eq!(file.with_query("token=secret").to_string(), shown);
    }
}
