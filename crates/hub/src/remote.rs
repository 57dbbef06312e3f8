//! A file on a server, and requests for ranges of its bytes.

use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::client::{Answer, Client, Failure, Linked};
use crate::error::{Error, shown};
use crate::http::{self, ContentRange};
use crate::safe;
use crate::url::Url;

/// Maximum size of a file. Larger ones are refused, so that sums of sizes cannot overflow.
pub(crate) const MAX_FILE: u64 = 1 << 50;

/// What a server says about a file before its bytes are requested.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) size: u64,
    pub(crate) sha256: Option<String>,
    /// A strong entity tag, with its quotes.
    pub(crate) etag: Option<String>,
    pub(crate) commit: Option<String>,
}

/// A file that can be fetched.
pub(crate) struct Remote {
    /// The path in the repository, or the address, for messages.
    pub(crate) label: String,
    url: Url,
    pub(crate) size: u64,
    /// The SHA-256 that the publisher promises.
    pub(crate) sha256: Option<String>,
    /// The entity tag in the first answer; `None` if the server sends none.
    etag: Option<String>,
    found: Mutex<Found>,
}

/// What is known from the answers so far.
#[derive(Default)]
struct Found {
    /// The address to which the redirects led.
    direct: Option<Url>,
    /// The strong entity tag of the host of the bytes.
    validator: Option<String>,
    /// Whether the server sends only whole files.
    whole_only: bool,
}

/// The answer to a request for a range.
pub(crate) enum Bytes {
    /// The bytes from the start of the range, up to at most this position.
    Range(Box<dyn Read + Send>, u64),
    /// The file from its beginning, since the server does not support ranges.
    Whole(Box<dyn Read + Send>),
    /// The server has another file now.
    Changed { expected: String, found: String },
}

impl Remote {
    pub(crate) fn new(label: String, url: Url, probe: &Probe) -> Self {
        let validator = probe.etag.clone().filter(|_| probe.sha256.is_none());
        let found = Mutex::new(Found { validator, ..Found::default() });
        Self { label, url, size: probe.size, sha256: probe.sha256.clone(), etag: probe.etag.clone(), found }
    }

    /// Returns the identity of the file, which must be equal for a download to continue.
    pub(crate) fn identity(&self) -> Option<String> {
        match (&self.sha256, &self.etag) {
            (Some(sha256), _) => Some(format!("sha256:{sha256}")),
            (None, Some(etag)) => Some(format!("etag:{etag}")),
            (None, None) => None,
        }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        // No code can panic in the middle of a change while it holds the lock.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_whole_only(&self) -> bool {
        self.found().whole_only
    }

    /// Asks the server about the file again. Returns `Ok` if it is still the same. The entity tag of another host is then accepted.
    pub(crate) fn confirm(&self, client: &Client) -> Result<(), Failure> {
        let probe = probe(client, &self.url)?;
        let told = |size: u64, sha256: &Option<String>, etag: &Option<String>| match (sha256, etag) {
            (Some(sha256), _) => format!("{size} bytes, SHA-256 {sha256}"),
            (None, Some(etag)) => format!("{size} bytes, ETag {etag}"),
            (None, None) => format!("{size} bytes"),
        };
        // Without a hash from the publisher, the tag decides. With one, tags may differ between hosts.
        let expected = told(self.size, &self.sha256, &self.etag);
        let sha256 = if self.sha256.is_some() { probe.sha256.or_else(|| self.sha256.clone()) } else { None };
        let found = told(probe.size, &sha256, &probe.etag);
        if expected != found {
            return Err(Failure::lasting(Error::Changed { file: self.label.clone(), expected, found }));
        }
        *self.found() = Found {
            whole_only: self.is_whole_only(),
            validator: self.etag.clone().filter(|_| self.sha256.is_none()),
            direct: None,
        };
        Ok(())
    }

