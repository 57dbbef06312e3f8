//! One file on a server, and ranges of its bytes.

use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::client::{Answer, Client, Failure, Linked};
use crate::error::{Error, shown};
use crate::http::{self, ContentRange};
use crate::safe;
use crate::url::Url;

/// Files beyond this are refused; no file system of today takes them, and sums of sizes cannot overflow.
pub(crate) const MAX_FILE: u64 = 1 << 50;

/// What a server says of a file before its bytes are asked for.
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
    /// For messages: the path in the repository, or the address.
    pub(crate) label: String,
    url: Url,
    pub(crate) size: u64,
    /// What the publisher promises.
    pub(crate) sha256: Option<String>,
    /// The entity tag that the file had when it was asked for first; `None`: the server gives none.
    etag: Option<String>,
    found: Mutex<Found>,
}

/// What answers have told so far.
#[derive(Default)]
struct Found {
    /// Where the redirects led to.
    direct: Option<Url>,
    /// The strong entity tag of the bytes' host.
    validator: Option<String>,
    /// The server gives whole files only.
    whole_only: bool,
}

/// The answer to a request for a range.
pub(crate) enum Bytes {
    /// The bytes from the start of the range on, up to here at most.
    Range(Box<dyn Read + Send>, u64),
    /// The file from its beginning: the server does not give ranges.
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

    /// What must be equal for a download to go on where an earlier one stopped.
    pub(crate) fn identity(&self) -> Option<String> {
        match (&self.sha256, &self.etag) {
            (Some(sha256), _) => Some(format!("sha256:{sha256}")),
            (None, Some(etag)) => Some(format!("etag:{etag}")),
            (None, None) => None,
        }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        // Nothing that holds the lock can panic halfway through a change.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_whole_only(&self) -> bool {
        self.found().whole_only
    }

    /// Asks again what the file is: `Ok` if it is still the same, and then another host's entity tag is taken as new.
    pub(crate) fn confirm(&self, client: &Client) -> Result<(), Failure> {
        let probe = probe(client, &self.url)?;
        let told = |size: u64, sha256: &Option<String>, etag: &Option<String>| match (sha256, etag) {
            (Some(sha256), _) => format!("{size} bytes, SHA-256 {sha256}"),
            (None, Some(etag)) => format!("{size} bytes, ETag {etag}"),
            (None, None) => format!("{size} bytes"),
        };
        // Without a hash from the publisher the tag decides; with it, tags may differ between hosts.
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

    /// Asks for `start..end`. An answer may bring fewer bytes, never others.
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
            // A signed address ends after some time: the next attempt asks the hub for a new one.
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
            // No server needs to know of it: another host of the same bytes may have other tags.
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
        // Some servers give the range with status 200: what came is what `Content-Range` says.
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

    /// What the hub says now must be what it said first.
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

    /// An answer that breaks the rules, which another attempt may not do.
    fn odd(&self, expected: &str, found: &str) -> Failure {
        let url = self.url.to_string();
        Failure::passing(Error::Protocol { url, expected: expected.to_owned(), found: found.to_owned() })
    }
}

/// Asks what a file is: by `HEAD`, or by its first byte where `HEAD` is refused.
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