    /// Requests `start..end`. An answer may have fewer bytes, but no other ones.
    pub(crate) fn fetch(&self, client: &Client, start: u64, end: u64) -> Result<Bytes, Failure> {
        let (direct, validator, whole_only) = {
            let found = self.found();
            (found.direct.clone(), found.validator.clone(), found.whole_only)
        };
        let mut headers = Vec::new();
        if !whole_only {
            headers.push(("Range", format!("bytes={start}-{}", end.saturating_sub(1))));
            if let Some(validator) = &validator {
                headers.push(("If-Range", validator.clone()));
            }
        }
        let url = direct.as_ref().unwrap_or(&self.url);
        let answer = client.exchange(false, url, &headers)?;
        if direct.is_some() && matches!(answer.response.status, 400 | 401 | 403 | 404 | 410) {
            // A signed address expires after some time. The next attempt asks the hub for a new one.
            self.found().direct = None;
            let failure = answer.expect(&[]).err();
            return Err(
                failure.map_or_else(|| self.odd("206", "an old address"), |f| Failure { retry: true, ..f })
            );
        }
        self.check_promise(&answer.linked)?;
        if answer.response.status == 416 {
            let found = answer.response.headers.get("content-range").map_or("no such range".into(), shown);
            return Ok(Bytes::Changed { expected: format!("{} bytes", self.size), found });
        }
        let answer = answer.expect(&[200, 206])?;
        let Answer { url, response, .. } = answer;
        let etag = response.headers.get("etag").and_then(http::strong_etag);
        if let (Some(expected), Some(found)) = (&validator, etag)
            && expected != found
        {
            // The tag is not sent to the server, since another host of the same bytes may have other tags.
            self.found().validator = None;
            return Ok(Bytes::Changed { expected: expected.clone(), found: shown(found) });
        }
        if response
            .headers
            .get("content-encoding")
            .is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
        {
            return Err(self.odd("the bytes as they are", "a Content-Encoding"));
        }
        let content_range = response.headers.get("content-range");
        // Some servers send the range with status 200. `Content-Range` decides.
        let bytes = match (response.status, content_range) {
            (_, Some(value)) => {
                let range = ContentRange::parse(value);
                let Some(ContentRange { range: Some((first, last)), total }) = range else {
                    return Err(self.odd("a Content-Range", &format!("`{}`", shown(value))));
                };
                if total.is_some_and(|total| total != self.size) {
                    let found = format!("{} bytes", total.unwrap_or(0));
                    return Ok(Bytes::Changed { expected: format!("{} bytes", self.size), found });
                }
                if first != start || last > end {
                    return Err(self.odd(&format!("bytes {start}..{end}"), &format!("bytes {first}..{last}")));
                }
                Bytes::Range(response.body, last)
            }
            (206, None) => return Err(self.odd("a Content-Range", "none")),
            _ => {
                let len = response.headers.get("content-length").and_then(http::number);
                if let Some(len) = len.filter(|len| *len != self.size) {
                    return Ok(Bytes::Changed {
                        expected: format!("{} bytes", self.size),
                        found: format!("{len} bytes"),
                    });
                }
                Bytes::Whole(response.body)
            }
        };
        let mut found = self.found();
        found.whole_only |= matches!(bytes, Bytes::Whole(_));
        found.validator = found.validator.take().or_else(|| etag.map(str::to_owned));
        found.direct = Some(url).filter(|url| *url != self.url);
        Ok(bytes)
    }

    /// Checks that the hub says the same as at first.
    fn check_promise(&self, linked: &Linked) -> Result<(), Failure> {
        let etag = linked.etag.as_ref().filter(|etag| safe::is_sha256(etag));
        if let (Some(expected), Some(found)) = (&self.sha256, etag)
            && expected != found
        {
            let (expected, found) = (format!("SHA-256 {expected}"), format!("SHA-256 {found}"));
            return Err(Failure::lasting(Error::Changed { file: self.label.clone(), expected, found }));
        }
        Ok(())
    }

    /// Returns the failure for an answer that breaks the rules. Another attempt may succeed.
    fn odd(&self, expected: &str, found: &str) -> Failure {
        let url = self.url.to_string();
        Failure::passing(Error::Protocol { url, expected: expected.to_owned(), found: found.to_owned() })
    }
}

/// Asks about a file with `HEAD`, or by its first byte if `HEAD` is refused.
pub(crate) fn probe(client: &Client, url: &Url) -> Result<Probe, Failure> {
    let answer = client.exchange(true, url, &[])?;
    let refused = matches!(answer.response.status, 400 | 403 | 405 | 501);
    let answer = if refused {
        client.exchange(false, url, &[("Range", "bytes=0-0".to_owned())])?.expect(&[200, 206])?
    } else if (300..400).contains(&answer.response.status) {
        answer
    } else {
        answer.expect(&[200, 206])?
    };
    let Answer { url, response, linked } = answer;
    let get = |name| response.headers.get(name);
    let range = get("content-range").and_then(ContentRange::parse);
    let size = linked
        .size
        .or_else(|| range.and_then(|range| range.total))
        .or_else(|| get("content-length").and_then(http::number).filter(|_| range.is_none()));
    let Some(size) = size.filter(|size| (1..=MAX_FILE).contains(size)) else {
        let found = size.map_or_else(|| "no length".to_owned(), |size| format!("{size}"));
        let expected = format!("a length of 1 to {MAX_FILE} bytes");
        return Err(Failure::lasting(Error::Protocol { url: url.to_string(), expected, found }));
    };
    let etag = get("etag").and_then(http::strong_etag).map(str::to_owned);
    let own = etag.as_deref().map(http::bare_etag).filter(|_| linked.commit.is_some());
    let sha256 = linked.etag.as_deref().or(own).filter(|etag| safe::is_sha256(etag)).map(str::to_owned);
    Ok(Probe { size, sha256, etag, commit: linked.commit })
}
